internal import Postgres

/// Collects changes into ticks, makes chunks and hands them to idle lanes: one elected at a time,
/// the others stand by.
///
/// Confined to its thread. `DispatcherState` decides; this carries out.
final class Dispatcher {
  private let context: WorkerContext
  private let backoff = Backoff(shortest: .milliseconds(20), longest: .seconds(1))

  init(_ context: WorkerContext) { self.context = context }

  /// Stands for election and dispatches until the process stops.
  func run() {
    var failures = 0
    while !context.isStopping {
      guard context.allowance.dispatches else {
        context.board.dispatcherWakeUp.clear()
        _ = context.board.dispatcherWakeUp.wait(timeout: .milliseconds(200))
        continue
      }
      do throws(PostgresError) {
        try context.withSession { () throws(PostgresError) in
          let connection = try connect()
          defer {
            context.setStandby(nil)
            connection.close()
          }
          try stand(connection)
          failures = 0
          let reason = lead(connection)
          if let reason { context.events(.dispatcherLost(reason: reason)) }
        }
      } catch  where !context.isStopping {
        // 57014: woken up, but not to stop.
        if error.sqlState != "57014" {
          context.events(.connectionLost(part: "dispatcher", reason: error.message))
        }
        context.pause(backoff.delay(after: failures))
        failures += 1
      } catch {
        return
      }
    }
  }

  private func connect() throws(PostgresError) -> Connection {
    context.board.dispatcherWakeUp.clear()
    guard !context.isStopping else {
      throw PostgresError(sqlState: "57014", message: "the worker stops")
    }
    return try Connection.open(
      context.settings(for: "dispatcher"), backoff: backoff,
      wakeUp: context.board.dispatcherWakeUp)
  }

  /// Waits for the election's lock.
  ///
  /// A statement that waits keeps its snapshot, and with it what vacuum may remove: so it waits
  /// again and again, half a minute each.
  private func stand(_ connection: Connection) throws(PostgresError) {
    context.setStandby(connection.canceller)
    try connection.noticeLossOfPeer()
    try connection.runScript("set lock_timeout = '30s'")
    while true {
      guard !context.isStopping, context.allowance.dispatches else {
        throw PostgresError(sqlState: "57014", message: "the worker does not stand for election")
      }
      do throws(PostgresError) {
        try connection.run(
          "select pg_advisory_lock(\(AdvisoryLock.once), \(AdvisoryLock.election))")
        break
      } catch  where error.sqlState == "55P03" {
        continue
      }
    }
    // It beats each second. Where it is stopped or hangs while it holds the doorbell, each commit
    // has to ring, and rings are slow by the thousand: the server itself then ends the session.
    // Compiling the call of a function that is over in milliseconds never pays. What a crash undoes is
    // done again, so nothing waits for the disk.
    try connection.runScript(
      """
      set lock_timeout = '10s'; set default_transaction_isolation = 'read committed'; \
      set synchronous_commit = off; \
      set idle_session_timeout = '5s'; set jit = off
      """)
    try connection.listen(Channel.change)
    try connection.listen(Channel.control)
  }

  /// Dispatches until the process stops (nil) or the connection is lost (why).
  private func lead(_ connection: Connection) -> String? {
    context.events(.elected)
    context.inspection.signal()
    var term = DispatcherTerm(context, connection)
    do throws(PostgresError) {
      try term.run()
      connection.close()
      return context.isStopping ? nil : "the election was given up"
    } catch {
      return error.detail ?? error.message
    }
  }
}
