import Foundation
import Postgres

/// Commits per second of many single-row writers into a watched and an unwatched table, in turn.
///
/// Both tables have the same columns; only the watched one has a scorer. Rounds alternate, so that
/// what the machine does beside them falls on both alike. Scoring runs on the same cores.
struct WritersBench {
  let stage: BenchStage
  let workers: WorkerProcesses
  let writers: Int
  let roundSeconds: Int
  let repeats: Int

  private struct Round {
    var commits: Int
    var rate: Double
  }

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Writers {
    let connection = try stage.connect()
    let watched = BenchTable(stage, "writers_watched", features: features)
    let unwatched = BenchTable(stage, "writers_unwatched", features: features)
    for table in [watched, unwatched] { try table.create(connection, hasIdentity: true) }
    let scorer = BenchScorer(stage, "writers", workers: workers)
    try scorer.create(connection, source: watched, model: model)
    let bell = try stage.connect()
    try bell.listen("rowcast_change")
    var plainRounds: [Round] = []
    var watchedRounds: [Round] = []
    var notifications = 0
    for round in 1...repeats {
      stage.note("writers \(round)/\(repeats)")
      try stage.settle(connection)
      plainRounds.append(try write(into: unwatched))
      try stage.settle(connection)
      _ = try bell.waitForNotifications(timeout: .zero, wakeUp: nil)
      watchedRounds.append(try write(into: watched))
      // Those of the round are there before this connection's next answer.
      try bell.run("select 1")
      notifications += bell.takeNotifications().count
      try scorer.drain(connection)
    }
    try scorer.drop(connection)
    for table in [watched, unwatched] { try connection.runScript("drop table \(table.name)") }
    let watchedRate = Sample(watchedRounds.map(\.rate)).median ?? 0
    let plainRate = Sample(plainRounds.map(\.rate)).median ?? 0
    return BenchReport.Writers(
      writers: writers, roundSeconds: roundSeconds, watched: watchedRounds.map(\.rate),
      unwatched: plainRounds.map(\.rate), watchedCommitsPerSecond: watchedRate,
      unwatchedCommitsPerSecond: plainRate, ratio: watchedRate / plainRate,
      notifications: notifications, watchedCommits: watchedRounds.reduce(0) { $0 + $1.commits })
  }

  private func write(into table: BenchTable) throws -> Round {
    let stage = stage
    let length = Duration.seconds(roundSeconds)
    let outcome = try Crew.run(
      writers,
      prepare: { member in
        let connection = try stage.connect()
        var random = SeededRandom(seed: UInt64(member))
        let query = Query(text: table.insertFeatures, values: table.values(&random))
        // Prepares the statement; one row that does not count.
        try connection.run(query)
        return (connection, query)
      },
      work: { _, tools in
        let clock = ContinuousClock()
        let end = clock.now + length
        var commits = 0
        while clock.now < end {
          try tools.0.run(tools.1)
          commits += 1
        }
        return commits
      })
    let commits = outcome.values.reduce(0, +)
    return Round(commits: commits, rate: Double(commits) / Format.seconds(outcome.duration))
  }
}

extension BenchReport {
  struct Writers: Encodable {
    var writers: Int
    var roundSeconds: Int
    /// Commits per second, a value a round.
    var watched: [Double]
    var unwatched: [Double]
    var watchedCommitsPerSecond: Double
    var unwatchedCommitsPerSecond: Double
    var ratio: Double
    /// Rings of the doorbell during the watched rounds, and the commits in them.
    var notifications: Int
    var watchedCommits: Int
  }
}

extension BenchReport.Writers {
  var lines: [String] {
    var table = TextTable([
      ("writers, \(writers) connections, rounds of \(roundSeconds) s", .left),
      ("commits/s", .right), ("of unwatched", .right),
    ])
    table.append(["unwatched", Format.rate(unwatchedCommitsPerSecond), "1.00"])
    table.append([
      "watched", Format.rate(watchedCommitsPerSecond), Format.decimal(ratio, places: 2),
    ])
    return table.lines + [
      "\(Format.count(notifications)) notifications for \(Format.count(watchedCommits)) commits"
    ]
  }
}
