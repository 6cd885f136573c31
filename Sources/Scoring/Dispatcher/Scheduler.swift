internal import Postgres

/// Fires the schedules that are due.
///
/// In the dispatcher's process, on a thread of its own: the function of a schedule is somebody's SQL. It may
/// take long, and leave settings behind, so each schedule has a session and a transaction of its own, and no
/// tick waits for it.
final class Scheduler {
  private let context: WorkerContext

  /// How long making a job may take: submitting one only looks at the catalog.
  private static let timeout = "10s"

  init(_ context: WorkerContext) { self.context = context }

  /// Fires what is due whenever it is woken, until the worker stops.
  func run() {
    while !context.isStopping {
      context.schedules.clear()
      if context.isStopping { return }
      if context.events.statistics.isDispatching {
        do throws(PostgresError) {
          try context.withSpareSession { () throws(PostgresError) in try fireAll() }
        } catch {
          if context.isStopping { return }
          context.events(.maintenanceFailed(step: "schedules", reason: error.message))
        }
      }
      // The dispatcher looks each second whether something is due.
      _ = context.schedules.wait(timeout: .seconds(30))
    }
  }

  private func fireAll() throws(PostgresError) {
    var tried: [Int32] = []
    while !context.isStopping, let number = try fireNext(butNot: tried) { tried.append(number) }
  }

  /// Fires the schedule that is due first; nil where none is.
  private func fireNext(butNot tried: [Int32]) throws(PostgresError) -> Int32? {
    let connection = try Connection(context.settings(for: "schedules"), wakeUp: context.stopping)
    defer { connection.close() }
    try connection.runScript(
      """
      set lock_timeout = '1s'; set default_transaction_isolation = 'read committed'; \
      set statement_timeout = '\(Self.timeout)'
      """)
    guard
      let number = try connection.run("select rowcast.due_schedule(\(tried))")
        .value(0, 0, as: Int32?.self)
    else { return nil }
    do throws(PostgresError) {
      let made = try connection.run("select rowcast.fire_schedule(\(number))")
        .value(0, 0, as: Int32.self)
      if made > 0 { context.events(.jobsScheduled(count: Int(made))) }
    } catch {
      guard connection.isUsable, !context.isStopping else { throw error }
      try connection.run(
        "select rowcast.fail_schedule(\(number), \(Scrubber.scrub(error.message)))")
      context.events(
        .maintenanceFailed(step: "schedules", reason: "schedule \(number): \(error.message)"))
    }
    return number
  }
}
