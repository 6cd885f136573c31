/// An error that PostgreSQL or the connection to it reported.
public struct PostgresError: Error, Sendable {
  /// Five characters of SQLSTATE; `08…` where the connection is at fault.
  public var sqlState: String
  public var message: String
  /// May hold row values.
  public var detail: String?
  public var hint: String?

  public init(sqlState: String, message: String, detail: String? = nil, hint: String? = nil) {
    self.sqlState = sqlState
    self.message = message
    self.detail = detail
    self.hint = hint
  }
}
