import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Scorers that write reasons beside their predictions.
@Suite(.database, .timeLimit(.minutes(3)))
struct ExplainedScoringTests {
  /// Compares every row's reasons with what the engine says of the row now.
  static func expectReasons(
    _ connection: Connection, count: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.load(
      LiveScoringTests.bytes, options: ModelOptions(reasons: count))
    let rows = try connection.run("select id, a, b, c from item order by id")
    let wanted = try model.predict(
      Batch(
        rowCount: rows.count,
        columns: try (1...3).map { try LiveScoringTests.column(rows.column($0)) }),
      workspace: Workspace())
    let found = try connection.run(
      """
      select id, score, reason_1, contribution_1, reason_2, contribution_2 \
      from predictions.item_score order by id
      """)
    #expect(
      try LiveScoringTests.ids(rows) == LiveScoringTests.ids(found), sourceLocation: sourceLocation)
    guard rows.count == found.count else { return }
    for row in 0..<found.count {
      guard case .float64(let scores) = wanted.columns[0].values else { return }
      #expect(
        try found.value(row, "score", as: Double.self) == scores[row],
        sourceLocation: sourceLocation)
      for rank in 0..<count {
        guard case .string(let names) = wanted.columns[1 + 2 * rank].values,
          case .float64(let values) = wanted.columns[2 + 2 * rank].values
        else { return }
        let isNull = wanted.columns[1 + 2 * rank].isNull(row)
        #expect(
          try found.value(row, "reason_\(rank + 1)", as: String?.self)
            == (isNull ? nil : names[row]), sourceLocation: sourceLocation)
        #expect(
          try found.value(row, "contribution_\(rank + 1)", as: Double?.self)
            == (isNull ? nil : values[row]), sourceLocation: sourceLocation)
      }
    }
  }

  @Test func aScorerIsMadeWithReasons() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      try connection.runScript(
        """
        create table item (id bigint primary key, a real, b double precision, c integer, note text);
        insert into item select i, sin(i) * 12, cos(i) * 12, i % 23 - 11, 'n' \
        from generate_series(1, 3000) as i;
        """)
      try connection.run(
        "select * from rowcast.create_scorer('item_score', 'item', model => 'sum', explain => 2)")
      try scene.settle(connection)
      try Self.expectReasons(connection, count: 2)
      try connection.run("update item set a = a + 3 where id % 5 = 0")
      try connection.run("insert into item values (5001, 1, 2, 3, 'x')")
      try connection.run("delete from item where id % 7 = 0")
      try scene.settle(connection)
      try Self.expectReasons(connection, count: 2)
    }
  }

  @Test func reasonsAreAddedToAScorerAndTakenAway() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 500)
      try scene.settle(connection)
      try connection.run("select rowcast.set_explanations('item_score', 1)")
      try scene.settle(connection)
      try connection.run("select rowcast.set_explanations('item_score', 2)")
      try connection.run("update item set b = -b where id % 2 = 0")
      try scene.settle(connection)
      try Self.expectReasons(connection, count: 2)
      // The columns stay for whoever reads them, and say nothing.
      try connection.run("select rowcast.set_explanations('item_score', 0)")
      try scene.settle(connection)
      let left = try connection.run(
        """
        select count(*) from predictions.item_score \
        where num_nulls(reason_1, contribution_1, reason_2, contribution_2) < 4
        """
      ).value(0, 0, as: Int64.self)
      #expect(left == 0)
      try LiveScoringTests.expectOracle(connection)
      try connection.run("select rowcast.set_explanations('item_score', 2)")
      try scene.settle(connection)
      try Self.expectReasons(connection, count: 2)
      let columns = try connection.run(
        """
        select array_agg(attname::text order by attnum) from pg_attribute \
        where attrelid = 'predictions.item_score'::regclass and attnum > 0
        """
      ).value(0, 0, as: [String].self)
      #expect(
        columns == [
          "id", "score", "model_name", "model_version", "tick", "scored_at", "reason_1",
          "contribution_1", "reason_2", "contribution_2",
        ])
      try connection.run("select rowcast.drop_scorer('item_score')")
    }
  }

  @Test func aModelThatCannotBeExplainedIsRefused() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("detector", TestModel.anomaly(device: 1, sensor: 1))
      try connection.runScript("create table reading (id bigint primary key, value real not null)")
      #expect {
        try connection.run(
          "select * from rowcast.create_scorer('odd', 'reading', model => 'detector', explain => 3)"
        )
      } throws: { error in
        guard let error = error as? PostgresError else { return false }
        return error.sqlState == "RC110"
          && error.message == "predictions of model \"detector\" 1 cannot be explained"
      }
    }
  }
}
