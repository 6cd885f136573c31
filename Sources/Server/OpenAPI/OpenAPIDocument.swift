internal import HTTPTypes

/// The document of OpenAPI 3.1 that describes routes: made of the routes that there are, and of nothing else.
enum OpenAPIDocument {
  static func make(of routes: [Route], release: String) -> JSONTree {
    var paths: [String: JSONTree] = [:]
    for route in routes {
      var item = paths[route.path] ?? [:]
      item[route.method.rawValue.lowercased()] = operation(route)
      paths[route.path] = item
    }
    let tags = Operation.Tag.allCases.filter { tag in
      routes.contains { $0.operation.tag == tag }
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Rowcast", "version": .string(release),
        "description": "Scores rows with the models of a database.",
        "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "servers": [["url": "/"]],
      "tags": .array(
        tags.map { ["name": .string($0.rawValue), "description": .string($0.summary)] }),
      "paths": .object(paths),
      "components": [
        "schemas": .object(Schema.shared),
        "securitySchemes": [
          "bearer": [
            "type": "http", "scheme": "bearer",
            "description": "A key that \"rowcast keys create\" shows, or a token.",
          ],
          "key": [
            "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key.",
          ],
        ],
      ],
    ]
  }

  // MARK: One operation

  private static func operation(_ route: Route) -> JSONTree {
    let own = route.operation
    var entry: JSONTree = [
      "operationId": .string(own.id), "tags": [.string(own.tag.rawValue)],
      "summary": .string(own.summary), "responses": responses(route),
    ]
    if let details = own.details { entry["description"] = .string(details) }
    let parameters = pathParameters(of: route.path) + own.parameters
    if !parameters.isEmpty { entry["parameters"] = .array(parameters.map(parameter)) }
    if let body = own.body {
      entry["requestBody"] = ["required": true, "content": contents(body.contents)]
    }
    switch route.access {
    case .open: entry["security"] = []
    case .key(let action), .page(let action):
      // The roles that a scheme names are what a key has to allow.
      let roles: JSONTree = [.string(action.rawValue)]
      entry["security"] = [["bearer": roles], ["key": roles]]
    }
    return entry
  }

  /// The names in braces of a path.
  static func parameterNames(of path: String) -> [String] {
    path.split(separator: "/").filter { $0.hasPrefix("{") && $0.hasSuffix("}") }
      .map { String($0.dropFirst().dropLast()) }
  }

  private static func pathParameters(of path: String) -> [Operation.Parameter] {
    parameterNames(of: path).map { name in
      let known = Operation.Parameter.ofPaths[name] ?? ("A name.", Schema.name)
      return .init(name: name, place: .path, summary: known.summary, schema: known.schema)
    }
  }

  private static func parameter(_ parameter: Operation.Parameter) -> JSONTree {
    var entry: JSONTree = [
      "name": .string(parameter.name), "in": .string(parameter.place.rawValue),
      "description": .string(parameter.summary), "schema": parameter.schema,
    ]
    if parameter.place == .path { entry["required"] = true }
    return entry
  }

  private static func contents(_ contents: [Operation.Content]) -> JSONTree {
    .object(
      Dictionary(
        contents.map { ($0.media, ["schema": $0.schema]) }, uniquingKeysWith: { first, _ in first })
    )
  }

  // MARK: Answers

  private static func responses(_ route: Route) -> JSONTree {
    var responses: [String: JSONTree] = [:]
    for answer in route.operation.answers {
      var entry: JSONTree = ["description": .string(answer.summary)]
      if !answer.contents.isEmpty { entry["content"] = contents(answer.contents) }
      if !answer.headers.isEmpty {
        entry["headers"] = .object(
          answer.headers.mapValues {
            ["description": .string($0), "schema": Schema.text]
          })
      }
      responses[String(answer.status)] = entry
    }
    for status in refusals(of: route) where responses[String(status)] == nil {
      responses[String(status)] = problem(status)
    }
    return .object(responses)
  }

  /// Statuses with which a route may refuse, beside what its handler says of itself.
  static func refusals(of route: Route) -> [Int] {
    var statuses: Set<Int> = [400]
    if route.access.action != nil { statuses.formUnion([401, 403, 429, 503]) }
    if !parameterNames(of: route.path).isEmpty { statuses.insert(404) }
    if route.operation.body != nil { statuses.formUnion([408, 413, 415, 503]) }
    return statuses.union(route.operation.refusals).sorted()
  }

  private static func problem(_ status: Int) -> JSONTree {
    var entry: JSONTree = [
      "description": .string(meanings[status] ?? "The request is refused."),
      "content": ["application/json": ["schema": Schema.ref("Problem")]],
    ]
    var headers: [String: JSONTree] = [:]
    if [429, 503].contains(status) {
      headers["Retry-After"] = [
        "description": "Seconds after which the same request may succeed.",
        "schema": Schema.count,
      ]
    }
    if status == 401 {
      headers["WWW-Authenticate"] = [
        "description": "What is asked for.", "schema": Schema.text,
      ]
    }
    if !headers.isEmpty { entry["headers"] = .object(headers) }
    return entry
  }

  private static let meanings = [
    400: "The request is not what the route or the model takes.",
    401: "There is no key, or none that is valid.",
    403: "The key does not allow this, or not for this model.",
    404: "There is nothing of that name.",
    408: "The body did not come in time.",
    409: "Things are not in the state for it.",
    413: "The body has too many bytes.",
    415: "Bodies of this type, or coded so, are not read.",
    422: "The request is understood, and cannot be fulfilled.",
    429: "Requests come too often.",
    503: "Too much is asked at once, or the database cannot be reached.",
    504: "The request was not scored in time.",
  ]
}
