internal import FoundationEssentials
internal import HTTPTypes
internal import Inference
internal import Scoring
internal import Synchronization

/// Services: a text or an image in, ranked answers out, for callers that know neither models nor features.
///
/// A service is named by `rowcast.create_service`; a model of one text or one image is a service of its own
/// name. `/score` asks the service `default`, or the only one there is.
struct ServiceEndpoints: Sendable {
  private struct Prepared {
    var plan: ServicePlan
    var model: ModelVersionID
    var revision: Int64
  }

  private final class Plans: Sendable {
    let prepared = Mutex<[String: Prepared]>([:])
  }

  let server: ServerParts
  private let plans = Plans()

  init(server: ServerParts) { self.server = server }

  var routes: [Route] {
    [
      .scoring(
        "/score", Self.operation("score", "Asks the service \"default\", or the only one.", [404]),
        server,
        ScoringEndpoint { _, caller throws(Problem) in
          try asked(try server.library.catalog.onlyService(), caller)
        }),
      .scoring(
        "/api/v1/service/{name}/score", Self.operation("scoreService", "Asks a service."), server,
        ScoringEndpoint { parameters, caller throws(Problem) in
          let name = try parameters.required("name")
          let catalog = try server.library.catalog
          // Without telling whether there is such a model.
          if catalog.services[name] == nil { try caller.requireModel(name) }
          return try asked(try catalog.service(name), caller)
        }),
    ]
  }

  private static func operation(
    _ id: String, _ summary: String, _ refusals: [Int] = []
  ) -> Operation {
    Operation(
      id, .services, summary,
      parameters: [.query("top_k", "How many answers are wanted.", Schema.count)],
      body: .init(contents: [
        .init("application/json", Schema.ref("Question")), .init("image/jpeg", Schema.bytes),
        .init("image/png", Schema.bytes), .init("application/octet-stream", Schema.bytes),
      ]),
      answers: [
        .json(
          Schema.ref("Ranking"), "The answers, best first.",
          headers: ["X-Model-Version": "The version that answered."])
      ], refusals: refusals + [422, 504])
  }

  private func asked(
    _ service: Catalog.Service, _ caller: Caller
  ) throws(Problem) -> Asked {
    try caller.requireModel(service.model)
    let target = try server.library.target(service.model, service.alias)
    return Asked(target: target) { head, body, model, _, _ throws(Problem) in
      let wanted = try RequestQuery(head, known: ["top_k"], passesOver: true)
        .integer("top_k", in: 0...Int(Int32.max))
      let input = try ServiceInput.read(body, contentType: head.fields[.contentType])
      let plan = try plan(of: service, model)
      return ReadRequest(model: model, batch: try plan.batch(input.content)) {
        predictions throws(Problem) in
        var answer = Answer.json(try plan.answer(predictions, most: wanted ?? input.most))
        answer.fields.append(HTTPField(name: .modelVersion, value: String(model.id.version)))
        return answer
      }
    }
  }

  /// What a service answers, as JSON, and the version of its model that does.
  func answer(
    _ service: Catalog.Service, _ content: ServiceInput.Content, most: Int?,
    _ context: ServerContext
  ) async throws -> (bytes: [UInt8], version: Int32) {
    let target = try server.library.target(service.model, service.alias)
    let (model, _) = try await server.library.model(target)
    let plan = try plan(of: service, model)
    let predictions = try await server.predict(model, try plan.batch(content), context)
    return (try plan.answer(predictions, most: most), target.id.version)
  }

  func plan(
    of service: Catalog.Service, _ model: LoadedModel
  ) throws(Problem) -> ServicePlan {
    let known = plans.prepared.withLock { $0[service.name] }
    if let known, known.model == model.id, known.revision == service.revision { return known.plan }
    let plan = try ServicePlan(service, model.model.signature)
    plans.prepared.withLock {
      $0[service.name] = Prepared(plan: plan, model: model.id, revision: service.revision)
    }
    return plan
  }
}
