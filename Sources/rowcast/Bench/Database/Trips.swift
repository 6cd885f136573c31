import Foundation
import Postgres

/// How long one inserted row took until its answer was seen by another connection, in milliseconds.
struct Trip: Sendable {
  /// From sending the insert.
  var fromInsert: Double
  /// From the insert's commit.
  var fromCommit: Double
}

/// Inserts rows one by one and watches for each row's answer.
///
/// The observer asks for the one key over and over on a connection of its own, so a value is late by
/// at most a round trip and the pause between looks.
struct Trips {
  let stage: BenchStage
  let table: BenchTable
  /// The table of answers, with the row's id.
  let answers: String
  /// Runs on the writer's connection after each insert.
  var afterInsert: Query?
  /// Microseconds before each insert, at random.
  var pause: ClosedRange<UInt32>
  /// Microseconds between looks, for machines whose cores others keep busy.
  var look: UInt32 = 0

  /// - Parameters:
  ///   - first: The first row's id.
  ///   - warmUp: How many trips warm caches and plans, and do not count.
  ///   - goesOn: Asked before each insert with the number of trips that count so far.
  func measure(from first: Int64, warmUp: Int = 5, while goesOn: (Int) throws -> Bool) throws
    -> [Trip]
  {
    let writer = try stage.connect()
    let observer = try stage.connect()
    let insert = table.insertRow
    let look = "select 1 from \(answers) where id = $1"
    var random = SeededRandom(seed: 7)
    let clock = ContinuousClock()
    var trips: [Trip] = []
    var id = first
    while try goesOn(trips.count) {
      try stage.check()
      usleep(UInt32.random(in: pause, using: &random))
      let values = table.values(&random)
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
        if self.look > 0 { usleep(self.look) }
      }
      seen = clock.now
      if id >= first + Int64(warmUp) {
        trips.append(
          Trip(
            fromInsert: Format.seconds(seen - start) * 1000,
            fromCommit: Format.seconds(seen - committed) * 1000))
      }
      id += 1
    }
    return trips
  }
}

extension BenchReport {
  /// Milliseconds.
  struct Quantiles: Encodable {
    var p50: Double
    var p99: Double
    var count: Int

    init(_ values: [Double]) throws {
      let sample = Sample(values)
      guard let p50 = sample.quantile(0.5), let p99 = sample.quantile(0.99) else {
        throw CommandError(.failed, "no latency was measured")
      }
      (self.p50, self.p99, count) = (p50, p99, sample.count)
    }

    /// Of several rounds, each quantile for itself.
    static func median(_ rounds: [Quantiles]) throws -> Quantiles {
      var quantiles = try Quantiles(rounds.map(\.p50))
      quantiles.p50 = Sample(rounds.map(\.p50)).median ?? 0
      quantiles.p99 = Sample(rounds.map(\.p99)).median ?? 0
      quantiles.count = rounds.reduce(0) { $0 + $1.count }
      return quantiles
    }
  }
}
