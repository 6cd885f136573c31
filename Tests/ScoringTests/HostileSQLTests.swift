import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// What owners of tables and authors of queries do in their own transactions, or in the sessions of
/// workers, stops the rows of nobody else.
@Suite(.database, .timeLimit(.minutes(3)))
struct HostileSQLTests {
  private func prepare(_ scene: Scene, _ connection: Connection) throws {
    try scene.push("good", TestModel.anomaly(device: 1, sensor: 1))
    try connection.runScript(
      """
      call rowcast.wait_for_model('good');
      create table theirs (id int primary key, value double precision);
      create table own (id int primary key, value double precision);
      select rowcast.create_scorer('theirs', 'theirs', 'good');
      """)
  }

  /// Rows of another's come, and are scored, within seconds each.
  private func expectScored(
    _ rows: ClosedRange<Int32>, _ connection: Connection,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for id in rows {
      try connection.run("insert into theirs values (\(id), 60)")
      let start = ContinuousClock.now
      while try connection.run("select exists (select from predictions.theirs where id = \(id))")
        .value(0, 0, as: Bool.self) == false
      {
        guard start.duration(to: .now) < .seconds(20) else {
          Issue.record("row \(id) is not scored", sourceLocation: sourceLocation)
          return
        }
        Thread.sleep(forTimeInterval: 0.01)
      }
    }
  }

  @Test func aLockedTableHoldsUpNoLane() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try prepare(scene, connection)
      try connection.runScript("select rowcast.create_scorer('own', 'own', 'good')")
      try scene.settle(connection)
      let owner = try Connection(scene.settings)
      try owner.runScript("begin; lock table own; select pg_sleep(0)")
      // Work on the table, as a change that was collected before it was locked.
      try connection.runScript(
        """
        with t as (insert into rowcast.tick (snapshot) values (null) returning tick_id)
        insert into rowcast.chunk (scorer_id, tick_id, key_count, priority, kind, keys)
        select s.scorer_id, t.tick_id, 1, 0, 'keys', format('{%s}', i)
        from t, rowcast.scorer as s, generate_series(1, 8) as i where s.name = 'own';
        notify rowcast_chunk;
        """)
      try scene.waitForEvent { if case .chunkRetried = $0 { true } else { nil } }
      try expectScored(1...5, connection)
      try owner.runScript("insert into own select i, 60 from generate_series(1, 8) as i; commit")
      try scene.settle(connection)
      #expect(
        try connection.run("select count(*) from predictions.own").value(0, 0, as: Int64.self) == 8)
      #expect(
        try connection.run(
          "select count(*) from rowcast.chunk where state = 'failed' or deaths > 0"
        )
        .value(0, 0, as: Int64.self) == 0)
    }
  }

  @Test func aScheduleHoldsUpNoTick() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try prepare(scene, connection)
      try connection.run(
        """
        select rowcast.create_schedule('slow', '* * * * * *',
                                       job => '{"model": "good", "source": "own"}')
        """)
      let name = try connection.run(
        """
        select p.proname::text from pg_proc as p
        where p.pronamespace = 'rowcast_run'::regnamespace and p.proname like 'schedule_%'
        """
      ).value(0, 0, as: String.self)
      try connection.runScript(
        """
        create sequence fired;
        create or replace function rowcast_run.\(name)(checked boolean) returns bigint
        language plpgsql security definer as $$
        begin
          perform nextval('public.fired');
          perform set_config('default_transaction_read_only', 'on', false);
          perform pg_advisory_unlock_all();
          perform pg_sleep(5);
          return 1;
        end $$;
        """)
      let start = ContinuousClock.now
      while try connection.run("select is_called from fired").value(0, 0, as: Bool.self) == false,
        start.duration(to: .now) < .seconds(30)
      {
        Thread.sleep(forTimeInterval: 0.05)
      }
      #expect(try connection.run("select is_called from fired").value(0, 0, as: Bool.self))
      try expectScored(1...20, connection)
      try connection.run("select rowcast.drop_schedule('slow')")
    }
  }

  @Test func aFeatureQueryLeavesTheSessionAsItWas() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try prepare(scene, connection)
      try connection.runScript(
        """
        create function spoil() returns boolean language plpgsql volatile as $$
        begin
          perform set_config('default_transaction_read_only', 'on', false);
          perform set_config('statement_timeout', '1s', false);
          perform pg_advisory_unlock_all();
          deallocate all;
          return true;
        end $$;
        select rowcast.create_scorer('own', 'own', 'good', feature_query =>
            'select id, value from own where spoil()');
        """)
      for round in Int32(1)...5 {
        try connection.run("insert into own values (\(round), 60)")
        try expectScored(round...round, connection)
      }
      #expect(
        try connection.run(
          """
          select count(*) from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
          where s.name = 'theirs' and (c.state = 'failed' or c.deaths > 0)
          """
        ).value(0, 0, as: Int64.self) == 0)
      try connection.runScript("select rowcast.drop_scorer('own')")
    }
  }
}
