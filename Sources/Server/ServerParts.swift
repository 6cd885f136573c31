internal import Hummingbird
internal import Inference
internal import Scoring

/// Bytes of bodies that go to the disk first.
struct StreamLimits: Sendable {
  /// A model.
  var model: Int
  /// The rows of a job.
  var upload: Int
}

/// What endpoints have in common.
struct ServerParts: Sendable {
  let library: ModelLibrary
  let queue: ScoringQueue
  let bodies: BodyReader
  let clients: ClientRegistry
  let figures = RequestFigures()
  let access = AccessFigures()
  let readiness: Readiness
  let deadline: Duration
  let release: String
  let database: ServerDatabase
  let spool: Spool
  let limits: StreamLimits
  /// nil where anybody is let in.
  let admission: Admission?
  let recorder: RequestRecorder
  let payloads: PayloadLog

  /// Whether requests may be sent here.
  var isReady: Bool { readiness.isReady }

  /// Scores rows of a request, and has that recorded where it is wanted.
  ///
  /// - Parameters:
  ///   - timeout: How long its caller waits; the server's own deadline where that is sooner.
  ///   - unreadable: Rows that could not be read, whatever is predicted for them.
  func predict(
    _ model: LoadedModel, _ batch: Batch, _ context: ServerContext, timeout: Duration? = nil,
    unreadable: [Int: String] = [:]
  ) async throws -> Predictions {
    guard batch.rowCount > 0 else { throw Self.noRows }
    let predictions = try await queue.predict(
      model, batch, by: deadline(timeout: timeout), for: clients.presence(of: context.channel))
    recorder.add(model, batch, predictions, unreadable: unreadable, from: context.origin)
    return predictions
  }

  /// By when rows of a request must be scored.
  func deadline(timeout: Duration?) -> ContinuousClock.Instant {
    .now.advanced(by: timeout.map { min($0, deadline) } ?? deadline)
  }

  static let noRows = Problem.badRequest("the request has no rows")
}
