import Foundation
import Inference
import Postgres

/// Inserts, updates and deletes for minutes, of rows that are routed to more models than the workers
/// may keep, while workers are killed every few seconds.
///
/// Three workers serve; the first and the last are killed in turn, the second lives through all of it,
/// and its memory is looked at each second. At the end nothing may wait, be missing, be left over or
/// differ from what the engine says.
struct SoakBench {
  let stage: BenchStage
  let minutes: Double
  let rate: Int
  let killSeconds: Int

  private static let models = 40
  private static let prefix = "\(BenchStage.schema)_fleet_"
  private static let writers = 8
  /// About half of the models have room.
  private static let megabytes = 3
  private static let survivor = 1
  private static let sampled = 2000

  private static func forest(_ number: Int) -> SyntheticForest {
    SyntheticForest(number: number, trees: 100, depth: 5)
  }

  func run() throws -> BenchReport.Soak {
    let connection = try stage.connect()
    let workers = WorkerProcesses(database: stage.settings)
    defer { workers.kill() }
    let folder = try TemporaryDirectory.make("soak")
    defer { TemporaryDirectory.remove(folder) }
    let order = WorkerProcesses.Order(
      lanes: max(1, stage.lanes / 2), arguments: ["--model-memory", "\(Self.megabytes)"],
      log: folder + "/worker.log")
    for number in 0..<3 { try workers.start(number, order) }
    try register(connection)
    try workers.waitUntilReady(connection)
    let features = Self.forest(0).features
    let source = BenchTable(stage, "soak", features: features)
    try source.create(connection, further: ", device int not null")
    let scorer = BenchScorer(stage, "soak", workers: workers)
    try connection.run(
      """
      select rowcast.create_scorer(
        \(scorer.name), \(Untyped(source.name)), route => \(Self.prefix + "{device}"))
      """)
    let writers = makeWriters(source)
    var watch = Watch(survivor: workers.processID(Self.survivor) ?? 0)
    try soak(connection, scorer, workers, writers, &watch)
    try writers.stop()
    let start = ContinuousClock.now
    try scorer.drain(connection)
    watch.drainSeconds = Format.seconds(ContinuousClock.now - start)
    let report = try verify(connection, source, scorer, writers, watch, log: order.log ?? "")
    workers.stop()
    try scorer.drop(connection)
    try connection.runScript("drop table \(source.name)")
    return report
  }

  private func register(_ connection: Connection) throws {
    for number in 0..<Self.models {
      try connection.run(
        """
        select rowcast.register_model(
          name => \(Self.prefix + "\(number)"), artifact => \(Self.forest(number).bytes),
          alias => 'champion')
        """)
    }
    try connection.run("call rowcast.wait_for_model(\(Self.prefix + "\(Self.models - 1)"))")
  }

  // MARK: Load

  /// Each writer has rows of its own; of ten, two update an older row and one in a hundred deletes
  /// one. The device changes every second, so that each model is loaded anew when its turn comes.
  private func makeWriters(_ source: BenchTable) -> PacedWriters {
    let start = ContinuousClock.now
    let (insert, name) = (Self.insert(source), source.name)
    let update = "update \(name) set f0 = $2, device = $3 where id = $1"
    let delete = "delete from \(name) where id = $1"
    return PacedWriters(stage, count: Self.writers, rate: rate) { member in
      // Used by the one thread of the writer.
      let random = Box(SeededRandom(seed: UInt64(member)))
      return { connection, row in
        let device = Int32(Int(Format.seconds(ContinuousClock.now - start)) % Self.models)
        func id(_ row: Int) -> Int64 { Int64(row * Self.writers + member + 1) }
        let older = id(row == 0 ? 0 : Int.random(in: 0..<row, using: &random.value))
        switch row % 100 {
        case 99: try connection.run(Query(text: delete, values: [older]))
        case let step where step % 5 == 4:
          let value = Float.random(in: -4...4, using: &random.value)
          try connection.run(Query(text: update, values: [older, value, device]))
        default:
          let values = source.features.map { _ in Float.random(in: -4...4, using: &random.value) }
          try connection.run(
            Query(
              text: insert,
              values: [id(row), device] + values.map { $0 as any PostgresEncodable }))
        }
      }
    }
  }

