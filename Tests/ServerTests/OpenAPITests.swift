import Foundation
import Server
import TestSupport
import Testing

/// The served document says what the routes are, and nothing else.
@Suite(.database) struct OpenAPITests {
  private typealias Object = [String: Any]

  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  private static func document(_ scene: ServerScene) async throws -> Object {
    let answer = try await scene.get("/openapi.json")
    #expect(answer.status == 200)
    #expect(answer.headers["content-type"] == "application/json")
    return try answer.json
  }

  /// All operations, by method and path.
  private static func operations(_ document: Object) throws -> [String: Object] {
    let paths = try #require(document["paths"] as? [String: Object])
    var operations: [String: Object] = [:]
    for (path, item) in paths {
      for (method, operation) in item {
        operations["\(method.uppercased()) \(path)"] = try #require(operation as? Object)
      }
    }
    return operations
  }

  @Test func everyRouteHasItsEntryAndNothingElseHasOne() async throws {
    try await Self.serve { scene in
      let document = try await Self.document(scene)
      #expect(document["openapi"] as? String == "3.1.0")
      let operations = try Self.operations(document)
      let routes = scene.server.endpoints
      #expect(Set(operations.keys) == Set(routes.map { "\($0.method) \($0.path)" }))
      let names = operations.values.compactMap { $0["operationId"] as? String }
      #expect(names.count == operations.count && Set(names).count == names.count)
      for (name, operation) in operations {
        let summary = try #require(operation["summary"] as? String, "\(name)")
        #expect(summary.hasSuffix("."), "\(name)")
        let tags = try #require(operation["tags"] as? [String])
        let known = try #require(document["tags"] as? [Object]).compactMap { $0["name"] as? String }
        #expect(!tags.isEmpty && Set(tags).isSubset(of: known), "\(name)")
      }
    }
  }

  @Test func parametersOfPathsAreDeclared() async throws {
    try await Self.serve { scene in
      for (name, operation) in try Self.operations(try await Self.document(scene)) {
        let inBraces = name.split(separator: "/").filter { $0.hasPrefix("{") }
          .map { String($0.dropFirst().dropLast()) }
        let declared = operation["parameters"] as? [Object] ?? []
        let ofPath = declared.filter { $0["in"] as? String == "path" }
        #expect(ofPath.compactMap { $0["name"] as? String } == inBraces, "\(name)")
        #expect(ofPath.allSatisfy { $0["required"] as? Bool == true }, "\(name)")
        for parameter in declared {
          #expect(parameter["schema"] is Object, "\(name)")
          // Without a word in `Operation.Parameter.ofPaths`.
          #expect(parameter["description"] as? String != "A name.", "\(name)")
        }
      }
    }
  }

  @Test func refusalsFollowFromAccessAndBody() async throws {
    try await Self.serve { scene in
      let operations = try Self.operations(try await Self.document(scene))
      for route in scene.server.endpoints {
        let operation = try #require(operations["\(route.method) \(route.path)"])
        let responses = try #require(operation["responses"] as? [String: Object])
        let security = try #require(operation["security"] as? [[String: [String]]])
        let ofKeys: Set = ["401", "403", "429", "503"]
        if let action = route.action {
          #expect(security == [["bearer": [action]], ["key": [action]]], "\(route.path)")
          #expect(ofKeys.isSubset(of: responses.keys), "\(route.path)")
        } else {
          #expect(security.isEmpty, "\(route.path)")
          // There a key is tried.
          if route.path == "/console/sign-in" { continue }
          #expect(responses["401"] == nil && responses["403"] == nil, "\(route.path)")
        }
        let ofBodies: Set = ["408", "413", "415"]
        #expect(
          (operation["requestBody"] != nil) == ofBodies.isSubset(of: responses.keys),
          "\(route.path)")
        #expect(responses.keys.contains { $0.hasPrefix("2") || $0 == "303" }, "\(route.path)")
        for (status, response) in responses {
          #expect((response["description"] as? String)?.isEmpty == false, "\(route.path) \(status)")
        }
        #expect(
          responses["404"] != nil || !route.path.contains("{"), "\(route.path)")
      }
    }
  }

  @Test func everyReferenceLeadsSomewhereAndEverySchemaIsUsed() async throws {
    try await Self.serve { scene in
      let document = try await Self.document(scene)
      let components = try #require(document["components"] as? Object)
      let schemas = try #require(components["schemas"] as? Object)
      var used: Set<String> = []
      func collect(_ value: Any) {
        if let object = value as? Object {
          if let reference = object["$ref"] as? String { used.insert(reference) }
          object.values.forEach(collect)
        } else if let array = value as? [Any] {
          array.forEach(collect)
        }
      }
      collect(document)
      #expect(used == Set(schemas.keys.map { "#/components/schemas/\($0)" }))
      let schemes = try #require(components["securitySchemes"] as? [String: Object])
      #expect(schemes["bearer"]?["scheme"] as? String == "bearer")
      #expect(schemes["key"]?["name"] as? String == "X-API-Key")
    }
  }

  @Test func otherMethodsAreRefusedByName() async throws {
    try await Self.serve { scene in
      for route in scene.server.endpoints {
        let path = route.path.replacing("{", with: "").replacing("}", with: "")
        let own = Set(scene.server.endpoints.filter { $0.path == route.path }.map(\.method))
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] where !own.contains(method) {
          let answer = try await scene.send(method, path)
          #expect(answer.status == 405, "\(method) \(path)")
          let allowed = answer.headers["allow"]?.components(separatedBy: ", ") ?? []
          #expect(Set(allowed).subtracting(["HEAD"]) == own, "\(method) \(path)")
          #expect(try answer.json["code"] as? String == "bad_method")
        }
      }
      let head = try await scene.send("HEAD", "/v2/health/live")
      #expect(head.status == 200 && head.data.isEmpty)
    }
  }
}
