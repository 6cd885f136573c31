internal import Hummingbird
internal import Inference
internal import Scoring

/// How requests of a route have rows scored: what a path asks, how a body becomes rows, and predictions an answer.
///
/// None of it waits, so that a request is answered on the loop that reads it or by a task, and alike.
struct ScoringEndpoint: Sendable {
  /// What the path asks of whom the caller is let to.
  ///
  /// - Throws: 403, 404 or 503, before anything of a body is read.
  let ask: @Sendable (PathParameters, Caller) throws(Problem) -> Asked
}

/// A version of a model that is asked, and how.
struct Asked: Sendable {
  let target: Catalog.Target
  /// The last is what is remembered of requests for it, where anything is.
  let read:
    @Sendable (RequestHead, [UInt8], LoadedModel, TensorPlan, InferPatterns?) throws(Problem) ->
      ReadRequest
}

/// A request that was read: its rows, and how their predictions become its answer.
struct ReadRequest: Sendable {
  let model: LoadedModel
  let batch: Batch
  /// Rows that could not be read, with the reason, whatever is predicted for them.
  var unreadable: [Int: String] = [:]
  /// How long its caller waits; nil for as long as the server does.
  var timeout: Duration?
  /// Whether values are ranked and labelled before they are written.
  var isRanked = false
  let answer: @Sendable (Predictions) throws(Problem) -> Answer

  /// Whether its answer has so few values that a loop may compose it: that takes less than half a millisecond.
  var isShort: Bool {
    let width = model.model.signature.outputs.reduce(0) {
      $0 + ($1.shape?.reduce(1) { $0 * max($1, 1) } ?? 1)
    }
    return batch.rowCount * max(width, 1) <= (isRanked ? Self.mostRanked : Self.mostValues)
  }

  private static let mostValues = 2048
  private static let mostRanked = 128
}

extension Route {
  /// How a route is answered where its requests are read: on the loop of the connection.
  enum Prompt: Sendable {
    /// Without a body, by a look at what the server knows.
    case answer(@Sendable () -> Answer)
    case scoring(ScoringEndpoint)
  }

  /// A route that says how the server is, whatever else it does.
  static func state(
    _ path: String, _ operation: Operation, _ answer: @escaping @Sendable () -> Answer
  ) -> Route {
    var route = Route.get(path, .open, operation) { _, _, _ in answer().response }
    route.prompt = .answer(answer)
    return route
  }

  static func scoring(
    _ path: String, _ operation: Operation, _ server: ServerParts, _ endpoint: ScoringEndpoint
  ) -> Route {
    let names = PathPattern(path).names
    var route = Route.post(path, .key(.score), operation) { request, context, caller in
      let asked = try endpoint.ask(PathParameters(context, names: names), caller)
      try server.queue.requireRoom()
      return try await server.bodies.withBody(of: request, context) { body in
        server.payloads.note(body, request.headers, from: context.origin)
        let (model, plan) = try await server.library.model(asked.target)
        let read = try asked.read(RequestHead(request), body, model, plan, nil)
        let predictions = try await server.predict(
          read.model, read.batch, context, timeout: read.timeout, unreadable: read.unreadable)
        return try read.answer(predictions).response
      }
    }
    route.prompt = .scoring(endpoint)
    return route
  }
}
