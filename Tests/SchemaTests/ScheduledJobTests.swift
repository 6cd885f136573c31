import Postgres
import TestSupport
import Testing

/// Schedules of jobs and commands, which run with the rights of who made them.
@Suite(.database) struct ScheduledJobTests {
  private func analyst() throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create schema work authorization rowcast_analyst;
      create table secret (id int);
      set role rowcast_analyst;
      set search_path = work, public;
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, 100) as i;
      """)
    return connection
  }

  @Test func aTemplateIsSubmittedAtEachTime() throws {
    let connection = try analyst()
    try connection.run(
      """
      select rowcast.create_schedule('nightly', '0 2 * * *', time_zone => 'UTC', overlap => 'cancel',
        job => '{"model": "double", "source": "select id, x from t", "destination": "scored",
                 "mode": "replace", "key": ["id"], "priority": "low"}')
      """)
    // Trying it out left nothing.
    #expect(
      try connection.texts("select coalesce(to_regclass('scored')::text, 'none')") == ["none"])
    #expect(
      try connection.texts(
        "select concat_ws(' ', job_model, is_command, scorer) from rowcast.schedules")
        == ["double f"])

    // The dispatcher's role may do nothing with t, work or scored.
    try connection.runScript(
      "reset role; create role job_dispatcher; grant rowcast_worker to job_dispatcher")
    defer { try? connection.runScript("reset role; drop role job_dispatcher") }
    for (day, jobs) in [(1, 1), (2, 2)] {
      try connection.run("set role job_dispatcher")
      #expect(
        try connection.value(
          """
          select rowcast.fire_schedules(
            (current_date + \(Int32(day)) + interval '2 hours 10 seconds') at time zone 'UTC')
          """, as: Int.self) == 1)
      try connection.run("reset role")
      #expect(
        try connection.value("select count(*) from rowcast.job", as: Int.self) == jobs)
    }
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', h.outcome, j.state, j.created_by, j.destination, j.phase)
        from rowcast.schedule_history as h join rowcast.job_progress as j using (job_id) order by h.due_at
        """) == [
          "started cancelled rowcast_analyst work.scored collect",
          "started running rowcast_analyst work.scored collect",
        ])
    #expect(
      try connection.texts(
        "select pg_get_userbyid(relowner) from pg_class where relname = 'scored'")
        == ["rowcast_analyst"])
    try connection.run("select rowcast.drop_schedule('nightly')")
    #expect(
      try connection.value(
        """
        select count(*) from pg_proc
        where proname like 'schedule%' and pronamespace = 'rowcast_run'::regnamespace
        """, as: Int.self) == 0)
  }

  @Test func aCommandBecomesAJobOfOneStep() throws {
    let connection = try analyst()
    for command in ["delete from t where id <= 10", "insert into public.secret values (1)"] {
      try connection.run(
        "select rowcast.create_schedule(\("run " + command.prefix(6)), '0 2 * * *', command => \(command))"
      )
      let job: Int64 = try connection.value(
        "select rowcast.run_now(\("run " + command.prefix(6)))")
      #expect(
        try connection.texts(
          "select concat_ws(' ', kind, state, phase) from rowcast.job_progress where job_id = \(job)"
        )
          == ["command running before"])
      try connection.run("reset role")
      #expect(try connection.value("select rowcast.make_job_chunks(4, 4)", as: Int.self) == 1)
      let lane = try TestLane()
      let claimed = try #require(try lane.claim().first)
      try connection.run("begin")
      let statement: String = try connection.value(
        "select rowcast.begin_step(\(claimed.chunk), \(claimed.attempt))")
      if command.hasPrefix("delete") {
        try connection.run(Query(text: statement))
        try connection.run("select rowcast.finish_step(\(claimed.chunk), \(claimed.attempt), 0)")
        try connection.run("commit")
        #expect(try connection.value("select count(*) from work.t", as: Int.self) == 90)
        #expect(
          try connection.texts("select state from rowcast.job_progress where job_id = \(job)")
            == ["done"])
      } else {
        #expect(connection.refusal(of: Query(text: statement))?.sqlState == "42501")
        try connection.run("rollback")
        try connection.run(
          "select rowcast.fail_chunk(\(claimed.chunk), \(claimed.attempt), 'permission denied')")
        #expect(
          try connection.texts(
            "select state || ' ' || error from rowcast.job_progress where job_id = \(job)")
            == ["failed permission denied"])
      }
      try connection.run("set role rowcast_analyst")
    }
  }

  @Test func whatCannotRunIsNotScheduled() throws {
    let connection = try analyst()
    for (arguments, state) in [
      ("scorer => null", "RC401"), ("command => 'select 1', job => '{}'", "RC401"),
      ("job => '{\"model\": \"double\", \"source\": \"none\"}'", "RC301"),
      ("job => '{\"model\": \"double\", \"sauce\": \"t\"}'", "RC312"),
      ("job => '{\"model\": \"double\", \"source\": \"public.secret\"}'", "42501"),
    ] {
      let refusal = connection.refusal(
        of: Query(text: "select rowcast.create_schedule('s', '0 2 * * *', \(arguments))"))
      #expect(refusal?.sqlState == state, "\(arguments): \(refusal?.message ?? "accepted")")
    }
    #expect(try connection.value("select count(*) from rowcast.schedules", as: Int.self) == 0)
  }
}
