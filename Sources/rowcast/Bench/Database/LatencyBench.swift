import Foundation
import Postgres

/// Single-row inserts on an idle appliance, until another connection sees their predictions.
///
/// Before each insert is a pause in which everything falls asleep. The floor is the same with a bare
/// relay in place of Rowcast: one connection inserts and notifies, the other waits, reads the row and
/// inserts the answer. Rounds of both take turns.
struct LatencyBench {
  let stage: BenchStage
  let workers: WorkerProcesses
  let inserts: Int
  let repeats: Int

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Latency {
    let connection = try stage.connect()
    let source = BenchTable(stage, "latency", features: features)
    try source.create(connection)
    let scorer = BenchScorer(stage, "latency", workers: workers)
    try scorer.create(connection, source: source, model: model)
    let relay = try Relay(stage, features: features, connection)
    defer { relay.stop() }
    var (scored, floors): ([[Trip]], [[Trip]]) = ([], [])
    for round in 1...repeats {
      stage.note("latency \(round)/\(repeats): \(inserts) inserts each")
      try stage.settle(connection)
      floors.append(
        try relay.trips(pause: Self.pause).measure(from: Int64(round) << 32) { $0 < inserts })
      try stage.settle(connection)
      scored.append(
        try Trips(stage: stage, table: source, answers: scorer.predictions, pause: Self.pause)
          .measure(from: Int64(round) << 32) { $0 < inserts })
    }
    try scorer.drop(connection)
    try connection.runScript("drop table \(source.name)")
    func median(_ rounds: [[Trip]], _ value: KeyPath<Trip, Double>) throws -> BenchReport.Quantiles
    {
      try .median(rounds.map { try BenchReport.Quantiles($0.map { $0[keyPath: value] }) })
    }
    let fromInsert = try median(scored, \.fromInsert)
    let floor = try median(floors, \.fromInsert)
    return BenchReport.Latency(
      fromInsert: fromInsert, fromCommit: try median(scored, \.fromCommit), floor: floor,
      ratio: fromInsert.p50 / floor.p50)
  }

  private static let pause: ClosedRange<UInt32> = 20_000...60_000
}

extension BenchReport {
  struct Latency: Encodable {
    /// Milliseconds from sending the insert until the prediction is seen.
    var fromInsert: Quantiles
    /// Milliseconds from the insert's commit until the prediction is seen.
    var fromCommit: Quantiles
    /// Milliseconds from sending the insert until the bare relay's row is seen.
    var floor: Quantiles
    var ratio: Double
  }
}

extension BenchReport.Latency {
  var lines: [String] {
    var table = TextTable([
      ("latency, \(fromInsert.count) single-row inserts, idle", .left), ("p50", .right),
      ("p99", .right), ("of floor", .right),
    ])
    func row(_ title: String, _ quantiles: BenchReport.Quantiles, _ ratio: String) {
      table.append([
        title, Format.milliseconds(quantiles.p50), Format.milliseconds(quantiles.p99), ratio,
      ])
    }
    row("floor: insert, notify, read, insert by two connections", floor, "1.00")
    row("insert sent until prediction seen", fromInsert, Format.decimal(ratio, places: 2))
    row("insert committed until prediction seen", fromCommit, "")
    return table.lines
  }
}
