import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// The Open Inference Protocol, spoken to a server over a real database.
@Suite(.database) struct InferenceProtocolTests {
  private static let fixture = "lightgbm_multiclass"

  private static func rows(_ count: Int) throws -> [[Double]] {
    try ServerScene.lines(of: fixture, "rows.csv").dropFirst().prefix(count)
      .map { $0.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) ?? .nan } }
  }

  private static func expected(_ count: Int) throws -> [[Double]] {
    try ServerScene.lines(of: fixture, "expected.csv").dropFirst().prefix(count)
      .map { $0.split(separator: ",").compactMap { Double($0) } }
  }

  private static func body(_ rows: [[Double]], _ more: String = "") -> String {
    let data = rows.map { "[\($0.map { "\($0)" }.joined(separator: ","))]" }.joined(separator: ",")
    return """
      {"id":"a\\u0062","inputs":[{"name":"input","datatype":"FP64",\
      "shape":[\(rows.count),\(rows[0].count)],"data":[\(data)]}]\(more)}
      """
  }

  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try ServerScene.push(fixture, as: "bank", labels: ["no", "perhaps", "yes"])
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  @Test func saysWhatThereIs() async throws {
    try await Self.serve { scene in
      #expect(try await scene.get("/v2").json["name"] as? String == "rowcast")
      let live = try await scene.get("/v2/health/live")
      #expect(live.status == 200)
      let ready = try await scene.get("/v2/health/ready").json
      #expect(ready["live"] as? Bool == true && ready["ready"] as? Bool == true)
      #expect(try await scene.get("/v2/models/bank/ready").json["ready"] as? Bool == true)

      let metadata = try await scene.get("/v2/models/bank").json
      #expect(metadata["versions"] as? [String] == ["1"])
      #expect(metadata["platform"] as? String == "lightgbm")
      let input = try #require((metadata["inputs"] as? [[String: Any]])?.first)
      #expect(input["name"] as? String == "input" && input["datatype"] as? String == "FP64")
      #expect(input["shape"] as? [Int] == [-1, 5])
      let outputs = try #require(metadata["outputs"] as? [[String: Any]])
      #expect(outputs.map { $0["name"] as? String } == ["label", "probability"])
      #expect(outputs[1]["shape"] as? [Int] == [-1, 3])
    }
  }

  @Test func scoresAsTheTrainerDoes() async throws {
    let (rows, expected) = (try Self.rows(20), try Self.expected(20))
    try await Self.serve { scene in
      let answer = try await scene.post("/v2/models/bank/infer", Self.body(rows))
      #expect(answer.status == 200)
      #expect(answer.headers["x-content-type-options"] == "nosniff")
      let json = try answer.json
      #expect(json["id"] as? String == "ab" && json["model_version"] as? String == "1")
      let outputs = try #require(json["outputs"] as? [[String: Any]])
      let probabilities = try #require(outputs[1]["data"] as? [Double])
      #expect(outputs[1]["shape"] as? [Int] == [20, 3])
      for (row, line) in expected.enumerated() {
        for place in 0..<3 {
          #expect(abs(probabilities[row * 3 + place] - line[place + 1]) < 1e-12)
        }
      }
      // The same by feature, by version, and one class alone.
      let names = try ServerScene.lines(of: Self.fixture, "rows.csv")[0].split(separator: ",")
      let inputs = names.enumerated().map { index, name in
        "{\"name\":\"\(name)\",\"datatype\":\"FP32\",\"shape\":[1,1],\"data\":[\(rows[0][index])]}"
      }
      let named = try await scene.post(
        "/v2/models/bank/versions/champion/infer",
        "{\"inputs\":[\(inputs.joined(separator: ","))],\"outputs\":[{\"name\":\"label\"}]}")
      let label = try #require((try named.json["outputs"] as? [[String: Any]])?.first)
      #expect(label["data"] as? [String] == [["no", "perhaps", "yes"][Int(expected[0][0])]])
    }
  }

  @Test func speaksBinary() async throws {
    let rows = try Self.rows(3)
    try await Self.serve { scene in
      let json = try await scene.post("/v2/models/bank/infer", Self.body(rows)).json
      let outputs = try #require(json["outputs"] as? [[String: Any]])
      let expected = try #require(outputs[1]["data"] as? [Double])
      var numbers = Data()
      for value in rows.joined() {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { numbers.append(contentsOf: $0) }
      }
      let header = Data(
        """
        {"inputs":[{"name":"input","datatype":"FP64","shape":[3,5],\
        "parameters":{"binary_data_size":\(numbers.count)}}],\
        "parameters":{"binary_data_output":true},\
        "outputs":[{"name":"probability"},{"name":"label","parameters":{"binary_data":false}}]}
        """.utf8)
      let answer = try await scene.send(
        "POST", "/v2/models/bank/infer",
        headers: ["Inference-Header-Content-Length": "\(header.count)"], body: header + numbers)
      #expect(answer.status == 200)
      let length = try #require(
        answer.headers["inference-header-content-length"].flatMap { Int($0) })
      let described = try #require(
        JSONSerialization.jsonObject(with: answer.data.prefix(length)) as? [String: Any])
      let first = try #require((described["outputs"] as? [[String: Any]])?.first)
      #expect((first["parameters"] as? [String: Int])?["binary_data_size"] == 72)
      let bytes = [UInt8](answer.data.dropFirst(length))
      try #require(bytes.count == 72)
      let values = (0..<9).map { index in
        Double(
          bitPattern: bytes.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
          })
      }
      // What reads the JSON rounds the last digit.
      #expect(zip(values, expected).allSatisfy { abs($0 - $1) < 1e-15 })
    }
  }

  @Test func ranksClasses() async throws {
    let (rows, expected) = (try Self.rows(2), try Self.expected(2))
    try await Self.serve { scene in
      let answer = try await scene.post(
        "/v2/models/bank/infer",
        Self.body(
          rows,
          ",\"outputs\":[{\"name\":\"probability\",\"parameters\":{\"classification\":2}}]"))
      let output = try #require((try answer.json["outputs"] as? [[String: Any]])?.first)
      #expect(output["datatype"] as? String == "BYTES" && output["shape"] as? [Int] == [2, 2])
      let ranked = try #require(output["data"] as? [String])
      let best = expected[0].dropFirst().enumerated().max { $0.element < $1.element }!
      let name = ["no", "perhaps", "yes"][best.offset]
      #expect(ranked[0] == "\(String(format: "%f", best.element)):\(best.offset):\(name)")
    }
  }

  private static let mistakes: [(path: String, body: String, status: Int, words: String)] = [
    ("/v2/models/none/infer", "{}", 404, "there is no model"),
    ("/v2/models/bank/versions/7/infer", "{}", 404, "has no version 7"),
    ("/v2/models/bank/versions/rival/infer", "{}", 404, "no alias"),
    ("/v2/models/bank/infer", "{}", 400, "no \"inputs\""),
    ("/v2/models/bank/infer", "{\"inputs\":[", 400, "ends inside"),
    ("/v2/models/bank/infer", "", 400, "ends inside"),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1]}]}"#, 400, "no input \"x\""
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,2],"data":[1,2]}]}"#, 400,
      "5 features"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":[1,2]}]}"#, 400,
      "2 elements"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP65","shape":[1,5],"data":[]}]}"#, 400, "FP65"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"BYTES","shape":[1,5],"data":["","","","",""]}]}"#,
      400, "wants numbers"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP32","shape":[4611686018427387904,5],"data":[]}]}"#,
      400, "shape"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP32","shape":[1,5],"parameters":{"binary_data_size":99}}]}"#,
      400, "99 bytes"
    ),
    (
      "/v2/models/bank/infer",
      #"{"inputs":[{"name":"input","datatype":"FP32","shape":[0,5],"data":[]}]}"#, 400, "no rows"
    ),
    ("/v2/nothing", "{}", 404, "no such path"),
  ]

  @Test func saysWhatIsWrong() async throws {
    try await Self.serve { scene in
      for (path, body, status, words) in Self.mistakes {
        let answer = try await scene.post(path, body)
        #expect(answer.status == status)
        let error = try #require(try answer.json["error"] as? String)
        #expect(error.contains(words), "\(error)")
      }
    }
  }

  @Test func anAliasThatMovesIsFollowed() async throws {
    try await Self.serve { scene in
      let body = Self.body(try Self.rows(1))
      #expect(
        try await scene.post("/v2/models/bank/infer", body).json["model_version"] as? String == "1")
      try ServerScene.push("lightgbm_multiclassova", as: "bank")
      let end = ContinuousClock.now + .seconds(60)
      var version: String?
      repeat {
        version =
          try await scene.post("/v2/models/bank/infer", body).json["model_version"] as? String
      } while version == "1" && ContinuousClock.now < end
      #expect(version == "2")
    }
  }
}
