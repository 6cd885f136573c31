import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Keys pass through unread: any type, with any value, alone or together.
@Suite(.database, .timeLimit(.minutes(3)))
struct KeyTests {
  static let bytes = TestModel.sum(of: ["a"])

  /// SQL of the key's columns, and of two expressions over `i` that fill them.
  struct Key: Sendable, CustomTestStringConvertible {
    var columns: String
    var list: String
    var values: String
    var testDescription: String { columns }
  }

  static let keys = [
    Key(columns: "k uuid", list: "k", values: "md5(i::text)::uuid"),
    Key(
      columns: "k text", list: "k",
      values:
        "case i % 4 when 0 then 'a,\"b' || i when 1 then '{' || i || '}\\' when 2 then ' ' || i "
        + "else 'null' || i end"),
    Key(columns: "k numeric(30, 10)", list: "k", values: "i * 1.0000000001 - 50"),
    Key(
      columns: "k timestamptz", list: "k",
      values: "timestamptz '2020-02-29 23:59:59.999999+03' + i * interval '1 microsecond'"),
    Key(columns: "k date", list: "k", values: "date '1900-01-01' + i"),
    Key(columns: "k bytea", list: "k", values: "decode(lpad(to_hex(i), 8, '0'), 'hex')"),
    Key(columns: "k double precision", list: "k", values: "i / 3.0"),
    Key(columns: "k inet", list: "k", values: "inet '10.0.0.0' + i"),
    Key(
      columns: "k smallint, \"Wei rd\" varchar(20)", list: "k, \"Wei rd\"",
      values: "(i % 100)::smallint, 'x\"'',' || i"),
    Key(
      columns: "tenant char(4), at timestamp, n bigint", list: "tenant, at, n",
      values: "'t' || i % 10, timestamp '2024-01-01' + i * interval '1 s', i"),
  ]

  @Test(arguments: keys)
  func everyKeyComesBack(key: Key) async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("one", Self.bytes)
      try connection.runScript(
        "create table thing (\(key.columns), a real, primary key (\(key.list)))")
      try connection.run(
        "select * from rowcast.create_scorer('s', 'public.thing', model => 'one', backfill => false)"
      )
      try connection.run(
        Query(
          text:
            "insert into thing select \(key.values), i % 20 - 10 from generate_series(1, 300) as i")
      )
      try scene.settle(connection)
      try Self.expectSame(connection, key)
      try connection.run("update thing set a = -a where a > 3")
      try connection.run("delete from thing where a < -8")
      try scene.settle(connection)
      try Self.expectSame(connection, key)
      try connection.run("select rowcast.rescore('s')")
      try scene.settle(connection)
      try Self.expectSame(connection, key)
    }
  }

  private static func expectSame(_ connection: Connection, _ key: Key) throws {
    let rows = try connection.run(
      Query(
        text: """
          select t.a, p.score from thing as t full join predictions.s as p using (\(key.list))
          """))
    guard case .float32(let inputs) = try rows.column(0).values,
      case .float64(let scores) = try rows.column(1).values
    else { throw Scene.Overdue("unexpected types") }
    #expect(try rows.column(0).nulls == nil, "predictions without a row")
    #expect(try rows.column(1).nulls == nil, "rows without a prediction")
    let oracle = try Model.load(bytes).predict(
      Batch(rowCount: inputs.count, columns: [Column(.float32(inputs))]), workspace: Workspace())
    #expect(oracle.columns[0] == Column(.float64(scores)))
  }
}
