import Postgres
import Schema
import TestSupport
import Testing

/// Scorers: what creation checks, what states do, what is left behind, and who may do what.
@Suite(.database) struct PipelineScorerTests {
  private static let models = """
    select test.model('pair', '[{"name": "x", "type": "float32", "missing": "refused"},
                                {"name": "n", "type": "int64", "missing": "allowed"}]',
                      '[{"name": "label", "type": "string", "role": "label"},
                        {"name": "probability_a", "type": "float32", "role": "probability"},
                        {"name": "probability_b", "type": "float32", "role": "probability"}]');
    select test.model(name, '[{"name": "x", "type": "float32", "missing": "refused"}]',
                      '[{"name": "score", "type": "float32", "role": "score"}]')
    from unnest(array['m_1', 'm_2', 'odd.name_1']) as name;
    select test.model('clash', '[{"name": "x", "type": "float32", "missing": "refused"}]',
                      '[{"name": "id", "type": "float64", "role": "value"},
                        {"name": "tick", "type": "bool", "role": "value"}]');
    create table t (id int primary key, x real, y text, n int not null, "X" int, device int);
    """

  @Test func creationTellsHowEachInputWasMapped() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(Self.models)
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', input, input_type, column_name, column_type, on_null)
        from rowcast.create_scorer('pairs', 't', 'pair', top_k => 1)
        """) == ["x float x real failure", "n integer n integer never"])
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', input, column_name, on_null)
        from rowcast.create_scorer('mapped', 't', 'pair', features => '{"X": "x"}')
        """) == ["x X failure", "n n never"])
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', input, column_name, on_null)
        from rowcast.create_scorer('listed', 't', 'pair', features => '["n", "device"]')
        """) == ["x n never", "n device missing"])
    try connection.run("select rowcast.create_scorer('routed', 't', route => 'm_{device}')")
    try connection.run("select rowcast.create_scorer('clashing', 't', 'clash')")

    func columns(_ table: String) throws -> [String] {
      try connection.texts(
        """
        select attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = to_regclass('predictions.' || \(table)) and attnum > 0 order by attnum
        """)
    }
    let audit = [
      "model_name text", "model_version integer", "tick bigint",
      "scored_at timestamp with time zone",
    ]
    #expect(
      try columns("pairs")
        == ["id integer", "label text", "top_1 text", "top_1_probability real"] + audit)
    #expect(
      try columns("clashing")
        == ["id integer", "id_output double precision", "tick_output boolean"] + audit)
    #expect(
      try connection.texts("select model from rowcast.scorer_status where name = 'routed'")
        == ["m_{device}"])
  }

  @Test(arguments: [
    ("('s', 'nowhere', 'double')", "RC301", "source \"nowhere\" does not exist"),
    ("('s', 'v', 'double')", "RC301", "source \"public.v\" is a view"),
    ("('s', 'protected', 'double')", "RC301", "source \"public.protected\" has row security"),
    (
      "('s', 'pg_catalog.pg_class', 'double')", "RC301",
      "source \"pg_class\" belongs to the machinery"
    ),
    ("('s', 'keyless', 'double')", "RC302", "source \"public.keyless\" has no primary key"),
    (
      "('s', 'keyless', 'double', key => '{id}')", "RC302",
      "key (id) is not unique in source \"public.keyless\""
    ),
    (
      "('s', 'keyless', 'double', key => '{u}')", "RC302",
      "key column \"u\" of source \"public.keyless\" may be null"
    ),
    (
      "('s', 'keyless', 'double', key => '{q}')", "RC302",
      "key column \"q\" does not exist in source \"public.keyless\""
    ),
    (
      "('s', 'arrays', 'double')", "RC302",
      "key column \"id\" is integer[], which cannot be a key here"
    ),
    ("('S', 't', 'double')", "RC304", "\"S\" cannot be the name of a scorer"),
    ("('taken', 't', 'double')", "RC304", "table predictions.taken exists already"),
    ("('s', 't', 'nothing')", "RC101", "model \"nothing\" does not exist"),
    ("('s', 't', 'double', alias => 'best')", "RC101", "model \"double\" has no alias \"best\""),
    ("('s', 't', 'double', version => 9)", "RC101", "model \"double\" has no version 9"),
    (
      "('s', 't', 'raw', version => 1)", "RC103",
      "model \"raw\" 1 is not ready: no worker has inspected it yet"
    ),
    ("('s', 't')", "RC303", "neither a model nor a route is given"),
    ("('s', 't', 'double', 'm_{device}')", "RC303", "both a model and a route are given"),
    (
      "('s', 't', route => 'm_{nope}')", "RC303",
      "route column \"nope\" does not exist in source \"public.t\""
    ),
    (
      "('s', 't', route => 'm_{device')", "RC303",
      "route \"m_{device\" is not a name with {column} in it"
    ),
    (
      "('s', 't', route => 'oddxname_{device}')", "RC101",
      "no model with alias \"champion\" matches route \"oddxname_{device}\""
    ),
    (
      "('s', 't', 'double', features => '[\"y\"]')", "RC303",
      "column \"y\" is text, model \"double\" 1 wants float for \"x\""
    ),
    (
      "('s', 't', 'double', features => '{\"zz\": \"x\"}')", "RC303",
      "column \"zz\" does not exist in source \"public.t\""
    ),
    (
      "('s', 't', 'double', features => '{\"x\": \"zz\"}')", "RC303",
      "model \"double\" 1 has no feature \"zz\""
    ),
    (
      "('s', 'keyless', 'pair', key => '{k}')", "RC303",
      "model \"pair\" 1 wants feature \"n\", source \"public.keyless\" has no column of that name"
    ),
    (
      "('s', 't', 'pair', top_k => 3)", "RC303",
      "top_k is 3, model \"pair\" 1 gives 2 probabilities"
    ),
  ])
  func whatCannotWorkIsRefused(arguments: String, code: String, message: String) throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      Self.models + """
        create view v as select * from t;
        create table protected (id int primary key, x real);
        alter table protected enable row level security;
        create table keyless (id int not null, u int unique, k int not null unique, x real);
        create unique index on keyless (id) where x > 0;
        create table arrays (id int[] primary key, x real);
        create table predictions.taken (id int);
        select rowcast.register_model('raw', 'bytes'::bytea, 'champion');
        """)
    let error = connection.refusal(of: Query(text: "select rowcast.create_scorer\(arguments)"))
    #expect(error?.sqlState == code)
    #expect(error?.message == message)
    #expect(
      try connection.value("select count(*) from rowcast.source", as: Int.self) == 0)
  }

  @Test func aBackfillIsCutLazilyAndEndsAtTheLastKeyOfItsCreation() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select 3 * g, g from generate_series(1, 5000) as g;
      select rowcast.create_scorer('s', 't', 'double');
      create table empty (id int primary key, x real);
      select rowcast.create_scorer('none', 'empty', 'double');
      """)
    try connection.run("update rowcast.scorer set chunk_rows = 500")
    #expect(try connection.value("select rowcast.make_job_chunks(3, 4)", as: Int.self) == 3)
    #expect(
      try connection.texts("select state from rowcast.job order by job_id") == ["running", "done"])
    #expect(try connection.value("select rowcast.make_job_chunks(3, 4)", as: Int.self) == 0)
    #expect(
      try connection.texts(
        "select format('%s %s %s %s', kind, lower_key, upper_key, key_count) from rowcast.chunk")
        == ["range 3 1500 500", "range 1503 3000 500", "range 3003 4500 500"])
    #expect(
      try connection.value("select backlog_rows from rowcast.scorer_status where name = 's'")
        == 1500)

    // In a gap of a range that is cut, in one that is not, and behind the end: all by capture.
    try connection.run("insert into t values (4, 1), (14998, 2), (20000, 3)")
    try connection.run("delete from t where id in (6, 14997)")
    let lane = try TestLane()
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(
      try connection.texts("select distinct state from rowcast.job") == ["done"])
  }

  @Test func failuresCanBeScoredAgainByThemselves() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, case when g % 10 > 0 then g end from generate_series(1, 100) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    #expect(try connection.value("select failures from rowcast.scorer_status", as: Int.self) == 10)
    // Mended behind the pipeline's back.
    try connection.runScript(
      """
      set session_replication_role = replica; update t set x = 1 where id <= 50;
      reset session_replication_role;
      """)
    try connection.run("select rowcast.rescore('s', failures_only => true)")
    try lane.settle()
    #expect(
      try connection.numbers("select id from predictions.s_failure order by id")
        == [60, 70, 80, 90, 100])
    #expect(
      try connection.value(
        "select rows_made from rowcast.job order by job_id desc limit 1", as: Int.self) == 10)
    try connection.run("select rowcast.rescore('s')")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aPausedScorerKeepsItsChanges() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      "create table t (id int primary key, x real); select rowcast.create_scorer('s', 't', 'double')"
    )
    let lane = try TestLane()
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    try connection.run("select rowcast.pause_scorer('s')")
    try connection.run("insert into t values (2, 2)")
    try connection.tick(lanes: [lane.lane])
    #expect(try lane.claim(10).isEmpty)
    #expect(
      try connection.texts("select format('%s %s', state, backlog_rows) from rowcast.scorer_status")
        == ["paused 2"])
    #expect(try connection.value("select available from rowcast.open_work()", as: Int.self) == 0)
    try connection.run("select rowcast.resume_scorer('s')")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(connection.refusal(of: "select rowcast.pause_scorer('other')")?.sqlState == "RC306")
  }

  @Test func aScorerIsSuspendedAndGoesOnWhenMended() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, g from generate_series(1, 100) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    let revision: Int = try connection.value("select revision from rowcast.load_scorer(1)")

    func problem(after sql: String) throws -> String {
      try connection.runScript(sql)
      return try connection.value("select rowcast.check_scorer('s')")
    }
    #expect(
      try problem(after: "alter table t rename column x to z")
        == "column \"x\" of source \"public.t\" is gone")
    try connection.runScript("delete from t where id > 90; update t set z = -1 where id = 1")
    try connection.tick()
    #expect(try lane.claim().isEmpty)
    #expect(connection.refusal(of: "select rowcast.resume_scorer('s')")?.sqlState == "RC306")
    #expect(try connection.run("select * from rowcast.check_suspended()").isEmpty)

    #expect(
      try problem(after: "alter table t rename column z to x; alter table t alter x type text")
        == "column \"x\" of source \"public.t\" is text, which does not fit the model any more")
    #expect(
      try problem(
        after: """
          alter table t alter x type double precision using x::float8;
          alter table t alter id type bigint
          """)
        == "key column \"id\" of source \"public.t\" is bigint, it was integer when the scorer was made"
    )
    #expect(
      try problem(
        after: "alter table t alter id type int; alter table t disable trigger rowcast_update_1")
        == "a trigger of Rowcast on source \"public.t\" is disabled")
    try connection.runScript("update t set x = 1000 where id = 2")
    #expect(try problem(after: "alter table t enable trigger rowcast_update_1") == "ok")
    #expect(
      try connection.value(
        "select revision > \(revision) from rowcast.load_scorer(1)", as: Bool.self))
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aDroppedSourceStopsItsScorersAndNothingElse() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int, k text, x real, primary key (id, k));
      insert into t select g, 'k', g from generate_series(1, 10) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.run("drop table t")
    try connection.run("select * from rowcast.tidy()")
    #expect(
      try connection.texts("select state_reason from rowcast.scorer_status")
        == ["source \"public.t\" was dropped"])
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 10)
    try connection.run("select rowcast.drop_scorer('s')")
    #expect(try leftOvers(connection) == [])
  }

  /// Names of generated objects that are there.
  private func leftOvers(_ connection: Connection) throws -> [String] {
    try connection.texts(
      """
      select p.proname::text from pg_proc as p
      where p.pronamespace = 'rowcast'::regnamespace and p.proname ~ '_[0-9]+$'
      union all
      select c.relname from pg_class as c
      where c.relkind in ('r', 'c') and (c.relnamespace = 'predictions'::regnamespace
          or c.relnamespace = 'rowcast'::regnamespace and c.relname ~ '^(retraction|key)_[0-9]+$')
      union all
      select t.tgname from pg_trigger as t where t.tgname like 'rowcast\\_%\\_1'
          and t.tgrelid::regclass::text !~ '^rowcast'
      order by 1
      """)
  }

  @Test func droppingRemovesAllThatWasMade() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int, k text, x real, y real, primary key (id, k));
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.create_scorer('other', 't', 'double', features => '["y"]');
      """)
    try connection.run("insert into t values (1, 'a', 1, 2)")
    try connection.tick()
    try connection.run("select rowcast.drop_scorer('s')")
    #expect(try connection.value("select count(*) from rowcast.chunk", as: Int.self) == 1)
    #expect(try leftOvers(connection).contains("rowcast_insert_1"))
    let lane = try TestLane()
    try lane.connection.run("update rowcast.chunk set scorer_id = scorer_id")
    try connection.run("select rowcast.drop_scorer('other', keep_predictions => true)")
    #expect(try leftOvers(connection) == ["other", "other_failure"])
    try connection.run("insert into t values (2, 'b', 1, 2)")
    #expect(
      connection.refusal(of: "select rowcast.create_scorer('other', 't', 'double')")?.sqlState
        == "RC304")
  }

  @Test func applyingTheFilesAgainKeepsScorersWorking() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double');
      delete from rowcast.schema_object;
      """)
    try Migrator(Database.current.settings).migrate()
    try connection.run("insert into t values (1, 1)")
    let lane = try TestLane()
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }
}
