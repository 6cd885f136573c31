import Foundation
import Glibc
import Postgres
import Testing

/// Clocks that jump, of the server's machine and of a worker's.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ClockChaosTests {
  /// A worker lives yesterday, another one tomorrow, and both jump.
  @Test func workersThatLieAboutTheTimeDoNoHarm() throws {
    let scene = try FaultScene("worker-clocks")
    defer { scene.tearDown() }
    guard let clock = try FakeClock(scene.folder) else {
      print("chaos: clocks of workers: skipped, clang was not found")
      return
    }
    scene.workerPrefix = clock.prefix
    try Chaos(name: "clocks of workers that jump").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      let recovery = Recovery(scene.settings)
      var worst = 0.0
      for offset: Int64 in [86_400, -86_400, 0, -315_360_000, 315_360_000, 5, -5, 0] {
        try clock.set(offset)
        let end = ContinuousClock.now.advanced(by: .seconds(1))
        while ContinuousClock.now < end { worst = max(worst, try recovery.latency(connection)) }
      }
      print("chaos: clocks of workers that jump: a row waited \(Int(worst * 1000)) ms at most")
      #expect(worst < (Chaos.isWhole ? Chaos.promise : Chaos.patience))
    }
  }

  /// The server's: it is what changes, beats and chunks are stamped by.
  @Test func aServerWhoseClockJumpsLosesNothing() throws {
    let place = try FaultScene.makeFolder("server-clock")
    guard let clock = try FakeClock(place) else {
      print("chaos: the server's clock: skipped, clang was not found")
      return
    }
    // Programs that this process starts inherit it: the server, and not the workers.
    clock.enter()
    defer { clock.leave() }
    let scene = try FaultScene("server-clock")
    clock.leave()
    defer { scene.tearDown() }
    var chaos = Chaos(name: "the server's clock jumps")
    chaos.trustsServerClock = false
    try chaos.run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      let recovery = Recovery(scene.settings)
      var worst = 0.0
      for offset: Int64 in [3600, 0, -3600, 0, 34_560_000, -34_560_000, 0] {
        try clock.set(offset)
        let now = try connection.run("select clock_timestamp()::text").value(0, 0, as: String.self)
        let end = ContinuousClock.now.advanced(by: .seconds(2))
        // A worker that stands still while the clock jumps is found out all the same.
        let stopped = try scene.dispatcher(connection)
        scene.workers[stopped].send(SIGSTOP)
        var waited = try recovery.latency(connection)
        scene.workers[stopped].send(SIGCONT)
        while ContinuousClock.now < end { waited = max(waited, try recovery.latency(connection)) }
        worst = max(worst, waited)
        print(
          "chaos: the server's clock says \(now): a row waited \(Int(waited * 1000)) ms at most")
      }
      // A stopped dispatcher is given five seconds.
      #expect(worst < 5 + (Chaos.isWhole ? Chaos.promise : Chaos.patience))
    }
  }
}

/// A clock that programs are given, and that can be set while they run.
private struct FakeClock {
  private let file: URL
  private let library: URL

  /// Nil where its library cannot be made.
  init?(_ folder: URL) throws {
    file = folder.appendingPathComponent("clock")
    library = folder.appendingPathComponent("clock.so")
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Clock/clock.c")
    guard (try? Shell.run("which", "clang")) != nil else { return nil }
    try Shell.run("clang", "-O1", "-shared", "-fPIC", source.path, "-o", library.path)
    try Data(count: 8).write(to: file)
    chmod(file.path, 0o644)
  }

  private var environment: [(String, String)] {
    [("LD_PRELOAD", library.path), ("ROWCAST_CLOCK", file.path)]
  }

  /// A command line that runs a program by this clock.
  var prefix: [String] { ["/usr/bin/env"] + environment.map { "\($0)=\($1)" } }

  /// By how many seconds the clock is off.
  func set(_ offset: Int64) throws {
    // In place: the programs look at the file itself.
    let handle = try FileHandle(forWritingTo: file)
    try handle.write(contentsOf: withUnsafeBytes(of: offset) { Data($0) })
    try handle.close()
  }

  func enter() { for (name, value) in environment { setenv(name, value, 1) } }
  func leave() { for (name, _) in environment { unsetenv(name) } }
}
