import Postgres
import Schema
import TestSupport
import Testing

/// What the log of changes holds, against what random statements really changed.
@Suite(.database) struct CaptureOracleTests {
  /// A watched table. A row's image is what its scorer reads.
  private struct Source: Sendable {
    var name: String
    var key: String
    /// Triggers of its own or foreign keys change rows that no statement names.
    var isBusy: Bool
    var statements: @Sendable (inout Numbers) -> String
  }

  private static let tables = """
    create table quiet (id int primary key, x real, note int);
    create table busy (id int primary key, x real, note int);
    create table child (id int, owner int references busy (id) on update cascade on delete cascade,
                        x real, primary key (id, owner));
    create table p (id int, r int, x real, note int, primary key (id, r)) partition by list (r);
    create table p0 partition of p for values in (0);
    create table p1 partition of p for values in (1);
    create table p2 partition of p for values in (2);

    -- Changes what is written, or refuses it.
    create function alter_row() returns trigger language plpgsql as $$
    begin
        if new.id % 11 = 5 then return null; end if;
        if new.id % 7 = 3 then new.x := coalesce(new.x, 0) + 1; end if;
        return new;
    end $$;
    create trigger alters before update on busy for each row execute function alter_row();
    -- Updates the table again, before and after our own trigger has seen the row; some of it is undone.
    create function again() returns trigger language plpgsql as $$
    begin
        if pg_trigger_depth() > 2 then return null; end if;
        if new.id % 5 = 0 then update busy set x = x + 1 where id in (new.id, new.id + 1); end if;
        if new.id % 3 = 0 then
            begin
                update busy set x = x + 50 where id < new.id;
                raise exception 'undone';
            exception when raise_exception then null;
            end;
        end if;
        return null;
    end $$;
    create trigger again_1 after update on busy for each row execute function again();
    create trigger zz_again after insert on busy for each row execute function again();
    create function refuse() returns trigger language plpgsql as $$
    begin return case when new.id % 4 = 0 then null else new end; end $$;
    create trigger refuses before insert on p2 for each row execute function refuse();

    insert into quiet select g, g from generate_series(1, 60) as g;
    insert into busy select g, g from generate_series(1, 60) as g;
    insert into child select g, 1 + g % 60, g from generate_series(1, 60) as g;
    insert into p select g, g % 2, g from generate_series(1, 60) as g;
    """

  private static func plain(_ table: String) -> @Sendable (inout Numbers) -> String {
    { random in
      let key = random.below(90)
      let last = key + [0, 0, 3, 40][random.below(4)]
      let x = ["null", "1", "x", "-x", "x + 1", "'-0'", "'nan'"][random.below(7)]
      switch random.below(12) {
      case 0: return "update \(table) set note = \(key) where id between \(key) and \(last)"
      case 1: return "update \(table) set note = 1"
      case 2, 3: return "update \(table) set x = \(x) where id between \(key) and \(last)"
      case 4:
        return "update \(table) set id = id + 100, x = \(x) where id between \(key) and \(last)"
      case 5: return "update \(table) set id = id - 100 where id > 100"
      case 6: return "delete from \(table) where id between \(key) and \(last)"
      case 7: return "insert into \(table) values (\(key), \(random.below(9)))"
      case 8:
        // Whatever key of two is taken is given to the other.
        return """
          update \(table) set id = -1 where id = \(key);
          update \(table) set id = \(key) where id = \(last + 1);
          update \(table) set id = \(last + 1) where id = -1
          """
      case 9:
        return """
          insert into \(table) select g, g from generate_series(\(key), \(last + 2)) as g
          on conflict (id) do update set x = case when excluded.id % 2 = 0 then \(table).x else 7 end
          """
      case 10:
        return """
          merge into \(table) as t using generate_series(\(key), \(last)) as v (id) on t.id = v.id
          when matched and v.id % 3 = 0 then delete when matched then update set x = v.id % 2, note = 2
          when not matched then insert values (v.id, 5)
          """
      default: return "update \(table) set x = \(x), note = 3"
      }
    }
  }

  private static let sources = [
    Source(name: "quiet", key: "id::text", isBusy: false, statements: plain("quiet")),
    Source(name: "busy", key: "id::text", isBusy: true, statements: plain("busy")),
    Source(name: "child", key: "row(id, owner)::text", isBusy: true) { random in
      "update child set x = x + \(random.below(2)) where id < \(random.below(60))"
    },
    Source(name: "p", key: "row(id, r)::text", isBusy: false) { random in
      let key = random.below(60)
      let part = ["p", "p", "p0", "p1", "p2"][random.below(5)]
      switch random.below(6) {
      case 0: return "update \(part) set note = 1"
      case 1:
        return "update \(part) set x = \(random.below(3)) where id between \(key) and \(key + 9)"
      case 2, 3:
        return """
          update p set r = \(random.below(3)), note = 4
          where id between \(key) and \(key + [0, 9][random.below(2)])
          """
      case 4: return "delete from \(part) where id = \(key)"
      default:
        return """
          insert into p values (\(key), \(random.below(3)), 1)
          on conflict (id, r) do update set x = excluded.x
          """
      }
    },
  ]

