import Postgres
import Schema
import TestSupport
import Testing

/// Defects of the pipeline's SQL that were found by attacking it, each reduced to what decides it.
@Suite(.database) struct PipelineRegressionTests {
  // MARK: Code of a table's owner

  @Test func codeOfAnOwnerNeverRunsAsAdmin() throws {
    let (admin, owner) = try scene()
    // A domain's check, casts of a key's type, a policy; each notes as whom it ran.
    try owner.runScript(
      """
      create domain own.number as int check (own.note('check'));
      create table own.by_domain (id own.number primary key, x real);
      select rowcast.create_scorer('by_domain', 'own.by_domain', 'double');
      insert into own.by_domain values (1, 1);

      create type own.letter as enum ('a', 'b');
      create function own.to_text(own.letter[]) returns text language plpgsql as
        'begin perform own.note(''cast''); return ''{a}''; end';
      create cast (own.letter[] as text) with function own.to_text(own.letter[]);
      create function own.to_letters(text) returns own.letter[] language plpgsql as
        'begin perform own.note(''cast''); return ''{a}''; end';
      create cast (text as own.letter[]) with function own.to_letters(text);
      create table own.by_enum (id own.letter primary key, x real);
      select rowcast.create_scorer('by_enum', 'own.by_enum', 'double');
      insert into own.by_enum values ('a', 1), ('b', 2);
      update own.by_enum set x = 3;
      update own.by_enum set x = 4 where id = 'a';

      create function own.to_int(own.letter) returns int language plpgsql as
        'begin perform own.note(''altered''); return 1; end';
      create cast (own.letter as int) with function own.to_int(own.letter) as implicit;
      create table own.altered (id int, part int, x real, primary key (id, part));
      select rowcast.create_scorer('altered', 'own.altered', 'double');
      alter table own.altered alter id type own.letter using 'a';
      insert into own.altered values ('a', 1, 1), ('b', 1, 2);
      update own.altered set x = 3;

      create table own.by_policy (id int primary key, x real);
      select rowcast.create_scorer('by_policy', 'own.by_policy', 'double');
      alter table own.by_policy enable row level security;
      create policy everyone on own.by_policy using (own.note('policy'));
      insert into own.by_policy values (1, 1);
      do $$ begin
          perform rowcast.rescore('by_policy');
      exception when sqlstate 'RC306' then
          null;
      end $$;
      """)
    try admin.runScript("select scene.work('by_domain'); select rowcast.check_scorer('by_policy')")
    #expect(
      try admin.texts("select distinct what from own.noted where who = 'rowcast_admin'") == [])
    #expect(try admin.value("select count(*) from predictions.by_domain", as: Int.self) == 1)
  }

  @Test func namesOfColumnsStayNames() throws {
    let (admin, owner) = try scene()
    for (number, name) in [
      "x$body$;select own.note($$ran$$);--", "a, b", "a\"b", "$lo", "%1$I %s", "missing_1", "own",
      "tick",
    ].enumerated() {
      try owner.run(
        "create table \(identifier: "own").t (\(identifier: name) int primary key, x real)")
      try owner.run("select from rowcast.create_scorer(\("s\(number)"), 'own.t', 'double')")
      try owner.run("select rowcast.keep_history(\("s\(number)"))")
      try owner.runScript("insert into own.t values (1, 1), (2, 2)")
      try owner.runScript("select scene.work()")
      try owner.runScript("update own.t set x = 3 where x = 2")
      try owner.runScript("select scene.work()")
      try owner.runScript("delete from own.t where x = 1")
      try owner.runScript("select scene.work()")
      #expect(
        try admin.value(
          "select count(*) from predictions.\(identifier: "s\(number)")", as: Int.self)
          == 1, "\(name)")
      #expect(
        try admin.value(
          "select count(*) from predictions.\(identifier: "s\(number)_history")", as: Int.self)
          == 2, "\(name)")
      try owner.run("select from rowcast.drop_scorer(\("s\(number)"))")
      try owner.runScript("drop table own.t")
    }
    #expect(try admin.texts("select what from own.noted") == [])
  }

  @Test func maintenanceLendsNobodyItsRights() throws {
    let (admin, owner) = try scene()
    try admin.runScript("create table public.secret (id int primary key, x real)")
    try owner.runScript(
      """
      create function own.steal(x int) returns int language plpgsql immutable as $$
      begin
        perform rowcast.add_scorer('stolen', 'public.secret'::regclass, 'double', null, 'champion',
                                   null, null, null, null);
        return x;
      exception when others then
        return x;
      end $$;
      create table own.bait (x int);
      insert into own.bait values (1);
      create index on own.bait (own.steal(x));
      """)
    // Runs the function as the owner, in a superuser's session: as autovacuum does unasked.
    try admin.runScript("analyze own.bait")
    #expect(try admin.value("select count(*) from rowcast.scorer", as: Int.self) == 0)
  }

  // MARK: Transactions beside one another

  @Test func rowsThatComeWhileAScorerIsMadeAreScored() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      insert into own.t values (1, 1);
      select rowcast.create_scorer('first', 'own.t', 'double');
      """)
    try owner.runScript("begin isolation level repeatable read; select from own.t")
    // Beyond the last key that the transaction sees, and collected before its scorer is there.
    try admin.runScript("insert into own.t values (2, 2)")
    try admin.runScript("select from rowcast.tick('{}', 1)")
    try owner.runScript("select rowcast.create_scorer('second', 'own.t', 'double')")
    try admin.runScript("insert into own.t values (3, 3)")
    try admin.runScript("select from rowcast.tick('{}', 1)")
    try owner.runScript("commit")
    try admin.runScript("select scene.work()")
    #expect(
      try admin.texts("select id::text from predictions.second order by id") == ["1", "2", "3"])
  }

  @Test func anOpenTransactionDoesNotStopTheTicks() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('one', 'own.t', 'double');
      select rowcast.create_scorer('two', 'own.t', 'double');
      """)
    try owner.runScript("select scene.work()")
    try owner.runScript("begin; select rowcast.rescore('one'), rowcast.pause_scorer('two')")
    try admin.runScript("set statement_timeout = '60s'")
    try admin.runScript("insert into own.t values (1, 1)")
    #expect(try admin.value("select change_count from rowcast.tick('{}', 1)", as: Int.self) == 1)
    try owner.runScript("commit")
    try owner.runScript("select rowcast.resume_scorer('two')")
    try admin.runScript("select from rowcast.tidy()")
    try admin.runScript("select scene.work()")
    #expect(try admin.value("select count(*) from predictions.two", as: Int.self) == 1)
  }

  @Test func aScorerMadeBesideTheDropOfTheLastOneHasItsTriggers() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('old', 'own.t', 'double');
      """)
    try owner.runScript("begin; select rowcast.drop_scorer('old')")
    let settings = Database.current.settings
    let maker = Background {
      let connection = try Connection(settings)
      try connection.run("select from rowcast.create_scorer('new', 'own.t', 'double')")
    }
    #expect(
      try eventually {
        try admin.value(
          """
          select exists (select from pg_stat_activity
                         where wait_event_type = 'Lock' and datname = current_database())
          """, as: Bool.self)
      })
    try owner.runScript("commit")
    try maker.value()
    #expect(
      try admin.value(
        "select count(*) from pg_trigger where tgrelid = 'own.t'::regclass", as: Int.self) == 4)
  }

  // MARK: One that is broken

  @Test func aDroppedSourceStopsNoOtherJob() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.gone (id int primary key, x real);
      create table own.kept (id int primary key, x real);
      insert into own.gone values (1, 1);
      insert into own.kept values (1, 1);
      select rowcast.create_scorer('gone', 'own.gone', 'double');
      select rowcast.create_scorer('kept', 'own.kept', 'double');
      """)
    try owner.runScript("drop table own.gone")
    try owner.runScript("select scene.work('kept')")
    #expect(try admin.value("select count(*) from predictions.kept", as: Int.self) == 1)
    #expect(
      try admin.texts("select name from rowcast.scorer where state = 'suspended'") == ["gone"])
  }

  @Test func aChildOfTheLogThatIsWrittenToKeepsNoNote() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('one', 'own.t', 'double');
      insert into own.t values (1, 1);
      """)
    // As it is left when the file of a child shrinks to nothing without the rotation's doing.
    try admin.runScript(
      "update rowcast.change_child set closed_at_xid = 3 where slot = 0")
    #expect(try admin.value("select rowcast.rotate_log(1)", as: String.self) == "note removed")
    #expect(try admin.value("select rowcast.rotate_log(1)", as: String.self) == "closed")
    #expect(try admin.value("select rowcast.rotate_log(1)", as: String.self) == "noted")
  }

  @Test func changesAreFoundAfterARestoreOnAYoungerServer() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('one', 'own.t', 'double');
      insert into own.t values (1, 1);
      """)
    // The cursor and a change as a dump brings them, with ids that this server has yet to give.
    try admin.runScript(
      """
      update rowcast.change_0 set xid = 900000000;
      insert into rowcast.tick (snapshot) values ('900000001:900000001:');
      """)
    try owner.runScript("insert into own.t values (2, 2)")
    #expect(try admin.value("select change_count from rowcast.tick('{}', 1)", as: Int.self) == 2)
    try owner.runScript("insert into own.t values (3, 3)")
    #expect(try admin.value("select change_count from rowcast.tick('{}', 1)", as: Int.self) == 1)
  }

  @Test func roundTripsAloneDoNotShrinkChunks() throws {
    let (admin, owner) = try scene()
    try owner.runScript(
      """
      create table own.t (id int primary key, x real);
      select rowcast.create_scorer('one', 'own.t', 'double');
      """)
    for _ in 0..<12 {
      try admin.runScript(
        """
        delete from rowcast.chunk;
        insert into rowcast.chunk (scorer_id, tick_id, key_count, priority, kind, state, claimed_at,
                                   finished_at)
        select s.scorer_id, 1, s.chunk_rows, 0, 'truncate', 'done',
               clock_timestamp() - interval '150 milliseconds', clock_timestamp()
        from rowcast.scorer as s, generate_series(1, 8);
        select from rowcast.tidy();
        """)
    }
    #expect(try admin.value("select chunk_rows from rowcast.scorer", as: Int.self) >= 256)
  }

  private func scene() throws -> (admin: Connection, owner: Connection) { try OwnerScene.make() }
}
