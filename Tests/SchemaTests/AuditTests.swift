import Foundation
import Postgres
import Schema
import TestSupport
import Testing

/// Audits: what triggers could not see is found and healed, what is on its way is left alone.
@Suite(.database) struct AuditTests {
  struct Found: Equatable {
    var rows = 0
    var scored = 0
    var failed = 0
    var missing = 0
    var orphaned = 0
    var stale = 0
    var isConsistent = true
  }

  static func audit(_ connection: Connection, _ scorer: String = "s", repair: Bool = false) throws
    -> Found
  {
    let rows = try connection.run("select * from rowcast.audit(\(scorer), \(repair))")
    return Found(
      rows: try rows.value(0, "rows"), scored: try rows.value(0, "scored"),
      failed: try rows.value(0, "failed"), missing: try rows.value(0, "missing"),
      orphaned: try rows.value(0, "orphaned"), stale: try rows.value(0, "stale"),
      isConsistent: try rows.value(0, "consistent"))
  }

  /// What the server's process of a session has used, in user and system mode.
  static func processorSeconds(_ connection: Connection) throws -> Double {
    let status = try String(contentsOfFile: "/proc/\(connection.backendPID)/stat", encoding: .utf8)
    // After the name, which is in brackets, the 12th and 13th field: clock ticks of 10 ms.
    let fields = status[(status.lastIndex(of: ")") ?? status.startIndex)...].split(separator: " ")
    return ((Double(fields[12]) ?? 0) + (Double(fields[13]) ?? 0)) / 100
  }

  /// A table, how its rows are written, and keys as the examples show them.
  struct Source: Sendable, CustomTestStringConvertible {
    var columns: String
    var key: String
    var row: @Sendable (Int) -> String
    var testDescription: String { columns }
    var keys: String { key }

    init(_ columns: String, _ key: String, _ row: @escaping @Sendable (Int) -> String) {
      self.columns = columns
      self.key = key
      self.row = row
    }

    func insert(_ numbers: ClosedRange<Int>, x: String = "1") -> String {
      "insert into t select * from (values "
        + numbers.map { "(\(row($0)), \(x)::real)" }.joined(separator: ", ") + ") as v;"
    }
  }

  static let sources = [
    Source("id int primary key", "id") { "\($0)" },
    Source("id bigint primary key", "id") { "\($0)::bigint << 33" },
    Source("id text primary key", "id") { "'k''\\ ,{' || \($0)" },
    Source("id uuid primary key", "id") { "md5('\($0)')::uuid" },
    Source("id timestamptz primary key", "id") {
      "'2020-01-01'::timestamptz + \($0) * '7h'::interval"
    },
    Source("a int, id text, primary key (a, id)", "a, id") { "\($0 % 3), 'k' || \($0)" },
    Source("id mood primary key", "id") { "'m\($0)'::mood" },
    Source("id grade primary key", "id") { "\($0)::grade" },
  ]

  @Test(arguments: sources)
  func whatTriggersDidNotSeeIsFoundAndHealed(source: Source) throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create type mood as enum (\((1...60).map { "'m\($0)'" }.joined(separator: ", ")));
      create domain grade as int check (value > 0);
      create table t (\(source.columns), x real);
      \(source.insert(1...40))
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    let healthy = Found(rows: 40, scored: 40)
    #expect(try Self.audit(connection) == healthy)

    // Triggers fire for none of these.
    let key = source.key.contains(",") ? "(\(source.key))" : source.key
    func matches(_ numbers: ClosedRange<Int>) -> String {
      "\(key) in (\(numbers.map { "(\(source.row($0)))" }.joined(separator: ", ")))"
    }
    try connection.runScript(
      """
      set session_replication_role = replica;
      \(source.insert(41...45))
      delete from t where \(matches(1...3));
      update t set x = 7 where \(matches(10...13));
      update t set x = null where \(matches(14...14));
      reset session_replication_role;
      """)
    let wanted = Found(
      rows: 42, scored: 37, missing: 5, orphaned: 3, stale: 5, isConsistent: false)
    #expect(try Self.audit(connection) == wanted)
    // Neither reports nor changes more the second time.
    #expect(try Self.audit(connection) == wanted)
    #expect(try connection.value("select count(*) from rowcast.audit_finding", as: Int.self) == 0)
    #expect(try lane.work() == 0)

