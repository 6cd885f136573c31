import Foundation
import Glibc
import Postgres
import Synchronization
import TestSupport
import Testing

/// What happens to the server itself.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ServerChaosTests {
  /// It ends without a checkpoint and comes back; recovery counts from when it accepts connections.
  @Test func anImmediateRestartLosesNothing() throws {
    let scene = try FaultScene("restart")
    defer { scene.tearDown() }
    try Chaos(name: "immediate restart of the server").run(scene) { scene, _ in
      var worst = 0.0
      for round in 0..<(Chaos.isWhole ? 6 : 2) {
        try scene.server.stop(.immediate)
        usleep(useconds_t(round % 2) * 2_000_000)  // Long enough to be waited for patiently.
        try scene.server.start()
        worst = max(worst, try Recovery(scene.settings).seconds(within: 30))
      }
      print("chaos: immediate restart of the server: recovered in \(Int(worst * 1000)) ms at most")
      #expect(worst < (Chaos.isWhole ? Chaos.promise : Chaos.patience))
    }
  }

  /// Lanes do not wait for the disk, who waits for predictions does.
  @Test func whatWaitReportedIsThereAfterACrash() throws {
    // What nobody asks to have on disk comes there late.
    let scene = try FaultScene("durable", .init(server: ["wal_writer_delay": "10s"]))
    defer { scene.tearDown() }
    try scene.prepare()
    for round in 1...(Chaos.isWhole ? 10 : 3) {
      try scene.startWorkers(1)
      try scene.waitUntilScored(within: 60)
      let connection = try Connection(scene.settings)
      try connection.run("insert into reading values (\(round), 1, 2, 3, 4, 5)")
      try connection.run("call rowcast.wait('reading')")
      try scene.server.stop(.immediate)
      connection.close()
      _ = scene.stopWorkers()
      try scene.server.start()
      let restarted = try Connection(scene.settings)
      defer { restarted.close() }
      let scored = try restarted.run("select count(*) from predictions.reading")
        .value(0, 0, as: Int64.self)
      #expect(scored == Int64(round))
    }
  }

  /// The primary dies and its replica is promoted. It replicated synchronously, so that nothing
  /// that was committed may be missing; what is right is computed from the promoted server.
  @Test func aPromotedReplicaGoesOn() throws {
    let scene = try FaultScene("failover")
    defer { scene.tearDown() }
    let place = scene.folder.appendingPathComponent("replica").path
    var replica: LocalServer?
    defer { try? replica?.stop(.immediate) }
    // Both hosts are named from the beginning, the one that does not answer yet first.
    let hosts = "\(place),\(scene.server.settings["host"]!)"
    scene.settings = scene.settings.setting("host", to: hosts)
      .setting("target_session_attrs", to: "read-write")
    scene.workerSettings = scene.settings.setting("user", to: "scorer")
    var acknowledged: [Int64] = []
    try Chaos(name: "failover to a streaming replica").run(scene) { scene, _ in
      let primary = try Connection(scene.settings)
      let programs = try primary.run("select setting from pg_config where name = 'BINDIR'")
        .value(0, 0, as: String.self)
      try Self.copy(scene.server, to: place, by: programs)
      var configuration = LocalServer.Configuration(directory: place)
      configuration.settings["max_connections"] = "60"
      let standby = try LocalServer(configuration)
      replica = standby
      try primary.run("alter system set synchronous_standby_names = '*'")
      try primary.run("select pg_reload_conf()")
      #expect(
        try eventually {
          try primary.run("select 1 from pg_stat_replication where sync_state = 'sync'").count == 1
        })
      // Commits that the client was told of.
      for key in 3_000_000_000..<3_000_000_200 as Range<Int64> {
        try primary.run("insert into reading values (\(key), 1, 2, 3, 4, 5)")
        acknowledged.append(key)
      }
      usleep(1_000_000)
      try scene.server.stop(.immediate)
      usleep(500_000)
      let operatorSession = try Connection(standby.settings)
      defer { operatorSession.close() }
      try operatorSession.run("select pg_promote()")
      #expect(
        try eventually {
          try !operatorSession.run("select pg_is_in_recovery()").value(0, 0, as: Bool.self)
        })
    }
    let promoted = try Connection(scene.settings)
    defer { promoted.close() }
    let found = try promoted.run(
      "select count(*) from reading where reading_id between 3000000000 and 3000000199"
    ).value(0, 0, as: Int64.self)
    #expect(found == Int64(acknowledged.count))
  }

  static func copy(_ server: LocalServer, to place: String, by programs: String) throws {
    let data = server.configuration.directory
    try Shell.run("mkdir", "--mode", "700", place)
    try Shell.run("chown", "--reference", data, place)
    try Shell.runAsOwner(
      of: data,
      [
        "\(programs)/pg_basebackup", "--host", server.settings["host"]!, "--port",
        server.settings["port"]!, "--username", "postgres", "--pgdata", place,
        "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync",
      ])
    // The socket lies with the data, and so its lock was copied.
    try Shell.run("rm", "\(place)/.s.PGSQL.\(server.settings["port"]!).lock")
  }

  /// As managed servers do when their disk is nearly full.
  @Test func aServerThatTurnsReadOnlyIsWaitedFor() throws {
    let scene = try FaultScene("read-only")
    defer { scene.tearDown() }
    try Chaos(name: "a server read-only for 6 s").run(scene) { scene, _ in
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      try connection.run("alter system set default_transaction_read_only = on")
      try connection.run("select pg_reload_conf()")
      usleep(6_000_000)
      try connection.run("set default_transaction_read_only = off")
      try connection.run("alter system reset default_transaction_read_only")
      try connection.run("select pg_reload_conf()")
    }
  }

  /// Longer than any lane tries a chunk again before it thinks it hopeless.
  @Test func aFullDiskIsWaitedFor() throws {
    guard let disk = try SmallDisk("disk-full", megabytes: 320) else {
      print("chaos: full disk: skipped, no file system can be mounted here")
      return
    }
    defer { disk.remove() }
    let scene = try FaultScene(
      "disk-full", FaultScene.Setting(server: ["max_wal_size": "256MB"], place: disk.place))
    defer { scene.tearDown() }
    try disk.moveLog(of: scene.server, to: scene.folder.appendingPathComponent("wal").path)
    try Chaos(name: "a full disk").run(scene) { scene, writers in
      try disk.fill()
      usleep(1_000_000)
      let before = writers.progress.refused.load(ordering: .relaxed)
      usleep(Chaos.isWhole ? 20_000_000 : 9_000_000)
      let refused = writers.progress.refused.load(ordering: .relaxed) - before
      #expect(refused > 0, "the disk was not full")
      try disk.empty()
    }
    let full = scene.logs().reduce(0) {
      $0 + $1.components(separatedBy: "No space left").count - 1
    }
    print("chaos: a full disk: \(full) times a worker was told of it")
  }

  /// The disk that predictions lie on: all else can be written, so lanes get as far as their write.
  @Test func aFullDiskOfPredictionsIsWaitedFor() throws {
    guard let disk = try SmallDisk("predictions-full", megabytes: 24) else {
      print("chaos: full disk of predictions: skipped, no file system can be mounted here")
      return
    }
    defer { disk.remove() }
    let scene = try FaultScene("predictions-full")
    defer { scene.tearDown() }
    var chaos = Chaos(name: "a full disk of predictions")
    // Writers went on: all that they wrote meanwhile is to be scored.
    chaos.extraSeconds = Chaos.isWhole ? 12 : 6
    try chaos.run(scene) { scene, _ in
      let place = disk.place.appendingPathComponent("tables").path
      try Shell.run("mkdir", place)
      try Shell.run("chown", "--reference", scene.server.configuration.directory, place)
      let connection = try Connection(scene.settings)
      defer { connection.close() }
      try connection.runScript("create tablespace small location '\(place)'")
      try connection.runScript("alter table predictions.reading set tablespace small")
      try disk.fill()
      usleep(Chaos.isWhole ? 20_000_000 : 9_000_000)
      try disk.empty()
    }
    let full = scene.logs().reduce(0) {
      $0 + $1.components(separatedBy: "No space left").count - 1
    }
    print("chaos: a full disk of predictions: \(full) times a worker was told of it")
    #expect(full > 0)
  }
}
