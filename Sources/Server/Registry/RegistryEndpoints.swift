internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import Postgres
internal import Scoring

/// The registry: which models there are, what each takes and gives, and new versions.
struct RegistryEndpoints: Sendable {
  let server: ServerParts

  var routes: [Route] {
    [
      .get("/v1/models", .key(.read), Self.listing) { _, _, caller in
        JSONAnswer.response(try list(caller))
      },
      .get("/v1/models/{model}", .key(.read), Self.look) { _, context, caller in
        let name = try context.parameter("model")
        try caller.requireModel(name)
        _ = try server.library.catalog.entry(name)
        return try await Problem.translating { try await model(name) }
      },
      .get("/v1/models/{model}/versions/{version}", .key(.read), Self.versionLook) {
        _, context, caller in
        let name = try context.parameter("model")
        try caller.requireModel(name)
        let number = try version(of: name, try context.parameter("version"))
        return try await Problem.translating { try await self.version(name, number) }
      },
      .post("/v1/models/{model}/versions", .key(.push), Self.pushing) {
        request, context, caller in
        let name = try context.parameter("model")
        try caller.requireModel(name)
        return try await Problem.translating { try await push(request, context, name, caller) }
      },
    ]
  }

  // MARK: Looking

  private struct Listed: Encodable {
    struct Version: Encodable {
      var version: Int32
      var state: String
      var format: String?
    }

    struct Model: Encodable {
      var name: String
      var aliases: [String: Int32]
      var versions: [Version]
    }

    var models: [Model]
  }

  private func list(_ caller: Caller) throws(Problem) -> Listed {
    let entries = try server.library.catalog.entries.sorted { $0.key < $1.key }
    return Listed(
      models: entries.filter { caller.models?.contains($0.key) ?? true }.map { name, entry in
        Listed.Model(
          name: name, aliases: entry.aliases,
          versions: entry.versions.sorted { $0.key < $1.key }.map {
            Listed.Version(version: $0.key, state: $0.value.state, format: $0.value.format)
          })
      })
  }

  /// - Parameter wanted: A number or an alias.
  private func version(of name: String, _ wanted: String) throws(Problem) -> Int32 {
    let entry = try server.library.catalog.entry(name)
    guard let number = Int32(wanted) ?? entry.aliases[wanted], entry.versions[number] != nil else {
      throw .notFound("model \"\(name)\" has no version or alias \"\(wanted.excerpt(100))\"")
    }
    return number
  }

  /// What a version has, as a member of a JSON object, but for its signature.
  private static let members = """
    'version', v.version, 'state', v.state, 'refusal', v.refusal, 'format', v.format,
    'aliases', to_jsonb(coalesce(v.aliases, '{}')), 'byte_count', v.byte_count, 'sha256', v.sha256,
    'golden_rows', v.golden_rows, 'labels', to_jsonb(v.labels), 'metrics', v.metrics,
    'created_at', v.created_at
    """

  private func model(_ name: String) async throws -> Response {
    let text = try await server.database.looks.run { connection in
      let row = try connection.run(
        Query(
          text: """
            select jsonb_build_object(
                'name', m.model, 'description', m.description,
                'aliases', coalesce(m.aliases, '{}'), 'versions', (
                    select jsonb_agg(jsonb_build_object(\(Self.members)) order by v.version)
                    from rowcast.model_versions as v where v.model = m.model))::text
            from rowcast.models as m where m.model = $1
            """, values: [name]))
      guard row.count > 0 else { throw Problem.notFound("there is no model \"\(name)\"") }
      return try row.value(0, 0, as: String.self)
    }
    return JSONAnswer.response(text: text)
  }

  private func version(_ name: String, _ number: Int32) async throws -> Response {
    let text = try await server.database.looks.run { connection in
      let row = try connection.run(
        Query(
          text: """
            select (jsonb_build_object('name', v.model, \(Self.members)) || coalesce((
                select jsonb_object_agg(s.part || 's', s.entries)
                from (
                    select s.part, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                               'name', s.name, 'type', s.type, 'missing', s.missing, 'role', s.role,
                               'class', s.class_name)) order by s.position) as entries
                    from rowcast.signatures as s where s.model = v.model and s.version = v.version
                    group by s.part) as s), '{}'))::text
            from rowcast.model_versions as v where v.model = $1 and v.version = $2
            """, values: [name, number]))
      guard row.count > 0 else {
        throw Problem.notFound("model \"\(name)\" has no version \(number)")
      }
      return try row.value(0, 0, as: String.self)
    }
    return JSONAnswer.response(text: text)
  }

  // MARK: Pushing

  private struct Pushed: Encodable {
    var name: String
    var version: Int
    var format: String
    var sha256: String
    var byteCount: Int
    var alias: String?
    var isNew: Bool
    var isReady: Bool

    enum CodingKeys: String, CodingKey {
      case name, version, format, sha256, alias
      case byteCount = "byte_count"
      case isNew = "is_new"
      case isReady = "is_ready"
    }
  }

  /// The bytes wait on the disk until it is their turn: one model is looked at at once, since it takes memory
  /// and a core.
  private func push(
    _ request: Request, _ context: ServerContext, _ name: String, _ caller: Caller
  ) async throws -> Response {
    let role = try caller.requireRole()
    let query = try RequestQuery(request, known: ["alias", "description", "labels", "setup"])
    let alias = try query.text("alias")
    let description = try query.text("description")
    let labels = try query.text("labels").map { $0.split(separator: ",").map(String.init) }
    let setup = try Self.setup(try query.text("setup"))
    let pushed = try await server.spool.withBody(
      of: request, context, limit: server.limits.model
    ) { body in
      guard body.byteCount > 0 else { throw Problem.badRequest("the body is empty") }
      return try await server.database.loads.run { connection in
        try Registry(connection).push(
          .init(
            name: name, bytes: try body.bytes(), alias: alias, labels: labels,
            description: description, setup: setup, role: role))
      }
    }
    var response = JSONAnswer.response(
      Pushed(
        name: pushed.name, version: pushed.version, format: pushed.format.rawValue,
        sha256: pushed.sha256, byteCount: pushed.byteCount, alias: pushed.alias,
        isNew: pushed.isNew, isReady: pushed.isReady), status: pushed.isNew ? .created : .ok)
    response.headers[.location] = "\(request.uri.path)/\(pushed.version)"
    return response
  }

  private static func setup(_ text: String?) throws(Problem) -> ModelSetup {
    guard let text else { return ModelSetup() }
    do {
      return try JSONDecoder().decode(ModelSetup.self, from: Data(text.utf8))
    } catch {
      throw .badRequest(
        "\"setup\" is not what a model's setup may say",
        hint: #"Give {"image": {"preset": "torchvision"}, "softmax": true}."#)
    }
  }
}
