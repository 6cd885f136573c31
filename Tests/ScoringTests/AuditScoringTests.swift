import Postgres
import Scoring
import TestSupport
import Testing

/// Audits, and changes of a source's definition, beside workers that score.
@Suite(.database, .timeLimit(.minutes(3)))
struct AuditScoringTests {
  private static func eventually(
    _ connection: Connection, _ condition: Query, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(
      try TestSupport.eventually(within: Scene.patience) {
        try connection.run(condition).value(0, 0, as: Bool.self)
      }, sourceLocation: sourceLocation)
  }

  @Test func theBackgroundAuditHeals() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 5000)
      try scene.settle(connection)
      try connection.runScript(
        """
        create table seen as select id, score from predictions.item_score;
        set session_replication_role = replica;
        insert into item select i, 1, i, 1, '' from generate_series(6001, 6100) as i;
        update item set a = a + 1 where id between 10 and 19;
        update item set note = 'seen' where id = 20;
        delete from item where id between 100 and 109;
        reset session_replication_role;
        """)
      try scene.settle(connection)
      try connection.run("select rowcast.set_audit('item_score', '100 milliseconds', 100000)")
      try scene.waitForEvent { event in
        if case .discrepanciesFound("item_score", _) = event { true } else { nil }
      }
      // What had changed is known once the rows were scored again.
      try Self.eventually(
        connection,
        """
        select exists (select from rowcast.audits
                       where background and repaired > 0 and stale_changed is not null)
        """)
      let found = try connection.run(
        """
        select concat_ws(' ', missing, orphaned, stale, repaired),
               stale_changed = (select count(*) from seen join predictions.item_score as p using (id)
                                where p.score <> seen.score)
        from rowcast.audits where background and repaired > 0
        """)
      #expect(try found.value(0, 0, as: String.self) == "100 10 11 121")
      #expect(try found.value(0, 1, as: Bool.self))
      try connection.run("select rowcast.set_audit('item_score', null)")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func anAuditBesideWorkFindsNothing() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 3) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 40_000)
      for round in 0..<25 {
        try connection.run(
          "update item set a = a + 1 where id between \(Int64(round * 900)) and \(Int64(round * 900 + 300))"
        )
        try connection.run("delete from item where id = \(Int64(round * 7 + 3))")
        let found = try connection.run("select * from rowcast.audit('item_score')")
        #expect(try found.value(0, "consistent", as: Bool.self), "round \(round)")
      }
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func aRenamedSourceIsScoredOn() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 2) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 3000)
      try scene.settle(connection)
      try connection.run("alter table item rename to items")
      try connection.runScript(
        "update items set a = a + 1 where id <= 2000; insert into items values (4000, 1, 1, 1, '')")
      try connection.runScript("call rowcast.wait('item_score')")
      try connection.run("alter table items rename to item")
      try connection.runScript("update item set a = a + 1 where id > 2000")
      try connection.runScript("call rowcast.wait('item_score')")
      try LiveScoringTests.expectOracle(connection)
      // Nothing but the backfill and what was written: no row was scored for the name's sake.
      #expect(
        try connection.run("select count(*) from rowcast.job").value(0, 0, as: Int64.self) == 1)
      #expect(
        !scene.events.contains { if case .scorerSuspended = $0 { true } else { false } })
    }
  }

  @Test func triggersThatAreSwitchedOffSuspendUntilTheyAreOn() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 100)
      try scene.settle(connection)
      try connection.run("alter table item disable trigger user")
      try Self.eventually(
        connection, "select state = 'suspended' from rowcast.scorer_status")
      try connection.runScript("update item set a = a + 1; delete from item where id = 7")
      try connection.run("alter table item enable trigger user")
      try Self.eventually(connection, "select state = 'active' from rowcast.scorer_status")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func aPartitionThatIsAttachedIsScoredWithinSeconds() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      try connection.runScript(
        """
        create table item (id bigint primary key, a real, b double precision, c integer)
          partition by range (id);
        create table item_1 partition of item for values from (0) to (100);
        insert into item select i, 1, i, 1 from generate_series(1, 50) as i;
        select rowcast.create_scorer('item_score', 'item', 'sum');
        """)
      try scene.settle(connection)
      try connection.runScript(
        """
        create table item_2 (like item including all);
        insert into item_2 values (100, 1, 1, 1);
        alter table item attach partition item_2 for values from (100) to (200);
        insert into item_2 values (101, 1, 1, 1);
        """)
      try Self.eventually(
        connection, "select count(*) = 52 from predictions.item_score")
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func protectedPredictionsAreWritten() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, workers in
      try LiveScoringTests.prepare(scene, connection)
      try connection.run("select rowcast.protect_predictions('item_score')")
      try connection.runScript(
        "insert into item select i, 1, i, 1, '' from generate_series(1, 20000) as i")
      try scene.settle(connection)
      try connection.run("select rowcast.rescore('item_score')")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
      #expect(workers[0].statistics.snapshot().chunksCopied == 0)
    }
  }
}
