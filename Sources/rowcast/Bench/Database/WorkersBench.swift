import Foundation
import Postgres

/// A backfill by one, two and four worker processes of one lane each, in turn, with a model that is slow
/// because it says its reasons too, so that the server has little to do.
///
/// The clock runs from the first fifth of the rows on: by then each worker has loaded the model, and
/// chunks have found their size.
struct WorkersBench {
  let stage: BenchStage
  let rows: Int
  let repeats: Int

  private static let counts = [1, 2, 4]
  /// With reasons, more than a hundred microseconds a row on a core of today.
  private static let forest = SyntheticForest(number: 1, trees: 200, depth: 6)
  private static let reasons = 3

  private struct Round {
    var rowsPerSecond: Double
    var cost: Cost.PerRow
  }

  func run() throws -> BenchReport.Workers {
    let connection = try stage.connect()
    let model = "\(BenchStage.schema)_slow"
    let workers = WorkerProcesses(database: stage.settings)
    defer { workers.kill() }
    try workers.start(0, .init(lanes: 1))
    try connection.run(
      """
      select rowcast.register_model(
        name => \(model), artifact => \(Self.forest.bytes), alias => 'champion')
      """)
    try connection.run("call rowcast.wait_for_model(\(model))")
    let source = BenchTable(stage, "workers", features: Self.forest.features)
    try source.create(connection, rows: rows)
    var rounds: [Int: [Round]] = [:]
    for round in 1...repeats {
      for count in Self.counts {
        stage.note("workers \(round)/\(repeats): \(count)")
        workers.stop()
        for number in 0..<count { try workers.start(number, .init(lanes: 1)) }
        try workers.waitUntilReady(connection)
        rounds[count, default: []].append(try measure(connection, source, model, workers))
      }
    }
    workers.stop()
    try connection.runScript("drop table \(source.name)")
    let one = Sample(rounds[1]?.map(\.rowsPerSecond) ?? []).median ?? 0
    return BenchReport.Workers(
      rows: rows, trees: Self.forest.trees, leaves: 1 << Self.forest.depth, reasons: Self.reasons,
      processes: Self.counts.map { count in
        let rates = rounds[count]?.map(\.rowsPerSecond) ?? []
        let median = Sample(rates).median ?? 0
        return BenchReport.Workers.Figure(
          processes: count, rounds: rates, rowsPerSecond: median, ratio: median / one,
          cost: .median(rounds[count]?.map(\.cost) ?? []))
      })
  }

  private func measure(
    _ connection: Connection, _ source: BenchTable, _ model: String, _ workers: WorkerProcesses
  ) throws -> Round {
    let scorer = BenchScorer(stage, "workers", workers: workers)
    let meter = try Meter(connection, workers: workers.processIDs)
    try stage.settle(connection)
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => \(scorer.name), source => \(source.name), model => \(model),
        explain => \(Int32(Self.reasons)))
      """)
    var scored = try self.scored(connection, scorer)
    while scored < rows / 5 {
      usleep(25_000)
      try workers.check()
      scored = try self.scored(connection, scorer)
    }
    let start = ContinuousClock.now
    let reading = try meter.reading()
    let finish = try scorer.wait(connection)
    let cost = try meter.cost(since: reading, rows: rows - scored)
    try scorer.verify(connection, rows: rows)
    try scorer.drop(connection)
    return Round(
      rowsPerSecond: Double(rows - scored) / Format.seconds(finish.at - start), cost: cost.perRow)
  }

  private func scored(_ connection: Connection, _ scorer: BenchScorer) throws -> Int {
    Int(
      try connection.run(
        """
        select coalesce(sum(c.rows_scored), 0)::bigint
        from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
        where s.name = \(scorer.name) and c.state = 'done'
        """
      ).value(0, 0, as: Int64.self))
  }
}

extension BenchReport {
  struct Workers: Encodable {
    struct Figure: Encodable {
      var processes: Int
      /// Rows per second, a value a round.
      var rounds: [Double]
      var rowsPerSecond: Double
      /// To one process.
      var ratio: Double
      var cost: Cost.PerRow
    }

    var rows: Int
    /// Of the slow model, and leaves of each.
    var trees: Int
    var leaves: Int
    /// Contributions that each row is explained with.
    var reasons: Int
    var processes: [Figure]
  }
}

extension BenchReport.Workers {
  var lines: [String] {
    var table = TextTable([
      (
        "workers of one lane, \(trees) x \(leaves) with reasons, \(Format.count(rows)) rows", .left
      ),
      ("rows/s", .right), ("of one", .right), ("worker us", .right), ("server us", .right),
    ])
    for figure in processes {
      table.append([
        figure.processes == 1 ? "1 process" : "\(figure.processes) processes",
        Format.rate(figure.rowsPerSecond), Format.decimal(figure.ratio, places: 2),
        figure.cost.workerMicroseconds.map { Format.decimal($0, places: 2) } ?? "",
        figure.cost.serverMicroseconds.map { Format.decimal($0, places: 2) } ?? "",
      ])
    }
    return table.lines
  }
}
