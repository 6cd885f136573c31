/// A transaction whose end was not heard of.
public struct DoubtfulTransaction: Sendable, Hashable {
  /// The server's number for it, in which wraps are counted.
  fileprivate let id: String
  /// The server's process that ran it.
  fileprivate let pid: Int32

  /// What became of it.
  public enum Outcome: Sendable {
    case committed
    /// Nothing of it is there.
    case undone
    /// The session that was lost lives on, though it was told to end: to be asked again.
    case running
  }
}

extension Connection {
  /// As `transaction`, for what must be done once: a connection that is lost while it commits leaves open whether
  /// it did. Not to be called within another transaction.
  ///
  /// Costs a round trip more.
  ///
  /// - Parameter doubt: What to ask `outcome` for where the error came while the transaction ended and the
  ///   connection is lost; nil where nothing was thrown, or nothing was committed.
  /// - Throws: As `transaction`.
  public func transaction<R>(
    doubt: inout DoubtfulTransaction?, _ body: () throws(PostgresError) -> R
  ) throws(PostgresError) -> R {
    precondition(transactionDepth == 0, "what is in doubt is the end of the outermost")
    doubt = nil
    var ending: DoubtfulTransaction?
    do throws(PostgresError) {
      return try transaction { () throws(PostgresError) in
        let result = try body()
        // Between it and the server there may be a pooler, with numbers of its own.
        let known = try run("select pg_current_xact_id_if_assigned()::text, pg_backend_pid()")
        // What has written nothing has no number, and leaves nothing open.
        if let id = try known.value(0, 0, as: String?.self) {
          ending = DoubtfulTransaction(id: id, pid: try known.value(0, 1))
        }
        return result
      }
    } catch {
      if !isUsable { doubt = ending }
      throw error
    }
  }

  /// What became of a transaction of a session that is lost.
  ///
  /// Nothing is done twice, but on a server that lost what it had committed (after a crash, without waiting for the
  /// disk; or as one that took another's place) numbers are given out again, and another's transaction may be taken
  /// for this one. A server that never had such a number has nothing of it; one that has forgotten it, since it is
  /// so old, counts as having committed.
  ///
  /// Takes about a second where the server's process of that session does not know yet that nobody listens.
  ///
  /// - Throws: SQLSTATE 25006 by a standby, which does not know.
  public func outcome(
    of transaction: DoubtfulTransaction
  ) throws(PostgresError) -> DoubtfulTransaction.Outcome {
    guard try !run("select pg_is_in_recovery()").value(0, 0, as: Bool.self) else {
      throw PostgresError(
        sqlState: "25006", message: "a standby cannot say what became of a transaction")
    }
    let end = ContinuousClock.now + .seconds(1)
    while true {
      if let outcome = try ended(transaction) { return outcome }
      // It might not know for hours.
      let told = try run(
        """
        select pg_terminate_backend(pid) from pg_stat_activity
        where pid = \(transaction.pid) and backend_xid = \(transaction.id)::text::xid8::xid
        """)
      // Of another session by the same number, if it runs still.
      if told.isEmpty { return try ended(transaction) ?? .undone }
      guard ContinuousClock.now < end else { return .running }
      try run("select pg_sleep(0.05)")
    }
  }

  /// nil where it runs.
  private func ended(
    _ transaction: DoubtfulTransaction
  ) throws(PostgresError) -> DoubtfulTransaction.Outcome? {
    let status: String?
    do throws(PostgresError) {
      status = try run("select pg_xact_status(\(transaction.id)::text::xid8)").value(0, 0)
    } catch  where error.sqlState == "22023" {
      return .undone
    }
    return switch status {
    case "aborted": .undone
    case "in progress": nil
    default: .committed
    }
  }
}
