import Postgres
import Schema
import TestSupport
import Testing

/// Who may make scorers, work and read, and that nobody gains what he may not see.
@Suite(.database) struct PipelineRightsTests {
  /// Roles belong to the server, so each test database has its own, by its name.
  private let suffix = Database.current.name

  private func session(as member: String) throws -> Connection {
    let role = "\(member)_\(suffix)"
    let connection = try Database.current.connect()
    try connection.runScript("create role \(role) login; grant rowcast_\(member) to \(role)")
    try connection.runScript("set role \(role)")
    return connection
  }

  private func dropRoles(_ connection: Connection) throws {
    for member in ["analyst", "worker", "reader"] {
      let role = "\(member)_\(suffix)"
      try connection.runScript(
        """
        do $$ begin
            if to_regrole('\(role)') is not null then
                drop owned by \(role); drop role \(role);
            end if;
        end $$
        """)
    }
  }

  @Test func anAnalystNeedsHisRightsOnTheSource() throws {
    let connection = try Database.current.prepared()
    defer { try? dropRoles(connection) }
    try connection.runScript(
      "create schema data; create table data.t (id int primary key, x real, secret real)")
    let analyst = try session(as: "analyst")
    func refusal() -> PostgresError? {
      analyst.refusal(
        of: """
          select rowcast.create_scorer('s', 'data.t', 'double', features => '{"secret": "x"}')
          """)
    }
    // Not even whether it exists.
    #expect(refusal()?.sqlState == "42501")
    let role = "analyst_\(suffix)"
    try connection.runScript("grant usage on schema data to \(role)")
    #expect(
      refusal()?.message == "permission denied: creating triggers on source \"data.t\"")
    try connection.runScript("grant trigger on data.t to \(role)")
    #expect(refusal()?.message == "permission denied for column \"id\" of source \"data.t\"")
    try connection.runScript("grant select (id, x) on data.t to \(role)")
    #expect(refusal()?.message == "permission denied for column \"secret\" of source \"data.t\"")
    try connection.runScript("grant select on data.t to \(role)")
    let unread = refusal()
    #expect(unread?.sqlState == "RC305")
    #expect(unread?.message == "workers may not read source \"data.t\"")
    try connection.runScript(
      """
      grant usage on schema data to rowcast_worker; grant select on data.t to rowcast_worker;
      """)
    #expect(refusal() == nil)

