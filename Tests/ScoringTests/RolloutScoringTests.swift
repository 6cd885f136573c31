import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Two versions of one model on the same rows, scored by real workers.
@Suite(.database, .timeLimit(.minutes(3)))
struct RolloutScoringTests {
  static let champion = TestModel.sum(of: LiveScoringTests.features, seed: 1)
  static let challenger = TestModel.sum(of: LiveScoringTests.features, seed: 2)

  /// A table of three features, its scorer, and another version under the alias `challenger`.
  static func prepare(_ scene: Scene, _ connection: Connection, rows: Int = 0) throws {
    try LiveScoringTests.prepare(scene, connection, rows: rows)
    try scene.push("sum", challenger, alias: "challenger")
  }

  /// What a model makes of the rows as they are now, by key.
  static func scores(of bytes: [UInt8], _ connection: Connection) throws -> [Int64: Double] {
    let rows = try connection.run("select id, a, b, c from item order by id")
    let predictions = try Model.load(bytes).predict(
      Batch(
        rowCount: rows.count,
        columns: try (1...3).map { try LiveScoringTests.column(rows.column($0)) }),
      workspace: Workspace())
    guard case .float64(let scores) = predictions.columns[0].values else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: zip(try LiveScoringTests.ids(rows), scores))
  }

  /// What a query of keys and scores gives, by key.
  static func found(_ query: Query, _ connection: Connection) throws -> [Int64: Double] {
    let rows = try connection.run(query)
    guard case .float64(let scores) = try rows.column(1).values else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: zip(try LiveScoringTests.ids(rows), scores))
  }

  @Test func aShadowEqualsScoringByTheChallenger() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection, rows: 3000)
      try connection.run("select * from rowcast.start_shadow('item_score')")
      try scene.settle(connection)
      func expectBoth() throws {
        #expect(
          try Self.found("select id, score from predictions.item_score", connection)
            == Self.scores(of: Self.champion, connection))
        #expect(
          try Self.found("select id, score from predictions.item_score_shadow", connection)
            == Self.scores(of: Self.challenger, connection))
      }
      try expectBoth()
      try connection.run(
        "insert into item select i, i % 19 - 9, -i % 17, i % 7, null from generate_series(5001, 6000) i"
      )
      try connection.run("update item set a = a + 5 where id % 3 = 0")
      try connection.run("delete from item where id % 10 = 0")
      try scene.settle(connection)
      try expectBoth()
      // What changed was scored at one tick by both.
      #expect(
        try connection.run(
          """
          select count(*) from predictions.item_score as p
          join predictions.item_score_shadow as s using (id)
          where (id > 5000 or id % 3 = 0) and p.tick <> s.tick
          """
        ).value(0, 0, as: Int64.self) == 0)

      // The comparison's figures are those of the two tables.
      let figures = try connection.run(
        """
        select max(value) filter (where measure = 'rows') as n,
               max(value) filter (where measure = 'mean difference') as mean,
               max(value) filter (where measure = 'largest difference') as most
        from rowcast.compare('item_score')
        """)
      let direct = try connection.run(
        """
        select count(*)::float8, avg(s.score - p.score), max(abs(s.score - p.score))
        from predictions.item_score as p join predictions.item_score_shadow as s using (id)
        """)
      #expect(try figures.value(0, 0, as: Double.self) == direct.value(0, 0, as: Double.self))
      #expect(
        try abs(figures.value(0, 1, as: Double.self) - direct.value(0, 1, as: Double.self)) < 1e-12)
      #expect(try figures.value(0, 2, as: Double.self) == direct.value(0, 2, as: Double.self))
      #expect(try figures.value(0, 2, as: Double.self) > 0)
    }
  }

  @Test func promotionAndRollbackRescoreWhereAsked() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection, rows: 2000)
      try connection.run("select * from rowcast.start_shadow('item_score')")
      try scene.settle(connection)
      func versions() throws -> [Int32] {
        let rows = try connection.run(
          "select distinct model_version from predictions.item_score order by 1")
        return try (0..<rows.count).map { try rows.value($0, 0) }
      }
      try connection.run("select * from rowcast.promote('item_score', min_rows => 2000)")
      // Scored rows stay until they change.
      try connection.run("update item set a = a + 1 where id = 7")
      try connection.run("call rowcast.wait('item_score')")
      #expect(try versions() == [1, 2])
      try connection.run("select rowcast.rollback('item_score', rescore => true)")
      try connection.run("call rowcast.wait('item_score')")
      #expect(try versions() == [1])
      try connection.run(
        "select * from rowcast.promote('item_score', min_rows => 2000, rescore => true)")
      try connection.run("call rowcast.wait('item_score')")
      #expect(try versions() == [2])
      #expect(
        try Self.found("select id, score from predictions.item_score", connection)
          == Self.scores(of: Self.challenger, connection))
      #expect(
        try connection.run(
          """
          select o.state || ' ' || o.version || ' ' || j.kind from rowcast.what_scored('item_score', 7) as o
          join rowcast.job_progress as j using (job_id)
          """
        ).value(0, 0, as: String.self) == "scored 2 rescore")
    }
  }
}
