import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// What is expected of rows, judged while they are scored.
@Suite(.database, .timeLimit(.minutes(3)))
struct ExpectationTests {
  /// Rows as they should be, from one id to another.
  private static func rows(_ ids: ClosedRange<Int>, a: String = "sin(i) * 12") -> String {
    """
    insert into item select i, \(a), cos(i) * 12, i % 23 - 11, 'n' \
    from generate_series(\(ids.lowerBound), \(ids.upperBound)) as i
    """
  }

  /// A scorer that follows 2,000 rows as they should be.
  private static func prepare(_ scene: Scene, _ connection: Connection) throws {
    try LiveScoringTests.prepare(scene, connection, rows: 2000)
    try scene.settle(connection)
    try connection.run("select * from rowcast.set_baseline('item_score')")
  }

  private static func state(_ connection: Connection) throws -> (state: String, reason: String?) {
    let rows = try connection.run(
      "select state, state_reason from rowcast.scorer_status where name = 'item_score'")
    return (try rows.value(0, 0), try rows.value(0, 1))
  }

  private static func waitUntilSuspended(_ connection: Connection) throws -> String {
    let deadline = ContinuousClock.now.advanced(by: Scene.patience)
    while ContinuousClock.now < deadline {
      let (state, reason) = try state(connection)
      if state == "suspended" { return reason ?? "" }
      Thread.sleep(forTimeInterval: 0.02)
    }
    throw Scene.Overdue("the scorer goes on")
  }

  private static func scored(after id: Int, _ connection: Connection) throws -> Int64 {
    try connection.run(
      "select count(*) from predictions.item_score where id > \(Int64(id))"
    ).value(0, 0)
  }

  static let gates = [
    "'a there', 'null', 'a'", "'a mean', 'mean', 'a', minimum_rows => 200",
    "'a spread', 'spread', 'a', minimum_rows => 200",
    "'a drift', 'drift', 'a', minimum_rows => 200",
    "'c known', 'range', 'c', minimum => -11, maximum => 11",
    "'score drift', 'drift', 'score', minimum_rows => 200",
  ]

