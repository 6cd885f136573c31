import Postgres
import Schema
import TestSupport
import Testing

/// Nobody stops the work of others: by transactions that stay open, by locks on his tables, or by
/// ordering more than can be done.
@Suite(.database) struct LockOutTests {
  /// A session that waits for nobody as long as a dispatcher would.
  private func dispatcher() throws -> Connection {
    let connection = try Database.current.connect()
    try connection.runScript("set lock_timeout = '10s'")
    return connection
  }

  private func duration(_ body: () throws -> Void) rethrows -> Duration {
    try ContinuousClock().measure(body)
  }

  // MARK: Transactions that stay open

  @Test func aTickWaitsForNobodysScorer() throws {
    let (admin, owner) = try OwnerScene.make()
    let dispatcher = try dispatcher()
    try owner.runScript(
      """
      create table own.broken (id int primary key, x real);
      create table own.sound (id int primary key, x real);
      create table own.beside (id int primary key);
      select rowcast.create_scorer('broken', 'own.broken', 'double', backfill => false);
      select rowcast.create_scorer('sound', 'own.sound', 'double', backfill => false);
      select rowcast.create_scorer('query', 'own.sound', 'double', backfill => false,
                                   feature_query => 'select id, x from own.sound');
      select rowcast.also_watch('query', 'own.beside');
      alter table own.broken rename id to number;
      """)
    try admin.runScript(
      "select scene.work(); update rowcast.job set state = 'done', finished_at = now()")
    // Holds the scorers, and the registry.
    try owner.runScript(
      """
      begin; select rowcast.pause_scorer('broken');
      select rowcast.keep_history('query');
      """)
    try admin.runScript(
      """
      insert into own.broken values (1, 1); insert into own.sound values (1, 1); truncate own.beside;
      """)
    let took = try duration { () throws in
      for _ in 0..<3 {
        #expect(
          try dispatcher.value("select change_count > 0 from rowcast.tick('{}', 1)", as: Bool.self))
      }
    }
    #expect(took < .seconds(5))
    #expect(
      try admin.value(
        """
        select count(*) from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
        where s.name = 'sound'
        """, as: Int.self) == 1)
    #expect(try admin.texts("select state from rowcast.job where state = 'running'") == [])

    // It is not forgotten.
    try owner.runScript("rollback")
    try dispatcher.run("select from rowcast.tick('{}', 1)")
    #expect(
      try admin.texts("select state from rowcast.scorer where name = 'broken'") == ["suspended"])
    #expect(
      try admin.texts(
        """
        select s.name from rowcast.job as j join rowcast.scorer as s using (scorer_id)
        where j.state = 'running'
        """) == ["query"])
    #expect(
      try dispatcher.value("select change_count from rowcast.tick('{}', 1)", as: Int.self) == 0)
  }

  @Test func whatAPausedScorerMissedIsScoredLater() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('t', 'own.t', 'double', backfill => false);
      select rowcast.pause_scorer('t');
      alter table own.t rename id to number;
      insert into own.t values (1, 1);
      """)
    try admin.runScript("select from rowcast.tick('{}', 1)")
    try owner.runScript(
      "alter table own.t rename number to id; select rowcast.resume_scorer('t')")
    try admin.runScript("select scene.work()")
    #expect(try admin.value("select count(*) from predictions.t", as: Int.self) == 1)
  }

  @Test func jobsOfOthersAreCutBesideALockedTable() throws {
    let (admin, owner) = try OwnerScene.make()
    let dispatcher = try dispatcher()
    try owner.runScript(
      """
      create table own.locked (id int primary key, x real);
      create table own.free (id int primary key, x real);
      insert into own.locked values (1, 1);
      insert into own.free values (1, 1);
      select rowcast.create_scorer('locked', 'own.locked', 'double');
      select rowcast.submit_job('double', 'own.locked');
      select rowcast.create_scorer('free', 'own.free', 'double');
      """)
    try owner.runScript("begin; lock table own.locked")
    let took = try duration { () throws in
      for _ in 0..<5 { try dispatcher.run("select rowcast.make_job_chunks(4, 4)") }
      try dispatcher.run("select rowcast.watch_definitions()")
      try dispatcher.run("select from rowcast.tidy()")
    }
    #expect(took < .seconds(5))
    #expect(
      try admin.texts(
        """
        select coalesce(s.name, 'job') from rowcast.chunk as c left join rowcast.scorer as s using (scorer_id)
        """) == ["free"])
    #expect(
      try admin.value("select count(*) from rowcast.job where state = 'running'", as: Int.self) == 3
    )
    try owner.runScript("commit")
    try dispatcher.run("select rowcast.make_job_chunks(4, 4)")
    #expect(try admin.value("select count(*) from rowcast.chunk", as: Int.self) == 3)
  }

  @Test func tidyingGoesOnBesideAJobThatIsHeld() throws {
    let (admin, owner) = try OwnerScene.make()
    let dispatcher = try dispatcher()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      insert into own.t values (1, 1);
      select rowcast.create_scorer('t', 'own.t', 'double');
      """)
    try admin.runScript(
      """
      select scene.work(); select rowcast.rescore('t'); select scene.work();
      update rowcast.chunk set finished_at = now() - interval '1 hour';
      update rowcast.job set state = 'running', finished_at = null where job_id = 1;
      """)
    try owner.runScript("begin; select rowcast.pause_job(1)")
    let took = try duration { () throws in
      #expect(try dispatcher.value("select chunks_deleted from rowcast.tidy()", as: Int.self) == 1)
    }
    #expect(took < .seconds(5))
    try owner.runScript("rollback")
    #expect(try dispatcher.value("select chunks_deleted from rowcast.tidy()", as: Int.self) == 1)
    #expect(
      try admin.texts("select rows_scored::text from rowcast.job order by job_id") == ["1", "1"])
  }

  @Test func aChunkThatMeetsALockIsPutOff() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      create table own.other (id int primary key, x real);
      select rowcast.create_scorer('t', 'own.t', 'double', backfill => false);
      select rowcast.create_scorer('other', 'own.other', 'double', backfill => false);
      """)
    for id in 1...3 {
      try owner.runScript(
        "insert into own.t values (\(id), 1); insert into own.other values (\(id), 1)")
      try admin.run("select from rowcast.tick('{}', 1)")
    }
    let lane: Int32 = try admin.value(
      "select rowcast.register_lane(rowcast.register_worker('w', 'h', 1, 'r', 1))")
    let claimed = try admin.run("select * from rowcast.claim_chunks(\(lane), 1)")
    let chunk: Int = try claimed.value(0, "chunk_id")
    #expect(try admin.value("select rowcast.put_off(\(chunk), 1)", as: Bool.self))
    // Those of its scorer, and no others.
    #expect(
      try admin.numbers("select count(*) from rowcast.chunk where held group by scorer_id") == [3])
    #expect(try admin.run("select * from rowcast.claim_chunks(\(lane), 10)").count == 3)
    #expect(try admin.value("select rowcast.put_off(\(chunk), 1)", as: Bool.self) == false)
    try admin.run("select from rowcast.tidy()")
    let again = try admin.run("select * from rowcast.claim_chunks(\(lane), 10)")
    #expect(again.count == 3)
    #expect(try admin.numbers("select deaths::bigint from rowcast.chunk") == [0, 0, 0, 0, 0, 0])
  }

  @Test func whoHoldsALockOfWorkersIsReported() throws {
    let (admin, owner) = try OwnerScene.make()
    let report: Query = "select count(*) from rowcast.connection_findings() where topic = 'locks'"
    #expect(try admin.value(report, as: Int.self) == 0)
    try owner.run("select pg_advisory_lock(1919907683, 4)")
    #expect(try admin.value(report, as: Int.self) == 1)
    // It keeps the ticks waiting, no longer than the session's lock_timeout each.
    try admin.runScript("set lock_timeout = '100ms'")
    #expect(admin.refusal(of: "select from rowcast.tick('{}', 1)")?.sqlState == "55P03")
    try owner.run("select pg_advisory_unlock_all()")
    try admin.run("select from rowcast.tick('{}', 1)")
  }

  // MARK: More than can be done

  @Test func whoOrdersManyJobsHoldsUpNobodyElses() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.many (id int primary key, x real);
      create table own.one (id int primary key, x real);
      insert into own.many values (1, 1);
      insert into own.one values (1, 1);
      select rowcast.create_scorer('many', 'own.many', 'double', backfill => false);
      select rowcast.create_scorer('one', 'own.one', 'double', backfill => false);
      select count(rowcast.rescore('many')) from generate_series(1, 100);
      select rowcast.rescore('one');
      """)
    let took = try duration { () throws in
      for _ in 0..<3 { try admin.run("select rowcast.make_job_chunks(8, 4)") }
    }
    #expect(took < .seconds(5))
    #expect(
      try admin.value(
        """
        select count(*) from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
        where s.name = 'one'
        """, as: Int.self) == 1)
    // All of them in the end.
    let running: Query = "select count(*) from rowcast.job where state = 'running'"
    for _ in 0..<200 where try admin.value(running, as: Int.self) > 0 {
      try admin.runScript("select scene.work()")
    }
    #expect(try admin.value(running, as: Int.self) == 0)
  }

  @Test func aQuestionHasABound() throws {
    let (_, owner) = try OwnerScene.make()
    #expect(
      owner.refusal(
        of: """
          select rowcast.ask('double', jsonb_build_object('x', repeat(md5(random()::text), 1000000)),
                             'champion', null, 0, '1 second')
          """)?.sqlState == "RC330")
  }

  @Test func aScheduleThatCannotBeFiredGoesOnToItsNextTime() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('t', 'own.t', 'double', backfill => false);
      select rowcast.create_schedule('slow', '0 0 1 1 *', 't');
      select rowcast.create_schedule('other', '0 0 1 1 *', 't');
      """)
    try admin.runScript("update rowcast.schedule set next_at = now() - interval '30 seconds'")
    let first: Int32 = try admin.value("select rowcast.due_schedule()")
    try admin.run("select rowcast.fail_schedule(\(first), 'it took too long')")
    let second: Int32 = try admin.value("select rowcast.due_schedule()")
    #expect(second != first)
    #expect(try admin.value("select rowcast.fire_schedule(\(second))", as: Int.self) == 1)
    #expect(try admin.texts("select coalesce(rowcast.due_schedule()::text, 'none')") == ["none"])
    #expect(
      try admin.texts(
        "select concat_ws(': ', outcome, reason) from rowcast.schedule_history order by 1")
        == ["failed: it took too long", "started"])
  }
}
