import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// The registry over HTTP: what there is, and new versions.
@Suite(.database) struct RegistryEndpointTests {
  private static func model(_ fixture: String) throws -> Data {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../InferenceTests/Fixtures/\(fixture)/model.txt").standardized
    return try Data(contentsOf: path)
  }

  @Test func aPushedModelIsReadyAndAnswers() async throws {
    try await LenderScene.run { lender, scene in
      let headers = try await lender.headers(
        scene, actions: ["read", "push", "score"], type: "application/octet-stream")
      let bytes = try Self.model("lightgbm_multiclass")
      let made = try await scene.send(
        "POST", "/v1/models/new/versions?alias=champion&description=A%20try", headers: headers,
        body: bytes)
      #expect(made.status == 201, "\(made.text)")
      #expect(made.headers["location"] == "/v1/models/new/versions/1")
      #expect(try made.json["version"] as? Int == 1 && made.json["is_ready"] as? Bool == true)
      #expect(try made.json["byte_count"] as? Int == bytes.count)
      let again = try await scene.send(
        "POST", "/v1/models/new/versions", headers: headers, body: bytes)
      #expect(again.status == 200)
      #expect(try again.json["is_new"] as? Bool == false && again.json["version"] as? Int == 1)

      let end = ContinuousClock.now + .seconds(60)
      while try await scene.get("/v1/models/new", headers: headers).status == 404 {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(5))
      }
      let model = try await scene.get("/v1/models/new", headers: headers).json
      #expect(model["aliases"] as? [String: Int] == ["champion": 1])
      #expect(model["description"] as? String == "A try")
      #expect((model["versions"] as? [[String: Any]])?.first?["state"] as? String == "ready")
      for path in ["1", "champion"] {
        let version = try await scene.get("/v1/models/new/versions/\(path)", headers: headers).json
        let features = try #require(version["features"] as? [[String: Any]])
        let names = try ServerScene.lines(of: "lightgbm_multiclass", "rows.csv")[0]
          .split(separator: ",").map(String.init)
        #expect(features.compactMap { $0["name"] as? String } == names)
        #expect(version["outputs"] is [[String: Any]])
        #expect(version["sha256"] as? String == (try made.json["sha256"] as? String))
      }
      #expect(try await scene.get("/v1/models/new/versions/2", headers: headers).status == 404)
      let ready = try await scene.get("/v2/models/new/ready", headers: headers)
      #expect(ready.status == 200)
      let list = try await scene.get("/v1/models", headers: headers).json["models"]
      #expect((list as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["bank", "new"])
      // It is the role's, and its queries of rights are too.
      let connection = try lender.connect()
      let authors = try connection.run(
        "select created_by from rowcast.model_versions where model = 'new'")
      #expect(try authors.value(0, 0, as: String.self) == lender.role)
    }
  }

  @Test func whatCannotBeScoredIsRefusedAndNotStored() async throws {
    try await LenderScene.run({ $0.modelBodyByteCount = 1 << 20 }) { lender, scene in
      let headers = try await lender.headers(scene, type: "application/octet-stream")
      func push(_ bytes: Data, _ query: String = "") async throws -> ServerScene.Answer {
        try await scene.send(
          "POST", "/v1/models/broken/versions" + query, headers: headers, body: bytes)
      }
      let model = try Self.model("lightgbm_binary")
      #expect(try await push(Data("no model".utf8)).status == 422)
      #expect(try await push(model.prefix(model.count / 2)).status == 422)
      #expect(try await push(Data()).status == 400)
      #expect(try await push(model, "?setup=%7B%22colour%22%3A1%7D").status == 400)
      #expect(try await push(model, "?colour=red").status == 400)
      #expect(try await push(model, "?alias=two%20words").status == 422)
      #expect(try await push(Data(repeating: 7, count: 1 << 20 | 1)).status == 413)
      let connection = try lender.connect()
      let count = try connection.run(
        "select count(*) from rowcast.models where model = 'broken'")
      #expect(try count.value(0, 0, as: Int64.self) == 0)
    }
  }

  @Test func pushingTakesTheActionTheModelAndARoleThatLends() async throws {
    try await LenderScene.run { lender, scene in
      let model = try Self.model("lightgbm_binary")
      func push(_ name: String, _ headers: [String: String]) async throws -> Int {
        try await scene.send(
          "POST", "/v1/models/\(name)/versions", headers: headers, body: model
        ).status
      }
      #expect(
        try await push("bank", try await lender.headers(scene, actions: ["read", "jobs"])) == 403)
      let scoped = try await lender.headers(scene, models: ["bank"])
      #expect(try await push("else", scoped) == 403)
      #expect(try await push("bank", scoped) == 200)
      #expect(try await push("bank", try await lender.headers(scene, role: lender.login)) == 403)
    }
  }
}
