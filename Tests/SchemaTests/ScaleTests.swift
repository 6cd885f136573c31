import Foundation
import Postgres
import TestSupport
import Testing

/// Shares of the budget of connections, lanes for live changes, contracts of lag: by SQL alone.
@Suite(.database) struct ScaleTests {
  /// A worker's control session.
  private final class Member {
    let connection: Connection
    let worker: Int32
    var used = 1

    init() throws {
      connection = try Database.current.connect()
      worker = try connection.value("select rowcast.register_worker('w', 'h', 1, 'r', 4)")
      try connection.run("select rowcast.attend(\(worker))")
    }

    /// Takes what it may, unless it does not give back yet.
    @discardableResult
    func pulse(wanted: Int = 10, givesBack: Bool = true) throws -> Int {
      let told: Int = try connection.value(
        """
        select connections from rowcast.pulse(\(worker), \(Int32(wanted)), \(Int32(used)), 4, null)
        """)
      if givesBack || told > used { used = told }
      return told
    }
  }

  private func budget(_ count: Int) throws {
    let connection = try Database.current.connect()
    try connection.run("select rowcast.set_limit('connections', \(String(count)))")
  }

  @Test func aWorkerAloneHasWhatItWants() throws {
    let alone = try Member()
    #expect(try alone.pulse() == 10)
    try budget(7)
    #expect(try alone.pulse() == 7)
    try budget(30)
    #expect(try alone.pulse() == 10)
  }

  @Test func theBudgetIsSharedAndNeverExceeded() throws {
    try budget(16)
    let members = try (0..<3).map { _ in try Member() }
    for _ in 0..<3 { for member in members { try member.pulse() } }
    #expect(members.map(\.used).sorted() == [5, 5, 6])
    // Who wants less leaves it to the others.
    for _ in 0..<3 {
      try members[0].pulse()
      try members[1].pulse(wanted: 4)
      try members[2].pulse()
    }
    #expect(members.map(\.used) == [6, 4, 6])
    // Who leaves, too.
    members[0].connection.close()
    #expect(try eventually { try members[2].pulse() == 10 })
  }

  /// What a worker has not given back, nobody else gets.
  @Test func whoComesWaitsForWhatOthersHave() throws {
    try budget(12)
    let first = try Member()
    #expect(try first.pulse() == 10)
    let second = try Member()
    #expect(try second.pulse() == 2)
    #expect(try first.pulse(givesBack: false) == 6)
    #expect(try second.pulse() == 2)
    #expect(try first.pulse() == 6)
    #expect(try second.pulse() == 2)
    #expect(try first.pulse() == 6)
    #expect(try second.pulse() == 6)
  }

  /// Twenty in a random order, coming, going, and slow to give back.
  @Test func togetherTheyStayBelowTheBudget() throws {
    try budget(40)
    var members: [Member] = []
    for round in 0..<120 {
      if round % 10 == 0, members.count < 8 { members.append(try Member()) }
      if round % 37 == 36 { members.removeFirst().connection.close() }
      let member = members[(round * 7) % members.count]
      try member.pulse(wanted: 6 + round % 9, givesBack: round % 3 > 0)
      // But for the session by which one that has just come asks.
      #expect(members.map(\.used).reduce(0, +) <= 40 + members.count { $0.used == 1 })
    }
    for _ in 0..<4 { for member in members { try member.pulse(wanted: 20) } }
    #expect(members.map(\.used).reduce(0, +) == 40)
  }

  /// With less than four each, those who came first work, and the others stand by.
  @Test func tooManyWorkersStandBy() throws {
    try budget(10)
    let members = try (0..<4).map { _ in try Member() }
    for _ in 0..<4 { for member in members { try member.pulse() } }
    #expect(members.map(\.used) == [4, 4, 1, 1])
    members[0].connection.close()
    #expect(try eventually { try members[2].pulse() == 5 })
  }

