import ArgumentParser
import Foundation
import Inference
import Logging
import Postgres
import Scoring

struct AskBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Measure how long callers of rowcast.score wait.",
    discussion: """
      On a throw-away PostgreSQL with a worker in this process, or on --database (in a schema of its own \
      that is dropped at the end). Asks one row at a time: first with nothing else to do and pauses in \
      which all falls asleep, then while a backfill keeps every lane busy.

        --through URI   the callers' connection, as through a pooler

      EXAMPLE
        rowcast bench ask
        rowcast bench ask --database postgresql://… --through "host=pooler port=6432 dbname=shop"
      """)

  @Option(help: "Questions of each part.")
  var calls = 500

  @Option(help: "Rows of the backfill; 0 for none.")
  var rows = 1_000_000

  @Option(help: "Lanes. Default: the cores.")
  var lanes: Int?

  @Option(
    name: [.customLong("database"), .customShort("d")],
    help: ArgumentHelp("Measure on this database instead; it needs a superuser.", valueName: "uri"))
  var database: String?

  @Option(help: ArgumentHelp("The callers' connection.", valueName: "uri"))
  var through: String?

  @Option(help: ArgumentHelp("The model that is asked.", valueName: "file"))
  var model: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard calls >= 20 else { throw ValidationError("--calls must be 20 or more") }
    guard rows >= 0 else { throw ValidationError("--rows must be 0 or more") }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }

  /// Milliseconds.
  struct Figure: Encodable {
    var p50: Double
    var p90: Double
    var p99: Double
    var most: Double
    var count: Int

    init(_ sample: Sample) throws {
      guard let p50 = sample.quantile(0.5), let p90 = sample.quantile(0.9),
        let p99 = sample.quantile(0.99), let most = sample.quantile(1)
      else { throw CommandError(.failed, "no question was answered") }
      (self.p50, self.p90, self.p99, self.most, count) = (p50, p90, p99, most, sample.count)
    }

    var text: String {
      let figures = [("p50", p50), ("p90", p90), ("p99", p99), ("most", most)]
      return figures.map { "\($0) \(Format.decimal($1, places: 2)) ms" }.joined(separator: ", ")
        + ", \(Format.count(count)) questions"
    }
  }

  struct Report: Encodable {
    var machine = BenchMachine.name
    var commit = BenchMachine.commit()
    var idle: Figure
    var busy: Figure?
    /// Rows a second of the backfill meanwhile.
    var busyRowsPerSecond: Double?

    var text: String {
      var lines = ["idle  \(idle.text)"]
      if let busy, let busyRowsPerSecond {
        lines.append("busy  \(busy.text), beside \(Format.rate(busyRowsPerSecond)) rows/s")
      }
      return lines.joined(separator: "\n")
    }
  }

  func run() async throws {
    let bytes = try ModelFile.bytes(
      path: model ?? Share.path("deploy/bench/boosted_100x31.txt"))
    let place = try database == nil ? TemporaryDirectory.make("bench") : nil
    defer { if let place { TemporaryDirectory.remove(place) } }
    let appliance = try place.map { try Appliance(.init(directory: $0 + "/postgres")) }
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance?.server.stop(.immediate) }
    let settings = try appliance?.database ?? ConnectionSettings(database ?? "")
    var configuration = WorkerConfiguration(settings: settings)
    configuration.laneCount = lanes ?? Machine.coreCount
    let stage = BenchStage(
      settings: settings, lanes: configuration.laneCount, serverDirectory: "")
    let worker = Worker(configuration, logger: WorkerRun.logger(level: .warning))
    let callers = try through.map { try ConnectionSettings($0) } ?? settings
    let loaded = try Model.load(bytes)
    let report = try await WorkerRun.during(worker) {
      try measure(stage, callers: callers, model: bytes, loaded)
    }
    try appliance?.server.stop(.fast)
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
  }

  private func measure(
    _ stage: BenchStage, callers: ConnectionSettings, model bytes: [UInt8], _ model: Model
  ) throws -> Report {
    let name = "rowcast_bench"
    let connection = try stage.connect()
    if database != nil { try stage.refuseWhereTaken(connection) }
    defer { if database != nil { try? stage.clear() } }
    try connection.runScript("create schema \(BenchStage.schema)")
    try connection.run(
      "select rowcast.register_model(name => \(name), artifact => \(bytes), alias => 'champion')")
    try connection.run("call rowcast.wait_for_model(\(name))")
    let caller = try Connection(callers)
    let questions = try Self.values(model).map {
      "call rowcast.score(\(try stage.quoted(literal: name)), \(try stage.quoted(literal: $0)))"
    }
    stage.note("ask: \(calls) questions, idle")
    var random = SeededRandom(seed: 7)
    let idle = try ask(caller, questions, count: calls) {
      usleep(UInt32.random(in: 5_000...20_000, using: &random))
    }
    var report = Report(idle: try Figure(idle))
    if rows > 0 {
      stage.note("ask: beside a backfill of \(Format.count(rows)) rows")
      try busy(&report, stage, connection, caller, name, questions, model)
    }
    return report
  }

  private func busy(
    _ report: inout Report, _ stage: BenchStage, _ connection: Connection, _ caller: Connection,
    _ name: String, _ questions: [String], _ model: Model
  ) throws {
    let features = try stage.quoted(identifiers: model.signature.features.map(\.name))
    let columns = features.map { $0 + " real not null" }.joined(separator: ", ")
    let table = stage.table("asked")
    let numbers = features.map { _ in "(random() * 4 - 2)::real" }.joined(separator: ", ")
    try connection.runScript("create table \(table) (id bigint primary key, \(columns))")
    try connection.run(
      Query(
        text: "insert into \(table) select i, \(numbers) from generate_series(1, $1::bigint) as i",
        values: [Int64(rows)]))
    let clock = ContinuousClock()
    let start = clock.now
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => 'rowcast_bench_asked', source => \(table), model => \(name))
      """)
    func done() throws -> Bool {
      try connection.run(
        """
        select coalesce(backfill_done >= 1 and backlog_rows = 0, false)
        from rowcast.scorer_status where name = 'rowcast_bench_asked'
        """
      ).value(0, 0, as: Bool.self)
    }
    // Only what was asked before the backfill was over counts.
    var sample = Sample()
    while sample.count < calls, try !done() {
      for value in try ask(caller, questions, count: 10, pause: {}).values { sample.add(value) }
    }
    let scored = try connection.run("select count(*) from predictions.rowcast_bench_asked")
      .value(0, 0, as: Int64.self)
    report.busyRowsPerSecond = Double(scored) / Format.seconds(clock.now - start)
    report.busy = try Figure(sample)
    try connection.run("select rowcast.drop_scorer('rowcast_bench_asked')")
  }

  /// Milliseconds of each call. The first five warm caches and plans and do not count.
  private func ask(
    _ caller: Connection, _ calls: [String], count: Int, pause: () -> Void
  ) throws -> Sample {
    let clock = ContinuousClock()
    var sample = Sample()
    for call in 0..<(count + 5) {
      pause()
      let start = clock.now
      // As text: not every pooler knows prepared statements.
      try caller.runScript(calls[call % calls.count])
      if call >= 5 { sample.add(Format.seconds(clock.now - start) * 1000) }
    }
    return sample
  }

  /// Rows made up from the model's thresholds, as JSON.
  private static func values(_ model: Model) throws -> [String] {
    let rows = model.syntheticRows(count: 64)
    return try (0..<64).map { row in
      var object: [String: Double] = [:]
      for (feature, column) in zip(model.signature.features, rows.columns) {
        switch column.values {
        case .float32(let numbers): object[feature.name] = Double(numbers[row])
        case .float64(let numbers): object[feature.name] = numbers[row]
        case .int64(let numbers): object[feature.name] = Double(numbers[row])
        default:
          throw CommandError(.failed, "the benchmark asks models of numbers only")
        }
      }
      return String(decoding: try JSONEncoder().encode(object), as: UTF8.self)
    }
  }
}
