import Postgres
import TestSupport
import Testing

/// What submit_job accepts, refuses and makes, without a worker.
@Suite(.database) struct JobSubmitTests {
  /// The session of an analyst who owns a schema, a table and nothing else.
  private func analyst() throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create schema work authorization rowcast_analyst;
      create table secret (id int primary key, x real);
      set role rowcast_analyst;
      set search_path = work, public;
      create table t (id int primary key, x real, note text);
      insert into t select i, nullif(i % 100, 0), 'n' || i from generate_series(1, 1000) as i;
      """)
    return connection
  }

  /// What is over is cleared by whoever dispatches, at the same time.
  @Test func aJobIsDroppedWhileItIsCleared() throws {
    let connection = try analyst()
    let job: Int64 = try connection.value("select rowcast.submit_job('double', 't')")
    let clearer = try Database.current.connect()
    try clearer.runScript("begin; select rowcast.clear_job(\(job))")
    let settings = Database.current.settings
    let dropper = Background {
      let dropper = try Connection(settings)
      try dropper.runScript("set role rowcast_analyst; select rowcast.drop_job(\(job))")
    }
    // Within a transaction the view stays as it was first seen.
    let watcher = try Database.current.connect()
    #expect(
      try eventually {
        try watcher.value(
          """
          select exists (select from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock')
          """)
      })
    try clearer.runScript("commit")
    try dropper.value()
    #expect(try connection.texts("select state from rowcast.job_progress") == [])
  }

  @Test func aJobOfFilesSaysThatNoWorkerHasThem() throws {
    let connection = try analyst()
    try connection.run("select rowcast.submit_job('double', 'file:x.csv', 'y')")
    #expect(
      try connection.texts("select error from rowcast.job_progress")
        == ["waits: no worker has a directory for files"])
  }

  @Test func whatDoesNotFitIsRefusedAndLeavesNothing() throws {
    let connection = try analyst()
    try connection.runScript(
      "create table other (id int); create table scored (id text, score bytea)")
    for (arguments, state, message) in [
      ("'double', null", "RC312", "a job needs a model and a source"),
      ("'none', 't'", "RC101", "model \"none\" does not exist"),
      ("'double', 'nothing'", "RC301", "source \"nothing\" does not exist"),
      ("'double', 'public.secret'", "42501", "permission denied for source \"public.secret\""),
      ("'double', 'select 1; drop table t'", "RC301", "the source is not a query"),
      ("'double', 'select id from t'", "RC303", "wants feature \"x\""),
      ("'double', 't', keep => array['nope']", "RC303", "column \"nope\" does not exist"),
      ("'double', 't', 'other'", "RC311", "destination \"other\" exists"),
      ("'double', 't', 'other', mode => 'append'", "RC311", "has no column \"score\""),
      ("'double', 't', 'scored', mode => 'append'", "RC311", "column \"score\" of destination"),
      (
        "'double', 't', 'other', mode => 'upsert'", "RC302", "key (id) is not unique in destination"
      ),
      ("'double', 'select x from t', 'y', mode => 'upsert'", "RC302", "an upsert needs a key"),
      ("'double', 't', 'public.y'", "42501", "permission denied for schema public"),
      ("'double', 't', 'other', mode => 'segments'", "RC311", "exists and is not of segments"),
      ("'double', 't', 'file:x.csv', mode => 'segments'", "RC312", "\"segments\" for a file"),
      (
        "'double', 't', '\(String(repeating: "n", count: 55))', mode => 'segments'", "RC311",
        "cannot be of segments"
      ),
      ("'double', 't', mode => 'merge'", "RC312", "mode is \"merge\""),
      ("'double', 't', priority => 'max'", "RC312", "priority is \"max\""),
      ("'double', 't', max_concurrency => 0", "RC312", "max_concurrency is 0"),
      ("'double', 't', error_threshold => -2", "RC312", "error_threshold is -2"),
      ("'double', 't', max_retries => -1", "RC312", "max_retries is -1"),
      ("'double', 't', 'file:x.csv', mode => 'append'", "RC312", "mode is \"append\" for a file"),
      ("'double', 't', 'file:x.csv', format => 'xml'", "RC312", "format is \"xml\""),
      ("'double', 'pg_catalog.pg_class'", "RC301", "belongs to the machinery"),
    ] {
      let refusal = connection.refusal(of: Query(text: "select rowcast.submit_job(\(arguments))"))
      #expect(refusal?.sqlState == state, "\(arguments): \(refusal?.message ?? "accepted")")
      #expect(refusal?.message.contains(message) == true, "\(refusal?.message ?? "")")
    }
    try connection.run("reset role")
    #expect(try connection.value("select count(*) from rowcast.job", as: Int.self) == 0)
    #expect(
      try connection.value(
        "select count(*) from pg_proc where pronamespace = 'rowcast_run'::regnamespace",
        as: Int.self)
        == 0)
  }

  @Test func submittingMakesATableOfTheCallerAndNothingElseIsRead() throws {
    let connection = try analyst()
    let job: Int64 = try connection.value(
      "select rowcast.submit_job('double', 't', 'scored', keep => array['note'])")
    #expect(
      try connection.texts(
        """
        select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)
        from pg_attribute where attrelid = 'scored'::regclass and attnum > 0
        """) == [
          "id integer, note text, score real, model_name text, model_version integer, job bigint, "
            + "scored_at timestamp with time zone"
        ])
    #expect(
      try connection.texts(
        "select pg_get_userbyid(relowner) from pg_class where relname = 'scored'")
        == ["rowcast_analyst"])
    #expect(
      try connection.texts(
        "select concat_ws(' ', state, phase, created_by) from rowcast.job_progress")
        == ["running score rowcast_analyst"])
    // Without a name it is Rowcast's, for its author to read.
    let other: Int64 = try connection.value("select rowcast.submit_job('double', 't')")
    try connection.run(Query(text: "select * from predictions.job_\(other)"))
    try connection.run("select rowcast.drop_job(\(other))")
    #expect(
      try connection.value(
        Query(text: "select to_regclass('predictions.job_\(other)') is null"), as: Bool.self))
    try connection.run("set role rowcast_reader")
    #expect(
      connection.refusal(of: "select * from rowcast.drop_job(\(job))")?.sqlState == "42501")
  }

  /// Nothing that the machinery offers to analysts directly gives more than submit_job.
  @Test func privatePartsCheckOnTheirOwn() throws {
    let connection = try analyst()
    let job: Int64 = try connection.value("select rowcast.submit_job('double', 't', 'scored')")
    let proof = "to_regproc('rowcast_run.job_\(job)')::regprocedure"
    for call in [
      "rowcast.start_model_job(\(proof), \(job))",
      "rowcast.add_model_job(\(proof), '{\"job_id\": \(job)}')",
      "rowcast.start_model_job('rowcast.draw_job()'::regprocedure, \(job))",
    ] {
      #expect(connection.refusal(of: Query(text: "select \(call)"))?.sqlState == "42501")
    }
    // A table that the caller may not read, offered directly.
    let hidden = connection.refusal(
      of: """
        do $$
        declare
          id bigint := rowcast.draw_job();
          proof regprocedure := rowcast.make_run_function('job_' || id, '', 'void', 'begin end');
        begin
          perform rowcast.add_model_job(proof, jsonb_build_object(
            'job_id', id, 'model', 'double', 'alias', 'champion', 'relation',
            'public.secret'::regclass::oid::int8, 'mode', 'create', 'priority', 'normal',
            'max_retries', 3));
        end
        $$
        """)
    #expect(hidden?.sqlState == "42501")
    // What it made for the job runs as its author, or not at all.
    try connection.run("reset role")
    #expect(
      try connection.value(
        Query(
          text:
            "select rowcast.run_call(\(proof), 'rowcast_analyst') like 'rowcast_run.job_\(job)(%'"),
        as: Bool.self))
    try connection.runScript("alter function rowcast_run.job_\(job)() security invoker")
    #expect(
      connection.refusal(
        of: Query(text: "select rowcast.run_call(\(proof), 'rowcast_analyst')"))?.message
        == "function rowcast_run.job_\(job) was altered")
    #expect(
      try connection.value(
        """
        select bool_and(p.proacl is not null and not exists (
          select from aclexplode(p.proacl) as a where a.grantee = 0))
        from pg_proc as p where p.pronamespace = 'rowcast_run'::regnamespace
        """, as: Bool.self))
    #expect(try connection.texts("select coalesce(error, '') from rowcast.job_progress") == [""])
  }
}
