import ModelFixtures
import Postgres
import Scoring
import TestSupport
import Testing

/// The columns of predictions stay what they are while models change.
@Suite(.database, .timeLimit(.minutes(3)))
struct OutputColumnTests {
  /// y = x * factor and its size, and with them z = -y where asked for.
  private static func model(_ factor: Float, isWide: Bool) -> [UInt8] {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 1])
    model.initializer("factor", .init(dims: [1], .floats([factor])))
    model.node("Mul", name: "first", ["x", "factor"], ["y"])
    if isWide { model.node("Neg", name: "other", ["y"], ["z"]) }
    model.node("Abs", name: "second", ["y"], ["size"])
    if isWide { model.output("z", .float, [nil, 1]) }
    model.output("y", .float, [nil, 1])
    model.output("size", .float, [nil, 1])
    return model.bytes()
  }

  private static func columns(_ connection: Connection) throws -> [String] {
    let rows = try connection.run(
      """
      select attname::text || ' ' || format_type(atttypid, atttypmod) || ' ' \
      || (col_description(attrelid, attnum) is not null or attname = 'id')::text \
      from pg_attribute where attrelid = 'predictions.scored'::regclass and attnum > 0 order by attnum
      """)
    return try (0..<rows.count).map { try rows.value($0, 0) }
  }

  @Test func laterOutputsAreAppendedAndGoingBackLeavesThemNull() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("line", Self.model(2, isWide: false))
      try connection.runScript(
        """
        create table point (id bigint primary key, x real);
        insert into point select i, i from generate_series(1, 500) as i;
        """)
      try connection.run("select * from rowcast.create_scorer('scored', 'public.point', 'line')")
      try scene.settle(connection)
      let before = try Self.columns(connection)
      // A dashboard's own view outlives what follows.
      try connection.run("create view mine as select * from predictions.scored")

      try scene.push("line", Self.model(3, isWide: true))
      try connection.run("insert into point select i, i from generate_series(501, 900) as i")
      try connection.run("update point set x = 7 where id = 1")
      try scene.settle(connection)
      let after = try Self.columns(connection)
      #expect(Array(after.prefix(before.count)) == before)
      #expect(after.dropFirst(before.count) == ["z real true"])
      let seen = try connection.run(
        """
        select count(*) filter (where y = 3 * x and z = -y), count(*) filter (where y = 2 * x and z is null) \
        from predictions.scored join point using (id)
        """)
      #expect(try seen.value(0, 0, as: Int64.self) == 401)
      #expect(try seen.value(0, 1, as: Int64.self) == 499)

      try connection.run("select rowcast.set_alias('line', 'champion', 1)")
      try connection.run("insert into point select i, i from generate_series(901, 1300) as i")
      try scene.settle(connection)
      #expect(try Self.columns(connection) == after)
      let back = try connection.run(
        """
        select count(*) from predictions.scored join point using (id) \
        where id > 900 and y = 2 * x and z is null and model_version = 1
        """)
      #expect(try back.value(0, 0, as: Int64.self) == 400)
      #expect(try connection.run("select * from mine").count == 1300)
      try connection.runScript("drop view mine; select rowcast.drop_scorer('scored')")
      #expect(
        try connection.run(
          "select from pg_proc where proname like 'write\\_%' and pronamespace = 'rowcast'::regnamespace and proname ~ '[0-9]$'"
        )
        .isEmpty)
    }
  }
}
