import Foundation
import Inference
import Logging
import Postgres
import Scoring

/// Many small models over one table.
struct Fleet: Sendable {
  let stage: BenchStage
  let rows: Int
  let models: Int

  private static let features = (0..<10).map { "f\($0)" }
  private static let sampled = 1000

  func measure() async throws -> ModelsBenchReport {
    let connection = try stage.connect()
    try connection.runScript("create schema \(BenchStage.schema)")
    try fill(connection, "bulk", rows)
    try fill(connection, "part", rows / 10)
    let heapBefore = Heap.byteCount
    var modelBytes = 0
    stage.note("registering \(Format.count(models)) models")
    for number in 0..<models {
      let bytes = Self.model(number)
      if number == 0 { modelBytes = try Model.load(bytes).byteCount * models }
      try connection.run(
        """
        select rowcast.register_model(name => \("fleet_\(number)"), artifact => \(bytes), \
        alias => 'champion')
        """)
    }
    let ample = max(1 << 30, modelBytes * 4)
    let one = try await pass("one", ample, models: 1, rows: rows) { connection in
      try connection.run("call rowcast.wait_for_model('fleet_0')")
      while try connection.run(
        "select exists (select from rowcast.model_versions where state = 'registered')"
      ).value(0, 0, as: Bool.self) { usleep(20_000) }
      return """
        select rowcast.create_scorer('one', \(Untyped(stage.table("bulk"))), model => 'fleet_0')
        """
    }
    let many = try await pass("many", ample, models: models, rows: rows) { _ in
      """
      select rowcast.create_scorer('many', \(Untyped(stage.table("bulk"))), \
      route => 'fleet_{device}')
      """
    }
    let bounded = try await pass("bounded", modelBytes / 4, models: models, rows: rows / 10) { _ in
      """
      select rowcast.create_scorer('bounded', \(Untyped(stage.table("part"))), \
      route => 'fleet_{device}')
      """
    }
    return ModelsBenchReport(
      lanes: stage.lanes, modelBytes: modelBytes, heapBefore: heapBefore, one: one, many: many,
      bounded: bounded, sampled: Self.sampled,
      differing: try differing(connection, "many", "bulk")
        + differing(connection, "bounded", "part"))
  }

  private func fill(_ connection: Connection, _ table: String, _ rows: Int) throws {
    let columns = Self.features.map { $0 + " real not null" }.joined(separator: ", ")
    let values = Self.features.indices.map { "((hashint4(i # \($0 + 1)) % 1000) / 250.0)::real" }
      .joined(separator: ", ")
    try connection.runScript(
      """
      create table \(stage.table(table)) (id int primary key, device int not null, \(columns));
      insert into \(stage.table(table))
      select i, i % \(models), \(values) from generate_series(1, \(rows)) as i;
      """)
    try connection.runScript("vacuum analyze \(stage.table(table))")
  }

  /// Runs a worker until a new scorer has scored all rows.
  private func pass(
    _ scorer: String, _ limit: Int, models: Int, rows: Int,
    _ prepare: @escaping @Sendable (Connection) throws -> Query
  ) async throws -> ModelsBenchReport.Pass {
    stage.note("\(scorer): \(Format.count(rows)) rows, \(Format.count(models)) models")
    var configuration = WorkerConfiguration(settings: stage.settings)
    configuration.laneCount = stage.lanes
    configuration.modelByteCount = limit
    let worker = Worker(
      configuration, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    let stage = stage
    return try await WorkerRun.during(worker) {
      let connection = try stage.connect()
      let query = try prepare(connection)
      let loads = worker.statistics.snapshot().modelsLoaded
      let start = ContinuousClock.now
      try connection.run(query)
      try connection.run("call rowcast.wait(\(scorer), '1 hour')")
      return ModelsBenchReport.Pass(
        models: models, rows: rows, seconds: Format.seconds(start.duration(to: .now)),
        loads: Int(worker.statistics.snapshot().modelsLoaded - loads),
        limitBytes: limit, heapBytes: Heap.byteCount)
    }
  }

  /// Predictions of a sample that are not, to the bit, what the engine says.
  private func differing(_ connection: Connection, _ scorer: String, _ table: String) throws -> Int
  {
    try RoutedCheck(stage: stage, prefix: "fleet_", features: Self.features, model: Self.model)
      .differing(connection, scorer: scorer, table: table, sample: Self.sampled)
  }

  /// A LightGBM regression of 20 trees of 8 leaves, another for each number.
  static func model(_ number: Int) -> [UInt8] {
    SyntheticForest(number: number, trees: 20, depth: 3).bytes
  }
}