    #expect(try Self.audit(connection, repair: true) == wanted)
    // What is on its way is no finding.
    #expect(try Self.audit(connection).isConsistent)
    try lane.settle()
    #expect(
      try Self.audit(connection) == Found(rows: 42, scored: 41, failed: 1))
    #expect(
      try connection.value(
        "select test.difference('t', 's', \(source.keys.replacing(" ", with: "")))") == "")
    try connection.run("select rowcast.conclude_audits()")
    #expect(
      try connection.texts(
        """
        select format('%s %s %s %s %s %s', missing, orphaned, stale, stale_changed, repaired, state)
        from rowcast.audits where stale > 0 order by audit_id
        """) == ["5 3 5  0 done", "5 3 5  0 done", "5 3 5 5 13 done"])
    #expect(try connection.value("select count(*) from rowcast.audit_finding", as: Int.self) == 0)
  }

  @Test func anUpdateOfOtherColumnsOnlyLooksStale() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, note text);
      insert into t select g, g from generate_series(1, 10) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      """
      update t set note = 'seen' where id <= 4;
      set session_replication_role = replica;
      update t set x = 50 where id = 4;
      reset session_replication_role;
      """)
    let found = try Self.audit(connection, repair: true)
    #expect(found.stale == 4 && found.missing == 0)
    try lane.settle()
    #expect(try Self.audit(connection) == Found(rows: 10, scored: 10))
    try connection.run("select rowcast.conclude_audits()")
    #expect(
      try connection.numbers(
        "select stale_changed::int8 from rowcast.audits where repaired > 0") == [1])
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func workThatIsUnderWayIsNoFinding() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, g from generate_series(1, 3000) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    // A job that is not begun, one that is cut in part, a chunk that runs.
    #expect(try Self.audit(connection) == Found(rows: 3000))
    try connection.run("select rowcast.make_job_chunks(1, 1)")
    #expect(try Self.audit(connection) == Found(rows: 3000))
    let first = try lane.claim()[0]
    try lane.read(first)
    #expect(try Self.audit(connection) == Found(rows: 3000))
    try lane.write(first)
    #expect(try Self.audit(connection) == Found(rows: 3000, scored: 1024))
    try lane.settle()

    // A change that no tick has collected, one whose chunk is open, a transaction that is open.
    let writer = try Database.current.connect()
    try writer.runScript(
      """
      begin; insert into t values (5001, 1); update t set x = 3 where id = 7;
      delete from t where id = 8;
      """)
    #expect(try Self.audit(connection) == Found(rows: 3000, scored: 3000))
    try writer.runScript("commit")
    #expect(try Self.audit(connection) == Found(rows: 3000, scored: 2999))
    try connection.tick()
    #expect(try Self.audit(connection) == Found(rows: 3000, scored: 2999))
    try lane.work()
    #expect(try Self.audit(connection) == Found(rows: 3000, scored: 3000))

    // A truncation, and chunks that are held.
    try connection.run("select rowcast.pause_scorer('s')")
    try connection.run("truncate t")
    #expect(try Self.audit(connection) == Found())
    try connection.tick()
    #expect(try Self.audit(connection) == Found())
    try connection.run("select rowcast.resume_scorer('s')")
    try lane.settle()
    #expect(try Self.audit(connection) == Found())

    // A chunk that was given up is one.
    try connection.run("insert into t values (1, 1), (2, 2)")
    try connection.tick()
    let given = try lane.claim()[0]
    try connection.run("select rowcast.fail_chunk(\(given.chunk), \(given.attempt), 'why')")
    #expect(try Self.audit(connection) == Found(rows: 2, missing: 2, isConsistent: false))
  }

  @Test func setsOfResultsAreAudited() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table q (id int primary key, a real, note text);
      create table faq (fid int primary key, b real);
      insert into q select g, g from generate_series(1, 6) as g;
      insert into faq values (1, 1), (2, 2);
      select rowcast.create_scorer('pairs', 'q', 'double', result_key => array['fid'], feature_query =>
          'select q.id, faq.fid, q.a + faq.b as x from q, faq where q.id <> 6');
      """)
    let lane = try TestLane()
    try lane.settle()
    // The query has no row for key 6, which is its right.
    let healthy = Found(rows: 6, scored: 5, missing: 1)
    #expect(try Self.audit(connection, "pairs") == healthy)
    try connection.runScript(
      """
      set session_replication_role = replica;
      insert into q values (7, 7);
      update q set a = 9 where id = 1;
      update q set note = 'x' where id = 2;
      delete from q where id = 3;
      reset session_replication_role;
      """)
    #expect(
      try Self.audit(connection, "pairs", repair: true)
        == Found(rows: 6, scored: 4, missing: 2, orphaned: 1, stale: 2, isConsistent: false))
    try lane.settle()
    try connection.run("select rowcast.conclude_audits()")
    #expect(
      try connection.numbers(
        "select stale_changed::int8 from rowcast.audits where repaired > 0") == [1])
    #expect(try Self.audit(connection, "pairs") == healthy)
    #expect(
      try connection.numbers(
        "select score::int8 from predictions.pairs where id in (1, 7) order by 1")
        == [16, 18, 20, 22])
  }

  @Test func rowsOfAnUnwatchedPartitionAreFound() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int, x real, primary key (id)) partition by range (id);
      create table t1 partition of t for values from (0) to (100);
      insert into t select g, g from generate_series(1, 50) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      """
      create table t2 (id int primary key, x real);
      insert into t2 values (100, 1), (101, 2);
      alter table t attach partition t2 for values from (100) to (200);
      insert into t2 values (102, 3);
      """)
    #expect(
      try Self.audit(connection, repair: true)
        == Found(rows: 53, scored: 50, missing: 3, isConsistent: false))
    try lane.settle()
    #expect(try Self.audit(connection) == Found(rows: 53, scored: 53))
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aHealthyTableOfAMillionRowsIsProvedInSeconds() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id bigint primary key, x real);
      insert into t select g, g from generate_series(1, 1000000) as g;
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      insert into predictions.s select id, 2 * x, 'double', 1, 1 from t;
      """)
    // Processor time: other tests run beside this one.
    let before = try Self.processorSeconds(connection)
    #expect(try Self.audit(connection) == Found(rows: 1_000_000, scored: 1_000_000))
    #expect(try Self.processorSeconds(connection) - before < 5)
  }

  @Test func keysAreShownToWhoMayReadThem() throws {
    let connection = try Database.current.prepared()
    let role = "analyst_\(Database.current.name)"
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double');
      insert into predictions.s values (9, 1, 'double', 1, 1);
      set session_replication_role = replica;
      insert into t values (1, 1);
      reset session_replication_role;
      select rowcast.make_job_chunks(1, 1);
      create role \(role); grant rowcast_analyst to \(role);
      """)
    defer { try? connection.runScript("reset role; drop owned by \(role); drop role \(role)") }
    try TestLane().settle()
    try connection.runScript(
      """
      delete from predictions.s; insert into predictions.s values (9, 1, 'double', 1, 1);
      """)
    let question: Query = "select examples::text from rowcast.audit('s')"
    #expect(try connection.texts(question) == [#"{"missing": [1], "orphaned": [9]}"#])
    try connection.runScript("set role \(role)")
    #expect(try connection.texts(question) == [#"{"orphaned": [9]}"#])
  }

  @Test func whatCannotBeAuditedIsRefused() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double');
      """)
    #expect(connection.refusal(of: "select rowcast.audit('x')")?.sqlState == "RC306")
    #expect(connection.refusal(of: "select rowcast.audit('s', null)")?.sqlState == "RC303")
    try connection.runScript("begin isolation level repeatable read")
    #expect(connection.refusal(of: "select rowcast.audit('s')")?.sqlState == "RC308")
    try connection.runScript("rollback; alter table t drop column x")
    let refusal = connection.refusal(of: "select rowcast.audit('s')")
    #expect(refusal?.sqlState == "RC306")
    #expect(
      refusal?.message
        == "scorer \"s\" cannot be audited: column \"x\" of source \"public.t\" is gone")
  }

  @Test func backgroundAuditsKeepTheirBudgetAndHeal() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, g from generate_series(1, 1000) as g;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    let lane = try TestLane()
    try lane.settle()
    func step() throws -> String? {
      let rows = try connection.run(
        """
        select format('%s %s %s', scorer, findings, pause between '100 ms' and '1 s') from
        (select scorer, findings, pause + '100 ms' as pause from rowcast.take_audit_step()) as s
        where scorer is not null
        """)
      return rows.count == 0 ? nil : try rows.value(0, 0, as: String.self)
    }
    // Once a day where nobody says else; a new scorer is not audited at once.
    #expect(try step() == nil)
    #expect(try connection.value("select rowcast.audits_due()") == false)
    try connection.run("select rowcast.set_audit('s', '1 millisecond', 4000)")
    try connection.runScript(
      "set session_replication_role = replica; insert into t values (5000, 1); "
        + "reset session_replication_role; select pg_sleep(0.01)")
    #expect(try connection.value("select rowcast.audits_due()") == true)
    #expect(try step() == "s 0 t")
    #expect(try step() == "s 0 t")
    #expect(try connection.numbers("select \"rows\" from rowcast.audits") == [800])
    #expect(try step() == "s 1 t")
    #expect(
      try connection.texts(
        "select format('%s %s %s %s', state, \"rows\", missing, repaired) from rowcast.audits")
        == ["done 1001 1 1"])
    try lane.settle()
    #expect(try connection.numbers("select id from predictions.s where id = 5000") == [5000])

    // What cannot be compared fails, and says why; the next time it is tried again.
    try connection.runScript("alter table t rename column x to y; select pg_sleep(0.01)")
    _ = try step()
    #expect(
      try connection.texts("select error from rowcast.audits where state = 'failed'").first
        == "scorer \"s\" cannot be audited: column \"x\" of source \"public.t\" is gone")
    try connection.run("select rowcast.set_audit('s', null)")
    #expect(try step() == nil)
    #expect(connection.refusal(of: "select rowcast.set_audit('s', '-1 s')")?.sqlState == "RC303")
    #expect(
      connection.refusal(of: "select rowcast.set_audit('s', '1 day', 0)")?.sqlState == "RC303")
  }
}
