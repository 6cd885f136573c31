import Inference
import ModelFixtures
import Postgres
import Scoring
import TestSupport
import Testing

/// A column of texts in, vectors or categories out.
@Suite(.database, .timeLimit(.minutes(3)))
struct TextNetworkScoringTests {
  private static let tokenizer =
    #"""
    {"model": {"type": "WordPiece", "unk_token": "u", "vocab": {"p": 0, "u": 1, "a": 2, "b": 3, "c": 4}},
     "pre_tokenizer": {"type": "WhitespaceSplit"}, "padding": {"pad_id": 0}}
    """#

  /// A vector for each token: its number, and half of it less.
  private static let vectors: [UInt8] = {
    var file = OnnxWriter(opset: 13)
    file.input("input_ids", .int64, [nil, nil])
    file.input("attention_mask", .int64, [nil, nil])
    file.initializer(
      "table", .init(dims: [5, 2], .floats((0..<5).flatMap { [Float($0), -Float($0) / 2] })))
    file.node("Gather", ["table", "input_ids"], ["tokens"], [("axis", .int(0))])
    file.node("Cast", ["attention_mask"], ["mask"], [("to", .int(1))])
    file.initializer("last", .init(dims: [1], .ints([2])))
    file.node("Unsqueeze", ["mask", "last"], ["column"])
    file.node("Mul", ["tokens", "column"], ["last_hidden_state"])
    file.output("last_hidden_state", .float, [nil, nil, 2])
    return file.bytes()
  }()

  private static func prepare(_ connection: Connection) throws {
    _ = try Registry(connection).push(
      .init(
        name: "vectors", bytes: vectors, alias: "champion",
        setup: ModelSetup(text: TextSetup(tokenizer: tokenizer, pooling: .mean))))
    try connection.runScript("create table note (note_id bigint primary key, text text)")
    try connection.run(
      "select * from rowcast.create_scorer('note_vector', 'public.note', model => 'vectors')")
  }

  private static func rows(_ connection: Connection) throws -> [String] {
    let rows = try connection.run(
      """
      select note_id || ' ' || vector::text from (select note_id, embedding as vector \
      from predictions.note_vector) as v order by note_id
      """)
    return try (0..<rows.count).map { try rows.value($0, 0, as: String.self) }
  }

  @Test func textsBecomeArrays() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(connection)
      try connection.runScript(
        """
        insert into note values (1, 'a b'), (2, 'c'), (3, null), (4, ''), (5, 'a a a a a a a a a c');
        """)
      try scene.settle(connection)
      #expect(try Self.rows(connection) == ["1 {2.5,-1.25}", "2 {4,-2}", "5 {2.2,-1.1}"])
      let failed = try connection.run(
        """
        select string_agg(note_id || ' ' || code, ', ' order by note_id) \
        from predictions.note_vector_failure
        """)
      #expect(try failed.value(0, 0, as: String.self) == "3 missing, 4 missing")
      let type = try connection.run(
        """
        select format_type(atttypid, atttypmod) from pg_attribute \
        where attrelid = 'predictions.note_vector'::regclass and attname = 'embedding'
        """)
      #expect(try type.value(0, 0, as: String.self) == "real[]")

      // An update of what is there, a retraction, and everything once more.
      try connection.runScript(
        "update note set text = 'b' where note_id in (1, 4); delete from note where note_id = 5")
      try scene.settle(connection)
      #expect(try Self.rows(connection) == ["1 {3,-1.5}", "2 {4,-2}", "4 {3,-1.5}"])
      try connection.run("select rowcast.rescore('note_vector')")
      try scene.settle(connection)
      #expect(try Self.rows(connection) == ["1 {3,-1.5}", "2 {4,-2}", "4 {3,-1.5}"])
    }
  }

  @Test func theTokenizerIsShownByItsSize() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(connection)
      let rows = try connection.run(
        "select setup #>> '{text,tokenizer}', setup #>> '{text,pooling}' from rowcast.model_versions"
      )
      #expect(try rows.value(0, 0, as: String.self) == "\(Self.tokenizer.utf8.count) bytes")
      #expect(try rows.value(0, 1, as: String.self) == "mean")
    }
  }
}
