internal import Inference
internal import Postgres

/// What an error on the way of a chunk means for it.
enum Verdict: Equatable {
  /// The session is gone; the chunk is rescued.
  case sessionLost(PostgresError)
  /// Another lane has the chunk: drop the result.
  case chunkLost(reason: String)
  /// Another session was in the way, or the server is short of something: try again.
  case tryAgain(reason: String)
  /// The same, of what passes for certain and is no chunk's fault: try again until it has passed.
  case waitOut(reason: String)
  /// Somebody's transaction holds what the chunk needs, for who knows how long: put it off.
  case inTheWay(reason: String)
  /// The scorer no longer fits its source or its model: nothing of it can be scored until mended.
  case scorerUnfit(reason: String)
  /// This chunk cannot be scored.
  case chunkFailed(reason: String)

  init(_ error: WorkError, isUsable: Bool) {
    switch error {
    case .model(let error): self = .scorerUnfit(reason: error.message)
    case .scoring(let error):
      self =
        error.code == .database
        ? .chunkFailed(reason: error.message) : .scorerUnfit(reason: error.message)
    case .postgres(let error): self.init(error, isUsable: isUsable)
    }
  }

  private init(_ error: PostgresError, isUsable: Bool) {
    guard isUsable, !error.isConnectionLoss else {
      self = .sessionLost(error)
      return
    }
    switch error.sqlState {
    case "RC201": self = .chunkLost(reason: error.message)
    case "55P03": self = .inTheWay(reason: error.message)
    // Serialization, deadlock; a full disk; read-only, as a server that is nearly full.
    case "40001", "40P01", "53100", "25006": self = .waitOut(reason: error.message)
    // Cancelled, a prepared statement that somebody's SQL dropped; short of memory or connections; I/O.
    // The chunk may be what is too much.
    case "57014", "26000": self = .tryAgain(reason: error.message)
    case let state where state.hasPrefix("53") || state.hasPrefix("58"):
      self = .tryAgain(reason: error.message)
    // A class 42 error is about the statement and what it names, never about a row.
    case let state where state.hasPrefix("42"): self = .scorerUnfit(reason: error.message)
    default: self = .chunkFailed(reason: error.message)
    }
  }
}
