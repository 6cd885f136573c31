internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Named values that somebody waits to have scored.
struct Question: Sendable {
  var id: UUID
  var model: ModelVersionID
  /// How many of each row's largest contributions are wanted.
  var reasons: Int
  /// A JSON object a line, one at least.
  var lines: String
}

/// What comes of a question.
enum Answer: Sendable, Equatable {
  /// A JSON array: for each line an object of outputs, or `[code, reason]` where it cannot be scored.
  case rows(String)
  /// Nothing of it can be scored.
  case refusal(code: String, message: String, hint: String?)
}

extension Question {
  /// Those of the questions that nobody else answers; the session has them until they are stored.
  static func take(_ ids: [UUID], on connection: Connection) throws(PostgresError) -> [Question] {
    let rows = try connection.run("select * from rowcast.take_questions(\(ids))")
    var questions: [Question] = []
    for row in 0..<rows.count {
      questions.append(
        Question(
          id: try rows.value(row, "question_id"),
          model: ModelVersionID(
            model: try rows.value(row, "model_id"), version: try rows.value(row, "version")),
          reasons: Int(try rows.value(row, "reasons", as: Int32.self)),
          lines: try rows.value(row, "lines")))
    }
    return questions
  }

  /// Stores the answers, and lets go of the questions.
  static func store(
    _ answers: [(question: UUID, answer: Answer)], on connection: Connection
  ) throws(PostgresError) {
    var (rows, codes, messages, hints): ([String?], [String?], [String?], [String?]) =
      ([], [], [], [])
    for (_, answer) in answers {
      switch answer {
      case .rows(let text):
        rows.append(text)
        codes.append(nil)
        messages.append(nil)
        hints.append(nil)
      case .refusal(let code, let message, let hint):
        rows.append(nil)
        codes.append(code)
        messages.append(Scrubber.scrub(message))
        hints.append(hint)
      }
    }
    _ = try connection.pipeline([
      Query(
        text: "select rowcast.answer_questions($1, $2, $3, $4, $5)",
        values: [answers.map(\.question), rows, codes, messages, hints]),
      "select pg_advisory_unlock_all()",
    ])
  }
}
