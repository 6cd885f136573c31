import Postgres
import Schema
import TestSupport
import Testing

/// What becomes of a scorer when its source is altered, whether or not anything is written.
@Suite(.database) struct DefinitionTests {
  /// A scorer over `public.t (id, x, note)` whose ten rows are scored.
  private func prepare() throws -> (Connection, TestLane) {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, note text);
      insert into t select g, g from generate_series(1, 10) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.run("select rowcast.watch_definitions()")
    try lane.settle()
    return (connection, lane)
  }

  private func state(_ connection: Connection) throws -> String {
    try connection.value(
      "select state || coalesce(': ' || state_reason, '') from rowcast.scorer_status")
  }

  struct Change: Sendable, CustomTestStringConvertible {
    var statement: String
    var reason: String
    var mend: String?
    var testDescription: String { statement }
  }

  static let refused = [
    Change(
      statement: "alter table t drop column x",
      reason: "column \"x\" of source \"public.t\" is gone",
      mend: "alter table t add column x real default 7"),
    Change(
      statement: "alter table t rename column x to y",
      reason: "column \"x\" of source \"public.t\" is gone",
      mend: "alter table t rename column y to x"),
    Change(
      statement: "alter table t alter column x type text",
      reason: "column \"x\" of source \"public.t\" is text, which does not fit the model any more",
      mend: "alter table t alter column x type real using x::real + 1"),
    Change(
      statement: "alter table t rename column id to number",
      reason: "key column \"id\" of source \"public.t\" is gone",
      mend: "alter table t rename column number to id"),
    Change(
      statement: "alter table t alter column id type bigint",
      reason:
        "key column \"id\" of source \"public.t\" is bigint, it was integer when the scorer was made",
      mend: "alter table t alter column id type int"),
    Change(
      statement: "alter table t drop constraint t_pkey",
      reason: "key (id) of source \"public.t\" is not unique any more",
      mend: "alter table t add unique (id)"),
    Change(
      statement: "alter table t drop constraint t_pkey, alter column id drop not null",
      reason: "key column \"id\" of source \"public.t\" may be null now",
      mend: "alter table t add primary key (id)"),
    Change(
      statement: "alter table t enable row level security",
      reason: "source \"public.t\" has row security",
      mend: "alter table t disable row level security"),
    Change(
      statement: "alter table t disable trigger all",
      reason: "a trigger of Rowcast on source \"public.t\" is disabled",
      mend: "alter table t enable trigger all"),
    Change(
      statement: "alter table t enable replica trigger rowcast_update_1",
      reason: "a trigger of Rowcast on source \"public.t\" fires for replicas only",
      mend: "alter table t enable trigger rowcast_update_1"),
    Change(
      statement: "revoke select on t from rowcast_worker",
      reason: "workers may not read source \"public.t\" any more",
      mend: "grant select on t to rowcast_worker"),
    Change(
      statement: "create schema closed; alter table t set schema closed",
      reason: "workers may not read source \"closed.t\" any more",
      mend: "alter table closed.t set schema public"),
    Change(
      statement: "create table heir () inherits (t)",
      reason: "source \"public.t\" has inheriting tables",
      mend: "drop table heir"),
    Change(
      statement: "drop table t", reason: "source \"public.t\" was dropped", mend: nil),
  ]

  @Test(arguments: refused)
  func aChangeThatDoesNotFitSuspends(change: Change) throws {
    let (connection, lane) = try prepare()
    try connection.runScript(change.statement)
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 1)
    #expect(try state(connection) == "suspended: \(change.reason)")
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 0)
    let refusal = connection.refusal(of: "select rowcast.rescore('s')")
    #expect(refusal?.sqlState == "RC306")
    #expect(refusal?.message == "scorer \"s\" cannot score: \(change.reason)")
    guard let mend = change.mend else { return }

    // Whoever mends it finds all rows as they are then.
    try connection.runScript(mend)
    #expect(try connection.texts("select rowcast.check_suspended()") == ["s"])
    #expect(try state(connection) == "active")
    try connection.runScript("insert into t values (11, 11); update t set x = 70 where id = 1")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 0)
    #expect(try AuditTests.audit(connection).isConsistent)
  }

  @Test(arguments: [
    "alter table t add column other int not null default 3",
    "alter table t drop column note",
    "alter table t alter column note type varchar(90)",
    "alter table t rename column note to remark",
    "create index on t (x)",
    "alter table t set (fillfactor = 50)",
    "comment on table t is 'x'",
    "create role owner_of_t; alter table t owner to owner_of_t",
    "alter table t add check (id > 0)",
  ])
  func aHarmlessChangeChangesNothing(statement: String) throws {
    let (connection, lane) = try prepare()
    defer {
      try? connection.runScript("alter table t owner to postgres; drop role if exists owner_of_t")
    }
    try connection.runScript(statement)
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 0)
    #expect(try state(connection) == "active")
    try connection.runScript("insert into t values (11, 11); update t set x = 70 where id = 1")
    #expect(try connection.tick().changes == 2)
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(try connection.value("select count(*) from rowcast.job", as: Int.self) == 1)
  }

  @Test(arguments: [
    ("alter table t rename to u", "public.u"),
    (
      "create schema s2; grant usage on schema s2 to rowcast_worker; alter table t set schema s2",
      "s2.t"
    ),
    ("alter table t rename to \"T t\"", "public.\"T t\""),
  ])
  func aRenamedSourceIsFollowed(statement: String, name: String) throws {
    let (connection, lane) = try prepare()
    try connection.runScript(statement)
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 1)
    #expect(try state(connection) == "active")
    #expect(try connection.texts("select source from rowcast.scorer_status") == [name])
    try connection.runScript(
      "insert into \(name) values (11, 11); update \(name) set x = 70 where id = 1")
    try lane.settle()
    #expect(try connection.value("select test.difference(\(name), 's', 'id')") == "")
    try connection.runScript("truncate \(name); insert into \(name) values (12, 1)")
    try lane.settle()
    #expect(try connection.value("select test.difference(\(name), 's', 'id')") == "")
    // Nothing was scored that was not written.
    #expect(try connection.value("select count(*) from rowcast.job", as: Int.self) == 1)
  }

  @Test func aLaneThatMeetsTheOldNameOnlyReadsAnew() throws {
    let (connection, _) = try prepare()
    let before: Int = try connection.value("select revision from rowcast.load_scorer(1)")
    try connection.run("alter table t rename to u")
    let suspend: Query = "select rowcast.suspend_scorer(1, 'relation is gone', \(before))"
    #expect(try connection.value(suspend) == false)
    // Another lane that had claimed before.
    #expect(try connection.value(suspend) == false)
    #expect(try connection.value("select revision from rowcast.load_scorer(1)") == before + 1)
    #expect(
      try connection.value("select rowcast.suspend_scorer(1, 'another', \(before + 1))") == true)
  }

  @Test(arguments: [
    "alter table t alter column x type double precision using x * 3",
    "alter table t drop column x; alter table t add column x real default 5",
  ])
  func valuesThatMayBeOthersAreScoredAgain(statement: String) throws {
    let (connection, lane) = try prepare()
    try connection.runScript(statement)
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 1)
    #expect(try state(connection) == "active")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    try connection.runScript("update t set x = 70 where id = 1")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 0)
  }

  @Test func aSecondScorerOfMoreColumnsIsNoChange() throws {
    let (connection, lane) = try prepare()
    try connection.runScript(
      """
      select test.model('two', '[{"name": "x", "type": "float32", "missing": "refused"},
                                 {"name": "note", "type": "string", "missing": "refused"}]',
                        '[{"name": "score", "type": "float32", "role": "score"}]');
      select rowcast.create_scorer('s2', 't', 'two', backfill => false);
      """)
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 0)
    try connection.run("alter table t alter column note type varchar(90)")
    #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 1)
    try connection.run("select rowcast.drop_scorer('s2')")
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func eachSourceHasItsTurn() throws {
    let connection = try Database.current.prepared()
    for number in 1...5 {
      try connection.runScript(
        """
        create table t\(number) (id int primary key, x real);
        select rowcast.create_scorer('s\(number)', 't\(number)', 'double');
        alter table t\(number) drop column x;
        """)
    }
    #expect(
      try eventually {
        try connection.run("select rowcast.watch_definitions(2)")
        return try connection.value(
          "select count(*) = 5 from rowcast.scorer_status where state = 'suspended'")
      })
  }

  @Test func triggersThatADropperCouldNotDropAreRemovedByTheirOwner() throws {
    let connection = try Database.current.prepared()
    let role = "analyst_\(Database.current.name)"
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      create role \(role); grant rowcast_analyst to \(role);
      grant select, trigger on t to \(role); grant select on t to rowcast_worker;
      grant usage on schema public to \(role), rowcast_worker;
      """)
    defer { try? connection.runScript("reset role; drop owned by \(role); drop role \(role)") }
    try connection.runScript(
      """
      set role \(role);
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.drop_scorer('s');
      reset role;
      """)
    let left: Query = "select count(*) from pg_trigger where tgrelid = 't'::regclass"
    #expect(try connection.value(left) == 4)
    try connection.run("insert into t values (1, 1)")
    #expect(try connection.value("select count(*) from rowcast.change", as: Int.self) == 0)
    try connection.run("select * from rowcast.tidy()")
    #expect(try connection.value(left) == 0)
    #expect(
      try connection.texts(
        "select proname::text from pg_proc where proname ~ '^capture_.*_[0-9]+$'") == [])
  }

  @Test func creationSaysWhatIsWrong() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table "My Table" (id int primary key, x real);
      select rowcast.register_model('fresh', 'bytes'::bytea, 'champion');
      """)
    let unquoted = connection.refusal(
      of: "select rowcast.create_scorer('s', 'My Table', 'double')")
    #expect(unquoted?.sqlState == "RC301")
    #expect(unquoted?.message == "source \"My Table\" is not the name of a table")
    #expect(unquoted?.hint?.contains(#"'"My Table"'"#) == true)
    try connection.run("select rowcast.create_scorer('s', '\"My Table\"', 'double')")

    let fresh: Query = "select rowcast.create_scorer('f', '\"My Table\"', 'fresh')"
    let waiting = connection.refusal(of: fresh)
    #expect(waiting?.sqlState == "RC103")
    #expect(waiting?.message == "model \"fresh\" 1 is not ready: no worker has inspected it yet")
    try connection.run(
      """
      select rowcast.record_inspection(
          (select m.model_id from rowcast.model as m where m.name = 'fresh'), 1, null, 'no tree')
      """)
    let refused = connection.refusal(of: fresh)
    #expect(refused?.sqlState == "RC102")
    #expect(refused?.message == "model \"fresh\" 1 was refused: no tree")
    let alias = connection.refusal(
      of: "select rowcast.create_scorer('d', '\"My Table\"', 'double', alias => 'best')")
    #expect(alias?.sqlState == "RC101")
    #expect(alias?.detail == "It has \"champion\".")
  }
}
