import Foundation
import Glibc
import Postgres
import Testing

/// Transactions that others keep open.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TransactionChaosTests {
  private static let seconds: Double = Chaos.isWhole ? 30 : 9

  /// Its rows are scored after its commit; until then nobody pays for it.
  @Test func aGiantTransactionCostsNothingUntilItCommits() throws {
    let scene = try FaultScene("giant")
    defer { scene.tearDown() }
    let rows = 100_000
    var chaos = Chaos(name: "a giant transaction", firstRows: 20_000)
    chaos.extraSeconds = Double(rows) / 40_000
    try chaos.run(scene) { scene, _ in
      let giant = try Connection(scene.settings)
      defer { giant.close() }
      try giant.runScript("begin")
      try giant.run(
        """
        insert into reading (reading_id, f0, f1, f2, f3, f4)
        select 1000000000 + i, nullif(i % 1000, 0), i % 7, i % 11, i % 13, i % 17
        from generate_series(1, \(Int32(rows))) as i
        """)
      try giant.run("update reading set f2 = -f2 where reading_id < -10000")
      try giant.run("delete from reading where reading_id between -10000 and -9000")
      try Self.expectSteadyLatency(scene, "a giant transaction")
      try giant.runScript("commit")
    }
  }

  /// What no vacuum may remove while a dashboard looks makes nothing slower.
  @Test func aHeldSnapshotSlowsNothing() throws {
    let scene = try FaultScene("snapshot")
    defer { scene.tearDown() }
    try Chaos(name: "a held snapshot").run(scene) { scene, _ in
      let dashboard = try Connection(scene.settings)
      defer { dashboard.close() }
      try dashboard.runScript("begin isolation level repeatable read")
      let before = try dashboard.run("select count(*) from predictions.reading")
        .value(0, 0, as: Int64.self)
      try Self.expectSteadyLatency(scene, "a held snapshot")
      let after = try dashboard.run("select count(*) from predictions.reading")
        .value(0, 0, as: Int64.self)
      #expect(before == after)
      try dashboard.runScript("commit")
    }
  }

  /// Single rows, one after another: as soon scored at the end as at the beginning.
  private static func expectSteadyLatency(_ scene: FaultScene, _ name: String) throws {
    let connection = try Connection(scene.settings)
    defer { connection.close() }
    let recovery = Recovery(scene.settings)
    var samples: [(at: Double, seconds: Double)] = []
    let start = ContinuousClock.now
    while true {
      let at = start.duration(to: .now) / .seconds(1)
      if at > seconds { break }
      samples.append((at, try recovery.latency(connection)))
      usleep(10_000)
    }
    func median(_ range: ClosedRange<Double>) -> Double {
      let sorted = samples.filter { range.contains($0.at) }.map(\.seconds).sorted()
      return sorted.isEmpty ? .infinity : sorted[sorted.count / 2]
    }
    let (early, late) = (median(0...seconds / 3), median(seconds * 2 / 3...seconds))
    print(
      String(
        format: "chaos: %@: %d rows, commit to prediction %.1f ms at first, %.1f ms at last", name,
        samples.count, early * 1000, late * 1000))
    #expect(late < early * 2 + 0.05)
  }
}
