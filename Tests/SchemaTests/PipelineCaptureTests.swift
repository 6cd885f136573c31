import Postgres
import Schema
import TestSupport
import Testing

/// What the trigger functions log, for every statement and every kind of key.
@Suite(.database) struct PipelineCaptureTests {
  /// What the log gained since the last call, as `op key_count`.
  private func logged(_ connection: Connection) throws -> [String] {
    let rows = try connection.texts(
      "select format('%s %s', op, key_count) from rowcast.change order by xid, key_count desc")
    try connection.runScript("truncate rowcast.change_0, rowcast.change_1")
    return rows
  }

  @Test func eachStatementLogsTheRowsThatItTouched() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, other text);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      """)
    func after(_ sql: String) throws -> [String] {
      try connection.runScript(sql)
      return try logged(connection)
    }
    #expect(try after("insert into t values (1, 1)") == ["K 1"])
    #expect(try after("insert into t select g, g from generate_series(2, 101) as g") == ["K 100"])
    #expect(try after("insert into t select 1 where false") == [])
    #expect(
      try after("insert into t select g, g from generate_series(102, 9101) as g")
        == ["K 4096", "K 4096", "K 808"])
    #expect(try after("update t set other = 'a'") == [])
    #expect(try after("update t set other = 'b' where id = 7") == [])
    #expect(try after("update t set x = x where id = 7") == [])
    #expect(try after("update t set x = null where id = 7") == ["K 1"])
    #expect(try after("update t set x = -x where id <= 10") == ["K 9"])
    #expect(try after("update t set x = 0 where false") == [])
    #expect(try after("update t set id = 20000 where id = 1") == ["K 2"])
    #expect(try after("update t set id = id + 30000 where id in (2, 3)") == ["K 4"])
    #expect(
      try after("insert into t values (8, 1), (40000, 1) on conflict (id) do update set x = 99")
        == ["K 1", "K 1"])
    #expect(
      try after("insert into t values (8, 1) on conflict (id) do nothing") == [])
    #expect(
      try after(
        """
        merge into t using (values (8), (9), (50000)) as v (id) on t.id = v.id
        when matched and v.id = 8 then delete when matched then update set x = 1000
        when not matched then insert values (v.id, 5)
        """) == ["K 1", "K 1", "K 1"])
    #expect(try after("delete from t where id = 20000") == ["K 1"])
    #expect(try after("delete from t where id between 100 and 5000") == ["K 4096", "K 805"])
    #expect(try after("begin; insert into t values (1, 1); rollback") == [])
    #expect(
      try after(
        """
        begin; savepoint a; insert into t values (1, 1); rollback to a;
        insert into t values (2, 2); commit
        """) == ["K 1"])
    #expect(try after("truncate t") == ["T 0"])

    _ = try connection.copyIn("copy t (id, x) from stdin (format binary)") {
      (writer) throws(PostgresError) in
      for row in 1...5 { try writer.write(row: [Int32(row), Float(row)]) }
    }
    #expect(try logged(connection) == ["K 5"])
  }

  @Test(arguments: [
    ("smallint", "g"), ("int", "g"), ("bigint", "g"), ("numeric(12,3)", "g / 7.0"),
    ("text", "E'k,\"\\\\ {}ü (NULL)''' || g"), ("varchar(9)", "'b' || g"), ("char(5)", "'a' || g"),
    ("name", "('n' || g)::name"), ("uuid", "md5(g::text)::uuid"),
    ("date", "date '2020-01-01' + g"), ("time", "time '10:00' + g * interval '1 s'"),
    ("timestamp", "timestamp '2020-01-01' + g * interval '1.000001 s'"),
    ("timestamptz", "timestamptz '2020-01-01' + g * interval '1.000001 s'"),
    ("interval", "g * interval '1 day 3 s' - interval '2 mons'"),
    ("real", "sqrt(g)"), ("double precision", "sqrt(g)"), ("bytea", "decode(md5(g::text), 'hex')"),
    ("inet", "('10.0.0.' || g)::inet"), ("color", "(enum_range(null::color))[g]"),
    ("odd", "2 * g + 1"), ("tstzrange", "tstzrange(now(), now() + g * interval '1 s')"),
  ])
  func keysOfAnyTypeSurviveTheWritersSettings(type: String, value: String) throws {
    let connection = try Database.current.prepared()
    let count = type == "color" ? 3 : 100
    try connection.runScript(
      """
      create type color as enum ('re d', 'gr"een', 'NULL', '', '{blue,'); 
      create domain odd as int check (value % 2 = 1);
      create table t (id \(type) primary key, x real, g int);
      insert into t select \(value), g, g from generate_series(1, \(count - 1)) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let writer = try Database.current.connect()
    try writer.runScript(
      """
      set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard'; set timezone = 'Asia/Kolkata';
      set extra_float_digits = 0; set bytea_output = 'escape';
      insert into t select \(value), g, g from generate_series(\(count), \(count)) as g;
      update t set x = -1 where g = 1;
      update t set x = null where g % 5 = 2;
      delete from t where g % 7 = 3;
      """)
    let lane = try TestLane()
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(
      try connection.value("select count(*) > 0 from predictions.s", as: Bool.self))
  }

  @Test func compositeKeysAndOddNamesSurvive() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      #"""
      create schema "S ""p";
      create table "S ""p"."T%s, $$" (
          "select" text, "A b" timestamptz, own int, chunk_id bigint, x real, "x y" real,
          primary key (own, "select", "A b", chunk_id));
      insert into "S ""p"."T%s, $$" select E'a,"\\(' || g, '2020-01-01', g % 7, g, g
          from generate_series(1, 3000) as g;
      select rowcast.create_scorer('odd', '"S ""p"."T%s, $$"', 'double');
      """#)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      #"""
      set timezone = 'Asia/Kolkata';
      update "S ""p"."T%s, $$" set "select" = '(' || "select", x = x + 1 where own = 3;
      update "S ""p"."T%s, $$" set x = null where chunk_id = 10;
      update "S ""p"."T%s, $$" set own = 100 where chunk_id = 11;
      delete from "S ""p"."T%s, $$" where own = 4;
      insert into "S ""p"."T%s, $$" values ('', 'infinity', -1, 1, 5), ('NULL', '2020-01-01', 0, 2, 6);
      """#)
    try lane.settle()
    #expect(
      try connection.value(
        #"""
        select test.difference('"S ""p"."T%s, $$"', 'odd', 'own, "select", "A b", chunk_id')
        """#) == "")
  }

  @Test func aKeyOfAnExtensionsTypeIsComparedByItsOwnOperators() throws {
    let connection = try Database.current.prepared()
    let available: Bool = try connection.value(
      "select exists (select from pg_available_extensions where name = 'citext')")
    guard available else { return }
    try connection.runScript(
      """
      create schema ext; create extension citext schema ext;
      grant usage on schema ext to rowcast_worker;
      create table t (id ext.citext, n int, x real, primary key (id, n));
      insert into t select 'Ab' || g, g % 3, g from generate_series(1, 2500) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      """
      update t set x = 1 where n = 0;
      update t set id = upper(id::text) where n = 1;
      delete from t where id::text like '%9';
      """)
    try lane.settle()
    let wrong: Int = try connection.value(
      """
      select count(*) from t full join predictions.s as p
          on p.id operator(ext.=) t.id and p.n = t.n where p.score is distinct from (2 * t.x)::real
      """)
    #expect(wrong == 0)
  }

  @Test func writesThroughAnyPartitionAreLogged() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table p (id int, r int, x real, primary key (id, r)) partition by range (r);
      create table p0 partition of p for values from (0) to (10);
      create table p1 (x real, junk text, r int not null, id int not null);
      alter table p1 drop column junk;
      alter table p attach partition p1 for values from (10) to (20);
      create table p2 partition of p for values from (20) to (30) partition by range (r);
      create table p2a partition of p2 for values from (20) to (25);
      select rowcast.create_scorer('s', 'p', 'double');
      insert into p select g, g % 25, g from generate_series(1, 500) as g;
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      """
      update p1 set x = -1 where id < 100;
      insert into p2a values (1000, 21, 1);
      insert into p2 values (1001, 22, 2);
      delete from p0 where id < 50;
      update p set r = 24 where id in (60, 61, 62);
      update p2 set x = null where id = 60;
      """)
    try lane.settle()
    #expect(try connection.value("select test.difference('p', 's', 'id, r')") == "")

    try connection.runScript("truncate p1; insert into p1 (id, r, x) values (7, 12, 3)")
    try lane.settle()
    #expect(try connection.value("select test.difference('p', 's', 'id, r')") == "")
  }

  @Test func partitionsThatComeAndGoAreFollowed() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table p (id int, r int, x real, primary key (id, r)) partition by list (r);
      create table p1 partition of p for values in (1);
      insert into p values (1, 1, 1);
      select rowcast.create_scorer('s', 'p', 'double');
      create table p2 (id int, r int, x real, primary key (id, r));
      insert into p2 select g, 2, g from generate_series(1, 10) as g;
      alter table p attach partition p2 for values in (2);
      """)
    let lane = try TestLane()
    try connection.run("select * from rowcast.tidy()")
    try connection.run("insert into p2 values (11, 2, 11)")
    try lane.settle()
    #expect(try connection.value("select test.difference('p', 's', 'id, r')") == "")
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 12)

    try connection.run("alter table p detach partition p2")
    try connection.run("select * from rowcast.tidy()")
    try lane.settle()
    #expect(try connection.numbers("select id from predictions.s") == [1])
  }

  @Test func theWritersStatementNeverFails() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, y int);
      insert into t select g, g from generate_series(1, 10) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript("truncate rowcast.change_0, rowcast.change_1")

    // A watched column is gone: all keys of an update count as changed.
    try connection.runScript("alter table t rename column x to z; update t set y = 1 where id < 4")
    #expect(try logged(connection) == ["K 6"])
    // The key is gone: nobody knows which rows.
    try connection.runScript(
      """
      alter table t rename column id to key;
      insert into t values (11, 11); update t set y = 2; update t set y = 3 where key = 1;
      delete from t where key in (2, 3); delete from t where key = 4;
      """)
    #expect(try connection.texts("select distinct op::text from rowcast.change") == ["X"])

    #expect(try connection.tick().changes == 5)
    #expect(
      try connection.texts("select state_reason from rowcast.scorer_status")
        == ["key column \"id\" of source \"public.t\" is gone"])
    try connection.runScript(
      "alter table t rename column key to id; alter table t rename column z to x")
    #expect(try connection.texts("select rowcast.check_suspended()") == ["s"])
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func theBellRingsOnlyForTheSleeper() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      "create table t (id int primary key, x real); select rowcast.create_scorer('s', 't', 'double')"
    )
    let dispatcher = try Database.current.connect()
    try dispatcher.listen("rowcast_change")
    try connection.run("insert into t values (1, 1)")
    try dispatcher.run("select 1")
    #expect(dispatcher.takeNotifications().isEmpty)

    let held: Bool = try dispatcher.value("select pg_try_advisory_lock(1919907683, 1)")
    #expect(held)
    try connection.run("insert into t values (2, 2)")
    let rung = try dispatcher.waitForNotifications(timeout: .seconds(30), wakeUp: nil)
    #expect(rung.map(\.channel) == ["rowcast_change"])

    // A writer in flight keeps the dispatcher from sleeping.
    try dispatcher.run("select pg_advisory_unlock(1919907683, 1)")
    try connection.runScript("begin; insert into t values (3, 3)")
    #expect(
      try dispatcher.value("select pg_try_advisory_lock(1919907683, 1)", as: Bool.self) == false)
    try connection.run("commit")
    #expect(try dispatcher.value("select pg_try_advisory_lock(1919907683, 1)", as: Bool.self))
  }

  @Test func aWritersSearchPathDecidesNothing() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      create role test_writer; grant insert, select, update on t to test_writer;
      create schema evil authorization test_writer; grant usage on schema public to test_writer;
      set role test_writer;
      create function evil.wrong(anyelement, anyelement) returns boolean language plpgsql as
          $$ begin raise exception 'runs as %', current_user; end $$;
      create function evil.wrong(bigint, int) returns boolean language plpgsql as
          $$ begin raise exception 'runs as %', current_user; end $$;
      create operator evil.= (leftarg = anyelement, rightarg = anyelement, function = evil.wrong);
      create operator evil.<= (leftarg = bigint, rightarg = int, function = evil.wrong);
      create operator evil.= (leftarg = bigint, rightarg = int, function = evil.wrong);
      set search_path = evil, pg_catalog, public;
      insert into t values (1, 1);
      insert into t select g, g from generate_series(2, 5000) as g;
      update t set x = -2 where id operator(pg_catalog.<) 3;
      reset role; reset search_path;
      """)
    // One transaction, so by size.
    #expect(try logged(connection) == ["K 4096", "K 903", "K 2", "K 1"])
  }
}
