/// A transaction whose end was not heard of.
public struct DoubtfulTransaction: Sendable, Hashable {
  /// The server's number for it, in which wraps are counted.
  fileprivate let id: String

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
  /// it did.
  ///
  /// Costs a round trip more.
  ///
  /// - Parameter doubt: What to ask `outcome` for where the error came while the transaction ended and the
  ///   connection is lost; nil where nothing was thrown, or nothing was committed.
  /// - Throws: As `transaction`.
  public func transaction<R>(
    doubt: inout DoubtfulTransaction?, _ body: () throws(PostgresError) -> R
  ) throws(PostgresError) -> R {
    doubt = nil
    var ending: DoubtfulTransaction?
    do throws(PostgresError) {
      return try transaction { () throws(PostgresError) in
        let result = try body()
        // What has written nothing has no number, and leaves nothing open.
        let id = try run("select pg_current_xact_id_if_assigned()::text")
          .value(0, 0, as: String?.self)
        ending = id.map { DoubtfulTransaction(id: $0) }
        return result
      }
    } catch {
      if !isUsable { doubt = ending }
      throw error
    }
  }

  /// What became of a transaction of a session that is lost.
  ///
  /// A server that never had such a transaction, since it took the place of one that was ahead of it, has nothing
  /// of it. One that is so old that the server has forgotten it counts as committed: nothing is done twice.
  ///
  /// Takes up to a second where the server's process of that session does not know yet that nobody listens.
  public func outcome(
    of transaction: DoubtfulTransaction
  ) throws(PostgresError) -> DoubtfulTransaction.Outcome {
    for _ in 0..<20 {
      let status: String?
      do throws(PostgresError) {
        status = try run("select pg_xact_status(\(transaction.id)::text::xid8)").value(0, 0)
      } catch  where error.sqlState == "22023" {
        return .undone
      }
      switch status {
      case "aborted": return .undone
      case "in progress":
        // It might not know for hours.
        try run(
          """
          select pg_terminate_backend(pid) from pg_stat_activity
          where backend_xid = \(transaction.id)::text::xid8::xid and pid <> pg_backend_pid()
          """)
        try run("select pg_sleep(0.05)")
      default: return .committed
      }
    }
    return .running
  }
}
