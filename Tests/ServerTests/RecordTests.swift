import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Records by name, in the three forms, answered in the same.
@Suite(.database) struct RecordTests {
  private static let fixture = "lightgbm_multiclass"

  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try ServerScene.push(fixture, as: "bank")
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  @Test func csvIsAnsweredAsTheTrainerSays() async throws {
    let rows = try ServerScene.lines(of: Self.fixture, "rows.csv")
    let expected = try ServerScene.lines(of: Self.fixture, "expected.csv")
    try await Self.serve { scene in
      let answer = try await scene.post(
        "/v1/models/bank/predict", rows.joined(separator: "\n"),
        headers: ["Content-Type": "text/csv; charset=utf-8"])
      #expect(answer.status == 200 && answer.headers["content-type"] == "text/csv")
      #expect(answer.headers["x-model-version"] == "1")
      let lines = answer.text.split(separator: "\n").map(String.init)
      #expect(lines.count == expected.count)
      #expect(lines[0] == expected[0])
      for (line, wanted) in zip(lines, expected).dropFirst() {
        let (given, right) = (line.split(separator: ","), wanted.split(separator: ","))
        try #require(given.count == right.count)
        for (a, b) in zip(given, right) {
          #expect(abs(try #require(Double(a)) - (try #require(Double(b)))) < 1e-12)
        }
      }
    }
  }

  @Test func jsonAndLinesAreTheSame() async throws {
    try await Self.serve { scene in
      let object =
        #"{"id": "ü\n1", "amount": 1.5, "age_days": null, "ratio": 1, "phase": 0.1, "balance": -1}"#
      let single = try await scene.post("/v1/models/bank/predict?keep=id", object)
      #expect(single.status == 200)
      let label = try #require(try single.json["label"] as? Int)
      #expect(try single.json["id"] as? String == "ü\n1")
      #expect(try single.json["failure"] is NSNull)
      let array = try await scene.post("/v1/models/bank/predict", "[\(object),\n\(object)]")
      let rows = try #require(
        JSONSerialization.jsonObject(with: array.data) as? [[String: Any]])
      #expect(rows.map { $0["label"] as? Int } == [label, label])
      #expect(rows[0]["id"] == nil)
      let lines = try await scene.post(
        "/v1/models/bank/versions/1/predict", "\(object)\n\(object)\n",
        headers: ["Content-Type": "application/x-ndjson", "Accept": "text/csv"])
      #expect(lines.headers["content-type"] == "text/csv")
      #expect(lines.text.split(separator: "\n").count == 3)
    }
  }

  @Test func aRowThatCannotBeScoredSaysWhy() async throws {
    try await Self.serve { scene in
      let good = #"{"amount":1,"age_days":1,"ratio":1,"phase":1,"balance":1}"#
      let bad = #"{"amount":"much","age_days":1,"ratio":1,"phase":1,"balance":1}"#
      let array = try await scene.post("/v1/models/bank/predict", "[\(good),\(bad)]")
      let rows = try #require(
        JSONSerialization.jsonObject(with: array.data) as? [[String: Any]])
      #expect(rows[0]["failure"] is NSNull)
      #expect((rows[1]["failure"] as? String)?.contains("amount") == true)
      let single = try await scene.post("/v1/models/bank/predict", bad)
      #expect(single.status == 422)
      #expect((try single.json["error"] as? String)?.contains("much") == false)
    }
  }

  private static let mistakes: [(body: String, type: String, status: Int, words: String)] = [
    ("{}", "application/json", 400, "amount"), ("[]", "application/json", 400, "no record"),
    ("[1]", "application/json", 400, "not an object"), ("{", "application/json", 400, "ends"),
    ("", "application/json", 400, "ends"), ("", "text/csv", 400, "empty"),
    ("a,b\n1,2\n", "text/csv", 400, "amount"), ("x", "text/html", 415, "Content-Type"),
  ]

  @Test func saysWhatIsWrong() async throws {
    try await Self.serve { scene in
      for (body, type, status, words) in Self.mistakes {
        let answer = try await scene.post(
          "/v1/models/bank/predict", body, headers: ["Content-Type": type])
        #expect(answer.status == status)
        let error = try #require(try answer.json["error"] as? String)
        #expect(error.contains(words), "\(error)")
      }
    }
  }
}
