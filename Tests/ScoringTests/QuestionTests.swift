import Foundation
import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// `call rowcast.score(…)`, answered by real workers.
@Suite(.database, .timeLimit(.minutes(3)))
struct QuestionTests {
  /// The answer to a question, as text, however long a machine under load takes.
  static func ask(_ call: String, _ connection: Connection) throws -> String {
    let call = call.contains("timeout =>") ? call : call + ", timeout => '1 min'"
    return try connection.run(Query(text: "call rowcast.score(\(call))", values: []))
      .value(0, 0, as: String.self)
  }

  static func expectError(
    _ code: String, _ message: String, _ connection: Connection,
    sourceLocation: SourceLocation = #_sourceLocation, _ call: String
  ) {
    do {
      let answer = try ask(call, connection)
      Issue.record("answered \(answer)", sourceLocation: sourceLocation)
    } catch let error as PostgresError {
      #expect(error.sqlState == code, sourceLocation: sourceLocation)
      #expect(error.message.contains(message), "\(error.message)", sourceLocation: sourceLocation)
    } catch {
      Issue.record(error, sourceLocation: sourceLocation)
    }
  }

  /// What the engine says of one row.
  static func score(_ values: [Double?]) throws -> Double {
    let answer = try Model.load(LiveScoringTests.bytes).predict(
      Batch(
        rowCount: 1, columns: values.map { Column(.float64([$0 ?? .nan])) }),
      workspace: Workspace())
    guard case .float64(let scores) = answer.columns[0].values else { return .nan }
    return scores[0]
  }

