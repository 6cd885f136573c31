import Postgres
import TestSupport
import Testing

/// `call rowcast.wait`: for all that the caller sees, and for nothing else.
@Suite(.database) struct PipelineWaitTests {
  private static let wait: Query = "call rowcast.wait('s', interval '20 seconds')"
  private static let glance: Query = "call rowcast.wait('s', interval '30 milliseconds')"

  private func prepared(backfill: Bool = false) throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, 10) as i;
      select rowcast.create_scorer('s', 't', 'double', backfill => \(backfill));
      """)
    return connection
  }

  @Test func endsAtOnceWhereNothingIsToDo() throws {
    let connection = try prepared()
    try connection.run(Self.glance)
    let lane = try TestLane()
    try connection.run("insert into t values (11, 1)")
    try lane.settle()
    try connection.run(Self.glance)
  }

  /// From the writer's commit to the lane's there is no moment at which it returns.
  @Test func waitsForEachStepOfTheWay() throws {
    let connection = try prepared()
    let lane = try TestLane()
    try connection.run("insert into t values (11, 1)")
    #expect(connection.refusal(of: Self.glance)?.sqlState == "RC307", "in the log")
    try lane.connection.tick()
    #expect(connection.refusal(of: Self.glance)?.sqlState == "RC307", "in a chunk")
    let claimed = try #require(try lane.claim().first)
    try lane.read(claimed)
    #expect(connection.refusal(of: Self.glance)?.sqlState == "RC307", "with a lane")
    try lane.write(claimed)
    try connection.run(Self.glance)
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 1)
  }

  @Test func waitsForBackfill() throws {
    let connection = try prepared(backfill: true)
    #expect(connection.refusal(of: Self.glance)?.sqlState == "RC307")
    let settings = Database.current.settings
    let waiter = Background { try Connection(settings).run(Self.wait).count }
    try TestLane().settle()
    _ = try waiter.value()
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 10)
  }

  @Test func laterWorkAndOthersWorkAreNotWaitedFor() throws {
    let connection = try prepared()
    let lane = try TestLane()
    let settings = Database.current.settings
    try connection.runScript(
      """
      create table u (id int primary key, x real);
      select rowcast.create_scorer('other', 'u', 'double');
      insert into u values (1, 1);
      """)
    let open = try Database.current.connect()
    try open.runScript("begin; insert into t values (99, 1)")
    try connection.run(Self.glance)

    try lane.settle()
    try connection.run("insert into t values (11, 1)")
    let waiter = Background { try Connection(settings).run(Self.wait).count }
    try connection.seeWaiter()
    try lane.connection.tick()
    // Committed after the call, and never worked on.
    try open.run("commit")
    try connection.run("insert into u values (2, 2)")
    try lane.connection.tick()
    let claimed = try #require(try lane.claim().first)
    try lane.read(claimed)
    try lane.write(claimed)
    _ = try waiter.value()
    #expect(
      try connection.texts("select id::text from predictions.s") == ["11"])
  }

  /// The log no longer tells what a tick before the truncation missed.
  @Test func aLogThatIsTruncatedMeanwhileHidesNothing() throws {
    let connection = try prepared()
    let lane = try TestLane()
    let settings = Database.current.settings
    func rotate() throws -> String { try connection.value("select rowcast.rotate_log(1)") }
    let writer = try Database.current.connect()
    try writer.runScript("begin; insert into t values (11, 1)")
    #expect(try rotate() == "closed")
    #expect(try rotate() == "noted")
    try writer.run("commit")
    #expect(
      try eventually {
        try connection.runScript("begin")
        if try connection.tick().changes == 1, try rotate() == "truncated" { return true }
        try connection.runScript("rollback")
        return false
      })
    let waiter = Background {
      let waiting = try Connection(settings)
      try waiting.run(Self.wait)
      return try waiting.value("select count(*) from predictions.s", as: Int.self)
    }
    #expect(
      try eventually {
        try writer.value(
          """
          select count(*) from pg_locks as l join pg_database as d on d.oid = l.database
          where not l.granted and l.locktype = 'relation' and d.datname = current_database()
          """, as: Int.self) > 0
      })
    try connection.run("commit")
    try connection.seeWaiter()
    try lane.work()
    #expect(try waiter.value() == 1)
  }

  @Test func ownChangesMustBeCommitted() throws {
    let connection = try prepared()
    try connection.runScript("begin; savepoint a; insert into t values (11, 1)")
    let error = connection.refusal(of: Self.wait)
    #expect(error?.sqlState == "RC308")
    #expect(error?.hint == "Commit first: workers see only what is committed.")
    try connection.runScript("rollback; begin; select rowcast.pause_scorer('s')")
    #expect(connection.refusal(of: Self.wait)?.sqlState == "RC308")
    try connection.runScript("rollback; begin isolation level repeatable read")
    #expect(connection.refusal(of: Self.wait)?.sqlState == "RC308")
    // A transaction that only read elsewhere may wait.
    try connection.runScript("rollback; begin")
    try connection.run(Self.glance)
    try connection.run("rollback")
  }

  @Test func saysWhyItWaitsInVain() throws {
    let connection = try prepared()
    let none = connection.refusal(of: "call rowcast.wait('none')")
    #expect(none?.message == "scorer \"none\" does not exist")

    try connection.run("insert into t values (11, 1)")
    let late = connection.refusal(of: Self.glance)
    #expect(late?.message == "scorer \"s\" was not up to date within 00:00:00.03")
    #expect(late?.detail == "1 changed rows wait.")
    #expect(late?.hint == "Start a worker with \"rowcast worker\" or \"rowcast up\".")

    try connection.run("select rowcast.pause_scorer('s')")
    let paused = connection.refusal(of: Self.wait)
    #expect(paused?.sqlState == "RC306")
    #expect(paused?.message == "scorer \"s\" is paused, and not up to date")
    #expect(paused?.hint == "select rowcast.resume_scorer('s');")

    try connection.run("select rowcast.resume_scorer('s')")
    let lane = try TestLane()
    try lane.connection.tick()
    let settings = Database.current.settings
    let waiter = Background { Connection.refusal(settings, of: Self.wait) }
    try connection.seeWaiter()
    let claimed = try #require(try lane.claim().first)
    try lane.connection.run(
      "select rowcast.fail_chunk(\(claimed.chunk), \(claimed.attempt), 'no such model')")
    let gone = try waiter.value()
    #expect(gone?.sqlState == "RC309")
    #expect(gone?.detail == "no such model")
  }

  @Test(arguments: [
    ("alter table t disable trigger all", "disabled"),
    ("drop trigger rowcast_insert_1 on t", "missing"),
  ])
  func triggersThatDoNotFireAreTold(order: String, state: String) throws {
    let connection = try prepared()
    try connection.runScript(order)
    try connection.run("insert into t values (11, 1)")
    let error = connection.refusal(of: Self.glance)
    #expect(error?.sqlState == "RC311")
    #expect(
      error?.message
        == "scorer \"s\" may have missed changes: trigger rowcast_insert_1 of public.t is \(state)")
    #expect(
      try connection.texts("select state_reason from rowcast.scorer_status")
        == ["changes are not seen: trigger rowcast_insert_1 of public.t is \(state)"])
    // As the hint says.
    try connection.runScript("alter table t enable trigger all; select rowcast.check_scorer('s')")
    try connection.run("select rowcast.rescore('s')")
    try TestLane().settle()
    try connection.run(Self.glance)
    #expect(try connection.texts("select test.difference('t', 's', 'id')") == [""])
  }

  @Test func readersMayWait() throws {
    let connection = try prepared()
    try connection.run("set role rowcast_reader")
    try connection.run(Self.glance)
    try connection.run("set role pg_monitor")
    #expect(connection.refusal(of: Self.glance)?.sqlState == "42501")
  }
}

extension Connection {
  /// Returns when another session of this database waits.
  fileprivate func seeWaiter() throws {
    #expect(
      try eventually {
        try value(
          """
          select count(*) from pg_stat_activity
          where wait_event = 'PgSleep' and datname = current_database()
          """, as: Int.self) > 0
      })
  }

  fileprivate static func refusal(_ settings: ConnectionSettings, of query: Query) -> PostgresError?
  {
    (try? Connection(settings))?.refusal(of: query)
  }
}