  private final class Box: @unchecked Sendable {
    var value: SeededRandom
    init(_ value: SeededRandom) { self.value = value }
  }

  private static func insert(_ source: BenchTable) -> String {
    let places = (1...source.features.count + 2).map { "$\($0)" }.joined(separator: ", ")
    return "insert into \(source.name) (id, device, \(source.features.joined(separator: ", "))) "
      + "values (\(places))"
  }

  private struct Watch {
    let survivor: Int32
    /// The survivor's memory, by seconds since the start.
    var memory: [(seconds: Double, bytes: Double)] = []
    var kills = 0
    var largestBacklog: Int64 = 0
    var drainSeconds = 0.0
  }

  private func soak(
    _ connection: Connection, _ scorer: BenchScorer, _ workers: WorkerProcesses,
    _ writers: PacedWriters, _ watch: inout Watch
  ) throws {
    stage.note(
      "soak: \(Format.length(seconds: minutes * 60)) at \(rate) rows/s, a kill every \(killSeconds) s"
    )
    let clock = ContinuousClock()
    let start = clock.now
    let end = start + .seconds(minutes * 60)
    var second = 0
    while clock.now < end {
      second += 1
      let next = min(start + .seconds(second), end)
      Thread.sleep(forTimeInterval: max(Format.seconds(next - clock.now), 0))
      try stage.check()
      try workers.check()
      try writers.check()
      if let bytes = ProcessorTime.privateBytes(watch.survivor) {
        watch.memory.append((Format.seconds(clock.now - start), Double(bytes)))
      }
      let backlog = try connection.run(
        "select backlog_rows from rowcast.scorer_status where name = \(scorer.name)"
      ).value(0, 0, as: Int64.self)
      watch.largestBacklog = max(watch.largestBacklog, backlog)
      if second % killSeconds == 0, clock.now < end {
        try workers.restart(watch.kills % 2 == 0 ? 0 : 2)
        watch.kills += 1
      }
    }
  }

  // MARK: The end

  private func verify(
    _ connection: Connection, _ source: BenchTable, _ scorer: BenchScorer,
    _ writers: PacedWriters, _ watch: Watch, log: String
  ) throws -> BenchReport.Soak {
    let counts = try connection.run(
      Query(
        text: """
          select count(t.id), count(*) filter (where p.id is null),
                 count(*) filter (where t.id is null),
                 (select count(*) from \(scorer.predictions)_failure),
                 (select count(*) from rowcast.chunk as c join rowcast.scorer as s using (scorer_id)
                  where s.name = $1 and c.state not in ('done', 'cancelled'))
          from \(source.name) as t full join \(scorer.predictions) as p on p.id = t.id
          """, values: [scorer.name]))
    let differing = try RoutedCheck(
      stage: stage, prefix: Self.prefix, features: source.features,
      model: { Self.forest($0).bytes }
    ).differing(connection, scorer: scorer.name, table: "soak", sample: Self.sampled)
    let told = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    let (slope, error) = Self.slope(watch.memory)
    func median(_ part: ArraySlice<(seconds: Double, bytes: Double)>) -> Double {
      Sample(part.map(\.bytes)).median ?? 0
    }
    let third = watch.memory.count / 3
    return BenchReport.Soak(
      minutes: minutes, rowsPerSecond: rate, changes: writers.rows, kills: watch.kills,
      models: Self.models, modelMegabytes: Self.megabytes,
      modelLoads: told.components(separatedBy: "model loaded").count - 1,
      largestBacklog: Int(watch.largestBacklog), drainSeconds: watch.drainSeconds,
      middleBytes: median(watch.memory[third..<max(third, 2 * third)]),
      lastBytes: median(watch.memory.suffix(third)), bytesPerHour: slope,
      bytesPerHourError: error, rows: Int(try counts.value(0, 0, as: Int64.self)),
      missing: Int(try counts.value(0, 1, as: Int64.self)),
      leftOver: Int(try counts.value(0, 2, as: Int64.self)),
      failures: Int(try counts.value(0, 3, as: Int64.self)),
      openChunks: Int(try counts.value(0, 4, as: Int64.self)), sampled: Self.sampled,
      differing: differing)
  }

