import Foundation
import Glibc
import Postgres
import TestSupport
import Testing

/// What happens between the workers and their server.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NetworkChaosTests {
  /// Connections are cut, all at once, again and again; new ones come through.
  @Test func resetConnectionsLoseNothing() throws {
    try withProxy("reset") { scene, proxy in
      try Chaos(name: "connections reset").run(scene) { _, _ in
        for _ in 0..<(Chaos.isWhole ? 60 : 20) {
          proxy.reset()
          usleep(200_000)
        }
      }
    }
  }

  /// 20 ms later in each direction, as between continents when it is 40 ms there and back.
  @Test func aSlowLineLosesNothing() throws {
    try withProxy("slow") { scene, proxy in
      try Chaos(name: "a line with a delay of 20 ms", changesPerSecond: 500).run(scene) { _, _ in
        proxy.set(.slow(.milliseconds(20)))
        usleep(Chaos.isWhole ? 15_000_000 : 6_000_000)
        proxy.set(.clear)
      }
    }
  }

  /// The line says nothing for a while, but keeps what is under way: as where a machine is moved.
  @Test(arguments: [2, 7]) func aSilentLineIsWaitedFor(seconds: Int) throws {
    try withProxy("silent-\(seconds)") { scene, proxy in
      try Chaos(name: "a line silent for \(seconds) s").run(scene) { _, _ in
        proxy.set(.silent)
        usleep(useconds_t(seconds) * 1_000_000)
        proxy.set(.clear)
      }
    }
  }

  /// Packets vanish between two hosts. Both sides give their sessions up, each by itself.
  @Test(arguments: Chaos.isWhole ? [1, 2, 3, 4, 6, 9, 15, 40] : [6])
  func aCutBetweenHostsLosesNothing(seconds: Int) throws {
    guard let network = try SplitNetwork() else {
      print("chaos: a cut between hosts: skipped, no networks can be made here; the proxy ran")
      return
    }
    defer { network.remove() }
    let scene = try FaultScene(
      "cut-\(seconds)",
      FaultScene.Setting(
        server: ["listen_addresses": network.address, "max_connections": "100"],
        port: 20_000 + Int(getpid()) % 10_000))
    defer { scene.tearDown() }
    try allow(network.range, scene)
    scene.workerSettings = scene.workerSettings.setting("host", to: network.address)
    scene.workerPrefix = network.prefix
    try Chaos(name: "networks cut apart for \(seconds) s").run(scene) { _, _ in
      try network.cut()
      usleep(useconds_t(seconds) * 1_000_000)
      try network.connect()
    }
  }

  private func allow(_ range: String, _ scene: FaultScene) throws {
    let file = scene.server.configuration.directory + "/pg_hba.conf"
    let rules = try String(contentsOfFile: file, encoding: .utf8)
    // In place: the file stays the server's user's.
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
    try handle.write(contentsOf: Data((rules + "\nhost all all \(range) trust\n").utf8))
    try handle.close()
    let connection = try Connection(scene.settings)
    defer { connection.close() }
    try connection.run("select pg_reload_conf()")
  }

  private func withProxy(_ name: String, _ body: (FaultScene, Proxy) throws -> Void) throws {
    let scene = try FaultScene(name)
    defer { scene.tearDown() }
    let proxy = try Proxy(to: scene.settings)
    defer { proxy.close() }
    scene.workerSettings = proxy.settings(scene.workerSettings)
    try body(scene, proxy)
  }
}
