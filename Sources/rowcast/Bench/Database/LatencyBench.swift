import Foundation
import Postgres
import Synchronization

/// Single-row inserts on an idle appliance, until another connection sees their predictions.
///
/// The observer asks for the one key over and over on a connection of its own, so a value is
/// late by at most one round trip. The floor is the same with a bare relay in place of Rowcast:
/// one connection inserts and notifies, the other waits, reads the row and inserts the answer.
struct LatencyBench {
  let stage: BenchStage
  let inserts: Int

  private let scorer = "rowcast_bench_latency"

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Latency {
    let connection = try stage.connect()
    let columns = features.map { $0 + " real" }.joined(separator: ", ")
    let table = stage.table("latency")
    try connection.runScript("create table \(table) (id bigint primary key, \(columns))")
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => \(scorer), source => \(table), model => \(model))
      """)
    stage.note("latency: \(inserts) inserts")
    let scored = try measure(
      into: table, answers: "predictions.\(scorer)", columns: features, afterInsert: nil)
    try connection.run("select rowcast.drop_scorer(\(scorer))")

    stage.note("latency: floor")
    let relayed = try floor(connection, features: features)
    let floor = try quantiles(relayed.map(\.fromInsert))
    let fromInsert = try quantiles(scored.map(\.fromInsert))
    return BenchReport.Latency(
      fromInsert: fromInsert, fromCommit: try quantiles(scored.map(\.fromCommit)), floor: floor,
      ratio: fromInsert.p50 / floor.p50)
  }

  private func quantiles(_ values: [Double]) throws -> BenchReport.Latency.Quantiles {
    guard let quantiles = BenchReport.Latency.Quantiles(Sample(values)) else {
      throw CommandError(.failed, "no latency was measured")
    }
    return quantiles
  }

  private struct Trip {
    var fromInsert: Double
    var fromCommit: Double
  }

  /// Inserts rows one by one, with pauses in which everything falls asleep, and watches for each
  /// row's answer. The first five warm caches and plans and do not count.
  private func measure(
    into table: String, answers: String, columns: [String], afterInsert: Query?
  ) throws -> [Trip] {
    let writer = try stage.connect()
    let observer = try stage.connect()
    let names = (["id"] + columns).joined(separator: ", ")
    let places = (1...columns.count + 1).map { "$\($0)" }.joined(separator: ", ")
    let insert = "insert into \(table) (\(names)) values (\(places))"
    let look = "select 1 from \(answers) where id = $1"
    var random = SeededRandom(seed: 7)
    let clock = ContinuousClock()
    var trips: [Trip] = []
    for id in 1...Int64(inserts + 5) {
      usleep(UInt32.random(in: 20_000...60_000, using: &random))
      let values = columns.map { _ in Float.random(in: -2...2, using: &random) }
      let start = clock.now
      try writer.run(Query(text: insert, values: [id] + values.map { $0 as any PostgresEncodable }))
      let committed = clock.now
      if let afterInsert { try writer.run(afterInsert) }
      var seen = clock.now
      while try observer.run(Query(text: look, values: [id])).isEmpty {
        seen = clock.now
        guard seen - committed < .seconds(10) else {
          throw CommandError(.failed, "no prediction for an insert within 10 s")
        }
      }
      seen = clock.now
      guard id > 5 else { continue }
      trips.append(
        Trip(
          fromInsert: Format.seconds(seen - start) * 1000,
          fromCommit: Format.seconds(seen - committed) * 1000))
    }
    return trips
  }

  /// The same through two bare connections.
  private func floor(_ connection: Connection, features: [String]) throws -> [Trip] {
    let columns = features.map { $0 + " real" }.joined(separator: ", ")
    let source = stage.table("relay_source")
    let target = stage.table("relay_target")
    try connection.runScript(
      """
      create table \(source) (id bigint primary key, \(columns));
      create table \(target) (id bigint primary key, score double precision)
      """)
    let relay = Relay(stage: stage, source: source, target: target)
    defer { relay.stop() }
    try relay.start()
    return try measure(
      into: source, answers: target, columns: features, afterInsert: "notify rowcast_bench_relay")
  }
}

/// The floor's second connection: waits for the bell, reads what is new, inserts an answer each.
private final class Relay: Sendable {
  private let stage: BenchStage
  private let source: String
  private let target: String
  private let wakeUp = WakeUp()
  private let isOver = Atomic(false)

  init(stage: BenchStage, source: String, target: String) {
    (self.stage, self.source, self.target) = (stage, source, target)
  }

  /// Returns once the relay listens.
  func start() throws {
    let listening = WakeUp()
    let failure = Outcome()
    let thread = Thread { [self] in
      do {
        let connection = try stage.connect()
        try connection.listen("rowcast_bench_relay")
        listening.signal()
        try work(connection)
      } catch {
        failure.error.withLock { $0 = error }
        listening.signal()
      }
    }
    thread.start()
    _ = listening.wait()
    if let error = failure.error.withLock({ $0 }) { throw error }
  }

  private final class Outcome: Sendable {
    let error = Mutex<(any Error)?>(nil)
  }

  private func work(_ connection: Connection) throws {
    var last: Int64 = 0
    let read = "select * from \(source) where id > $1"
    let answer = "insert into \(target) values ($1, 0.5)"
    while !isOver.load(ordering: .acquiring) {
      _ = try connection.waitForNotifications(timeout: .seconds(1), wakeUp: wakeUp)
      let rows = try connection.run(Query(text: read, values: [last]))
      for row in 0..<rows.count {
        let id = try rows.value(row, 0, as: Int64.self)
        try connection.run(Query(text: answer, values: [id]))
        last = max(last, id)
      }
    }
  }

  func stop() {
    isOver.store(true, ordering: .releasing)
    wakeUp.signal()
  }
}