  /// Bytes an hour of the last two thirds, by least squares, with its standard error.
  private static func slope(_ memory: [(seconds: Double, bytes: Double)]) -> (Double, Double) {
    let points = memory.suffix(memory.count * 2 / 3)
    guard points.count > 2 else { return (0, 0) }
    let count = Double(points.count)
    let x = points.reduce(0) { $0 + $1.seconds } / count
    let y = points.reduce(0) { $0 + $1.bytes } / count
    let spread = points.reduce(0) { $0 + ($1.seconds - x) * ($1.seconds - x) }
    let slope = points.reduce(0) { $0 + ($1.seconds - x) * ($1.bytes - y) } / spread
    let rest = points.reduce(0) { sum, point in
      let apart = point.bytes - y - slope * (point.seconds - x)
      return sum + apart * apart
    }
    return (slope * 3600, (rest / (count - 2) / spread).squareRoot() * 3600)
  }
}

extension BenchReport {
  struct Soak: Encodable {
    var minutes: Double
    /// What the writers were to reach.
    var rowsPerSecond: Int
    /// Inserts, updates and deletes that were committed.
    var changes: Int
    var kills: Int
    var models: Int
    /// Of models that a worker may keep.
    var modelMegabytes: Int
    var modelLoads: Int
    var largestBacklog: Int
    /// Until nothing waited after the last change.
    var drainSeconds: Double
    /// Memory of the worker that was not killed: medians of the middle and the last third.
    var middleBytes: Double
    var lastBytes: Double
    /// Its slope over the last two thirds, and the standard error of that.
    var bytesPerHour: Double
    var bytesPerHourError: Double
    /// At the end.
    var rows: Int
    var missing: Int
    var leftOver: Int
    var failures: Int
    var openChunks: Int
    var sampled: Int
    var differing: Int

    var isRight: Bool {
      missing == 0 && leftOver == 0 && failures == 0 && openChunks == 0 && differing == 0
    }
  }
}

extension BenchReport.Soak {
  var lines: [String] {
    var table = TextTable([
      ("soak, \(Format.length(seconds: minutes * 60)) at \(rowsPerSecond) changes/s", .left),
      ("", .right),
    ])
    func row(_ title: String, _ value: String) { table.append([title, value]) }
    row("changes", Format.count(changes))
    row("workers killed", Format.count(kills))
    row("loads of \(models) models, \(modelMegabytes) MB kept", Format.count(modelLoads))
    row("largest backlog, rows", Format.count(largestBacklog))
    row("backlog 0 after the last change", Format.length(seconds: drainSeconds))
    row("memory of the survivor, middle third", Format.bytes(Int(middleBytes)))
    row("memory of the survivor, last third", Format.bytes(Int(lastBytes)))
    let megabyte = Double(1 << 20)
    row(
      "its slope, MB an hour",
      "\(Format.decimal(bytesPerHour / megabyte, places: 1)) ± "
        + Format.decimal(bytesPerHourError / megabyte, places: 1))
    row("rows at the end", Format.count(rows))
    row("without a prediction", Format.count(missing))
    row("predictions without a row", Format.count(leftOver))
    row("failures", Format.count(failures))
    row("chunks left open or given up", Format.count(openChunks))
    row("of \(Format.count(sampled)) other than the engine says", Format.count(differing))
    return table.lines
  }
}
