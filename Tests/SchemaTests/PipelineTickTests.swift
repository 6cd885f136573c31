import Postgres
import Schema
import TestSupport
import Testing

/// Ticks: nothing is skipped, whatever the order of commits, and idle ones cost nothing.
@Suite(.database) struct PipelineTickTests {
  private func source(_ connection: Connection) throws {
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      """)
  }

  /// The keys of the available chunks, which are then taken away.
  private func keys(_ connection: Connection) throws -> [String] {
    try connection.texts(
      """
      with gone as (delete from rowcast.chunk where kind = 'keys' returning keys)
      select k from gone, unnest(keys::text[]) as k order by k::int
      """)
  }

  @Test func lateCommittersAreCollectedWhenTheyCommit() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    let first = try Database.current.connect()
    let second = try Database.current.connect()
    let third = try Database.current.connect()
    try first.runScript("begin; insert into t values (1, 1)")
    try second.runScript("begin; insert into t values (2, 2)")
    try connection.run("insert into t values (3, 3)")
    #expect(try connection.tick().changes == 1)
    #expect(try keys(connection) == ["3"])

    try third.runScript("begin; insert into t values (4, 4)")
    try first.run("commit")
    #expect(try connection.tick().changes == 1)
    #expect(try keys(connection) == ["1"])
    #expect(try connection.tick().tick == nil)

    try third.run("rollback")
    #expect(try connection.tick().tick == nil)
    try second.runScript("savepoint a; insert into t values (5, 5); rollback to a")
    try second.runScript("savepoint b; insert into t values (6, 6); release b; commit")
    #expect(try connection.tick().changes == 2)
    #expect(try keys(connection) == ["2", "6"])
    #expect(try connection.tick().tick == nil)
  }

  @Test func aRepeatableReadWriterIsCollectedToo() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    let writer = try Database.current.connect()
    try writer.runScript("begin isolation level repeatable read; select count(*) from t")
    for row in 1...3 {
      try connection.run("insert into t values (\(Int32(row)), 1)")
      try connection.tick()
    }
    try writer.run("insert into t values (100, 1)")
    try connection.tick()
    try writer.run("commit")
    try connection.tick()
    #expect(try keys(connection) == ["1", "2", "3", "100"])
  }

  @Test func anIdleTickWritesNothing() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    // Others commit, but nothing that is watched.
    try connection.runScript("create table u (i int); insert into u values (1)")
    try connection.runScript("begin")
    #expect(try connection.tick().tick == nil)
    #expect(
      try connection.value(
        "select pg_current_xact_id_if_assigned()::text", as: String?.self) == nil)
    try connection.runScript("commit")
  }

  @Test func aTickCoalescesAndHandsOut() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    let lane = try TestLane()
    try connection.run("insert into t select g, g from generate_series(1, 600) as g")
    for _ in 1...3 { try connection.run("update t set x = x + 1") }
    let tick = try connection.tick(lanes: [lane.lane], laneCount: 2)
    #expect(tick.changes == 4)
    #expect(tick.handed.count == 1)
    let rows = try connection.run(
      "select state, attempt, key_count, claimed_by from rowcast.chunk order by chunk_id")
    let counts = try (0..<rows.count).map { try rows.value($0, "key_count", as: Int.self) }
    #expect(counts.reduce(0, +) == 600)
    #expect(tick.chunks == rows.count)
    #expect(
      try connection.texts("select state from rowcast.chunk order by chunk_id")
        == ["running"] + Array(repeating: "available", count: rows.count - 1))
    for claimed in tick.handed {
      try lane.read(claimed)
      try lane.write(claimed)
    }
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func statementsOfOneRowShareAChunk() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    for id in 1...300 { try connection.run("insert into t values (\(id), 1)") }
    let tick = try connection.tick(laneCount: 1)
    #expect(tick.changes == 300)
    #expect(try connection.numbers("select key_count from rowcast.chunk").sorted() == [300])
  }

  /// Ranges of the log that are behind the writers are passed over by their summaries.
  @Test func lateCommitsAreFoundInSummarisedRanges() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    let (early, late) = (try Database.current.connect(), try Database.current.connect())
    try early.runScript("begin; insert into t values (1, 1)")
    try late.runScript("begin; insert into t values (2, 2)")
    for start in [1000, 4000] {
      try connection.runScript(
        """
        do $$ begin
            for i in \(start)..\(start + 2499) loop insert into t values (i, i); end loop;
        end $$
        """)
      #expect(try connection.tick().changes == 2500)
    }
    let summarised: Query = "select max(summarised_ranges) from rowcast.change_child"
    #expect(try connection.value(summarised, as: Int32.self) >= 2)
    try early.run("commit")
    #expect(try connection.tick().changes == 1)
    try late.runScript("insert into t values (3, 3); commit")
    #expect(try connection.tick().changes == 2)
    #expect(try connection.tick().changes == 0)
    #expect(try Set(keys(connection)).isSuperset(of: ["1", "2", "3", "1000", "6499"]))
  }

  @Test func longSegmentsPassUnopenedAndFitTheScorer() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    try connection.run("insert into t select g, g from generate_series(1, 10000) as g")
    try connection.tick(laneCount: 4)
    #expect(
      try connection.numbers("select key_count from rowcast.chunk order by chunk_id")
        .sorted() == [1808, 4096, 4096])
    try connection.runScript(
      "delete from rowcast.chunk; update rowcast.scorer set chunk_rows = 100")
    try connection.run("update t set x = 0 where id <= 4000")
    try connection.tick(laneCount: 4)
    #expect(try connection.numbers("select max(key_count) from rowcast.chunk") == [100])
    #expect(try keys(connection).count == 4000)
  }

  @Test func everyScorerOfASourceGetsItsChunks() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    try connection.runScript(
      """
      alter table t add y real;
      select rowcast.create_scorer('other', 't', 'double', features => '["y"]', backfill => false);
      """)
    let lane = try TestLane()
    try connection.run("insert into t values (1, 1, 10)")
    #expect(try connection.tick().chunks == 2)
    try connection.run("delete from rowcast.chunk")
    // The column of the second scorer is watched now, by the trigger of both.
    try connection.run("update t set y = 20")
    #expect(try connection.tick().chunks == 2)
    _ = lane
  }

  /// A few changes are cut by a statement of their own: what comes of it is what comes of many.
  @Test(arguments: [0, 1, 2, 3])
  func fewChangesAreCutAsManyAre(idle: Int) throws {
    let connection = try Database.current.prepared()
    try source(connection)
    try connection.runScript(
      """
      alter table t add y real;
      select rowcast.create_scorer('other', 't', 'double', features => '["y"]', backfill => false);
      select rowcast.create_scorer('held', 't', 'double', backfill => false);
      select rowcast.pause_scorer('held');
      insert into t select g, g from generate_series(1, 90) as g;
      """)
    try connection.tick()
    let lanes = try (0..<idle).map { _ in try TestLane() }
    func cut(_ script: String) throws -> (answer: [String], kept: [String]) {
      try connection.run("delete from rowcast.chunk")
      try connection.runScript(script)
      let answer = try connection.texts(
        """
        select concat_ws(
            ' ', chunk_count, array_position(\(lanes.map(\.lane)), lane_id), attempt, scorer_revision, kind,
            (select array_agg(k order by k::int) from unnest(keys::text[]) as k), key_count, job_id, priority,
            model_id, model_version, registry_revision, changed_at is not null, lower_key, upper_key)
        from rowcast.tick(\(lanes.map(\.lane)), 4) where chunk_id is not null
        """)
      let kept = try connection.texts(
        """
        select concat_ws(
            ' ', s.name, c.state, c.attempt, array_position(\(lanes.map(\.lane)), c.claimed_by), c.held, c.kind,
            (select array_agg(k order by k::int) from unnest(c.keys::text[]) as k), c.key_count, c.priority,
            c.changed_at is not null, c.claimed_at is not null, c.tick_id = (select max(tick_id) from rowcast.tick))
        from rowcast.chunk as c join rowcast.scorer as s using (scorer_id) order by s.name
        """)
      return (answer, kept)
    }
    let statement = "update t set x = x + 1, y = 1 where id in (3, 7); "
    let few = try cut(statement + "update t set x = x + 1, y = 2 where id in (7, 9); ")
    let many = try cut(String(repeating: statement, count: 20) + "update t set x = 0 where id = 9")
    #expect(few.answer.count == min(idle, 2))
    #expect(few.kept.count == 3)
    #expect(few.answer == many.answer)
    #expect(few.kept == many.kept)
    // The most that is few, and one more.
    let limit = try cut("update t set x = x + 1, y = 1 where id <= 64").kept
    let beyond = try cut("update t set x = x + 1, y = 1 where id <= 65").kept
    #expect(limit.count == 3 && beyond.count == 3)
    #expect(limit.allSatisfy { $0.contains(",64} 64 ") })
    #expect(beyond.allSatisfy { $0.contains(",65} 65 ") })
  }

  /// Transactions of other databases delay it too: what has to come may come late.
  @Test func theLogIsTruncatedOnlyWhenAllOfItWasCollected() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    func rotate() throws -> String { try connection.value("select rowcast.rotate_log(1)") }
    let writer = try Database.current.connect()
    #expect(try rotate() == "idle")
    try writer.runScript("begin; insert into t values (1, 1)")
    try connection.run("insert into t values (2, 2)")
    try connection.tick()
    #expect(try rotate() == "closed")

    // New writers use the other child; the one in flight is waited for.
    try connection.run("insert into t values (3, 3)")
    #expect(try connection.numbers("select slot from rowcast.change order by slot") == [0, 1])
    #expect(try rotate() == "noted")
    #expect(try rotate() == "waiting for a transaction")
    try writer.runScript("insert into t values (4, 4); commit")
    #expect(try eventually { try rotate() == "waiting for a tick" })
    try connection.tick()

    // A reader of the old child delays its truncation, and no writer waits meanwhile.
    try writer.runScript("begin; select count(*) from rowcast.change_0")
    #expect(try eventually { try rotate() == "waiting for a reader" })
    try connection.runScript("set lock_timeout = '20s'; insert into t values (5, 5)")
    try writer.run("commit")
    #expect(try eventually { try rotate() == "truncated" })
    try connection.tick()
    #expect(try rotate() == "closed")
    try connection.run("insert into t values (6, 6)")
    try connection.tick()
    #expect(try keys(connection) == ["1", "2", "3", "4", "5", "6"])
  }

  /// Whoever notes a closed child must not do so with a number that is older than its closing.
  @Test func twoWhoTidyAtOnceLoseNothing() throws {
    let connection = try Database.current.prepared()
    let settings = Database.current.settings
    try source(connection)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    // Tidying deletes a chunk, for which it draws a number, and then is held up.
    try connection.run(
      """
      insert into rowcast.chunk (scorer_id, tick_id, key_count, priority, kind, state, finished_at)
      select c.scorer_id, c.tick_id, 0, 0, 'truncate', 'done', now() - interval '1 hour'
      from rowcast.chunk as c
      """)
    try connection.runScript(
      """
      create function test.hold_up() returns trigger language plpgsql as $$ begin
          while not pg_try_advisory_xact_lock_shared(77) loop perform pg_sleep(0.005); end loop;
          return null;
      end $$;
      create trigger hold_up after delete on rowcast.chunk
          for each statement execute function test.hold_up();
      """)
    let locker = try Database.current.connect()
    try locker.run("select pg_advisory_lock(77)")
    let tidier = Background {
      try Connection(settings).value("select rotation from rowcast.tidy_up()", as: String.self)
    }
    #expect(
      try eventually {
        try locker.value(
          """
          select count(*) from pg_stat_activity
          where wait_event = 'PgSleep' and datname = current_database()
          """, as: Int.self) > 0
      })
    // Meanwhile others tick, write and close the child, as far as they get.
    try connection.runScript("set lock_timeout = '100ms'; insert into t values (2, 2)")
    _ = try? connection.tick()
    try connection.run("insert into t values (3, 3)")
    func rotate() throws -> String { try connection.value("select rowcast.rotate_log(1)") }
    _ = try rotate()
    try locker.run("select pg_advisory_unlock(77)")
    _ = try tidier.value()

    for _ in 1...4 { _ = try rotate() }
    try connection.tick()
    #expect(try keys(connection) == ["1", "2", "3"])
  }

  @Test func theBacklogIsExact() throws {
    let connection = try Database.current.prepared()
    try source(connection)
    func backlog() throws -> Int {
      try connection.value("select backlog_rows from rowcast.scorer_status")
    }
    #expect(try backlog() == 0)
    try connection.run("insert into t select g, g from generate_series(1, 5000) as g")
    #expect(try backlog() == 5000)
    try connection.tick()
    try connection.run("insert into t values (6000, 1)")
    #expect(try backlog() == 5001)
    let lane = try TestLane()
    let claimed = try #require(try lane.claim().first)
    #expect(try backlog() == 5001)
    let count = try lane.read(claimed)
    try lane.write(claimed)
    #expect(try backlog() == 5001 - count)
    try lane.settle()
    #expect(try backlog() == 0)
    #expect(
      try connection.value("select oldest_age = '0' from rowcast.scorer_status", as: Bool.self))
  }
}
