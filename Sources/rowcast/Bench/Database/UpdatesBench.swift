import Foundation
import Postgres

/// Statements of many rows on a watched and an unwatched table, in turn.
///
/// Both tables have the same columns, rows and indexes; only the watched one has a scorer. What a
/// statement leaves to be scored is scored before the next begins, so that it pays for the trigger
/// alone. Which table comes first changes with each round.
struct UpdatesBench {
  let stage: BenchStage
  let workers: WorkerProcesses
  let rows: Int
  let repeats: Int

  private struct Pair {
    var plain: BenchTable
    var watched: BenchTable
    var scorer: BenchScorer
  }

  private struct Statement {
    var title: String
    /// Whether updates of the watched table are captured row by row meanwhile.
    var eachRow = false
    /// Of the table that it writes.
    var text: (BenchTable) throws -> String
  }

  /// Of one statement: its seconds, and keys that it put into the log.
  private struct Round {
    var seconds: Double
    var logged: Int
  }

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Updates {
    let connection = try stage.connect()
    let source = BenchTable(stage, "updates_source", features: features)
    let pair = Pair(
      plain: BenchTable(stage, "updates_unwatched", features: features),
      watched: BenchTable(stage, "updates_watched", features: features),
      scorer: BenchScorer(stage, "updates", workers: workers))
    try source.create(connection, rows: rows, further: ", note int")
    for table in [pair.plain, pair.watched] {
      try table.create(connection, further: ", note int")
    }
    try pair.scorer.create(connection, source: pair.watched, model: model)
    _ = try pair.scorer.wait(connection)
    let file = try stage.file(0)
    try connection.runScript("copy \(source.name) to \(file) (format binary)")

    let feature = features[0]
    let statements = [
      Statement(title: "INSERT … SELECT") { "insert into \($0.name) select * from \(source.name)" },
      Statement(title: "COPY") { "copy \($0.name) from \(file) (format binary)" },
      Statement(title: "UPDATE of another column") { "update \($0.name) set note = 1" },
      Statement(title: "UPDATE of another column, captured row by row", eachRow: true) {
        "update \($0.name) set note = 2"
      },
      Statement(title: "UPDATE of a feature") { "update \($0.name) set \(feature) = -\(feature)" },
    ]
    var figures: [[(plain: Round, watched: Round)]] = statements.map { _ in [] }
    for round in 1...repeats {
      for (index, statement) in statements.enumerated() {
        stage.note("updates \(round)/\(repeats): \(statement.title)")
        // Inserts meet empty tables; updates the rows of the last insert.
        if index < 2 { try empty(pair, connection) }
        try connection.run(
          "select rowcast.watch_each_row(\(pair.scorer.name), \(statement.eachRow))")
        let plain: Round
        let watched: Round
        if round % 2 == 1 {
          plain = try measure(statement, pair.plain, connection)
          watched = try measure(statement, pair.watched, connection)
        } else {
          watched = try measure(statement, pair.watched, connection)
          try pair.scorer.drain(connection)
          plain = try measure(statement, pair.plain, connection)
        }
        figures[index].append((plain, watched))
        try pair.scorer.drain(connection)
        for table in [pair.plain, pair.watched] { try connection.runScript("vacuum \(table.name)") }
      }
    }
    try pair.scorer.verify(connection, rows: rows)
    try pair.scorer.drop(connection)
    for table in [source, pair.plain, pair.watched] {
      try connection.runScript("drop table \(table.name)")
    }
    return BenchReport.Updates(
      rows: rows,
      statements: zip(statements, figures).map { statement, rounds in
        BenchReport.Updates.Statement(
          title: statement.title, watched: rounds.map(\.watched.seconds),
          unwatched: rounds.map(\.plain.seconds), logged: rounds.map(\.watched.logged).max() ?? 0)
      })
  }

  private func empty(_ pair: Pair, _ connection: Connection) throws {
    for table in [pair.plain, pair.watched] { try connection.runScript("truncate \(table.name)") }
    try pair.scorer.drain(connection)
  }

  private func measure(
    _ statement: Statement, _ table: BenchTable, _ connection: Connection
  ) throws -> Round {
    let text = try statement.text(table)
    try stage.settle(connection)
    let clock = ContinuousClock()
    let start = clock.now
    try connection.runScript("begin")
    try connection.runScript(text)
    let written = clock.now
    // Only this transaction sees what it has logged, and nobody has read it away yet.
    let logged = try connection.run(
      """
      select coalesce(sum(key_count), 0)::bigint from rowcast.change
      where xid::text = pg_current_xact_id()::text
      """
    ).value(0, 0, as: Int64.self)
    let looked = clock.now
    try connection.runScript("commit")
    let end = clock.now
    return Round(
      seconds: Format.seconds(written - start) + Format.seconds(end - looked), logged: Int(logged))
  }
}

extension BenchReport {
  struct Updates: Encodable {
    struct Statement: Encodable {
      var title: String
      /// Seconds, a value a round.
      var watched: [Double]
      var unwatched: [Double]
      var watchedSeconds: Double
      var unwatchedSeconds: Double
      /// Watched time over unwatched.
      var ratio: Double
      /// Keys that one statement put into the log of changes.
      var logged: Int

      init(title: String, watched: [Double], unwatched: [Double], logged: Int) {
        (self.title, self.watched, self.unwatched) = (title, watched, unwatched)
        self.logged = logged
        watchedSeconds = Sample(watched).median ?? 0
        unwatchedSeconds = Sample(unwatched).median ?? 0
        ratio = watchedSeconds / unwatchedSeconds
      }
    }

    var rows: Int
    var statements: [Statement]
  }
}

extension BenchReport.Updates {
  var lines: [String] {
    var table = TextTable([
      ("updates, statements of \(Format.count(rows)) rows", .left), ("unwatched", .right),
      ("watched", .right), ("watched / unwatched", .right), ("rows logged", .right),
    ])
    for statement in statements {
      table.append([
        statement.title, Format.length(seconds: statement.unwatchedSeconds),
        Format.length(seconds: statement.watchedSeconds),
        Format.decimal(statement.ratio, places: 2), Format.count(statement.logged),
      ])
    }
    return table.lines
  }
}
