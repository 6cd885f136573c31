import Foundation
import Postgres

/// Rows at a steady rate for minutes, without and then with a snapshot that another session holds
/// from before the first row to after the last, so that vacuum can remove nothing meanwhile.
///
/// Ticks and claims are timed by the server (`track_functions`); lags are from the row's insert to
/// its write, over all rows. After the minutes some bursts show what the appliance can do at most, the
/// snapshot still being held.
struct HeldSnapshotBench {
  let stage: BenchStage
  let minutes: Double
  let rate: Int

  private static let windowCount = 8
  private static let writers = 32
  private static let bursts = 5

  /// Twenty seconds' worth of the steady rate.
  private var burstRows: Int { min(rate * 20, 100_000) }

  func run(model: String, features: [String]) throws -> BenchReport.HeldSnapshot {
    let workers = WorkerProcesses(database: stage.settings)
    defer { workers.kill() }
    try workers.start(
      0, .init(lanes: stage.lanes, sessionOptions: "-c track_functions=pl"))
    let connection = try stage.connect()
    try workers.waitUntilReady(connection)
    let without = try period("free", nil, connection, workers, model, features)
    let holder = try stage.connect()
    let held = try period("held", holder, connection, workers, model, features)
    workers.stop()
    return BenchReport.HeldSnapshot(
      minutes: minutes, rowsPerSecond: rate, without: without, held: held,
      loss: 1 - held.scoredPerSecond / without.scoredPerSecond,
      burstLoss: 1 - held.burstRowsPerSecond / without.burstRowsPerSecond)
  }

  /// Cumulative, at one moment.
  private struct Look {
    var at: ContinuousClock.Instant
    var written: Int
    var backlog: Int64
    var tick: Timed
    var claim: Timed
  }

  private struct Timed {
    var calls: Int64
    var milliseconds: Double

    /// Nil where there were no calls, as when a worker of somebody else's dispatches.
    static func mean(_ from: Timed, _ to: Timed) -> Double? {
      let calls = to.calls - from.calls
      return calls > 0 ? (to.milliseconds - from.milliseconds) / Double(calls) : nil
    }
  }

  private func period(
    _ name: String, _ holder: Connection?, _ connection: Connection, _ workers: WorkerProcesses,
    _ model: String, _ features: [String]
  ) throws -> BenchReport.HeldSnapshot.Period {
    let seconds = minutes * 60
    stage.note("\(name) snapshot: \(Format.length(seconds: seconds)) at \(rate) rows/s")
    let source = BenchTable(stage, name, features: features)
    try source.create(
      connection, hasIdentity: true,
      further: ", at timestamptz not null default clock_timestamp()")
    let scorer = BenchScorer(stage, name, workers: workers)
    try scorer.create(connection, source: source, model: model)
    _ = try scorer.wait(connection)
    try connection.runScript("vacuum")
    try stage.settle(connection)
    try holder?.runScript(
      "begin isolation level repeatable read; select count(*) from rowcast.tick")

    let insert = source.insertFeatures
    let writers = PacedWriters(stage, count: Self.writers, rate: rate) { member in
      var random = SeededRandom(seed: UInt64(member))
      let query = Query(text: insert, values: source.values(&random))
      return { connection, _ in try connection.run(query) }
    }
    // The first seconds are for caches and plans.
    Thread.sleep(forTimeInterval: min(2, seconds / 4))
    let clock = ContinuousClock()
    let start = clock.now
    var looks = [try look(connection, scorer, writers)]
    for window in 1...Self.windowCount {
      let end = start + .seconds(seconds * Double(window) / Double(Self.windowCount))
      while clock.now < end {
        Thread.sleep(forTimeInterval: min(Format.seconds(end - clock.now), 0.5))
        try stage.check()
        try workers.check()
        try writers.check()
      }
      looks.append(try look(connection, scorer, writers))
    }
    try writers.stop()
    try scorer.drain(connection)
    let bursts = try (0..<Self.bursts).map { _ in try burst(connection, source, scorer) }
    try holder?.runScript("commit")
    let period = try report(looks, bursts, connection, source, scorer)
    try scorer.drop(connection)
    try connection.runScript("drop table \(source.name)")
    return period
  }

  private func look(
    _ connection: Connection, _ scorer: BenchScorer, _ writers: PacedWriters
  ) throws -> Look {
    let rows = try connection.run(
      """
      select (select backlog_rows from rowcast.scorer_status where name = \(scorer.name)),
             coalesce(max(calls) filter (where funcname = 'tick'), 0),
             coalesce(max(total_time) filter (where funcname = 'tick'), 0),
             coalesce(max(calls) filter (where funcname = 'claim_chunks'), 0),
             coalesce(max(total_time) filter (where funcname = 'claim_chunks'), 0)
      from pg_stat_user_functions where schemaname = 'rowcast'
      """)
    return Look(
      at: .now, written: writers.rows, backlog: try rows.value(0, 0),
      tick: Timed(calls: try rows.value(0, 1), milliseconds: try rows.value(0, 2)),
      claim: Timed(calls: try rows.value(0, 3), milliseconds: try rows.value(0, 4)))
  }

