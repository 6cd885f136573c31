import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Scorers and models over their life: inspected, filled, paused, broken and mended.
@Suite(.database, .timeLimit(.minutes(3)))
struct ScorerLifeTests {
  @Test func aModelRegisteredFromSQLIsInspected() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let bytes = try TestModel.anomaly(device: 1, sensor: 1)
      try connection.run("select rowcast.register_model('good', \(bytes), 'champion')")
      try connection.runScript("call rowcast.wait_for_model('good')")
      let signature = try connection.run(
        "select name from rowcast.signatures where model = 'good' order by part, position")
      #expect(signature.count == 3)
      #expect(try signature.value(0, 0, as: String.self) == "value")

      let cut = Array(bytes.prefix(bytes.count / 2))
      try connection.run("select rowcast.register_model('cut', \(cut))")
      #expect {
        try connection.runScript("call rowcast.wait_for_model('cut')")
      } throws: { error in
        (error as? PostgresError)?.sqlState == "RC102"
      }
      let refusal = try connection.run(
        "select refusal from rowcast.model_versions where model = 'cut'"
      ).value(0, 0, as: String?.self)
      #expect(refusal?.isEmpty == false)
    }
  }

  @Test func aGoldenRowThatDisagreesRefusesTheVersion() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let bytes = try TestModel.anomaly(device: 1, sensor: 1)
      try connection.run(
        Query(
          text: "select rowcast.register_model('odd', $1, golden => $2)",
          values: [
            bytes, JSON(#"[{"inputs": {"value": 60.46}, "outputs": {"label": -1}}]"#),
          ]))
      #expect {
        try connection.runScript("call rowcast.wait_for_model('odd')")
      } throws: { error in
        (error as? PostgresError)?.detail?.contains("golden row 1") == true
      }
    }
  }

  @Test func aBackfillMeetsLiveChanges() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 3) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 60_000)
      // While the table is filled in, rows come, change and go.
      for round in 0..<30 {
        let low = Int64(round * 2000)
        try connection.run(
          "update item set a = a + 1 where id between \(low) and \(low + 40)")
        try connection.run("delete from item where id between \(low + 50) and \(low + 60)")
        try connection.run(
          "insert into item select 100000 + i, 1, i, 1, '' from generate_series(\(low), \(low + 20)) i"
        )
      }
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func aBackfillThatMeetsNobodyIsCopied() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, workers in
      try LiveScoringTests.prepare(scene, connection, rows: 20_000)
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
      #expect(workers[0].statistics.snapshot().chunksCopied > 0)
    }
  }

  @Test func aPausedScorerKeepsItsBacklog() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 10)
      try scene.settle(connection)
      try connection.run("select rowcast.pause_scorer('item_score')")
      try connection.run("insert into item select i, 1, 2, 3, '' from generate_series(11, 30) i")
      try connection.run("update item set a = 7 where id <= 5")
      try scene.waitForEvent {
        if case .ticked(_, let changes, _) = $0, changes > 0 { true } else { nil }
      }
      #expect(
        try connection.run("select count(*) from predictions.item_score")
          .value(0, 0, as: Int64.self) == 10)
      #expect(
        try connection.run("select backlog_rows from rowcast.scorer_status")
          .value(0, 0, as: Int64.self) == 25)
      try connection.run("select rowcast.resume_scorer('item_score')")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func aDroppedColumnSuspendsUntilItIsMended() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 10)
      try scene.settle(connection)
      try connection.run("alter table item drop column b")
      // The writer must not notice.
      try connection.run("insert into item values (11, 1, 2, '')")
      #expect(
        try eventually(within: .seconds(30)) {
          try connection.run("select state from rowcast.scorer_status")
            .value(0, 0, as: String.self) == "suspended"
        })
      let reason = try connection.run("select state_reason from rowcast.scorer_status")
        .value(0, 0, as: String.self)
      #expect(reason.contains("b"))
      try connection.run("alter table item add column b double precision default 3")
      #expect(
        try eventually(within: .seconds(30)) {
          try connection.run("select state from rowcast.scorer_status")
            .value(0, 0, as: String.self) == "active"
        })
      try connection.run("insert into item (id, a, b, c) values (12, 1, 2, 2)")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func theMostProbableClassesAreRanked() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let bytes = try TestModel.fixture("lightgbm_multiclass/model.txt")
      let model = try Model.load(bytes)
      try scene.push("classes", bytes)
      let columns = model.signature.features.map { "\"\($0.name)\" double precision" }
      try connection.runScript(
        "create table sample (id int primary key, \(columns.joined(separator: ", ")))")
      try connection.run(
        "select * from rowcast.create_scorer('top', 'public.sample', model => 'classes', top_k => 2)"
      )
      let names = model.signature.features.map { "\"\($0.name)\"" }.joined(separator: ", ")
      let values = model.signature.features.indices.map { "sin(i * \($0 + 1)) * 3" }
      try connection.run(
        Query(
          text: "insert into sample (id, \(names)) select i, \(values.joined(separator: ", ")) "
            + "from generate_series(1, 50) i"))
      try scene.settle(connection)
      let rows = try connection.run(
        Query(
          text: "select s.*, p.top_1, p.top_1_probability, p.top_2, p.top_2_probability "
            + "from sample s join predictions.top p using (id) order by id"))
      #expect(rows.count == 50)
      let inputs = try (1...model.signature.features.count).map {
        try LiveScoringTests.column(rows.column($0))
      }
      let oracle = try model.predict(
        Batch(rowCount: rows.count, columns: inputs), workspace: Workspace())
      let classes = model.signature.outputs.enumerated().filter { $0.element.role == .probability }
      for row in 0..<rows.count {
        let ranked = classes.map { index, output -> (String, Double) in
          guard case .float64(let v) = oracle.columns[index].values else { return ("", 0) }
          return (output.className!, v[row])
        }.sorted { $0.1 > $1.1 }
        #expect(try rows.value(row, "top_1", as: String.self) == ranked[0].0)
        #expect(try rows.value(row, "top_2", as: String.self) == ranked[1].0)
        #expect(try rows.value(row, "top_1_probability", as: Double.self) == ranked[0].1)
        #expect(try rows.value(row, "top_2_probability", as: Double.self) == ranked[1].1)
      }
    }
  }
}
