import Foundation
import Glibc
import Postgres
import Synchronization
import TestSupport
import Testing

/// What happens to the workers' sessions while their server is well.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SessionChaosTests {
  /// Every kind of session is ended, and every kind of statement cancelled, twelve times a second.
  @Test func terminatedSessionsLoseNothing() throws {
    let scene = try FaultScene("terminate")
    defer { scene.tearDown() }
    var ended: [String: Int] = [:]
    try Chaos(name: "pg_terminate_backend and pg_cancel_backend").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      for round in 0..<(Chaos.isWhole ? 240 : 72) {
        let rows = try connection.run(
          """
          select application_name, case when \(round % 4 == 3) then pg_cancel_backend(pid)
                                        else pg_terminate_backend(pid) end
          from (select pid, application_name from pg_stat_activity
                where datname = current_database() and application_name like 'rowcast %'
                order by random() limit 1) as a
          """)
        if rows.count > 0 { ended[try rows.value(0, 0, as: String.self), default: 0] += 1 }
        usleep(80_000)
      }
    }
    #expect((ended["rowcast lane"] ?? 0) > 10 && (ended["rowcast dispatcher"] ?? 0) > 5, "\(ended)")
  }

  /// Again and again every lane at once, whatever it is doing: no chunk is given up for that.
  @Test func lanesThatAreAllEndedAtOnceLoseNothing() throws {
    let scene = try FaultScene("lanes")
    defer { scene.tearDown() }
    var chaos = Chaos(name: "all lanes ended, again and again", firstRows: 20_000)
    // Lanes that live for a quarter of a second each leave work to those that live on.
    chaos.extraSeconds = 2
    try chaos.run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      for _ in 0..<(Chaos.isWhole ? 60 : 20) {
        try connection.run(
          """
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'rowcast lane'
          """)
        // Work for the lanes that come back.
        try connection.run(
          "update reading set f1 = f1 + 1 where reading_id between -20000 and -19500")
        usleep(250_000)
      }
    }
  }

  /// Others take each connection that is to be had, and keep them for four seconds.
  @Test func aServerWithoutConnectionsIsWaitedFor() throws {
    let scene = try FaultScene("connections")
    defer { scene.tearDown() }
    try Chaos(name: "out of connections").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      try connection.run("create role app login")
      let app = scene.settings.setting("user", to: "app")
      var taken: [Connection] = []
      defer { taken.forEach { $0.close() } }
      func takeAll() {
        while let another = try? Connection(app) { taken.append(another) }
      }
      // Until no worker has a session.
      var workers: Int64 = 1
      let end = ContinuousClock.now.advanced(by: .seconds(20))
      while workers > 0, ContinuousClock.now < end {
        takeAll()
        workers = try connection.run(
          """
          select count(pg_terminate_backend(pid)) from pg_stat_activity
          where datname = current_database() and usename = 'scorer'
          """
        ).value(0, 0)
      }
      #expect(workers == 0, "\(workers) sessions of workers got through")
      takeAll()
      usleep(Chaos.isWhole ? 10_000_000 : 4_000_000)
      #expect(taken.count > 15)
    }
  }

  /// Users lock predictions in the other order than lanes write them, and tables in the other order
  /// than lanes read and write them.
  @Test func deadlocksWithUsersAreTriedAgain() throws {
    let scene = try FaultScene(
      "deadlocks", FaultScene.Setting(server: ["deadlock_timeout": "50ms"]))
    defer { scene.tearDown() }
    let deadlocks = Atomic<Int>(0)
    var chaos = Chaos(name: "deadlocks with users")
    // What lanes could not write while users stood in their way is to be written.
    chaos.extraSeconds = 4
    try chaos.run(scene) { scene, _ in
      let settings = scene.settings
      let isOver = Atomic<Bool>(false)
      let rows = (0..<3).map { number in
        Background { [settings] in
          let connection = try Connection(settings)
          defer { connection.close() }
          var rounds = 0
          while !isOver.load(ordering: .relaxed) {
            rounds += 1
            Thread.sleep(forTimeInterval: 0.1)
            do throws(PostgresError) {
              try connection.run(
                """
                update reading set f1 = f1 + 1, f2 = f2 - 1 where reading_id between -60 and -1
                """)
              try connection.transaction { () throws(PostgresError) in
                for key in stride(from: -6 * number - 1, to: -60, by: -7) {
                  try connection.run(
                    "select 1 from predictions.reading where reading_id = \(Int64(key)) for update")
                }
              }
            } catch {
              guard error.sqlState == "40P01" else { throw error }
              deadlocks.add(1, ordering: .relaxed)
            }
          }
          return rounds
        }
      }
      let tables = Background { [settings] in
        let connection = try Connection(settings)
        defer { connection.close() }
        while !isOver.load(ordering: .relaxed) {
          do throws(PostgresError) {
            try connection.transaction { () throws(PostgresError) in
              try connection.runScript("lock table predictions.reading in share row exclusive mode")
              Thread.sleep(forTimeInterval: 0.02)
              try connection.runScript("lock table reading in access exclusive mode")
            }
          } catch {
            guard error.sqlState == "40P01" else { throw error }
            deadlocks.add(1, ordering: .relaxed)
          }
          Thread.sleep(forTimeInterval: 0.1)
        }
        return 0
      }
      Thread.sleep(forTimeInterval: Chaos.isWhole ? 12 : 6)
      isOver.store(true, ordering: .relaxed)
      for thread in rows { #expect(try thread.value() > 5) }
      _ = try tables.value()
    }
    let seen = deadlocks.load(ordering: .relaxed)
    let retried = scene.logs().reduce(0) {
      $0 + $1.components(separatedBy: "deadlock detected").count - 1
    }
    print("chaos: deadlocks with users: \(seen) met users, \(retried) met lanes")
    #expect(seen + retried > 0)
  }

  /// A table that somebody locks for long stops its own scorer, and no other one.
  @Test func aLockedTableHoldsUpNoOther() throws {
    let scene = try FaultScene("lock")
    defer { scene.tearDown() }
    try Chaos(name: "a table locked for 6 s").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      try connection.runScript(
        """
        create table other (like reading including all);
        insert into other select i, 1, 2, 3, 4, 5 from generate_series(1, 5000) as i;
        select rowcast.create_scorer('other', source => 'public.other', model => 'reading');
        """)
      try connection.run("call rowcast.wait('other')")
      let user = try Connection(scene.settings)
      defer { user.close() }
      // Locked before any lane can have read what is to be done, and with a job that is to be cut.
      try user.runScript(
        """
        begin; select rowcast.rescore('other'); update other set f1 = f1 + 1; commit;
        begin; update other set f2 = 0; lock table other in access exclusive mode
        """)
      let recovery = Recovery(scene.settings)
      let end = ContinuousClock.now.advanced(by: .seconds(6))
      var worst = 0.0
      while ContinuousClock.now < end {
        worst = max(worst, try recovery.latency(connection))
        usleep(20_000)
      }
      try user.runScript("commit")
      print(
        "chaos: a table locked for 6 s: another table's row waited \(Int(worst * 1000)) ms at most")
      #expect(worst < (Chaos.isWhole ? Chaos.promise : Chaos.patience))
    }
  }
}