  /// Rows per second of many rows at once, from their commit to the last one's write.
  private func burst(
    _ connection: Connection, _ source: BenchTable, _ scorer: BenchScorer
  ) throws -> Double {
    let list = source.features.joined(separator: ", ")
    let values = source.features.map { _ in "random()" }.joined(separator: ", ")
    try connection.runScript(
      """
      insert into \(source.name) (\(list))
      select \(values) from generate_series(1, \(burstRows))
      """)
    let committed = try connection.run("select extract(epoch from clock_timestamp())::float8")
      .value(0, 0, as: Double.self)
    try scorer.drain(connection)
    let ended = try connection.run(
      """
      select extract(epoch from max(c.finished_at))::float8
      from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
      where s.name = \(scorer.name) and c.state = 'done'
      """
    ).value(0, 0, as: Double.self)
    return Double(burstRows) / max(ended - committed, 0.001)
  }

  private func report(
    _ looks: [Look], _ bursts: [Double], _ connection: Connection, _ source: BenchTable,
    _ scorer: BenchScorer
  ) throws -> BenchReport.HeldSnapshot.Period {
    let (first, last) = (looks[0], looks[looks.count - 1])
    let seconds = Format.seconds(last.at - first.at)
    let written = Double(last.written - first.written)
    let quarter = Self.windowCount / 4
    func quarters(_ value: KeyPath<Look, Timed>) -> BenchReport.HeldSnapshot.Change {
      .init(
        first: Timed.mean(looks[0][keyPath: value], looks[quarter][keyPath: value]),
        last: Timed.mean(
          looks[looks.count - 1 - quarter][keyPath: value],
          looks[looks.count - 1][keyPath: value]))
    }
    // Paced rows only, by the quarter of the time that they were inserted in.
    let lags = try connection.run(
      Query(
        text: """
          select percentile_cont(array[0.5, 0.99]) within group (order by lag)
          from (select extract(epoch from p.scored_at - t.at) * 1000 as lag,
                       width_bucket(t.id, 1, $1 + 1, 4) as quarter
                from \(source.name) as t join \(scorer.predictions) as p using (id)
                where t.id <= $1) as l
          group by quarter order by quarter
          """, values: [Int64(last.written)]))
    let firstLags = try lags.value(0, 0, as: [Double].self)
    let lastLags = try lags.value(lags.count - 1, 0, as: [Double].self)
    return BenchReport.HeldSnapshot.Period(
      writtenPerSecond: written / seconds,
      scoredPerSecond: (written - Double(last.backlog - first.backlog)) / seconds,
      backlog: Int(last.backlog), burstRowsPerSecond: Sample(bursts).median ?? 0, bursts: bursts,
      tickMilliseconds: quarters(\.tick), claimMilliseconds: quarters(\.claim),
      lagP50: .init(first: firstLags[0], last: lastLags[0]),
      lagP99: .init(first: firstLags[1], last: lastLags[1]))
  }
}

extension BenchReport {
  struct HeldSnapshot: Encodable {
    /// Milliseconds in the first and the last quarter of the time.
    struct Change: Encodable {
      var first: Double?
      var last: Double?
    }

    struct Period: Encodable {
      var writtenPerSecond: Double
      var scoredPerSecond: Double
      /// Rows that waited at the end.
      var backlog: Int
      /// What was scored at most afterwards: the median, and each burst.
      var burstRowsPerSecond: Double
      var bursts: [Double]
      /// Means of the server's own times.
      var tickMilliseconds: Change
      var claimMilliseconds: Change
      /// From a row's insert until its prediction is written.
      var lagP50: Change
      var lagP99: Change
    }

    var minutes: Double
    /// What the writers were to reach.
    var rowsPerSecond: Int
    var without: Period
    var held: Period
    /// Shares of the throughput without.
    var loss: Double
    var burstLoss: Double
  }
}

extension BenchReport.HeldSnapshot {
  var lines: [String] {
    var table = TextTable([
      ("held snapshot, \(Format.length(seconds: minutes * 60)) at \(rowsPerSecond) rows/s", .left),
      ("without", .right), ("held", .right),
    ])
    func row(_ title: String, _ value: (Period) -> String) {
      table.append([title, value(without), value(held)])
    }
    func change(_ change: Change) -> String {
      guard let first = change.first, let last = change.last else { return "not known" }
      return "\(Format.milliseconds(first)) to \(Format.milliseconds(last))"
    }
    row("rows written a second") { Format.rate($0.writtenPerSecond) }
    row("rows scored a second") { Format.rate($0.scoredPerSecond) }
    row("bursts, rows scored a second") { Format.rate($0.burstRowsPerSecond) }
    row("tick, first to last quarter") { change($0.tickMilliseconds) }
    row("claim, first to last quarter") { change($0.claimMilliseconds) }
    row("lag p50, first to last quarter") { change($0.lagP50) }
    row("lag p99, first to last quarter") { change($0.lagP99) }
    func percent(_ share: Double) -> String { Format.decimal(share * 100, places: 1) + " %" }
    return table.lines + ["loss: \(percent(loss)) at that rate, \(percent(burstLoss)) of bursts"]
  }
}
