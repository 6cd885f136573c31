import Foundation
import Glibc
import Postgres
import Synchronization
import TestSupport
import Testing

/// Workers that come and go share what they may have; a server in trouble is spared by jobs alone.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ScaleChaosTests {
  private struct Share: Equatable {
    var used: Int
    var allowed: Int
    var wanted: Int
    var isSettled: Bool { used <= allowed && allowed <= wanted }
  }

  /// Of the workers that are there, in the order in which they came.
  private func shares(_ connection: Connection) throws -> [Share] {
    let rows = try connection.run(
      """
      select connections_used, connections, connections_wanted from rowcast.worker
      where worker_id = any (rowcast.workers_here()) and connections is not null order by worker_id
      """)
    return try (0..<rows.count).map {
      Share(
        used: Int(try rows.value($0, 0, as: Int32.self)),
        allowed: Int(try rows.value($0, 1, as: Int32.self)),
        wanted: Int(try rows.value($0, 2, as: Int32.self)))
    }
  }

  /// Seconds until the shares are as wanted.
  private func settle(
    _ connection: Connection, _ what: String, _ isRight: ([Share]) -> Bool
  ) throws {
    let start = ContinuousClock.now
    var last: [Share] = []
    let isSettled = try eventually {
      last = try shares(connection)
      return last.allSatisfy(\.isSettled) && isRight(last)
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    print("chaos: \(what): shared anew in \(Int(seconds * 1000)) ms")
    #expect(isSettled, "\(what): \(last)")
    if Chaos.isWhole { #expect(seconds < Chaos.promise, "\(what) took \(seconds) s") }
  }

  @Test func workersShareTheBudgetAsTheyComeAndGo() throws {
    let scene = try FaultScene("scale")
    defer { scene.tearDown() }
    try scene.prepare()
    let connection = try Connection(scene.settings)
    let budget = 13
    try connection.run("select rowcast.set_limit('connections', \(String(budget)))")
    // Sessions of workers, by the server's own count.
    let most = Mutex(0)
    let isOver = Mutex(false)
    let watch = Background { [settings = scene.settings] in
      let watcher = try Connection(settings.setting("application_name", to: "monitor"))
      while !isOver.withLock({ $0 }) {
        let count = try watcher.run(
          "select count(*) from pg_stat_activity where application_name like 'rowcast %'"
        ).value(0, 0, as: Int64.self)
        most.withLock { $0 = max($0, Int(count)) }
        usleep(5000)
      }
    }
    try scene.startWorkers(1)
    try settle(connection, "the first worker") { $0.count == 1 && $0[0].allowed == $0[0].wanted }
    try scene.startWorkers(1)
    try settle(connection, "a second worker") { shares in
      shares.count == 2 && shares.map(\.allowed).reduce(0, +) >= budget - 1
        && shares.allSatisfy { $0.allowed >= 6 }
    }
    let writers = Writers(scene.settings, changes: 100_000, over: .seconds(120))
    defer { writers.stop() }
    try scene.startWorkers(1)
    try settle(connection, "a third worker") { shares in
      shares.count == 3 && shares.allSatisfy { $0.allowed >= 4 }
    }
    let dispatcher = try scene.dispatcher(connection)
    scene.workers[dispatcher].killAndWait()
    try settle(connection, "the dispatcher killed") { shares in
      shares.count == 2 && shares.allSatisfy { $0.allowed >= 6 }
    }
    try connection.run("select rowcast.set_limit('connections', '9')")
    try settle(connection, "a smaller budget") { shares in
      shares.count == 2 && shares.map(\.allowed).reduce(0, +) <= 9
    }
    try connection.run("select rowcast.set_limit('connections', '30')")
    try settle(connection, "a larger budget") { $0.allSatisfy { $0.allowed == $0.wanted } }
    writers.stop()
    isOver.withLock { $0 = true }
    try watch.value()
    try scene.waitUntilScored(within: 60)
    #expect(try scene.compareWithOracle().isExact)
    // Who has just come has a session by which he asks.
    #expect(most.withLock { $0 } <= budget + 1)
    #expect(scene.logs().contains { $0.contains("fewer connections than wanted") })
  }

  /// As a container's limits change while it runs.
  @Test func lanesFollowTheCores() throws {
    let scene = try FaultScene("cores")
    defer { scene.tearDown() }
    try scene.prepare()
    scene.workerLanes = nil
    try scene.startWorkers(1)
    let connection = try Connection(scene.settings)
    /// Those for jobs; each worker has one more.
    func lanes() throws -> Int {
      let rows = try connection.run(
        """
        select w.bulk_lanes, (select count(*) from pg_stat_activity
                              where application_name = 'rowcast lane')
        from rowcast.worker as w
        """)
      guard rows.count == 1, let lanes = try rows.value(0, 0, as: Int32?.self) else { return 0 }
      return try rows.value(0, 1, as: Int64.self) == Int64(lanes + 1) ? Int(lanes) : 0
    }
    func wait(for wanted: Int) throws {
      let start = ContinuousClock.now
      #expect(try eventually { try lanes() == wanted }, "\(wanted) lanes")
      print("chaos: \(wanted) lanes after \(Int(start.duration(to: .now) / .milliseconds(1))) ms")
    }
    #expect(try eventually { try lanes() > 0 })
    let all = try lanes()
    guard all > 1 else {
      print("chaos: lanes and cores: skipped, there is one core only")
      return
    }
    let pid = "\(scene.workers[0].processID)"
    let mask = try #require(
      try Shell.run("taskset", "-cp", pid).split(separator: ":").last.map {
        String($0).trimmingCharacters(in: .whitespacesAndNewlines)
      })
    try Shell.run("taskset", "-acp", String(mask.prefix { $0.isNumber }), pid)
    try wait(for: 1)
    try connection.run("insert into reading values (1, 1, 2, 3, 4, 5)")
    try scene.waitUntilScored(within: 60)
    try Shell.run("taskset", "-acp", mask, pid)
    try wait(for: all)
    #expect(try scene.compareWithOracle().isExact)
  }

  private struct Held {
    var lanes: Int
    var reason: String?
  }

  private func held(_ connection: Connection) throws -> Held {
    let rows = try connection.run(
      "select bulk_lanes, pressure from rowcast.workers order by bulk_lanes limit 1")
    return Held(
      lanes: Int(try rows.value(0, 0, as: Int32?.self) ?? -1), reason: try rows.value(0, 1))
  }

  /// Rows whose rescoring keeps lanes busy, and jobs that rescore them as long as the body says.
  private func rescore(
    _ scene: FaultScene, _ connection: Connection, until isOver: () throws -> Bool
  ) throws {
    #expect(
      try eventually {
        let running = try connection.run(
          "select count(*) from rowcast.job where state = 'running'"
        ).value(0, 0, as: Int64.self)
        if running == 0 { try connection.run("select rowcast.rescore('reading')") }
        return try isOver()
      })
  }

  private func prepare(_ scene: FaultScene) throws -> Connection {
    try scene.prepare()
    let connection = try Connection(scene.settings)
    try connection.runScript(
      """
      grant pg_monitor to scorer;
      insert into reading (reading_id, f0, f1, f2, f3, f4)
      select -i, sin(i), cos(i), i % 7, i % 11, i % 13 from generate_series(1, 20000) as i
      """)
    try scene.startWorkers(1)
    try scene.waitUntilScored(within: 60)
    return connection
  }

  @Test func aLaggingReplicaHoldsJobsBackAndNoChange() throws {
    let scene = try FaultScene("lag")
    defer { scene.tearDown() }
    let connection = try prepare(scene)
    let place = scene.folder.appendingPathComponent("replica").path
    let programs = try connection.run("select setting from pg_config where name = 'BINDIR'")
      .value(0, 0, as: String.self)
    try ServerChaosTests.copy(scene.server, to: place, by: programs)
    var configuration = LocalServer.Configuration(directory: place)
    configuration.settings["max_connections"] = "60"
    let replica = try LocalServer(configuration)
    defer { try? replica.stop(.immediate) }
    let standby = try Connection(replica.settings)
    defer { standby.close() }
    #expect(
      try eventually {
        try connection.run("select from pg_stat_replication where state = 'streaming'").count == 1
      })
    try connection.run("select rowcast.set_limit('replica_lag', '1 second')")
    try standby.run("select pg_wal_replay_pause()")
    try rescore(scene, connection) { try held(connection).lanes == 0 }
    let reason = try held(connection).reason ?? ""
    #expect(reason.contains("behind, the limit is 1 s"), "\(reason)")
    // A job waits; changes do not.
    try connection.run("select rowcast.rescore('reading')")
    for _ in 0..<20 { _ = try Recovery(scene.settings).latency(connection) }
    #expect(try held(connection).lanes == 0)
    #expect(
      try connection.run("select from rowcast.job where state = 'running'").count > 0)
    try standby.run("select pg_wal_replay_resume()")
    #expect(
      try eventually {
        let held = try held(connection)
        return held.reason == nil && held.lanes == 2
      })
    #expect(
      try eventually {
        try connection.run("select from rowcast.job where state = 'running'").isEmpty
      })
    #expect(try scene.compareWithOracle().isExact)
    #expect(scene.logs().contains { $0.contains("jobs hold back") })
    #expect(scene.logs().contains { $0.contains("jobs go on as before") })
  }

  /// Something makes each write of a lane stand still.
  @Test func aServerThatStandsStillIsSpared() throws {
    let scene = try FaultScene("stalled")
    defer { scene.tearDown() }
    let connection = try prepare(scene)
    try connection.runScript(
      """
      create table gate (is_closed boolean);
      insert into gate values (true);
      grant select on gate to public;
      create function stall() returns trigger language plpgsql as $$
      begin
        while (select g.is_closed from public.gate as g) loop perform pg_sleep(0.01); end loop;
        return null;
      end $$;
      create trigger stall before update on predictions.reading
        for each statement execute function stall();
      """)
    try rescore(scene, connection) { try held(connection).lanes == 0 }
    let reason = try held(connection).reason ?? ""
    #expect(reason.contains("a statement takes"), "\(reason)")
    #expect(reason.contains("waiting for Timeout/PgSleep"), "\(reason)")
    try connection.run("update gate set is_closed = false")
    #expect(
      try eventually {
        let held = try held(connection)
        return held.reason == nil && held.lanes == 2
      })
    try scene.waitUntilScored(within: 60)
    #expect(try scene.compareWithOracle().isExact)
  }
}
