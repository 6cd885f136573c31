import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Another version for a share of the rows, scored by real workers.
@Suite(.database, .timeLimit(.minutes(3)))
struct CanaryScoringTests {
  private static func versions(_ connection: Connection) throws -> [Int64: Int32] {
    let rows = try connection.run("select id, model_version from predictions.item_score")
    var versions: [Int64: Int32] = [:]
    for row in 0..<rows.count { versions[try rows.value(row, 0)] = try rows.value(row, 1) }
    return versions
  }

  /// Each row has the score of the version that it says it has.
  private static func expectHonest(
    _ connection: Connection, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let versions = try versions(connection)
    let champion = try RolloutScoringTests.scores(of: RolloutScoringTests.champion, connection)
    let challenger = try RolloutScoringTests.scores(of: RolloutScoringTests.challenger, connection)
    let wanted = versions.reduce(into: [Int64: Double]()) {
      $0[$1.key] = ($1.value == 2 ? challenger : champion)[$1.key]
    }
    #expect(
      try RolloutScoringTests.found("select id, score from predictions.item_score", connection)
        == wanted, sourceLocation: sourceLocation)
    #expect(wanted.count == champion.count, sourceLocation: sourceLocation)
  }

  private static func members(_ versions: [Int64: Int32]) -> Set<Int64> {
    Set(versions.filter { $0.value == 2 }.keys)
  }

  /// Waits until the canary's state is the one given, and everything is scored.
  private static func wait(for state: String, _ scene: Scene, _ connection: Connection) throws {
    let deadline = ContinuousClock.now.advanced(by: Scene.patience)
    while ContinuousClock.now < deadline {
      let found = try connection.run(
        "select state from rowcast.rollouts where kind = 'canary' order by started_at desc limit 1"
      ).value(0, 0, as: String.self)
      if found == state { return try scene.settle(connection) }
      try connection.run("select pg_sleep(0.05)")
    }
    throw Scene.Overdue("the canary is not \(state)")
  }

  @Test func theShareIsOfKeysAndStable() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 3) { connection, _ in
      try RolloutScoringTests.prepare(scene, connection, rows: 10_000)
      try scene.settle(connection)
      try connection.run(
        "select rowcast.start_canary('item_score', share => 0.2, rescore => true)")
      try scene.settle(connection)
      let fifth = try Self.members(Self.versions(connection))
      // Four standard deviations of 10,000 draws.
      #expect(abs(fifth.count - 2000) < 160)
      try Self.expectHonest(connection)

      // Changed rows stay with their version; new ones fall to either.
      try connection.run("update item set a = a + 3")
      try connection.run(
        "insert into item select i, i % 19 - 9, -i % 17, i % 7, null from generate_series(10001, 15000) i"
      )
      try scene.settle(connection)
      try Self.expectHonest(connection)
      let later = try Self.members(Self.versions(connection))
      #expect(later.filter { $0 <= 10_000 } == fifth)
      #expect(abs(later.count - fifth.count - 1000) < 115)

      // A larger share has those of the smaller, and the smaller again is what it was.
      try connection.run(
        "select rowcast.start_canary('item_score', share => 0.5, rescore => true)")
      try scene.settle(connection)
      let half = try Self.members(Self.versions(connection))
      #expect(half.isSuperset(of: later))
      #expect(abs(half.count - 7500) < 250)
      try connection.run("select rowcast.start_canary('item_score', share => 0.2)")
      let deadline = ContinuousClock.now.advanced(by: Scene.patience)
      while try Self.members(Self.versions(connection)) != later {
        guard ContinuousClock.now < deadline else {
          throw Scene.Overdue("rows of the larger share")
        }
        try connection.run("select pg_sleep(0.05)")
      }
      try Self.expectHonest(connection)

      // Stopped, all of its rows are the champion's again.
      try connection.run("select rowcast.stop_canary('item_score')")
      try Self.wait(for: "stopped", scene, connection)
      #expect(try Self.members(Self.versions(connection)).isEmpty)
      try Self.expectHonest(connection)
      #expect(
        try connection.run(
          "select rows_scored > 0 and champion_rows > 0 and rows_failed = 0 from rowcast.rollouts"
        ).value(0, 0, as: Bool.self))
    }
  }

  @Test func aCanaryOfAllRowsAndItsPromotion() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try RolloutScoringTests.prepare(scene, connection, rows: 500)
      try scene.settle(connection)
      try connection.run("select rowcast.start_canary('item_score', share => 1, rescore => true)")
      try scene.settle(connection)
      #expect(try Self.members(Self.versions(connection)).count == 500)
      try Self.expectHonest(connection)
      try connection.run("select * from rowcast.promote('item_score')")
      #expect(
        try connection.run("select state from rowcast.rollouts").value(0, 0, as: String.self)
          == "promoted")
      try connection.run("update item set a = a + 1")
      try scene.settle(connection)
      #expect(try Self.members(Self.versions(connection)).count == 500)
      try Self.expectHonest(connection)
    }
  }

  /// A challenger that refuses categories which the champion takes.
  private static func prepareFailing(_ scene: Scene, _ connection: Connection) throws {
    try scene.push("leave", TestModel.fixture("columns_pipeline/model.onnx"))
    try scene.push(
      "leave", TestModel.fixture("columns_pipeline_strict/model.onnx"), alias: "challenger")
    try connection.runScript(
      """
      create table person (
          id int primary key, age real, income real, visits int not null, plan text not null,
          city text not null);
      insert into person select i, 20 + i % 50, 1000 * (i % 90), i % 20, 'plus', 'Köln'
      from generate_series(1, 4000) as i;
      """)
    try connection.run("select * from rowcast.create_scorer('leave', 'person', model => 'leave')")
  }

  @Test func aFailingCanaryIsStoppedAndItsRowsAreScoredAgain() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepareFailing(scene, connection)
      try scene.settle(connection)
      try connection.run("select rowcast.start_canary('leave', share => 0.3, rescore => true)")
      try scene.settle(connection)
      func count(_ condition: String) throws -> Int64 {
        try connection.run(Query(text: "select count(*) from \(condition)")).value(0, 0)
      }
      #expect(try count("predictions.leave where model_version = 2") > 1000)
      #expect(try count("predictions.leave_failure") == 0)
      // Now rows come that it cannot score.
      try connection.run("update person set city = 'Oslo' where id % 2 = 0")
      try Self.wait(for: "stopped", scene, connection)
      #expect(try count("predictions.leave where model_version = 1") == 4000)
      #expect(try count("predictions.leave_failure") == 0)
      let told = try connection.run("select reason, rows_failed from rowcast.rollouts")
      #expect(try told.value(0, 0, as: String.self).contains("rows failed"))
      #expect(try told.value(0, 1, as: Int64.self) > 0)
      try scene.waitForEvent { if case .canaryStopped(_, let reason) = $0 { reason } else { nil } }
      // Nothing of it is left.
      try connection.run("update person set age = 40")
      try scene.settle(connection)
      #expect(try count("predictions.leave where model_version = 1") == 4000)
    }
  }

  @Test func aFewFailuresAreBorne() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepareFailing(scene, connection)
      try scene.settle(connection)
      try connection.run(
        "select rowcast.start_canary('leave', share => 0.5, rescore => true, max_failure_increase => 0.2)"
      )
      try connection.run("update person set city = 'Oslo' where id % 20 = 0")
      try scene.settle(connection)
      try connection.run("select pg_sleep(2.5)")
      #expect(
        try connection.run("select state from rowcast.rollouts").value(0, 0, as: String.self)
          == "running")
      #expect(
        try connection.run("select rows_failed between 50 and 300 from rowcast.rollouts").value(
          0, 0, as: Bool.self))
    }
  }

  @Test func aCanaryThatCannotScoreEndsAndTheChampionScores() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try RolloutScoringTests.prepare(scene, connection, rows: 1000)
      try scene.settle(connection)
      // Bytes that no engine reads, in place of those that were inspected.
      try connection.runScript(
        """
        alter table rowcast.model_part disable trigger model_part_immutable;
        update rowcast.model_part set bytes = 'nonsense' where version = 2;
        """)
      try connection.run("select rowcast.start_canary('item_score', share => 0.5, rescore => true)")
      try Self.wait(for: "stopped", scene, connection)
      #expect(try Self.members(Self.versions(connection)).isEmpty)
      try Self.expectHonest(connection)
      #expect(
        try connection.run("select reason from rowcast.rollouts").value(0, 0, as: String.self)
          .hasPrefix("version 2 cannot score: "))
      #expect(
        try connection.run("select state from rowcast.scorer_status").value(0, 0, as: String.self)
          == "active")
    }
  }
}
