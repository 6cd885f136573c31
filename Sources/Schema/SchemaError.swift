internal import Postgres

/// Why a database was not migrated, or cannot be worked with.
public struct SchemaError: Error, Sendable, Equatable {
  public enum Code: String, Sendable, Codable {
    /// The database was migrated by a newer release.
    case newer = "RC901"
    /// A migration's text is not the one that ran in this database.
    case altered = "RC902"
    /// The server lacks what Rowcast needs.
    case serverTooOld = "RC903"
    /// The database's encoding cannot hold every text.
    case encoding = "RC904"
    /// The roles are missing and the user may not make them, or is no member of rowcast_admin.
    case roles = "RC905"
    /// The user may not create schemas in this database.
    case rights = "RC906"
    /// The server follows another one and takes no writes.
    case standby = "RC907"
    /// The database was not migrated yet to the schema that this release needs.
    case older = "RC908"
    /// A migration or a file of functions was refused by the server.
    case refused = "RC909"
  }

  public var code: Code
  /// One clause, no capital, no full stop; holds no row values.
  public var message: String
  /// Facts for the operator; may hold row values, so it never leaves in a reply.
  public var detail: String?
  /// What to do next, as a sentence.
  public var hint: String?

  public init(
    _ code: Code, _ message: String, detail: String? = nil, hint: String? = nil
  ) {
    self.code = code
    self.message = message
    self.detail = detail
    self.hint = hint
  }

  /// An error that the server raised in an embedded file.
  init(_ error: PostgresError, in path: String) {
    let isLocked = error.sqlState == "55P03"
    self.init(
      .refused, "\(path): \(error.message)", detail: error.detail ?? error.context,
      hint: isLocked
        ? "Another session holds a table that is to be changed: end it, then migrate again."
        : error.hint)
  }
}

extension SchemaError: CustomStringConvertible {
  public var description: String {
    [message, hint].compactMap(\.self).joined(separator: ". ")
  }
}