  private static func images(_ connection: Connection) throws -> [Set<String>] {
    try sources.map { source in
      Set(
        try connection.texts(
          Query(
            text: """
              select \(source.key) || ' ' || coalesce(encode(float4send(x), 'hex'), '')
              from \(source.name)
              """)))
    }
  }

  /// False where a row's key is taken, or a foreign key would lead nowhere.
  private func runs(_ script: String, on connection: Connection) throws -> Bool {
    do throws(PostgresError) {
      try connection.runScript(script)
      return true
    } catch {
      guard ["23503", "23505", "21000"].contains(error.sqlState) else { throw error }
      return false
    }
  }

  private static func key(_ image: String) -> String {
    String(image.prefix { $0 != " " })
  }

  @Test(arguments: [(false, 1), (false, 2), (true, 1), (true, 2)] as [(Bool, UInt64)])
  func theLogHoldsWhatChanged(eachRow: Bool, seed: UInt64) throws {
    let connection = try Database.current.prepared()
    let merges: Bool = try connection.value(
      "select current_setting('server_version_num')::int >= 150000")
    try connection.runScript(Self.tables)
    for source in Self.sources {
      try connection.run(
        "select rowcast.create_scorer(\("s_" + source.name), \(source.name), 'double', backfill => false)"
      )
      if eachRow, source.name != "p" {
        try connection.run("select rowcast.watch_each_row(\("s_" + source.name))")
      }
    }
    var random = Numbers(state: seed)
    var before = try Self.images(connection)
    var changes = 0
    for _ in 0..<150 {
      try connection.runScript("truncate rowcast.change_0, rowcast.change_1; begin")
      let count = [1, 1, 2, 4][random.below(4)]
      var done: [(source: Int, text: String)] = []
      for _ in 0..<count {
        let index = [0, 0, 1, 1, 2, 3][random.below(6)]
        let text = Self.sources[index].statements(&random)
        if !merges, text.hasPrefix("merge") { continue }
        try connection.runScript("savepoint a")
        let isUndone = random.below(6) == 0
        if try !runs(text, on: connection) || isUndone {
          try connection.runScript("rollback to a")
        } else {
          done.append((index, text))
        }
      }
      try connection.runScript("commit")
      let after = try Self.images(connection)
      #expect(try connection.texts("select op::text from rowcast.change where op <> 'K'") == [])
      for (index, source) in Self.sources.enumerated() {
        let changed = Set(before[index].symmetricDifference(after[index]).map(Self.key))
        let logged = Set(
          try connection.texts(
            """
            select k from rowcast.change as c
            join rowcast.source as s on s.source_id = c.source_id
            cross join unnest(c.keys::text[]) as k where s.relation_name = \("public." + source.name)
            """))
        changes += changed.count
        #expect(changed.subtracting(logged) == [], "\(source.name): \(done)")
        // Changed and changed back counts as changed, so where one statement says all.
        if done.count <= 1, !source.isBusy, !(done.first?.text.contains(";") ?? false) {
          #expect(logged == changed, "\(source.name): \(done)")
        }
      }
      before = after
    }
    #expect(changes > 500)
  }