  @Test func aChangeIsTold() throws {
    let listener = try Database.current.connect()
    try listener.listen("rowcast_connections")
    let first = try Member()
    try first.pulse()
    let second = try Member()
    try second.pulse()
    #expect(try !listener.waitForNotifications(timeout: .seconds(60)).isEmpty)
    // What did not change is not written either.
    for _ in 0..<3 {
      try first.pulse()
      try second.pulse()
    }
    try second.connection.runScript("begin")
    try second.pulse()
    #expect(
      try second.connection.value("select pg_current_xact_id_if_assigned() is null", as: Bool.self))
    try second.connection.runScript("commit")
  }

  @Test func limitsAreChecked() throws {
    let connection = try Database.current.connect()
    for (name, value) in [
      ("connections", "3"), ("connections", "off"), ("connections", "many"),
      ("replica_lag", "-1 s"),
      ("replica_lag", "soon"), ("wal_share", "0.5"), ("slowdown", "NaN"), ("size", "1"),
    ] {
      #expect(
        connection.refusal(of: "select rowcast.set_limit(\(name), \(value))")?.sqlState == "RC303")
    }
    for (name, value, kept) in [
      ("connections", "12", "12"), ("replica_lag", "90 s", "00:01:30"), ("slowdown", "20", "20"),
      ("wal_share", "off", "off"),
    ] {
      try connection.run("select rowcast.set_limit(\(name), \(value))")
      #expect(
        try connection.value("select value from rowcast.limits where name = \(name)") == kept)
    }
    #expect(try connection.value("select rowcast.connection_budget()") == 12)
    try connection.run("select rowcast.set_limit('connections', null)")
    let room: Int = try connection.value(
      """
      select current_setting('max_connections')::int
             - current_setting('superuser_reserved_connections')::int
      """)
    #expect(try connection.value("select rowcast.connection_budget()") == room / 2)
  }

  @Test func theBudgetKeepsTheRolesLimit() throws {
    let connection = try Database.current.connect()
    let role = "limited_\(Database.current.name)"
    try connection.runScript(
      "create role \(role) login in role rowcast_worker connection limit 7")
    defer { _ = try? connection.run("drop role \(identifier: role)") }
    let limited = try Connection(Database.current.settings.setting("user", to: role))
    defer { limited.close() }
    #expect(try limited.value("select rowcast.connection_budget()") == 7)
    let health = try limited.run("select * from rowcast.server_health()")
    #expect(try health.value(0, "slowdown", as: Double.self) == 10)
  }

  // MARK: Lanes

  private func source(_ connection: Connection, rows: Int) throws {
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, \(rows)) as i;
      select rowcast.create_scorer('s', 't', 'double');
      """)
  }

  @Test func aLaneForLiveChangesTakesNoJob() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 1000)
    try connection.run("select rowcast.make_job_chunks(4, 1)")
    let lane = try TestLane()
    func claim() throws -> [Int] {
      try lane.connection.numbers(
        "select priority::int from rowcast.claim_chunks(\(lane.lane), 1, 0)")
    }
    for _ in 0..<30 { #expect(try claim().isEmpty) }
    try connection.run("insert into t values (2000, 1)")
    try connection.tick()
    #expect(try claim() == [0])
    #expect(try claim().isEmpty)
    #expect(try lane.claim().count == 1)
  }

  @Test func lanesAreBehindWhenAChunkWaitsForEach() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    let lanes = [try TestLane(), try TestLane()]
    func isBehind() throws -> Bool { try connection.value("select rowcast.lanes_are_behind()") }
    #expect(try !isBehind())
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    #expect(try !isBehind())
    try connection.run("insert into t values (2, 1)")
    try connection.tick()
    #expect(try isBehind())
    #expect(try lanes[0].claim().count == 1)
    #expect(try !isBehind())
  }

  // MARK: Contracts of lag

  @Test func aContractOfLagIsBrokenAndKeptAgain() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    let listener = try Database.current.connect()
    try listener.listen("rowcast_lag")
    try connection.run("select rowcast.set_max_lag('s', '1 microsecond')")
    func check() throws -> [String] {
      try connection.texts("select scorer || ' ' || kept from rowcast.check_lags()")
    }
    #expect(try check().isEmpty)
    #expect(try connection.value("select max_lag_kept from rowcast.scorer_status"))

    // Not collected by a tick, then in a chunk: the age is that of the change.
    try connection.run("insert into t values (1, 1)")
    #expect(try check() == ["s false"])
    try connection.tick()
    #expect(try check().isEmpty)
    #expect(try !connection.value("select max_lag_kept from rowcast.scorer_status", as: Bool.self))
    #expect(try !connection.value("select max_lag_kept from rowcast.freshness", as: Bool.self))
    #expect(
      try connection.texts(
        """
        select format('%s %s %s %s', kept, breach_count, broken_at is not null, lag <= longest_lag + '1 min') \
        from rowcast.lag
        """) == ["f 1 t t"])
    try TestLane().settle()
    #expect(try check() == ["s true"])
    #expect(try check().isEmpty)
    let told = try listener.waitForNotifications(timeout: .seconds(60)).map(\.payload)
    #expect(told.count == 2)
    #expect(told.first?.contains("\"kept\" : false") == true)
    #expect(
      try connection.texts("select format('%s %s', broken_at, breach_count) from rowcast.lag")
        == [" 1"])
    try connection.run("select rowcast.set_max_lag('s', null)")
    #expect(try connection.texts("select scorer from rowcast.lag").isEmpty)
    #expect(
      try connection.value("select max_lag_kept is null from rowcast.scorer_status"))
  }

  @Test func aContractNeedsAPositiveTimeAndTheRight() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    #expect(connection.refusal(of: "select rowcast.set_max_lag('s', '0')")?.sqlState == "RC303")
    #expect(
      connection.refusal(of: "select rowcast.set_max_lag('other', '1 s')")?.sqlState == "RC306")
  }
}
