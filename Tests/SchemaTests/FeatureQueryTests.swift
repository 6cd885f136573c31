import Postgres
import Schema
import TestSupport
import Testing

/// Features from queries: what creation checks, whose rights they have, what stops them.
@Suite(.database) struct FeatureQueryTests {
  private static let tables = """
    create schema shop;
    create table shop.item (id bigint primary key, kind text);
    create table shop.part (part_id int primary key, item_id bigint not null, x real);
    create table shop.pair (a int, b text, primary key (a, b));
    create view shop.sums as select item_id as id, sum(x) as x from shop.part group by item_id;
    insert into shop.item select i, 'k' || i from generate_series(1, 5) as i;
    insert into shop.part select i, 1 + i % 4, i from generate_series(1, 20) as i;
    """

  private func prepared() throws -> (Connection, TestLane) {
    let connection = try Database.current.prepared()
    try connection.runScript(Self.tables)
    return (connection, try TestLane())
  }

  private func scores(_ connection: Connection, _ scorer: String = "s") throws -> [String] {
    try connection.texts(
      Query(text: "select id || ' ' || score from predictions.\(scorer) order by id, score"))
  }

  @Test(arguments: [
    "shop.sums", "select * from shop.sums;", "select id, x from shop.sums -- all\n",
  ])
  func aQueryOrAViewGivesTheFeatures(query: String) throws {
    let (connection, lane) = try prepared()
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', input, input_type, column_name, column_type, on_null) \
        from rowcast.create_scorer('s', 'shop.item', 'double', feature_query => \(query))
        """) == ["x float x real failure"])
    try lane.settle()
    // Item 5 has no parts, so the query has no row of it.
    #expect(try scores(connection) == ["1 120", "2 90", "3 100", "4 110"])
    try connection.run("insert into shop.part values (21, 5, 7)")
    try connection.run("update shop.item set kind = 'changed' where id = 5")
    try lane.settle()
    #expect(try scores(connection).last == "5 14")
    try connection.run("delete from shop.part where item_id = 5")
    try connection.run("update shop.item set kind = 'again' where id = 5")
    try connection.run("delete from shop.item where id = 4")
    try lane.settle()
    #expect(try scores(connection).count == 3)
  }

  @Test func keysOfSeveralColumnsAndRoutesWork() throws {
    let (connection, lane) = try prepared()
    try connection.runScript(
      """
      select test.model(name, '[{"name": "x", "type": "float32", "missing": "refused"}]',
                        '[{"name": "score", "type": "float32", "role": "score"}]')
      from unnest(array['m_1', 'm_2']) as name;
      insert into shop.pair select i, 'it''s ' || i from generate_series(1, 50) as i;
      select rowcast.create_scorer('s', 'shop.pair', route => 'm_{kind}',
        feature_query => 'select a, b, a * 1.5::real as x, 1 + a % 2 as kind from shop.pair');
      """)
    try lane.settle()
    #expect(
      try connection.value(
        "select count(*) from predictions.s where score = 3 * a and b = 'it''s ' || a", as: Int.self
      )
        == 50)
  }

  @Test(arguments: [
    ("'selekt 1'", "RC303", "feature query of scorer \"s\": syntax error at or near \"1\""),
    (
      "'select 1 as id'", "RC303",
      "feature query of scorer \"s\" returns \"id\" as integer, key column \"id\" of source \"shop.item\" is bigint"
    ),
    (
      "'select x from shop.sums'", "RC303", "feature query of scorer \"s\" returns no column \"id\""
    ),
    (
      "'select id from shop.sums'", "RC303",
      "model \"double\" 1 wants feature \"x\", the feature query has no column of that name"
    ),
    (
      "'select id, id::text as x from shop.sums'", "RC303",
      "column \"x\" is text, model \"double\" 1 wants float"
    ),
    (
      "'select id, x, x from shop.sums'", "RC303",
      "feature query of scorer \"s\": column \"x\" specified more than once"
    ),
    (
      "'select * from shop.nothing'", "RC303",
      "feature query of scorer \"s\": relation \"shop.nothing\" does not exist"
    ),
    (
      "'shop.nothing'", "RC303",
      "feature query of scorer \"s\": view \"shop.nothing\" does not exist"
    ),
    (
      "'shop.sums', result_key => '{part_id}'", "RC303",
      "feature query of scorer \"s\" returns no column \"part_id\""
    ),
    (
      "'shop.sums', result_key => '{id}'", "RC303",
      "column \"id\" is no result key: it is of the key"
    ),
  ])
  func creationRefuses(arguments: String, code: String, message: String) throws {
    let (connection, _) = try prepared()
    let refusal = connection.refusal(
      of: Query(
        text:
          "select rowcast.create_scorer('s', 'shop.item', 'double', feature_query => \(arguments))"
      ))
    #expect(refusal?.sqlState == code)
    #expect(refusal?.message == message)
    #expect(
      try connection.value(
        "select count(*) from pg_class where relnamespace = 'rowcast_run'::regnamespace",
        as: Int.self)
        == 0)
  }

  @Test func aQueryReadsWhatItsAuthorMayRead() throws {
    let (connection, lane) = try prepared()
    try connection.runScript(
      """
      create table shop.secret (id bigint, x real);
      insert into shop.secret select i, i from generate_series(1, 5) as i;
      grant usage on schema shop to rowcast_analyst;
      grant select on shop.item, shop.part, shop.sums to rowcast_analyst with grant option;
      grant trigger on shop.item to rowcast_analyst;
      grant select on shop.secret, shop.item to rowcast_worker;
      create function shop.peek() returns setof shop.secret language sql as 'select * from shop.secret';
      """)
    let analyst = try Database.current.connect()
    try analyst.runScript("grant usage on schema shop to rowcast_worker; set role rowcast_analyst")
    #expect(
      analyst.refusal(
        of: """
          select rowcast.create_scorer('s', 'shop.item', 'double', \
          feature_query => 'select id, x from shop.secret')
          """)?.sqlState == "42501")
    // Planned, not run: the function in it is refused when it runs, as its author.
    try analyst.run(
      """
      select rowcast.create_scorer('s', 'shop.item', 'double', \
      feature_query => 'select id, x from shop.peek()')
      """)
    try connection.run("select rowcast.make_job_chunks(4, 4)")
    let worker = try Database.current.connect()
    try worker.runScript("set role rowcast_worker")
    let read = try connection.value(
      "select replace(read_keys_sql, '$1', quote_literal('{1,2}')) from rowcast.load_scorer(1)",
      as: String.self)
    #expect(worker.refusal(of: Query(text: read))?.message == "permission denied for table secret")

    // Nor does it ever run as whoever calls it.
    try analyst.runScript("alter function rowcast_run.s_features(bigint[]) security invoker")
    let refusal = worker.refusal(of: Query(text: read))
    #expect(refusal?.sqlState == "42P13")
    #expect(refusal?.message == "function rowcast_run.s_features(bigint[]) was altered")
    #expect(
      try connection.value("select rowcast.check_scorer('s')")
        == "the function of its feature query was altered")
    #expect(
      analyst.refusal(of: "select rowcast.resume_scorer('s')")?.message
        == "function rowcast_run.s_features(bigint[]) is none that runs with the rights of rowcast_analyst"
    )
    try analyst.runScript("alter function rowcast_run.s_features(bigint[]) security definer")
    try connection.runScript("grant select on shop.secret to rowcast_analyst")
    try analyst.run("select rowcast.resume_scorer('s')")
    try lane.settle()
    #expect(try scores(connection) == ["1 2", "2 4", "3 6", "4 8", "5 10"])
  }

  @Test func whatAQueryMetStopsTheScorerUntilSomebodyResumesIt() throws {
    let (connection, lane) = try prepared()
    try connection.run(
      """
      select rowcast.create_scorer('s', 'shop.item', 'double',
        feature_query => 'select id, 100 / length(kind)::real as x from shop.item')
      """)
    try lane.settle()
    try connection.run("update shop.item set kind = '' where id = 2")
    try connection.tick()
    let claimed = try #require(try lane.claim().first)
    #expect(throws: (any Error).self) { try lane.read(claimed) }
    // As a lane that met an error does.
    try connection.run(
      "select rowcast.suspend_scorer(1, 'the feature query failed: division by zero')")
    try connection.run("select rowcast.release_chunks(\(lane.lane))")
    #expect(try connection.texts("select rowcast.check_suspended()") == [])
    #expect(
      try connection.value("select rowcast.check_scorer('s')")
        == "the feature query failed: division by zero")
    try connection.run("update shop.item set kind = 'two' where id = 2")
    #expect(try connection.texts("select rowcast.check_suspended()") == [])
    try connection.run("select rowcast.resume_scorer('s')")
    try lane.settle()
    #expect(try scores(connection).count == 5)
  }

  @Test func droppingLeavesNothingBehind() throws {
    let (connection, lane) = try prepared()
    try connection.runScript(
      """
      select rowcast.create_scorer('s', 'shop.item', 'double', feature_query =>
        'select item_id as id, part_id, x from shop.part', result_key => '{part_id}');
      select rowcast.also_watch('s', 'shop.part', key => '{item_id}');
      """)
    try lane.settle()
    #expect(
      try connection.value("select count(*) from predictions.s", as: Int.self) == 20)
    try connection.run("select rowcast.drop_scorer('s')")
    #expect(
      try connection.texts(
        """
        select relname::text from pg_class where relname like 'set\\_%' or relname like 'retraction\\_%'
        union all select proname from pg_proc where pronamespace = 'rowcast_run'::regnamespace
        union all select tgname from pg_trigger where tgname like 'rowcast\\_%'
        union all select relation_name from rowcast.source
        union all select mapping from rowcast.watch
        union all select relname from pg_class where relnamespace = 'predictions'::regnamespace
        """) == [])
  }
}