    // Once made, whatever the analyst loses, writers are watched and workers score.
    try connection.run("insert into data.t values (1, 2, 3)")
    #expect(try connection.tick().chunks == 1)
    #expect(try analyst.value("select count(*) from predictions.s", as: Int.self) == 0)
    #expect(
      analyst.refusal(of: "select rowcast.start_scorer(1, true)")?.sqlState == "RC306")
    #expect(analyst.refusal(of: "select rowcast.make_capture(1)")?.sqlState == "42501")
    #expect(analyst.refusal(of: "select * from rowcast.change")?.sqlState == "42501")
    try analyst.run("select rowcast.pause_scorer('s')")
    try analyst.run("select rowcast.resume_scorer('s')")
    try analyst.run("select rowcast.rescore('s')")
  }

  @Test func aScorerThatWasNotStartedDoesNothing() throws {
    let connection = try Database.current.prepared()
    defer { try? dropRoles(connection) }
    try connection.run("create table t (id int primary key, x real)")
    let analyst = try session(as: "analyst")
    try connection.runScript("grant all on t to analyst_\(suffix)")
    try analyst.run(
      "select rowcast.add_scorer('s', 't', 'double', null, 'champion', null, null, null, null)")
    try connection.run("select * from rowcast.check_suspended()")
    #expect(
      try connection.texts("select state from rowcast.scorer_status") == ["suspended"])
  }

  @Test func workersWorkAndReadersRead() throws {
    let connection = try Database.current.prepared()
    defer { try? dropRoles(connection) }
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t values (1, 1), (2, null);
      select rowcast.create_scorer('s', 't', 'double');
      grant usage on schema test to rowcast_worker;
      """)
    let worker = try session(as: "worker")
    let number: Int32 = try worker.value("select rowcast.register_worker('w', 'h', 1, 'r', 1)")
    let lane: Int32 = try worker.value("select rowcast.register_lane(\(number))")
    try worker.run("select rowcast.beat(\(number), true)")
    #expect(try worker.value("select rowcast.make_job_chunks(4, 4)", as: Int.self) == 1)
    try worker.run("select * from rowcast.tick(\([lane]), 1)")
    let claimed = try worker.run("select * from rowcast.claim_chunks(\(lane), 1)")
    let chunk: Int = try claimed.value(0, "chunk_id")
    let plan = try worker.run("select * from rowcast.load_scorer(1)")
    let rows = try worker.run(
      Query(
        text: try plan.value(0, "read_range_sql"),
        values: [
          try claimed.value(0, "lower_key", as: String.self),
          try claimed.value(0, "upper_key", as: String.self),
        ]))
    #expect(rows.count == 2)
    try worker.run(
      """
      select rowcast.write_1(\(chunk), 1, '{1}', '{2}', '{double}', '{1}', '{2}', '{missing}',
                             '{x}', '{double}', '{1}', 2)
      """)
    try worker.run("select * from rowcast.tidy()")
    try worker.run("select * from rowcast.rescue_chunks()")
    try worker.run("select * from rowcast.end_stalled('1 minute')")
    try worker.run("select * from rowcast.end_stalled_dispatcher('1 minute')")
    try worker.run("select * from rowcast.check_suspended()")
    try worker.run("select * from rowcast.open_work()")
    try worker.run("select rowcast.unregister_worker(\(number))")
    #expect(worker.refusal(of: "delete from rowcast.chunk")?.sqlState == "42501")
    #expect(worker.refusal(of: "select rowcast.drop_scorer('s')")?.sqlState == "42501")

    let reader = try session(as: "reader")
    #expect(try reader.numbers("select id from predictions.s") == [1])
    #expect(try reader.numbers("select id from predictions.s_failure") == [2])
    #expect(try reader.texts("select key::text from rowcast.failures") == ["{\"id\": 2}"])
    #expect(try reader.numbers("select failures from rowcast.scorer_status") == [1])
    try reader.run("select rowcast.backlog_seconds()")
    try reader.run("select * from rowcast.workers")
    for forbidden: Query in [
      "insert into predictions.s values (3)", "delete from predictions.s_failure",
      "select * from rowcast.chunk", "select * from rowcast.tick('{}', 1)",
      "select rowcast.rescore('s')", "select rowcast.drop_scorer('s')",
    ] {
      #expect(reader.refusal(of: forbidden)?.sqlState == "42501")
    }
  }

  @Test func everythingIsCommentedAndClosedToThePublic() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int, k text, x real, primary key (id, k));
      select rowcast.create_scorer('s', 't', 'double');
      """)
    #expect(
      try connection.texts(
        """
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and (has_function_privilege('public', p.oid, 'execute')
               or obj_description(p.oid, 'pg_proc') is null)
        """) == [])
    // Only functions that writers pay for go without: they spell every schema out.
    #expect(
      try connection.texts(
        """
        select p.proname::text from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace and p.prosecdef
          and not coalesce(array_to_string(p.proconfig, ' '), '') like '%search_path=%'
          and p.proname !~ '^capture_(insert|update|delete|truncate|row)_'
        """) == [])
    #expect(
      try connection.texts(
        """
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace)
          and c.relkind in ('r', 'p', 'v') and not c.relispartition
          and obj_description(c.oid, 'pg_class') is null
        """) == [])
    #expect(
      try connection.texts(
        """
        select a.attname::text from pg_attribute as a
        where a.attrelid = 'predictions.s'::regclass and a.attnum > 2
          and col_description(a.attrelid, a.attnum) is null
        """) == [])
  }
}
