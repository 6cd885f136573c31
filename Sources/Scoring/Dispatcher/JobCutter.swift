internal import Postgres

/// Cuts running jobs into chunks, a bounded number ahead of the lanes.
///
/// In the dispatcher's process, on a thread and a session of its own: a cut steps over some hundred
/// thousand keys, and live changes wait for no such thing.
final class JobCutter {
  private let context: WorkerContext
  private let clock = ContinuousClock()

  /// Chunks of jobs that may be open at once, a lane: enough that none waits for the next round.
  private static let chunksPerLane: Int32 = 8
  /// How long the session is kept when no job runs any more.
  private static let linger = Duration.seconds(5)

  init(_ context: WorkerContext) { self.context = context }

  /// Cuts whenever it is woken, until the worker stops.
  func run() {
    while !context.isStopping {
      _ = context.cutting.wait(timeout: .seconds(30))
      context.cutting.clear()
      guard !context.isStopping, context.events.statistics.isDispatching else { continue }
      do throws(PostgresError) {
        try context.withSpareSession { () throws(PostgresError) in try cutAll() }
      } catch {
        if context.isStopping { return }
        context.events(.maintenanceFailed(step: "jobs", reason: error.message))
        context.pause(.milliseconds(100))
      }
    }
  }

  /// Connects for as long as the dispatcher says that there are jobs.
  private func cutAll() throws(PostgresError) {
    let connection = try Connection(context.settings(for: "jobs"), wakeUp: context.stopping)
    defer { connection.close() }
    context.noteBatchSession(connection)
    try connection.noticeLossOfPeer()
    try connection.runScript(
      """
      set lock_timeout = '1s'; set statement_timeout = '60s'; set jit = off; \
      set default_transaction_isolation = 'read committed'
      """)
    repeat {
      context.cutting.clear()
      if context.isStopping || !context.events.statistics.isDispatching { return }
      let lanes = max(1, Int32(context.board.bulkSeatCount))
      do throws(PostgresError) {
        let made = try connection.run(
          """
          select rowcast.make_job_chunks(\(Self.chunksPerLane * lanes), \(lanes), \(context.sizeShare))
          """
        ).value(0, 0, as: Int32.self)
        if made > 0 {
          context.board.announceWork(ofJobs: true)
          if context.workerCount > 1 {
            try connection.run("select pg_notify(\(Channel.chunk), \(Channel.ofJobs))")
          }
          context.events(.chunksMade(count: Int(made)))
        }
      } catch {
        guard connection.isUsable else { throw error }
        context.events(.maintenanceFailed(step: "jobs", reason: error.message))
      }
      // A session that others wait for is not kept.
    } while context.cutting.wait(timeout: context.allowance.spares > 1 ? Self.linger : .zero)
  }
}