  @Test func cleanRowsPass() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try Self.prepare(scene, connection)
      for gate in Self.gates {
        try connection.run(Query(text: "select rowcast.expect('item_score', \(gate))", values: []))
      }
      try connection.runScript(Self.rows(10_001...14_000))
      try scene.settle(connection)
      #expect(try Self.scored(after: 10_000, connection) == 4000)
      #expect(try Self.state(connection).state == "active")
    }
    let connection = try Connection(scene.settings)
    let results = try connection.run(
      """
      select name, sum(checked)::bigint, sum(failed)::bigint from rowcast.expectation_results \
      group by name order by name
      """)
    #expect(results.count == Self.gates.count)
    for row in 0..<results.count {
      #expect(try results.value(row, 1, as: Int64.self) > 0)
      #expect(try results.value(row, 2, as: Int64.self) == 0)
    }
    #expect(
      try connection.run(
        "select bool_and(passed or column_name = 'score') from rowcast.check_expectations('item_score')"
      ).value(0, 0, as: Bool.self))
  }

  @Test(arguments: [
    // The mean moves by a standard deviation; the spread stays.
    ("mean", "sin(i) * 12 + 9", "mean of column \"a\" is 1."),
    // The spread more than doubles around the same mean.
    ("spread", "sin(i) * 26", "spread of column \"a\" is 2."),
    ("drift", "sin(i) * 24", "stability index of column \"a\" is "),
  ])
  func whatManyRowsShowSuspendsUntilResolved(kind: String, a: String, reason: String) async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try Self.prepare(scene, connection)
      try connection.run(
        "select rowcast.expect('item_score', 'gate', \(kind), 'a', minimum_rows => 200)")
      try connection.runScript(Self.rows(10_001...11_000, a: a))
      let found = try Self.waitUntilSuspended(connection)
      #expect(found.hasPrefix("expectation \"gate\": \(reason)"), "\(found)")
      let written = try Self.scored(after: 10_000, connection)
      #expect(written < 200)
      // Nobody but a person lets it go on.
      #expect(try connection.run("select rowcast.check_suspended()").isEmpty)
      #expect(
        try connection.run("select rowcast.check_scorer('item_score')")
          .value(0, 0, as: String.self).hasPrefix("expectation"))
      #expect(throws: PostgresError.self) {
        try connection.run("select rowcast.resume_scorer('item_score')")
      }
      #expect(
        try connection.run(
          "select failed, is_held from rowcast.expectation_results where failed > 0"
        )
        .value(0, 1, as: Bool.self))

      // Rows that were not mended hold it again.
      #expect(
        try connection.run("select rowcast.resolve_expectations('item_score', accept => false)")
          .value(0, 0, as: String.self) == "gate")
      _ = try Self.waitUntilSuspended(connection)
      #expect(try Self.scored(after: 10_000, connection) < 1000)

      // Accepted, all of them are scored; later ones are judged again.
      try connection.run("select rowcast.resolve_expectations('item_score')")
      try scene.settle(connection)
      #expect(try Self.scored(after: 10_000, connection) == 1000)
      try LiveScoringTests.expectOracle(connection)
      try connection.runScript(Self.rows(20_001...21_000, a: a))
      _ = try Self.waitUntilSuspended(connection)
      try connection.run("select rowcast.drop_expectation('item_score', 'gate')")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func singleRowsFailByThemselves() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      try connection.runScript(
        """
        select rowcast.expect('item_score', 'a there', 'null', 'a');
        select rowcast.expect('item_score', 'c known', 'range', 'c', maximum => 11);
        select rowcast.expect('item_score', 'b whole', 'allowed', 'b', allowed => '{1,2.5}', \
          action => 'warn');
        select rowcast.expect('item_score', 'low', 'range', 'score', minimum => 1000, \
          action => 'record');
        insert into item values (10001, null, 1, 1, ''), (10002, 1, 2.5, 12, ''), (10003, 1, 7, 1, ''),
          (10004, 1, null, 11, '');
        """)
      try scene.settle(connection)
      let failures = try connection.run(
        "select id, code, reason, model_version from predictions.item_score_failure order by id")
      #expect(failures.count == 2)
      #expect(try failures.value(0, 0, as: Int64.self) == 10_001)
      #expect(try failures.value(0, 1, as: String.self) == "expectation")
      #expect(
        try failures.value(0, 2, as: String.self)
          == "expectation \"a there\": column \"a\" is missing")
      #expect(try failures.value(0, 3, as: Int32.self) == 1)
      #expect(
        try failures.value(1, 2, as: String.self)
          == "expectation \"c known\": column \"c\" is out of range")
      #expect(try Self.scored(after: 10_000, connection) == 2)

      let reason = try scene.waitForEvent { event in
        if case .expectationFailed("item_score", "b whole", let reason) = event {
          reason
        } else {
          nil
        }
      }
      #expect(reason.hasSuffix("column \"b\" is not allowed"))

      // A row that is mended is scored.
      try connection.run("update item set a = 1 where id = 10001")
      try connection.run("update item set c = 0 where id = 10002")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
    let connection = try Connection(scene.settings)
    let results = try connection.run(
      """
      select name, sum(failed)::bigint from rowcast.expectation_results group by name order by name
      """)
    let failed = try (0..<results.count).map { try results.value($0, 1, as: Int64.self) }
    // a once; b whole counts 10003 once; c once; each of the four scores is low, twice mended.
    #expect(failed.count == 4)
    #expect(Array(failed.prefix(3)) == [1, 1, 1])
    #expect(failed[3] >= 4)
  }

  @Test func aMissingColumnSuspendsAndIsFoundBeforehand() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      let found = try connection.run(
        """
        select passed, reason from rowcast.check_expectations('item_score', \
        'select id, a, c from item')
        """)
      #expect(try !found.value(0, 0, as: Bool.self))
      #expect(try found.value(0, 1, as: String.self) == "column \"b\" is missing")
      try connection.run("alter table item drop column b")
      try connection.run("insert into item values (10001, 1, 1, '')")
      let reason = try Self.waitUntilSuspended(connection)
      #expect(reason.contains("b"))
    }
  }
}
