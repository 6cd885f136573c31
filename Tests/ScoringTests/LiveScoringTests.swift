import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// The whole way: a row in, its prediction out, for each kind of change.
@Suite(.database, .timeLimit(.minutes(3)))
struct LiveScoringTests {
  static let features = ["a", "b", "c"]
  static let bytes = TestModel.sum(of: features)

  /// A table of three features and a scorer over it.
  static func prepare(_ scene: Scene, _ connection: Connection, rows: Int = 0) throws {
    try scene.push("sum", bytes)
    try connection.runScript(
      """
      create table item (id bigint primary key, a real, b double precision, c integer, note text);
      insert into item select i, sin(i) * 12, cos(i) * 12, i % 23 - 11, 'n' \
      from generate_series(1, \(rows)) as i;
      """)
    try connection.run(
      "select * from rowcast.create_scorer('item_score', 'public.item', model => 'sum')")
  }

  /// Compares the prediction table with what the engine says of the rows as they are now.
  static func expectOracle(
    _ connection: Connection, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.load(bytes)
    let rows = try connection.run("select id, a, b, c from item order by id")
    let batch = Batch(
      rowCount: rows.count, columns: try (1...3).map { try column(rows.column($0)) })
    let wanted = try model.predict(batch, workspace: Workspace())
    let found = try connection.run("select id, score from predictions.item_score order by id")
    #expect(
      try ids(rows) == ids(found), "keys of rows and predictions", sourceLocation: sourceLocation)
    guard rows.count == found.count, rows.count > 0 else { return }
    guard case .float64(let scores) = try found.column(1).values,
      case .float64(let oracle) = wanted.columns[0].values
    else {
      Issue.record("scores are not double precision", sourceLocation: sourceLocation)
      return
    }
    #expect(scores == oracle, sourceLocation: sourceLocation)
    #expect(
      try connection.run("select count(*) from predictions.item_score_failure")
        .value(0, 0, as: Int64.self) == 0, sourceLocation: sourceLocation)
  }

  static func column(_ vector: ColumnVector) throws -> Column {
    switch vector.values {
    case .float32(let v): Column(.float32(v), nulls: vector.nulls)
    case .float64(let v): Column(.float64(v), nulls: vector.nulls)
    case .int32(let v): Column(.int32(v), nulls: vector.nulls)
    default: throw Scene.Overdue("a column of another type")
    }
  }

  static func ids(_ rows: Rows) throws -> [Int64] {
    guard case .int64(let ids) = try rows.column(0).values else { return [] }
    return ids
  }

  @Test func singleInsertsAreScored() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      for id in 1...20 {
        try connection.run(
          "insert into item values (\(Int64(id)), \(Float(id) - 10), \(Double(id)), \(Int32(id)), 'x')"
        )
      }
      try scene.settle(connection)
      try Self.expectOracle(connection)
    }
  }

  /// Plans of reads are kept from when the table was empty; it is not read as a whole once it has grown.
  @Test func aTableThatGrewIsReadByItsIndex() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      try connection.runScript("alter table item set (autovacuum_enabled = off)")
      func scans(_ kind: String) throws -> Int64 {
        try connection.run(
          Query(text: "select \(kind)_scan from pg_stat_user_tables where relname = 'item'")
        ).value(0, 0, as: Int64.self)
      }
      for id in 1...20 {
        try connection.run("insert into item values (\(Int64(id)), 1, 1, 1, 'x')")
        try scene.settle(connection)
      }
      try connection.runScript(
        "insert into item select i, sin(i), cos(i), i % 23, 'x' from generate_series(21, 20000) as i"
      )
      try scene.settle(connection)
      // The lanes tell of their scans a little later.
      #expect(try eventually { try scans("idx") >= 20 })
      #expect(try scans("seq") < 10)
      try Self.expectOracle(connection)
    }
  }

  /// A feature that no tree reads is not asked for, once the model is known; another version that
  /// reads it gets it.
  @Test func featuresThatNoTreeReadsAreNotRead() async throws {
    let scene = try Scene()
    let text = String(decoding: Self.bytes, as: UTF8.self)
    let narrowed = text.replacing("split_feature=1\n", with: "split_feature=0\n")
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try scene.push("sum", Array(narrowed.utf8))
      try connection.runScript(
        "create table item (id bigint primary key, a real, b double precision, c integer)")
      try connection.run(
        "select * from rowcast.create_scorer('item_score', 'public.item', model => 'sum')")
      func insert(_ id: Int64) throws -> Int {
        try connection.run("insert into item values (\(id), 1.5, -2.25, 3)")
        try scene.settle(connection)
        let completions = scene.events.compactMap { event -> Event.Completion? in
          if case .chunkCompleted(let completion) = event { completion } else { nil }
        }
        return try #require(completions.last { $0.rows > 0 }).features
      }
      _ = try insert(1)
      #expect(try insert(2) == 2)
      #expect(try insert(3) == 2)
      try scene.push("sum", Self.bytes)
      _ = try insert(4)
      #expect(try insert(5) == 3)
      let scores = try connection.run(
        """
        select model_version, count(distinct score), min(id) from predictions.item_score \
        group by 1 order by 1
        """)
      #expect(scores.count == 2)
      for (row, (bytes, key)) in [(Array(narrowed.utf8), 1), (Self.bytes, 4)].enumerated() {
        #expect(try scores.value(row, 1, as: Int64.self) == 1)
        #expect(try scores.value(row, 2, as: Int64.self) == Int64(key))
        let wanted = try Model.load(bytes).predict(
          Batch(
            rowCount: 1,
            columns: [
              Column(.float32([1.5])), Column(.float64([-2.25])), Column(.int32([3])),
            ]), workspace: Workspace())
        let found = try connection.run(
          "select score from predictions.item_score where id = \(Int64(key))")
        #expect(wanted.columns[0] == Column(.float64([try found.value(0, 0, as: Double.self)])))
      }
    }
  }

  @Test func eachKindOfChangeReachesThePredictions() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 3) { connection, _ in
      try Self.prepare(scene, connection, rows: 3000)
      try scene.settle(connection)
      try Self.expectOracle(connection)

      try connection.run(
        "insert into item select i, i, -i, i % 7, null from generate_series(5001, 9000) i")
      try connection.run("update item set a = a + 5 where id % 3 = 0")
      try connection.run("delete from item where id % 10 = 0")
      try scene.settle(connection)
      try Self.expectOracle(connection)

      try connection.run("update item set id = id + 100000 where id % 7 = 0")
      try connection.run("update item set b = null where id % 11 = 0")
      try connection.run("update item set note = 'not a feature'")
      try scene.settle(connection)
      try Self.expectOracle(connection)

      try connection.run("truncate item")
      try connection.run("insert into item values (1, 1, 1, 1, '')")
      try scene.settle(connection)
      try Self.expectOracle(connection)
    }
  }

  /// A script that inserts, waits and reads finds a prediction for each of its rows, every time,
  /// beside others that do the same.
  @Test func whoeverWaitsFindsHisPredictions() async throws {
    let scene = try Scene()
    let settings = scene.settings
    try await scene.withWorkers(lanes: 3) { connection, _ in
      try Self.prepare(scene, connection, rows: 2000)
      try connection.run("call rowcast.wait('item_score')")
      #expect(
        try connection.run("select count(*) from predictions.item_score")
          .value(0, 0, as: Int64.self) == 2000)
      let scripts = (1...6).map { script in
        Background {
          let session = try Connection(settings)
          for round in 1...40 {
            let first = Int64(script * 1_000_000 + round * 1000)
            try session.run(
              """
              insert into item select i, i % 13, i % 7, i % 5, null
              from generate_series(\(first), \(first) + \(Int64(round % 10 * 37))) as i
              """)
            try session.run("call rowcast.wait('item_score')")
            let missing = try session.run(
              """
              select count(*) from item left join predictions.item_score as p using (id)
              where id >= \(first) and id < \(first) + 1000 and p.score is null
              """
            ).value(0, 0, as: Int64.self)
            #expect(missing == 0, "script \(script), round \(round)")
          }
        }
      }
      for script in scripts { try script.value(timeout: Scene.patience) }
      try Self.expectOracle(connection)
    }
  }
}
