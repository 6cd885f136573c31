public import Logging
public import ServiceLifecycle

/// Scores what a database's scorers want scored, until it is told to stop.
///
/// Threads: one a lane, each with a connection; one that stands for the election of the
/// dispatcher, with a connection; one for control, with a connection that listens; one that answers
/// questions, likewise; one that cuts jobs into chunks, one that inspects models, one that audits and one
/// that fires schedules, which connect when there is something to do. How many lanes there are and what
/// connects follows the machine and the budget of connections. Any number of workers may serve a database.
public final class Worker: Service, Sendable {
  public let statistics: WorkerStatistics
  public let configuration: WorkerConfiguration
  private let context: WorkerContext
  /// Those of the process, where others than the worker score with them too.
  private let models: ModelCache?

  /// - Parameter onEvent: Called on the thread where the event happened; must return soon.
  public convenience init(
    _ configuration: WorkerConfiguration, logger: Logger,
    onEvent: (@Sendable (Event) -> Void)? = nil
  ) {
    self.init(configuration, logger: logger, models: nil, onEvent: onEvent)
  }

  /// - Parameter models: The models of the process; the worker's own where nil.
  package init(
    _ configuration: WorkerConfiguration, logger: Logger, models: ModelCache?,
    onEvent: (@Sendable (Event) -> Void)? = nil
  ) {
    self.configuration = configuration
    self.models = models
    statistics = WorkerStatistics()
    context = WorkerContext(
      configuration,
      events: EventSink(statistics: statistics, logger: logger, observer: onEvent))
  }

  /// Works until graceful shutdown, cancellation or `stop()`; then each lane finishes its chunk,
  /// for no longer than the grace, and what it still holds is given back.
  ///
  /// A server that is away is waited for.
  ///
  /// - Throws: `PostgresError` where waiting would not help: a wrong password, no such database, a
  ///   schema or rights that this release cannot work with.
  public func run() async throws {
    let control = WorkThread(name: "rowcast") { [context, models] in
      Control(context, models: models).run()
    }
    await withTaskCancellationOrGracefulShutdownHandler {
      await control.wait()
    } onCancelOrGracefulShutdown: { [context] in
      context.stop()
    }
    if let failure = context.failure { throw failure }
  }

  /// Ends `run()` as a graceful shutdown does; from any thread.
  public func stop() { context.stop() }
}
