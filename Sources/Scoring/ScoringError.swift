public import Inference
public import Postgres

/// Why something was not registered, not scored or not read.
///
/// Fields follow a PostgreSQL error, so that they can be passed on unchanged.
public struct ScoringError: Error, Sendable, Equatable {
  public enum Code: String, Sendable, Codable {
    /// A file that is not CSV, or lacks a column.
    case file
    /// A model disagrees with its trainer's outputs.
    case golden
    /// A version that is not there, was refused or cannot be loaded.
    case model
    /// A scorer that does not fit its model, its source, or this release.
    case scorer
    /// The database answered what this release does not understand.
    case database
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
}

extension ScoringError: CustomStringConvertible {
  public var description: String { message }
}

/// Where work on a chunk or a registration can go wrong, kept apart because each is answered
/// differently.
public enum WorkError: Error, Sendable {
  case postgres(PostgresError)
  case model(ModelError)
  case scoring(ScoringError)

  public var message: String {
    switch self {
    case .postgres(let error): error.message
    case .model(let error): error.message
    case .scoring(let error): error.message
    }
  }

  public var detail: String? {
    switch self {
    case .postgres(let error): error.detail
    case .model(let error): error.detail
    case .scoring(let error): error.detail
    }
  }

  public var hint: String? {
    switch self {
    case .postgres(let error): error.hint
    case .model(let error): error.hint
    case .scoring(let error): error.hint
    }
  }
}

extension WorkError {
  /// An error of somebody's query: what it says of the query is the scorer's fault; what it says of
  /// the connection, of the chunk or of the server's state is nobody's.
  static func ofQuery(_ error: PostgresError, _ what: String) -> WorkError {
    let isOfTheServer =
      error.isConnectionLoss || error.isSerializationFailure
      || ["53", "57", "58"].contains(error.sqlState.prefix(2))
      || ["55P03", "RC201"].contains(error.sqlState)
    guard !isOfTheServer else { return .postgres(error) }
    return .scoring(
      ScoringError(.scorer, "\(what): \(error.message)", detail: error.detail, hint: error.hint))
  }
}

extension WorkError: CustomStringConvertible {
  public var description: String { message }
}

/// Runs a body whose failures come from the database.
@inline(__always)
func database<R>(_ body: () throws(PostgresError) -> R) throws(WorkError) -> R {
  do { return try body() } catch { throw .postgres(error) }
}
