import Postgres
import Scoring
import Synchronization
import TestSupport
import Testing

/// Live changes beside jobs, and what a lane holds while a model scores.
@Suite(.database, .timeLimit(.minutes(4)))
struct LiveLaneTests {
  /// A table whose feature query takes until a gate is opened.
  private static func prepareHeld(_ connection: Connection) throws {
    try connection.runScript(
      """
      create table gate (is_closed boolean);
      insert into gate values (true);
      create table bound (value text);
      grant select on gate to public;
      grant insert on bound to public;
      create function slow(x real) returns real language plpgsql volatile as $$
      begin
        insert into bound values (current_setting('statement_timeout'));
        while (select g.is_closed from public.gate as g) loop perform pg_sleep(0.005); end loop;
        return x;
      end $$;
      create table held (id bigint primary key, a real, b double precision, c integer);
      insert into held select i, i, i, i from generate_series(1, 100) as i;
      select * from rowcast.create_scorer('held', 'public.held', 'sum', feature_query =>
        'select h.id, public.slow(h.a) as a, h.b, h.c from public.held as h');
      """)
  }

  private static func runningChunks(_ connection: Connection, of scorer: String) throws -> Int64 {
    try connection.run(
      """
      select count(*) from rowcast.chunk as c join rowcast.scorer as s using (scorer_id) \
      where s.name = \(scorer) and c.state = 'running'
      """
    ).value(0, 0, as: Int64.self)
  }

  /// The only lane for jobs is in a chunk that does not end.
  @Test func aChangeWaitsForNoChunkOfAJob() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 1) { connection, _ in
      try LiveScoringTests.prepare(scene, connection)
      try scene.settle(connection)
      try Self.prepareHeld(connection)
      #expect(try eventually { try Self.runningChunks(connection, of: "held") == 1 })
      for id in 1...20 {
        try connection.run("insert into item values (\(Int64(id)), 1, 2, 3, '')")
        #expect(
          try eventually {
            try connection.run("select 1 from predictions.item_score where id = \(Int64(id))").count
              == 1
          })
      }
      #expect(try Self.runningChunks(connection, of: "held") == 1)
      try connection.run("update gate set is_closed = false")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
      // No statement is without a bound.
      #expect(
        try connection.run("select distinct value from bound").value(0, 0, as: String.self)
          == "10min")
    }
  }

  /// A model is loaded where it scores, too: between reading and writing.
  @Test func noTransactionIsOpenWhileAModelScores() async throws {
    let scene = try Scene()
    let settings = scene.settings
    let seen = Mutex<[String]>([])
    var configuration = WorkerConfiguration(settings: settings)
    configuration.laneCount = 1
    let worker = Worker(configuration, logger: Scene.silent) { event in
      scene.record(event)
      guard case .modelLoaded = event else { return }
      let found = try? Connection(settings).run(
        """
        select coalesce(string_agg(format('%s: %s', application_name, state), ', '), 'none')
        from pg_stat_activity
        where datname = current_database() and application_name in ('rowcast lane', 'rowcast answers')
          and xact_start is not null and not (state = 'active' and wait_event = 'ClientRead')
        """
      ).value(0, 0, as: String.self)
      seen.withLock { $0.append(found ?? "not asked") }
    }
    try await scene.withWorkers([worker]) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 10)
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
      try scene.push("asked", TestModel.sum(of: ["x"], seed: 3))
      #expect(try QuestionTests.ask(#"'asked', '{"x": 1}'"#, connection).contains("score"))
    }
    #expect(seen.withLock { $0 } == ["none", "none"])
  }
}
