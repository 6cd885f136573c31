internal import HTTPTypes
internal import Inference
internal import Postgres
internal import Scoring

extension Problem {
  /// What the database, the engine or a reader of records says of what a caller wants done.
  ///
  /// What PostgreSQL says of a caller's own query is for the caller: it was read with the rights of his role.
  /// Details and contexts, which may hold values, are not passed on; nor is anything of an error that is not
  /// the caller's.
  init?(_ error: WorkError) {
    switch error {
    case .model(let error):
      self = Problem(
        .unprocessableContent, "unfit_model", error.message, hint: error.hint)
    case .scoring(let error) where error.code == .file:
      self = .badRequest(
        error.message.replacing("the file", with: "the body"),
        hint: error.hint?.replacing("--keep", with: "\"keep\""))
    case .scoring(let error):
      self = Problem(.unprocessableContent, "unfit_model", error.message, hint: error.hint)
    case .postgres(let error):
      guard let problem = Problem(error) else { return nil }
      self = problem
    }
  }

  private init?(_ error: PostgresError) {
    func problem(_ status: HTTPResponse.Status, _ code: String) -> Problem {
      Problem(status, code, error.message, hint: error.hint)
    }
    switch error.sqlState {
    case "RC101", "RC362": self = problem(.notFound, "not_found")
    case "RC310", "RC311", "RC363": self = problem(.conflict, "conflict")
    case "42501", "RC360", "RC361": self = problem(.forbidden, "forbidden")
    case "57014":
      self = Problem(
        .unprocessableContent, "too_long", "the database took too long to look at the request")
    case "55P03": self = Self.unreachable
    case let state where error.isConnectionLoss || ["53", "40"].contains(state.prefix(2)):
      self = Self.unreachable
    // The machine's, the server's or ours.
    case let state where ["XX", "58", "F0", "25", "08"].contains(state.prefix(2)): return nil
    // The caller's model, query, names or rows; what he raises has any code.
    default: self = problem(.unprocessableContent, "refused")
    }
  }

  private static let unreachable = Problem(
    .serviceUnavailable, "unavailable", "the database cannot be reached", retryAfter: 1)

  /// Makes what a caller can be told of errors of the body.
  static func translating<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as WorkError {
      throw Problem(error) ?? error
    }
  }
}
