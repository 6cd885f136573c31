import Foundation
import Glibc
import Postgres
import Schema
import Synchronization
import TestSupport
import Testing

/// What happens to the worker that dispatches, and who else may think that it does.
@Suite(.serialized, .timeLimit(.minutes(5))) struct DispatcherChaosTests {
  @Test func killedDispatchersAreReplaced() throws {
    let scene = try FaultScene("dispatcher")
    defer { scene.tearDown() }
    try Chaos(name: "SIGKILL of the dispatcher").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      let recovery = Recovery(scene.settings)
      var worst = 0.0
      for _ in 0..<(Chaos.isWhole ? 20 : 6) {
        try scene.inflict(.kill(worker: scene.dispatcher(connection)))
        worst = max(worst, try recovery.latency(connection))
      }
      print(
        "chaos: SIGKILL of the dispatcher: the next row was scored within \(Int(worst * 1000)) ms")
      #expect(worst < (Chaos.isWhole ? Chaos.promise : Chaos.patience))
    }
  }

  /// It stands still longer than the others wait for it, and then believes that it still leads.
  @Test func aStoppedDispatcherIsReplacedAndComesBack() throws {
    let scene = try FaultScene("stopped")
    defer { scene.tearDown() }
    try Chaos(name: "SIGSTOP of the dispatcher").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      let recovery = Recovery(scene.settings)
      for round in 0..<(Chaos.isWhole ? 3 : 1) {
        let stopped = try scene.dispatcher(connection)
        scene.workers[stopped].send(SIGSTOP)
        let alone = try recovery.latency(connection)
        let next = try scene.dispatcher(connection)
        #expect(next != stopped)
        print("chaos: SIGSTOP of the dispatcher: another one scored after \(Int(alone * 1000)) ms")
        // What lanes of the stopped process hold is given back after ten seconds, or when it goes on.
        if round == 0, Chaos.isWhole { usleep(12_000_000) }
        scene.workers[stopped].send(SIGCONT)
      }
    }
  }

  /// Two more tick as fast as they can, whoever is elected, and elections come all the time.
  @Test func dispatchersThatRaceLoseNothing() throws {
    let scene = try FaultScene("race")
    defer { scene.tearDown() }
    let ticks = Atomic<Int>(0)
    try Chaos(name: "dispatchers that race").run(scene) { scene, _ in
      let settings = scene.workerSettings
      let isOver = Atomic<Bool>(false)
      let rogues = (0..<2).map { _ in
        Background { [settings] in
          let connection = try Connection(settings)
          defer { connection.close() }
          while !isOver.load(ordering: .relaxed) {
            let made = try connection.run("select * from rowcast.tick('{}'::int[], 2)")
            if try made.value(0, "change_count", as: Int64.self) > 0 {
              ticks.add(1, ordering: .relaxed)
              // It has no lanes of its own that it could tell.
              try connection.run("select pg_notify('rowcast_chunk', '')")
            }
          }
        }
      }
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      for _ in 0..<(Chaos.isWhole ? 60 : 20) {
        try connection.run(
          """
          select pg_terminate_backend(pid) from pg_locks
          where locktype = 'advisory' and classid = 1919907683 and objid = 2 and granted
            and database = (select oid from pg_database where datname = current_database())
          """)
        usleep(250_000)
      }
      isOver.store(true, ordering: .relaxed)
      for rogue in rogues { try rogue.value() }
    }
    print("chaos: dispatchers that race: the others took \(ticks.load(ordering: .relaxed)) ticks")
    #expect(ticks.load(ordering: .relaxed) > 20)
  }

  /// Releases run side by side while one is replaced by the next, and functions are applied anew
  /// under the workers that call them.
  ///
  /// `ROWCAST_OTHER_WORKER` names the program of another release; without it a copy of this one
  /// passes for another, by what the database is told.
  @Test func releasesRunSideBySide() throws {
    let scene = try FaultScene("releases")
    defer { scene.tearDown() }
    let other = ProcessInfo.processInfo.environment["ROWCAST_OTHER_WORKER"]
    try Chaos(name: "two releases at once\(other == nil ? " (by name)" : "")", workers: 2).run(
      scene
    ) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      if other == nil {
        try connection.runScript(
          """
          create function older() returns trigger language plpgsql as
            'begin new.release := ''0.0.9''; return new; end';
          create trigger older before insert on rowcast.worker
            for each row execute function older();
          """)
      }
      scene.workerBinary = try Self.otherProgram(other, in: scene.folder)
      try scene.startWorkers(2)
      #expect(
        try eventually {
          try connection.run("select count(*) from rowcast.workers").value(0, 0, as: Int64.self)
            == 4
        })
      if other == nil {
        let releases = try connection.run("select count(distinct release) from rowcast.workers")
        #expect(try releases.value(0, 0, as: Int64.self) == 2)
      }
      for _ in 0..<(Chaos.isWhole ? 10 : 3) {
        // Both take their turn at dispatching.
        try scene.inflict(.kill(worker: scene.dispatcher(connection)))
        try connection.run(
          "update rowcast.schema_object set sha256 = sha256(convert_to('older', 'UTF8'))")
        try Migrator(scene.settings).migrate()
        usleep(500_000)
      }
      if other == nil { try connection.runScript("drop trigger older on rowcast.worker") }
    }
  }

  private static func otherProgram(_ given: String?, in folder: URL) throws -> URL {
    if let given { return URL(fileURLWithPath: given) }
    let copy = folder.appendingPathComponent("rowcast-0.0.9")
    try FileManager.default.copyItem(at: WorkerProcess.binary, to: copy)
    return copy
  }
}
