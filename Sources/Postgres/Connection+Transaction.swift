internal import CLibPQ

extension Connection {
  /// Runs the body in a transaction, or in a savepoint when it is called within one; commits
  /// when the body returns and rolls back when it throws.
  ///
  /// - Throws: What the body threw; or 25P02 when it returned although a statement had failed, in
  ///   which case nothing is committed.
  public func transaction<R>(_ body: () throws(PostgresError) -> R) throws(PostgresError) -> R {
    let name = "rowcast_\(transactionDepth)"
    let isOutermost = transactionDepth == 0
    if isOutermost, isInTransaction {
      throw PostgresError(
        sqlState: "25001", message: "a transaction that was begun by hand is still open")
    }
    try runScript(isOutermost ? "begin" : "savepoint \(name)")
    transactionDepth += 1
    defer { transactionDepth -= 1 }
    let result: R
    do throws(PostgresError) {
      result = try body()
      guard PQtransactionStatus(try handle()) != PQTRANS_INERROR else {
        throw PostgresError(
          sqlState: "25P02", message: "a statement of the transaction had failed",
          hint: "Let its error leave the transaction's body.")
      }
    } catch {
      if isUsable {
        // The error that ends the body tells more than one of the rollback would.
        try? runScript(isOutermost ? "rollback" : "rollback to \(name); release \(name)")
      }
      throw error
    }
    try runScript(isOutermost ? "commit" : "release \(name)")
    return result
  }
}