  @Test func oneRowAndManyAreAnswered() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      let one = try Self.ask(#"'sum', '{"a": 1.5, "b": -3, "c": 7}'"#, connection)
      #expect(one == "{\"score\": \(try Self.score([1.5, -3, 7]))}")
      let many = try Self.ask(
        #"'sum', '[{"a": 9}, {"b": 2, "a": -1, "c": null}, {}]', version => 1"#, connection)
      let wanted = [
        try Self.score([9, nil, nil]), try Self.score([-1, 2, nil]),
        try Self.score([nil, nil, nil]),
      ]
      #expect(many == "[\(wanted.map { "{\"score\": \($0)}" }.joined(separator: ", "))]")
      let explained = try Self.ask(
        #"'sum', '{"a": 1.5, "b": -3, "c": 7}', explain => 1"#, connection)
      #expect(explained.contains("\"reason_1\": \"") && explained.contains("\"contribution_1\": "))
      let left = try connection.run("select count(*) from rowcast.question").value(
        0, 0, as: Int64.self)
      #expect(left == 0)
    }
  }

  @Test func valuesThatDoNotFitAreToldOf() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      try scene.push("detector", TestModel.anomaly(device: 1, sensor: 1))
      Self.expectError("RC101", "model \"none\" does not exist", connection, "'none', '{}'")
      Self.expectError(
        "RC330", "model \"sum\" 1 has no feature \"d\"", connection, #"'sum', '{"a": 1, "d": 2}'"#)
      Self.expectError("RC330", "the values are number", connection, "'sum', '7'")
      Self.expectError("RC330", "something else than objects", connection, "'sum', '[7]'")
      Self.expectError("RC330", "0 rows are given", connection, "'sum', '[]'")
      Self.expectError("RC330", "timeout", connection, "'sum', '{}', timeout => '-1 s'")
      Self.expectError("RC110", "cannot be explained", connection, "'detector', '{}', explain => 1")
      Self.expectError(
        "RC332", "feature \"a\" is not what the model wants: a number", connection,
        #"'sum', '{"a": "much"}'"#)
      Self.expectError("RC332", "\"value\"", connection, "'detector', '{}'")
      let rows = try Self.ask(
        #"'detector', '[{"value": 1}, {}, {"value": true}]'"#, connection)
      #expect(rows.contains("\"label\"") && rows.contains("\"failure\": \"missing\""))
      #expect(rows.contains("\"failure\": \"wrong_type\""))
      try connection.runScript("begin")
      do {
        _ = try Self.ask("'sum', '{}'", connection)
        Issue.record("it was answered within a transaction")
      } catch let error as PostgresError {
        #expect(error.sqlState == "2D000")
      }
      try connection.runScript("rollback")
    }
  }

  @Test func withoutAWorkerTheCallerIsToldSo() throws {
    let scene = try Scene()
    try scene.push("sum", LiveScoringTests.bytes)
    let connection = try Connection(scene.settings)
    Self.expectError(
      "RC331", "gave no answer within", connection, "'sum', '{}', timeout => '150 ms'")
    #expect(
      try connection.run("select count(*) from rowcast.question").value(0, 0, as: Int64.self) == 0)
  }

  @Test func aQuestionFromBeforeTheWorkerIsAnswered() async throws {
    let scene = try Scene()
    try scene.push("sum", LiveScoringTests.bytes)
    let settings = scene.settings
    async let answer: String = withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try Self.ask("'sum', '{}', timeout => '60 s'", Connection(settings))
          })
      }
    }
    try await Scene.blocking {
      try Self.waitForQuestions(1, on: Connection(settings))
    }
    try await scene.withWorkers { connection, _ in
      try Self.waitForQuestions(0, on: connection)
    }
    #expect(try await answer.contains("score"))
  }

  /// Waits until so many questions are there.
  static func waitForQuestions(_ count: Int64, on connection: Connection) throws {
    let deadline = ContinuousClock.now.advanced(by: Scene.patience)
    while try connection.run("select count(*) from rowcast.question").value(0, 0, as: Int64.self)
      != count
    {
      guard ContinuousClock.now < deadline else {
        throw Scene.Overdue("there are never \(count) questions")
      }
      Thread.sleep(forTimeInterval: 0.01)
    }
  }

  @Test func manyCallersOfTwoWorkersEachGetTheirOwn() async throws {
    let scene = try Scene()
    let settings = scene.settings
    try await scene.withWorkers(2) { _, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      let failures = Failures()
      let group = DispatchGroup()
      for caller in 0..<8 {
        group.enter()
        Thread.detachNewThread {
          defer { group.leave() }
          do {
            let connection = try Connection(settings)
            for turn in 0..<50 {
              let (a, b) = (Double(caller * 3 - 11), Double(turn - 25))
              let answer = try Self.ask("'sum', '{\"a\": \(a), \"b\": \(b)}'", connection)
              let wanted = "{\"score\": \(try Self.score([a, b, nil]))}"
              if answer != wanted { failures.add("\(answer), not \(wanted)") }
            }
          } catch {
            failures.add("\(error)")
          }
        }
      }
      group.wait()
      #expect(failures.all.isEmpty)
    }
  }

  private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var list: [String] = []
    func add(_ text: String) { lock.withLock { list.append(text) } }
    var all: [String] { lock.withLock { list } }
  }

  @Test func othersCannotReadQuestions() throws {
    let connection = try Connection(try Scene().settings)
    for role in ["rowcast_reader", "rowcast_analyst", "rowcast_worker"] {
      try connection.runScript("set role \(role)")
      #expect(throws: PostgresError.self) { try connection.run("select * from rowcast.question") }
      try connection.runScript("reset role")
    }
    try connection.runScript("set role rowcast_reader")
    #expect {
      try Self.ask("'sum', '{}'", connection)
    } throws: { ($0 as? PostgresError)?.sqlState == "42501" }
  }

  @Test func questionsOfCallersWhoAreGoneAreTidiedAway() throws {
    let connection = try Connection(try Scene().settings)
    try connection.run(
      """
      insert into rowcast.question (question_id, model_id, version, lines, line_count, is_single, \
      asked_by, expires_at) \
      select gen_random_uuid(), 1, 1, '{}', 1, true, 'somebody', now() + s * interval '1 second' \
      from unnest(array[-60, 60]) as s
      """)
    #expect(
      try connection.run("select rowcast.tidy_questions()").value(0, 0, as: Int32.self) == 1)
    #expect(
      try connection.run("select count(*) from rowcast.open_questions()").value(
        0, 0, as: Int64.self) == 1)
  }
}