  @Test func aTableThatIsSwitchedUnderItsWritersLosesNothing() throws {
    let database = Database.current
    let settings = database.settings
    let connection = try database.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, note int);
      insert into t select g, g from generate_series(1, 200) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    let done = Flag()
    let writers = (0..<3 as Range<UInt64>).map { number in
      Background {
        let writer = try Connection(settings)
        defer { writer.close() }
        var random = Numbers(state: number)
        while !done.isSet {
          let key = random.below(200)
          // In one order, so that none deadlocks.
          try writer.run(
            """
            update t set x = \(Float(random.below(1000)))
            where id in (select l.id from t as l where l.id between \(key) and \(key + 5)
                         order by l.id for update)
            """)
        }
      }
    }
    let outcome = Result {
      for round in 0..<20 {
        try connection.run("select rowcast.watch_each_row('s', \(round % 2 == 0))")
        try connection.tick()
      }
    }
    done.set()
    for writer in writers { try writer.value(timeout: .seconds(60)) }
    try outcome.get()
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aRowTriggerThatLooksAtOtherColumnsCountsAsMissing() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, note int);
      insert into t select g, g from generate_series(1, 10) as g;
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.watch_each_row('s');
      """)
    let lane = try TestLane()
    try lane.settle()
    // PostgreSQL's own refusals: the condition names the column.
    #expect(
      connection.refusal(of: "alter table t alter column x type double precision")?.sqlState
        == "0A000")
    #expect(connection.refusal(of: "alter table t drop column x")?.sqlState == "2BP01")
    try connection.runScript("alter table t alter column note type bigint")
    #expect(try connection.texts("select name from rowcast.silent_triggers(1)") == [])

    for statement in [
      "alter table t rename column x to y; alter table t add column x real default 3",
      "alter table t drop column x cascade; alter table t add column x real default 5",
      "create table heir () inherits (t)",
    ] {
      try connection.runScript(statement)
      #expect(
        try connection.texts("select state from rowcast.silent_triggers(1)") == ["missing"],
        "\(statement)")
      try connection.runScript("drop table if exists heir; select rowcast.check_scorer('s')")
      #expect(try connection.texts("select name from rowcast.silent_triggers(1)") == [])
      try connection.runScript("update t set x = x + 1 where id < 4")
      try lane.settle()
      #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    }
    // The way that loses nothing and needs nobody's help.
    try connection.runScript(
      """
      begin; select rowcast.watch_each_row('s', false);
      alter table t alter column x type double precision using x * 3; commit;
      select rowcast.watch_definitions();
      select rowcast.watch_each_row('s');
      """)
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")

    try connection.runScript("select rowcast.drop_scorer('s')")
    #expect(
      try connection.texts(
        """
        select tgname::text from pg_trigger where tgrelid = 't'::regclass
        union all select proname::text from pg_proc where proname ~ '^capture_.*_[0-9]+$'
        """) == [])
  }

  @Test func onlyPlainTablesAreCapturedByRows() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table p (id int, r int, x real, primary key (id, r)) partition by list (r);
      create table p1 partition of p for values in (1);
      create table p2 (id int not null, r int not null, x real, primary key (id, r));
      select rowcast.create_scorer('whole', 'p', 'double');
      select rowcast.create_scorer('part', 'p1', 'double');
      select rowcast.create_scorer('later', 'p2', 'double');
      select rowcast.watch_each_row('later');
      """)
    for scorer in ["whole", "part"] {
      let refusal = connection.refusal(of: "select rowcast.watch_each_row(\(scorer))")
      #expect(refusal?.sqlState == "RC301")
    }
    #expect(
      try connection.texts("select relation_name from rowcast.source where each_row")
        == ["public.p2"])
    // A table that becomes a partition has statement triggers from then on.
    try connection.runScript(
      """
      alter table p attach partition p2 for values in (2);
      select rowcast.watch_partitions();
      """)
    #expect(
      try connection.texts("select distinct name from rowcast.silent_triggers(3)") == [])
    let lane = try TestLane()
    try connection.runScript(
      """
      insert into p select g, 1 + g % 2, g from generate_series(1, 20) as g;
      update p set r = 3 - r where id < 10;
      update p2 set x = -1 where id > 15;
      """)
    try lane.settle()
    #expect(try connection.value("select test.difference('p', 'whole', 'id, r')") == "")
    #expect(try connection.value("select test.difference('p1', 'part', 'id, r')") == "")
    #expect(try connection.value("select test.difference('p2', 'later', 'id, r')") == "")
  }

  @Test func moreKeysThanAreReadAtOnceAreLogged() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id text primary key, x real);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      """)
    for count in [4097, 8192, 131_072, 131_073] {
      try connection.run("insert into t select g, g from generate_series(1, \(count)) as g")
      let logged = try connection.run(
        """
        select count(*), sum(key_count)::bigint, max(key_count)::bigint,
               (select count(distinct k) from rowcast.change as c, unnest(c.keys::text[]) as k),
               bool_and(key_count = cardinality(keys::text[])) from rowcast.change
        """)
      #expect(try logged.value(0, 0, as: Int.self) == (count + 4095) / 4096)
      #expect(try logged.value(0, 1, as: Int.self) == count)
      #expect(try logged.value(0, 2, as: Int.self) == 4096)
      #expect(try logged.value(0, 3, as: Int.self) == count)
      #expect(try logged.value(0, 4, as: Bool.self))
      try connection.runScript("delete from t; truncate rowcast.change_0, rowcast.change_1")
    }
  }

  /// A path of their own: in the session of a writer there is no plan of the query for many keys.
  @Test(arguments: [
    "insert into t values (11, 1)", "update t set note = 1 where id = 1",
    "update t set x = 100 where id = 1", "update t set id = 12 where id = 1",
    "delete from t where id = 1",
  ])
  func statementsOfOneRowMakeNoPlanForMany(statement: String) throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, note int);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      insert into t select g, g from generate_series(1, 10) as g;
      """)
    let writer = try Database.current.connect()
    let plans: Query = """
      select count(*) from pg_backend_memory_contexts
      where name = 'CachedPlanSource' and ident like '%array_agg(i' || '.k)%'  -- Not this query's own.
      """
    try writer.runScript(statement)
    #expect(try writer.value(plans, as: Int.self) == 0)
    try writer.runScript("update t set x = 3; delete from t; insert into t values (1), (2)")
    #expect(try writer.value(plans, as: Int.self) == 3)
  }
}
