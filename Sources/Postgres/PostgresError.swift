/// An error that PostgreSQL or the connection to it reported.
public struct PostgresError: Error, Sendable, Equatable {
  /// Five characters of SQLSTATE; `08…` where the connection is at fault.
  public var sqlState: String
  /// One clause; PostgreSQL's own messages may name objects and, rarely, a value.
  public var message: String
  /// May hold row values.
  public var detail: String?
  public var hint: String?
  /// Where in the server it happened: the stack of functions that were running.
  public var context: String?
  /// The text of the statement at fault; values are bound, so it holds none.
  public var statement: String?
  /// One-based position of the fault in `statement`, in characters.
  public var position: Int?
  public var schemaName: String?
  public var tableName: String?
  public var columnName: String?
  public var dataTypeName: String?
  public var constraintName: String?

  public init(sqlState: String, message: String, detail: String? = nil, hint: String? = nil) {
    self.sqlState = sqlState
    self.message = message
    self.detail = detail
    self.hint = hint
  }

  /// The connection is gone, or could not be made: work may be tried again on a new one.
  public var isConnectionLoss: Bool {
    sqlState.hasPrefix("08") || ["57P01", "57P02", "57P03", "57P05"].contains(sqlState)
  }

  /// The same transaction may well succeed when it is tried again on this connection.
  public var isSerializationFailure: Bool { sqlState == "40001" || sqlState == "40P01" }
}

extension PostgresError: CustomStringConvertible {
  /// Message, SQLSTATE and hint. The detail is left out: it may hold row values.
  public var description: String {
    var text = "\(message) (SQLSTATE \(sqlState))"
    if let hint { text += ". \(hint)" }
    return text
  }
}

extension PostgresError {
  static func lost(_ detail: String? = nil) -> Self {
    Self(
      sqlState: "08006", message: "the connection to the server was lost", detail: detail,
      hint: "The server may have been restarted or the session ended; connect again.")
  }

  static func unexpectedType(_ oid: OID, wanted: String) -> Self {
    Self(sqlState: "42804", message: "a value of type \(oid) was read as \(wanted)")
  }

  static func malformed(_ what: String) -> Self {
    Self(sqlState: "08P01", message: "the server sent \(what)")
  }
}
