import Postgres
import Schema
import TestSupport
import Testing

/// What an owner of tables, types and functions tries against the machinery and against others: to have
/// his code run with more rights than his, and to be taken for somebody else.
@Suite(.database) struct HostileOwnerTests {
  private func ran(_ admin: Connection) throws -> [String] {
    try admin.texts("select distinct format('%s as %s', what, who) from own.noted order by 1")
  }

  // MARK: Types

  @Test func aCastToJSONNeverRunsForWhoReadsFailures() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create type own.mood as enum ('glad', 'sad');
      create function own.to_json(own.mood) returns json language plpgsql as
        'begin perform own.note(''cast''); return ''1''; end';
      create cast (own.mood as json) with function own.to_json(own.mood);
      create table own.m (id own.mood, part int, x real, primary key (id, part));
      select rowcast.create_scorer('m', 'own.m', 'double');
      """)
    try admin.runScript(
      """
      insert into predictions.m_failure values ('glad', 3, 'missing', 'x', 'double', 1, 1);
      set role rowcast_reader;
      """)
    #expect(
      try admin.texts("select key::text from rowcast.failures") == [#"{"id": "glad", "part": 3}"#])
    try admin.runScript("reset role")
    #expect(try ran(admin) == [])
  }

  @Test func aTypeThatHidesADomainIsNoKey() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create domain own.checked as int check (own.note('check'));
      create type own.span as range (subtype = own.checked);
      create type own.spans as range (subtype = own.span);
      create table own.by_span (id own.span primary key, x real);
      create table own.by_spans (id own.spans primary key, x real);
      create table own.by_dates (id daterange primary key, x real);
      """)
    for table in ["by_span", "by_spans"] {
      #expect(
        owner.refusal(
          of: "select rowcast.create_scorer(\(table), \("own.\(table)"), 'double')")?.sqlState
          == "RC302")
    }
    try owner.run("select rowcast.create_scorer('by_dates', 'own.by_dates', 'double')")
    #expect(try ran(admin) == [])
  }

  @Test func workersNeitherReadNorCastWhatHidesADomain() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create domain own.checked as int check (own.note('check'));
      create type own.pair as (number own.checked);
      create table own.pairs (id int primary key, x real, kept own.pair);
      create type own.span as range (subtype = int);
      create function own.to_text(own.span) returns text language plpgsql as
        'begin perform own.note(''cast''); return ''double''; end';
      create cast (own.span as text) with function own.to_text(own.span);
      create table own.spans (id int primary key, x real, at own.span);
      insert into own.spans values (1, 1, '[1,2)');
      select rowcast.register_model('m_[1,2)', 'tree 2'::bytea, 'champion');
      """)
    try admin.run(
      """
      select rowcast.record_inspection(2, 1, '{
        "features": [{"name": "x", "type": "float32", "missing": "refused"}],
        "outputs": [{"name": "score", "type": "float32", "role": "score"}]}', null)
      """)
    try owner.run("select rowcast.create_scorer('spans', 'own.spans', route => 'm_{at}')")
    #expect(
      owner.refusal(of: "select rowcast.submit_job('double', 'own.pairs', keep => array['kept'])")?
        .message.hasPrefix("column \"kept\" cannot be passed through") == true)
    try owner.run("select rowcast.submit_job('double', 'own.pairs', keep => array['id'])")
    let plan: String = try admin.value(
      "select read_keys_sql from rowcast.load_scorer((select max(scorer_id) from rowcast.scorer))")
    let rows = try admin.run(Query(text: plan, values: ["{1}"]))
    #expect(try rows.value(0, rows.columns.count - 1, as: String.self) == "m_[1,2)")
    #expect(try ran(admin) == [])
  }

  @Test func failuresShowTheirKeyToWhoMaySeeTheRow() throws {
    let (admin, owner) = try OwnerScene.make()
    let reader = "reader_of_\(Database.current.name)"
    try admin.run("create role \(identifier: reader) login in role rowcast_reader")
    try owner.runScript(
      """
      create table own.open (id int primary key, x real);
      create table own.closed (id int primary key, x real);
      insert into own.closed values (1, null), (2, null);
      select rowcast.create_scorer('open', 'own.open', 'double', backfill => false);
      select rowcast.create_scorer('closed', 'own.closed', 'double', backfill => false);
      select rowcast.protect_predictions('closed');
      """)
    try admin.runScript(
      """
      insert into predictions.open_failure values (7, 'missing', 'x', 'double', 1, 1);
      insert into predictions.closed_failure
      select i, 'missing', 'x', 'double', 1, 1 from generate_series(1, 2) as i;
      """)
    let session = try Connection(Database.current.settings.setting("user", to: reader))
    let keys: Query = "select key ->> 'id' from rowcast.failures order by 1"
    #expect(try session.texts(keys) == ["7"])
    try owner.runScript("grant select on own.closed to \(reader)")
    #expect(try session.texts(keys) == ["1", "2", "7"])
    try owner.run("delete from own.closed where id = 2")
    #expect(try session.texts(keys) == ["1", "7"])
  }

  // MARK: Names and paths

  @Test func namesThatOthersTookAreNoObstacle() throws {
    let (admin, owner) = try OwnerScene.make()
    let other = try analyst(admin)
    try other.connection.runScript("create table t (id int primary key, x real)")
    let next: Int = try admin.value("select last_value from rowcast.job_job_id_seq")
    try owner.runScript(
      """
      create function rowcast_run.job_\(next)_before(int) returns int language sql as 'select 1';
      create function rowcast_run.job_\(next + 1)() returns int language sql as 'select 1';
      create table rowcast_run.job_\(next + 2)_in (id int);
      """)
    let job: Int = try other.connection.value(
      "select rowcast.submit_job('double', 't', before => 'select 1')")
    #expect(job == next + 3)
    // Nor can a step be hidden behind another function of its name, made in between.
    try owner.runScript(
      "create function rowcast_run.job_\(job)_before(int) returns int language sql as 'select 1'")
    #expect(
      try admin.value(
        "select rowcast.job_function(\(job), 'before', \(other.role)) is not null", as: Bool.self))
  }

  @Test func operatorsOnThePathAreNotUsed() throws {
    let (admin, owner) = try OwnerScene.make()
    let other = try analyst(admin)
    for (number, (name, left, right, result)) in [
      ("=", "oid", "regclass", "boolean"), ("<>", "oid", "regclass", "boolean"),
      ("||", "text[]", "text", "text[]"), (">", "double precision", "int", "boolean"),
      ("*", "numeric", "int", "numeric"),
    ].enumerated() {
      try owner.runScript(
        """
        create function own.wrong_\(number)(\(left), \(right)) returns \(result) language plpgsql as
          'begin perform own.note(''operator''); return null; end';
        create operator own.\(name) (
            leftarg = \(left), rightarg = \(right), function = own.wrong_\(number));
        """)
    }
    try other.connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, 5) as i;
      set search_path = own, \(other.schema);
      """)
    try other.connection.run(
      "select rowcast.create_scorer('q', 't', 'double', feature_query => 'select id, x from t')")
    try other.connection.run("select rowcast.expect('q', 'r', 'range', 'x', minimum => 0)")
    try other.connection.run("select * from rowcast.set_baseline('q')")
    #expect(
      try other.connection.texts("select passed::text from rowcast.check_expectations('q')")
        == ["true", "true"])
    #expect(try ran(admin) == [])
  }

  @Test func namesOfTypesAreTheSameInEverySession() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.t (id date, number uuid, x real, primary key (id, number));
      set quote_all_identifiers = on;
      select rowcast.create_scorer('t', 'own.t', 'double', backfill => false);
      """)
    #expect(
      try admin.texts("select array_to_string(key_types, ' ') from rowcast.source") == ["date uuid"]
    )
    // At most its name is noted anew.
    try admin.run("select rowcast.watch_definitions()")
    #expect(try admin.value("select rowcast.watch_definitions()", as: Int.self) == 0)
    #expect(try admin.run("select from rowcast.job").count == 0)
    #expect(try owner.texts("select rowcast.check_scorer('t')") == ["ok"])
  }

  // MARK: Being taken for somebody else

  @Test func aStepIsItsAuthorsAndNotTheWorkers() throws {
    let (admin, owner) = try OwnerScene.make()
    let other = try analyst(admin)
    try other.connection.runScript(
      """
      create table t (id int primary key, x real, secret text);
      insert into t select i, i from generate_series(1, 5) as i;
      select rowcast.create_scorer('theirs', 't', 'double');
      select from rowcast.set_baseline('theirs');
      """)
    let histogram: Query = "select * from rowcast.histogram('theirs', 'x')"
    #expect(owner.refusal(of: histogram)?.sqlState == "42501")
    #expect(try other.connection.run(histogram).count > 0)

    try owner.runScript("create table own.s (id int primary key, x real)")
    let worker = "worker_of_\(Database.current.name)"
    try admin.run("create role \(identifier: worker) login in role rowcast_worker")
    let lane = try Connection(Database.current.settings.setting("user", to: worker))
    for (step, state) in [
      ("select h.bin from rowcast.histogram('theirs', 'x') as h", "42501"),
      // What he may do himself he may do in a step.
      ("select rowcast.rescore('theirs')", nil as String?),
    ] {
      try owner.run("select rowcast.submit_job('double', 'own.s', before => \(step))")
      let number: Int32 = try lane.value(
        "select rowcast.register_lane(rowcast.register_worker('w', 'h', 1, 'r', 1))")
      try lane.run("select rowcast.make_job_chunks(8, 1)")
      let chunks = try lane.run("select * from rowcast.claim_chunks(\(number), 20)")
      let row = try #require(
        try (0..<chunks.count).first { try chunks.value($0, "kind", as: String.self) == "step" })
      let chunk: Int = try chunks.value(row, "chunk_id")
      try lane.runScript("begin")
      let call: String = try lane.value("select rowcast.begin_step(\(chunk), 1)")
      #expect(lane.refusal(of: Query(text: call))?.sqlState == state)
      try lane.runScript("rollback")
    }
  }

  @Test func aScheduleIsNeverWhoeverFiresIt() throws {
    let (admin, owner) = try OwnerScene.make()
    let other = try analyst(admin)
    try other.connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t values (1, 1);
      select rowcast.create_scorer('theirs', 't', 'double');
      select from rowcast.set_baseline('theirs');
      """)
    try owner.runScript(
      """
      create table own.s (id int primary key, x real);
      select rowcast.create_schedule('mine', '0 0 1 1 *',
                                     job => '{"model": "double", "source": "own.s"}');
      """)
    // It is his, and he may alter it; but not act as who calls it.
    let name: String = try admin.value(
      """
      select p.proname::text from pg_proc as p
      where p.pronamespace = 'rowcast_run'::regnamespace and p.proname like 'schedule_%'
      """)
    try owner.runScript(
      """
      create or replace function rowcast_run.\(name)(checked boolean) returns bigint
      language plpgsql security definer as
        'begin perform h.bin from rowcast.histogram(''theirs'', ''x'') as h; return 1; end'
      """)
    // Whoever else asks for it leaves it to a worker.
    for session in [admin, other.connection] {
      #expect(
        try session.texts("select coalesce(rowcast.run_now('mine')::text, 'none')") == ["none"])
    }
    #expect(try admin.run("select from rowcast.schedule_history").count == 0)
    #expect(
      try admin.value("select rowcast.fire_schedule(rowcast.due_schedule())", as: Int.self) == 0)
    #expect(
      try admin.texts("select outcome || ': ' || reason from rowcast.schedule_history")
        == ["failed: permission denied for column \"x\" of the source"])
    // A lock like that of a schedule that runs makes nobody its author.
    try owner.runScript("select rowcast.drop_schedule('mine')")
    try other.connection.runScript(
      """
      select rowcast.create_schedule('theirs', '0 0 1 1 *',
                                     job => '{"model": "double", "source": "theirs.t"}');
      """)
    let number: Int32 = try admin.value("select schedule_id from rowcast.schedule")
    try owner.run("select pg_advisory_lock(1919907687, \(number))")
    #expect(
      owner.refusal(of: "select * from rowcast.histogram('theirs', 'x')")?.message
        == "this cannot be done by SQL that somebody else's session runs")
  }

  @Test func nobodyElseRunsAFeatureQueryAsHimself() throws {
    let (admin, owner) = try OwnerScene.make()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      insert into own.t values (1, 1);
      select rowcast.create_scorer('t', 'own.t', 'double', feature_query =>
          'select id, x from own.t where own.note(''query'')');
      truncate own.noted;
      """)
    for call: Query in [
      "select * from rowcast.set_baseline('t')", "select * from rowcast.check_expectations('t')",
    ] {
      #expect(admin.refusal(of: call)?.sqlState == "RC301")
    }
    #expect(try ran(admin) == [])
    try admin.run("select * from rowcast.set_baseline('t', 'own.t')")
    #expect(try owner.run("select * from rowcast.set_baseline('t')").count == 2)
  }

  // MARK: Another analyst

  private struct Analyst {
    var connection: Connection
    var role: String
    var schema: String
  }

  private func analyst(_ admin: Connection) throws -> Analyst {
    let role = "other_of_\(Database.current.name)"
    try admin.run("create role \(identifier: role) login in role rowcast_analyst")
    try admin.run("create schema theirs authorization \(identifier: role)")
    let connection = try Connection(Database.current.settings.setting("user", to: role))
    try connection.runScript("set search_path = theirs")
    return Analyst(connection: connection, role: role, schema: "theirs")
  }
}
