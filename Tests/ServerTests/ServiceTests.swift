import Foundation
import Inference
import ModelFixtures
import Postgres
import Scoring
import Server
import TestSupport
import Testing

/// A text or an image in, ranked answers out.
@Suite(.database) struct ServiceTests {
  /// The matcher of questions and entries, with its entries as candidates.
  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try FaqScene.prepare(try FaqFixture.madeUp())
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  private static func ranked(_ answer: ServerScene.Answer) throws -> [[Double]] {
    try #require(answer.status == 200, "\(answer.text)")
    return try #require(JSONSerialization.jsonObject(with: answer.data) as? [[Double]])
  }

  private static func body(_ value: Any) throws -> String {
    String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self)
  }

  @Test func aQuestionIsAnsweredAsTheModelSays() async throws {
    let model = try Model.load(try FaqFixture.madeUp().model)
    try await Self.serve { scene in
      let entries = try scene.connect().run("select entry_id, entry from help.entry order by 1")
      for question in [
        "I forgot my password, can you help me?", "", "🎉 wo ist <b>mein</b> Paket?",
        String(repeating: "where is my order ", count: 60_000),
      ] {
        let answer = try Self.ranked(
          try await scene.post("/score", try Self.body(["input": question])))
        #expect(answer.count == 8)
        #expect(zip(answer, answer.dropFirst()).allSatisfy { $0[2] >= $1[2] })
        #expect(answer.allSatisfy { $0[1] == $0[0] * 10 })
        // The same rows by hand.
        let columns = try model.signature.features.map { feature in
          Column(
            .string(
              try (0..<8).map {
                feature.name == "question" ? question : try entries.value($0, 1)
              }))
        }
        let predictions = try model.predict(
          Batch(rowCount: 8, columns: columns), workspace: Workspace())
        let place = try #require(
          model.signature.outputs.lastIndex { $0.role == .probability })
        guard case .float32(let values) = predictions.columns[place].values else {
          Issue.record("the probability is not float32")
          return
        }
        for line in answer {
          let id = try #require(
            try (0..<8).first { Double(try entries.value($0, 0, as: Int32.self)) == line[0] })
          #expect(Float(line[2]) == values[id])
        }
      }
    }
  }

  @Test func theShapesAreTheSame() async throws {
    try await Self.serve { scene in
      let plain = try Self.body(["input": "Where is my order?"])
      let path = "/api/v1/service/help/score"
      let expected = try Self.ranked(try await scene.post(path, plain))
      let twice = String(
        decoding: try JSONEncoder().encode(plain), as: UTF8.self)
      #expect(try Self.ranked(try await scene.post(path, twice)) == expected)
      let object = try Self.body(["input": ["text": "Where is my order?"]])
      #expect(try Self.ranked(try await scene.post(path, object)) == expected)
      let inner = try Self.body(["input": try Self.body(["text": "Where is my order?"])])
      #expect(try Self.ranked(try await scene.post(path, inner)) == expected)
      let best = try Self.body(["input": "Where is my order?", "top_k": 2])
      #expect(try Self.ranked(try await scene.post(path, best)) == Array(expected.prefix(2)))
      #expect(
        try Self.ranked(try await scene.post(path + "?top_k=3", plain))
          == Array(expected.prefix(3)))
      // Candidates that change are told.
      try scene.connect().run(
        """
        select rowcast.refresh_service('help', \
        'select entry_id as question_id, entry_id as answer_id, entry from help.entry limit 3')
        """)
      let end = ContinuousClock.now + .seconds(60)
      while try Self.ranked(try await scene.post(path, plain)).count != 3 {
        try #require(ContinuousClock.now < end)
      }
    }
  }

  private static let mistakes: [(path: String, body: String, status: Int, words: String)] = [
    ("/api/v1/service/none/score", #"{"input": "a"}"#, 404, "no service"),
    ("/api/v1/service/help/score", "{}", 400, "no \"input\""),
    ("/api/v1/service/help/score", #"{"input": {}}"#, 400, "neither"),
    ("/api/v1/service/help/score", #"{"input": {"image": "!"}}"#, 400, "base64"),
    ("/api/v1/service/help/score", #"{"input": {"image": "AAAA"}}"#, 400, "wants a text"),
    ("/api/v1/service/help/score", #"{"input": "#, 400, "ends"),
    ("/api/v1/service/help/score", #"{"input": 5}"#, 400, "due"),
    // The model alone has two texts.
    ("/api/v1/service/faq/score", #"{"input": "a"}"#, 422, "2 features"),
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
}
