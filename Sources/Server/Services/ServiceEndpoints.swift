internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore
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
      .post(
        "/score", .key(.score),
        Self.operation("score", "Asks the service \"default\", or the only one.", [404])
      ) { request, context, caller in
        try await score(request, context, caller, try server.library.catalog.onlyService())
      },
      .post(
        "/api/v1/service/{name}/score", .key(.score),
        Self.operation("scoreService", "Asks a service.")
      ) { request, context, caller in
        let name = try context.parameter("name")
        let catalog = try server.library.catalog
        // Without telling whether there is such a model.
        if catalog.services[name] == nil { try caller.requireModel(name) }
        return try await score(request, context, caller, try catalog.service(name))
      },
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

  private func score(
    _ request: Request, _ context: ServerContext, _ caller: Caller, _ service: Catalog.Service
  ) async throws -> Response {
    try caller.requireModel(service.model)
    let wanted = try RequestQuery(request, known: nil).integer("top_k", in: 0...Int(Int32.max))
    return try await server.withRows(of: request, context) { body in
      let input = try ServiceInput.read(body, contentType: request.headers[.contentType])
      let answer = try await answer(service, input.content, most: wanted ?? input.most, context)
      return Response(
        status: .ok,
        headers: [
          .contentType: "application/json", .modelVersion: String(answer.version),
        ],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.bytes)))
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
