import Foundation
import Postgres
import Synchronization

/// Single-row inserts into a table while its backfill runs, until their predictions are seen.
///
/// The floor is a bare relay of two connections while as many others as lanes do what a backfill
/// takes at least: copy the same features out and the same predictions in, over and over.
struct MixedBench {
  let stage: BenchStage
  let workers: WorkerProcesses
  let rows: Int
  let repeats: Int

  /// About a hundred inserts a second.
  private static let pause: ClosedRange<UInt32> = 1_000...9_000
  private static let look: UInt32 = 300

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Mixed {
    let connection = try stage.connect()
    let source = BenchTable(stage, "mixed", features: features)
    try source.create(connection, rows: rows)
    let scorer = BenchScorer(stage, "mixed", workers: workers)
    let relay = try Relay(stage, features: features, connection)
    defer { relay.stop() }
    var (live, floors): ([BenchReport.Quantiles], [BenchReport.Quantiles]) = ([], [])
    var rates: [Double] = []
    for round in 1...repeats {
      stage.note("mixed \(round)/\(repeats): inserts beside a backfill")
      try stage.settle(connection)
      let start = ContinuousClock.now
      try scorer.create(connection, source: source, model: model)
      let trips = Trips(
        stage: stage, table: source, answers: scorer.predictions, pause: Self.pause,
        look: Self.look)
      var end = start
      // Rows of earlier rounds are part of the backfill.
      let first = Int64(round) << 32
      let found = try trips.measure(from: first, warmUp: 0) { count in
        end = .now
        return try isBackfilling(connection, scorer) || count == 0
      }
      rates.append(Double(rows) / Format.seconds(end - start))
      live.append(try BenchReport.Quantiles(found.map(\.fromInsert)))
      _ = try scorer.wait(connection)
      try scorer.drain(connection)

      stage.note("mixed \(round)/\(repeats): floor")
      let floor = BulkFloor(
        stage: stage, source: source, predictions: scorer.predictions, rows: rows)
      try floor.prepare(connection)
      let load = BackgroundLoad {
        _ = try floor.read()
        _ = try floor.write()
        try floor.empty()
      }
      let relayed = try relay.trips(pause: Self.pause, look: Self.look)
        .measure(from: first) { count in !load.hasFailed && count < max(found.count, 20) }
      try load.stop()
      floors.append(try BenchReport.Quantiles(relayed.map(\.fromInsert)))
      try floor.drop(connection)
      try scorer.drop(connection)
    }
    try connection.runScript("drop table \(source.name)")
    return BenchReport.Mixed(
      rows: rows, live: try .median(live), floor: try .median(floors),
      backfillRowsPerSecond: Sample(rates).median ?? 0)
  }

  private func isBackfilling(_ connection: Connection, _ scorer: BenchScorer) throws -> Bool {
    try connection.run(
      """
      select exists (select from rowcast.job as j join rowcast.scorer as s using (scorer_id)
                     where s.name = \(scorer.name) and j.state = 'running')
      """
    ).value(0, 0, as: Bool.self)
  }
}

/// Work that is repeated on a thread of its own until it is stopped.
final class BackgroundLoad: Sendable {
  private let isOver = Atomic(false)
  private let failure = Mutex<(any Error)?>(nil)
  private let ended = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () throws -> Void) {
    let thread = Thread { [self] in
      do {
        while !isOver.load(ordering: .acquiring) { try body() }
      } catch {
        failure.withLock { $0 = error }
      }
      ended.signal()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  var hasFailed: Bool { failure.withLock { $0 != nil } }

  /// Waits for the end of what is under way.
  ///
  /// - Throws: What ended it before.
  func stop() throws {
    isOver.store(true, ordering: .releasing)
    ended.wait()
    if let error = failure.withLock({ $0 }) { throw error }
  }
}

extension BenchReport {
  struct Mixed: Encodable {
    /// Of the backfill.
    var rows: Int
    /// Milliseconds from sending an insert until its prediction is seen, beside the backfill.
    var live: Quantiles
    /// The same of a bare relay, beside copies of as many connections as lanes.
    var floor: Quantiles
    var backfillRowsPerSecond: Double
  }
}

extension BenchReport.Mixed {
  var lines: [String] {
    var table = TextTable([
      ("mixed, \(live.count) inserts beside backfills of \(Format.count(rows)) rows", .left),
      ("p50", .right), ("p99", .right),
    ])
    for (title, quantiles) in [
      ("floor: two bare connections beside copies", floor),
      ("insert sent until prediction seen", live),
    ] {
      table.append([
        title, Format.milliseconds(quantiles.p50), Format.milliseconds(quantiles.p99),
      ])
    }
    return table.lines + ["backfill meanwhile: \(Format.rate(backfillRowsPerSecond)) rows/s"]
  }
}
