import Foundation
import Postgres
import Synchronization

/// Commits per second of many single-row writers into a watched and an unwatched table, in turn.
///
/// Both tables have the same columns; only the watched one has a scorer. Rounds alternate, so that
/// what the machine does beside them falls on both alike. Scoring runs on the same cores.
struct WritersBench {
  let stage: BenchStage
  let writers: Int
  let roundSeconds: Int
  let repeats: Int

  private let scorer = "rowcast_bench_writers"

  private struct Round {
    var commits: Int
    var rate: Double
  }

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Writers {
    let connection = try stage.connect()
    let columns = features.map { $0 + " real" }.joined(separator: ", ")
    let watched = stage.table("writers_watched")
    let unwatched = stage.table("writers_unwatched")
    for table in [watched, unwatched] {
      try connection.runScript(
        "create table \(table) (id bigint generated always as identity primary key, \(columns))")
    }
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => \(scorer), source => \(watched), model => \(model))
      """)
    let bell = try stage.connect()
    try bell.listen("rowcast_change")
    var plainRounds: [Round] = []
    var watchedRounds: [Round] = []
    var notifications = 0
    for round in 1...repeats {
      stage.note("writers \(round)/\(repeats)")
      plainRounds.append(try write(into: unwatched, features: features))
      _ = try bell.waitForNotifications(timeout: .zero, wakeUp: nil)
      watchedRounds.append(try write(into: watched, features: features))
      // Those of the round are there before this connection's next answer.
      try bell.run("select 1")
      notifications += bell.takeNotifications().count
      try drain(connection, table: watched)
    }
    try connection.run("select rowcast.drop_scorer(\(scorer))")
    let watchedRate = Sample(watchedRounds.map(\.rate)).median ?? 0
    let plainRate = Sample(plainRounds.map(\.rate)).median ?? 0
    return BenchReport.Writers(
      writers: writers, roundSeconds: roundSeconds, watched: watchedRounds.map(\.rate),
      unwatched: plainRounds.map(\.rate), watchedCommitsPerSecond: watchedRate,
      unwatchedCommitsPerSecond: plainRate, ratio: watchedRate / plainRate,
      notifications: notifications, watchedCommits: watchedRounds.reduce(0) { $0 + $1.commits })
  }

  private func write(into table: String, features: [String]) throws -> Round {
    let names = features.joined(separator: ", ")
    let places = (1...features.count).map { "$\($0)" }.joined(separator: ", ")
    let insert = "insert into \(table) (\(names)) values (\(places))"
    let stage = stage
    let length = Duration.seconds(roundSeconds)
    let featureCount = features.count
    let outcome = try Crew.run(
      writers,
      prepare: { member in
        let connection = try stage.connect()
        var random = SeededRandom(seed: UInt64(member))
        let values = (0..<featureCount).map { _ in Float.random(in: -2...2, using: &random) }
        let query = Query(text: insert, values: values)
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

  /// Waits until everything that was written is scored, so that no round pays for another.
  private func drain(_ connection: Connection, table: String) throws {
    let clock = ContinuousClock()
    let limit = clock.now + .seconds(120)
    let look = Query(
      text: "select (select count(*) from \(table)) = (select count(*) from predictions.\(scorer))")
    while try !connection.run(look).value(0, 0, as: Bool.self) {
      guard clock.now < limit else {
        throw CommandError(.failed, "rows of the writers are not scored after two minutes")
      }
      usleep(50_000)
    }
  }
}
