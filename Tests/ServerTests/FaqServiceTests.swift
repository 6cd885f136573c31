import Foundation
import ModelFixtures
import Postgres
import Server
import TestSupport
import Testing

/// A question over HTTP and the same question in a table: one model, one answer.
@Suite(.database, .timeLimit(.minutes(10))) struct FaqServiceTests {
  private static let questions = [
    "I forgot my password, can you help me?", "", " ", "   \t\r\n  ", "?!", "\u{1}\u{7F}",
    "🎉 wo ist <b>mein</b> Paket? 👩‍👩‍👧‍👦 🇩🇪",
    "<script>alert(\"reset my password\")</script> &lt;a href='?'&gt; &amp;",
    "\u{202E}היכן ההזמנה שלי? أين طلبي؟ where is my order\u{202C}",
    "where\u{A0}is\u{2003}my\u{3000}order\u{200B}\u{FEFF}",
    "Wo ist meine Bestellung, Straße İI ﬁ ǅ",
    "caf\u{E9} \u{212B}", "cafe\u{301} \u{C5}", "e\u{301}\u{301}\u{301}",
    "\u{FFFD}\u{FFFF}\u{10FFFF}",
    "'; drop table help.entry; --", "$1 %s \\ \\n {} []", "{ where is my order }",
    "[\"where is my order\"]", "null",
  ]

  /// Bodies as a client may write them; PostgreSQL reads the question out of the same bytes.
  private static let bodies: [String] =
    questions.map(body) + [
      #"{"input": "caf\u00e9 \ud83c\udf89 \u0061\/\b\f\n\r\t\"\\"}"#,
      #" { "top_k" : 1000, "input" : "my order", "more" : [{"input": "other"}] } "#,
      #"{"input": "where", "input": "close my account"}"#,
    ]

  /// What is no JSON in UTF-8, or no text that PostgreSQL has: neither reads it.
  private static let broken: [[UInt8]] = {
    let texts = [
      #"{"input": "a\u0000b"}"#, #"{"input": "\u0000"}"#, #"{"input": "\ud800"}"#,
      #"{"input": "a\udc00b"}"#, #"{"input": "\ud83c\ud83c"}"#, #"{"input": "\ud83cx\udf89"}"#,
      #"{"input": "\u12"}"#, #"{"input": "\x41"}"#, #"{"input": "\"}"#, #"{"input": "a"#,
      "{\"input\": \"a\nb\"}", "{\"input\": \"a\u{0}b\"}", #"{"input": "a"} x"#,
      #"{"input": 'a'}"#, #"{"input" "a"}"#, "",
    ]
    let bytes: [[UInt8]] = [
      [0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ]
    let (head, tail) = (Array(#"{"input": "a"#.utf8), Array(#"b"}"#.utf8))
    return texts.map { Array($0.utf8) } + bytes.map { head + $0 + tail }
  }()

  private static func body(_ question: String) -> String {
    String(decoding: (try? JSONEncoder().encode(["input": question])) ?? Data(), as: UTF8.self)
  }

  @Test func aServiceAnswersAsSQLDoes() async throws {
    // A megabyte of words, and one of a single word.
    let long = ["where is my order ", "password"].map {
      Self.body(String(repeating: $0, count: 1_000_000 / $0.count))
    }
    try await Self.compare(FaqFixture.madeUp(), Self.bodies + long)
  }

  @Test(.enabled(if: FaqFixture.isTrained, Comment(rawValue: FaqFixture.missing)))
  func aTrainedMatcherAnswersAsSQLDoes() async throws {
    let faq = try FaqFixture.trained()
    let questions = faq.questions.texts.prefix(50) + ["where is my order " + faq.entries.texts[0]]
    try await Self.compare(faq, Self.bodies + questions.map(Self.body))
  }

  @Test func whatPostgreSQLDoesNotReadIsRefused() async throws {
    try FaqScene.prepare(try FaqFixture.madeUp())
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      for body in Self.broken {
        let words: Comment = "\(String(decoding: body, as: UTF8.self))"
        #expect(throws: PostgresError.self, words) {
          try connection.run(
            "select convert_from(\(body), 'UTF8')::jsonb ->> 'input'")
        }
        for path in ["/score", "/api/v1/service/help/score"] {
          let answer = try await scene.send(
            "POST", path, headers: ["Content-Type": "application/json"], body: Data(body))
          #expect(answer.status == 400, words)
          #expect(try answer.json["code"] as? String == "bad_request", words)
        }
      }
    }
  }

  // MARK: Comparing

  private struct Match: Equatable {
    var entry: Int32
    var probability: Float
  }

  /// Asks each question both ways: the same entries in the same order, with the same numbers.
  private static func compare(_ faq: FaqFixture, _ bodies: [String]) async throws {
    try FaqScene.prepare(faq)
    try FaqScene.watchQuestions()
    let settings = Database.current.settings
    try await ServerScene.withWorker {
      try await offThePool {
        Result {
          let connection = try Connection(settings)
          for (id, body) in bodies.enumerated() {
            try connection.run(
              """
              insert into help.question \
              values (\(Int32(id)), convert_from(\(Array(body.utf8)), 'UTF8')::jsonb ->> 'input')
              """)
          }
          try connection.run("call rowcast.wait('answer', '5 minutes')")
        }
      }.get()
      try await ServerScene.run({ $0.needsKeys = false }) { scene in
        let connection = try scene.connect()
        for (id, body) in bodies.enumerated() {
          let rows = try connection.run(
            """
            select entry_id, probability_1 from predictions.answer \
            where question_id = \(Int32(id)) order by probability_1 desc, entry_id
            """)
          let wanted = try (0..<rows.count).map {
            Match(entry: try rows.value($0, 0), probability: try rows.value($0, 1))
          }
          let answer = try await scene.post("/api/v1/service/help/score", body)
          let words: Comment = "\(body.prefix(200)): \(answer.text.prefix(200))"
          try #require(answer.status == 200, words)
          let ranked = try #require(
            JSONSerialization.jsonObject(with: answer.data) as? [[Double]], words)
          let found = ranked.map { Match(entry: Int32($0[0]), probability: Float($0[2])) }
          #expect(found.count == faq.entries.ids.count, words)
          #expect(ranked.allSatisfy { $0[1] == $0[0] * 10 }, words)
          #expect(found == wanted, words)
        }
      }
    }
  }
}
