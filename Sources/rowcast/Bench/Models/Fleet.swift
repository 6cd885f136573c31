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
    let columns = Self.features.map { "t." + $0 }.joined(separator: ", ")
    let found = try connection.run(
      Query(
        text: """
          select p.score, t.device, p.model_name, \(columns)
          from \(stage.table(table)) as t left join predictions.\(scorer) as p using (id)
          order by hashint4(id), id limit $1
          """, values: [Int64(Self.sampled)]))
    let workspace = Workspace()
    var differing = 0
    for row in 0..<found.count {
      let device = try found.value(row, "device", as: Int32.self)
      let values = try Self.features.map {
        Column(.float32([try found.value(row, $0, as: Float.self)]))
      }
      let answer = try Model.load(Self.model(Int(device))).predict(
        Batch(rowCount: 1, columns: values), workspace: workspace)
      guard case .float64(let scores) = answer.columns[0].values,
        let score = try found.value(row, "score", as: Double?.self),
        score.bitPattern == scores[0].bitPattern,
        try found.value(row, "model_name", as: String?.self) == "fleet_\(device)"
      else {
        differing += 1
        continue
      }
    }
    return differing
  }

  // MARK: Models

  /// A LightGBM regression of 20 trees of 8 leaves, another for each number.
  static func model(_ number: Int) -> [UInt8] {
    var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func draw(_ bound: UInt64) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % bound)
    }
    func list(_ count: Int, _ value: () -> String) -> String {
      (0..<count).map { _ in value() }.joined(separator: " ")
    }
    var trees = ""
    for tree in 0..<20 {
      trees += """
        Tree=\(tree)
        num_leaves=8
        num_cat=0
        split_feature=\(list(7) { "\(draw(10))" })
        split_gain=\(list(7) { "1" })
        threshold=\(list(7) { "\(Double(draw(800)) / 100 - 4 + 0.005)" })
        decision_type=\(list(7) { "2" })
        left_child=1 3 5 -1 -3 -5 -7
        right_child=2 4 6 -2 -4 -6 -8
        leaf_value=\(list(8) { "\(Double(draw(2000)) / 1000 - 1)" })
        leaf_weight=\(list(8) { "1" })
        leaf_count=\(list(8) { "1" })
        internal_value=\(list(7) { "0" })
        internal_weight=\(list(7) { "2" })
        internal_count=\(list(7) { "2" })
        is_linear=0
        shrinkage=1


        """
    }
    return Array(
      """
      tree
      version=v4
      num_class=1
      num_tree_per_iteration=1
      label_index=0
      max_feature_idx=9
      objective=regression
      feature_names=\(features.joined(separator: " "))
      feature_infos=\(features.map { _ in "[-4:4]" }.joined(separator: " "))

      \(trees)
      end of trees

      """.utf8)
  }
}
