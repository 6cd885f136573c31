internal import Postgres

/// Compares sources with their predictions in the background, on the budget that each scorer has.
///
/// Runs in the dispatcher's process, on a thread and a session of its own: a step reads thousands of
/// rows, and ticks wait for nobody.
final class Auditor {
  private let context: WorkerContext

  init(_ context: WorkerContext) { self.context = context }

  /// Audits whenever it is woken, until the worker stops.
  func run() {
    while !context.isStopping {
      context.audit.clear()
      if context.isStopping { return }
      if context.events.statistics.isDispatching {
        do throws(PostgresError) {
          try context.withSpareSession { () throws(PostgresError) in try auditAll() }
        } catch {
          if context.isStopping { return }
          context.events(.maintenanceFailed(step: "audit", reason: error.message))
          context.pause(.seconds(1))
        }
      }
      // The dispatcher looks each second what is due.
      _ = context.audit.wait(timeout: .seconds(30))
    }
  }

  /// Connects for as long as there is something to do.
  private func auditAll() throws(PostgresError) {
    let connection = try Connection(context.settings(for: "auditor"), wakeUp: context.stopping)
    defer { connection.close() }
    context.noteBatchSession(connection)
    try connection.runScript(
      "set lock_timeout = '1s'; set default_transaction_isolation = 'read committed'")
    while !context.isStopping {
      let step = try connection.run(
        "select scorer, findings, extract(epoch from pause)::float8 from rowcast.take_audit_step()")
      guard let scorer = try step.value(0, 0, as: String?.self) else { return }
      if let findings = try step.value(0, 1, as: Int64?.self) {
        if findings > 0 { context.events(.discrepanciesFound(scorer: scorer, keys: Int(findings))) }
      } else {
        context.events(
          .maintenanceFailed(step: "audit", reason: "the audit of scorer \"\(scorer)\" failed"))
      }
      context.pause(.seconds(try step.value(0, 2, as: Double.self)))
    }
  }
}
