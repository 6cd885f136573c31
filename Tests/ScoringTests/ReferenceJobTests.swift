import Foundation
import Inference
import ModelFixtures
import Postgres
import Scoring
import TestRandom
import TestSupport
import Testing

/// The reference job: 17,768 readings of 15 sensors, one scorer routed over 15 models, and the
/// answers that were computed elsewhere in double precision.
@Suite(
  .database, .timeLimit(.minutes(5)),
  .enabled(if: ReferenceJob.isThere, "../shared/data is missing"))
struct ReferenceJobTests {
  @Test func copiedRowsGetTheExpectedPredictions() async throws {
    let scene = try Scene()
    let job = try ReferenceJob()
    try await scene.withWorkers(lanes: 4) { connection, _ in
      try job.prepare(scene, connection)
      let start = ContinuousClock.now
      try job.copy(connection)
      try scene.settle(connection)
      print("17,768 rows by COPY: scored after \(start.duration(to: .now))")
      try job.expectReference(connection)
    }
  }

  @Test func rowsInsertedSinglyEndUpTheSame() async throws {
    let scene = try Scene()
    let job = try ReferenceJob()
    try await scene.withWorkers(lanes: 4) { connection, workers in
      try job.prepare(scene, connection)
      var random = SplitMix64(seed: 17)
      let order = job.readings.indices.shuffled(using: &random)
      let settings = scene.settings
      let writers = (0..<8).map { writer in
        Background {
          let connection = try Connection(settings)
          for place in stride(from: writer, to: order.count, by: 8) {
            let reading = job.readings[order[place]]
            try connection.run(
              """
              insert into reading values (\(Int32(order[place])), \(Untyped(reading.at)), \
              \(reading.device), \(reading.sensor), \(reading.value))
              """)
          }
        }
      }
      for writer in writers { try writer.value(timeout: .seconds(240)) }
      try scene.settle(connection)
      let counts = workers[0].statistics.snapshot()
      print(
        "inserted singly by 8: \(counts.ticks) ticks, \(counts.chunks) chunks, latency p50 "
          + "\(counts.latencyP50Milliseconds ?? 0) ms, p99 \(counts.latencyP99Milliseconds ?? 0) ms"
      )
      try job.expectReference(connection)
      try job.change(connection)
      try scene.settle(connection)
      try job.expectEngine(connection)
    }
  }
}

/// The data, the models and the answers.
struct ReferenceJob: Sendable {
  struct Reading: Sendable {
    var at: String
    var device: Int32
    var sensor: Int32
    var value: Double
    var decision: Double
    var prediction: Int64
  }

  private struct Parameters: Decodable {
    struct Scaler: Decodable { var mean, scale: Double }
    struct Machine: Decodable {
      var gamma, intercept: Double
      var support_vectors, dual_coef: [Double]
    }
    var device, sensor: Int
    var scaler: Scaler
    var ocsvm: Machine
  }

  static let folder = TestModel.root.deletingLastPathComponent()
    .appending(path: "shared/data/iot_anomaly")
  static var isThere: Bool {
    FileManager.default.fileExists(atPath: folder.appending(path: "sensor_data.csv").path)
  }
  /// Nearer to the boundary than this, single precision may fall on either side.
  static let near = 1e-6

  let readings: [Reading]
  let models: [String: [UInt8]]

  init() throws {
    let text = String(
      decoding: try Data(contentsOf: Self.folder.appending(path: "expected_predictions.csv")),
      as: UTF8.self)
    readings = text.split(whereSeparator: \.isNewline).dropFirst().map { line in
      let fields = line.split(separator: ",")
      return Reading(
        at: String(fields[0]), device: Int32(fields[1])!, sensor: Int32(fields[2])!,
        value: Double(fields[3])!, decision: Double(fields[4])!, prediction: Int64(fields[5])!)
    }
    let parameters = try JSONDecoder().decode(
      [String: Parameters].self,
      from: Data(contentsOf: Self.folder.appending(path: "ocsvm_params.json")))
    models = Dictionary(
      uniqueKeysWithValues: parameters.values.map { model in
        (
          "anomaly_\(model.device)_\(model.sensor)",
          SensorModel(
            mean: [model.scaler.mean], scale: [model.scaler.scale],
            supportVectors: model.ocsvm.support_vectors,
            dualCoefficients: model.ocsvm.dual_coef, intercept: model.ocsvm.intercept,
            gamma: model.ocsvm.gamma
          ).onnx()
        )
      })
  }

  func prepare(_ scene: Scene, _ connection: Connection) throws {
    #expect(readings.count == 17_768 && models.count == 15)
    for (name, bytes) in models { try scene.push(name, bytes) }
    try connection.runScript(
      """
      create table reading (
        id int primary key, at timestamp, device int, sensor int, value double precision);
      """)
    try connection.run(
      """
      select * from rowcast.create_scorer('anomaly', 'public.reading', \
      route => 'anomaly_{device}_{sensor}')
      """)
  }

  func copy(_ connection: Connection) throws {
    var at = RawColumn(typeOID: .timestamp)
    let stamps = try connection.run(
      "select t::timestamp from unnest(\(readings.map(\.at))) with ordinality as u (t, n) order by n"
    )
    at = stamps.raw(0)
    let columns: [CopyColumn] = [
      .values(ColumnVector(.int32(readings.indices.map { Int32($0) }))), .raw(at),
      .values(ColumnVector(.int32(readings.map(\.device)))),
      .values(ColumnVector(.int32(readings.map(\.sensor)))),
      .values(ColumnVector(.float64(readings.map(\.value)))),
    ]
    let count = readings.count
    try connection.copyIn("copy reading from stdin (format binary)") {
      writer throws(PostgresError) in
      try writer.write(columns, rows: 0..<count)
    }
  }

  /// A label of -1 is an anomaly, which the reference calls 1.
  func expectReference(_ connection: Connection) throws {
    let rows = try connection.run("select id, label from predictions.anomaly order by id")
    try #require(rows.count == readings.count)
    guard case .int64(let labels) = try rows.column(1).values else { return }
    var near = 0
    var nearWrong = 0
    var wrong: [Int] = []
    for (index, reading) in readings.enumerated() {
      let isEqual = (labels[index] == 1 ? 0 : 1) == reading.prediction
      if abs(reading.decision) <= Self.near {
        near += 1
        nearWrong += isEqual ? 0 : 1
      } else if !isEqual {
        wrong.append(index)
      }
    }
    print(
      "\(near) rows within \(Self.near) of the boundary, \(nearWrong) of them on the other side")
    #expect(near == 205)
    #expect(wrong.isEmpty, "\(wrong.count) rows differ, the first are \(wrong.prefix(5))")
    #expect(
      try connection.run("select count(*) from predictions.anomaly_failure")
        .value(0, 0, as: Int64.self) == 0)
  }

  /// 2,000 random updates, 1,000 deletes, a changed key.
  func change(_ connection: Connection) throws {
    var random = SplitMix64(seed: 23)
    for _ in 0..<2000 {
      let id = Int32.random(in: 0..<Int32(readings.count), using: &random)
      let value = Double.random(in: -20...120, using: &random)
      if Bool.random(using: &random) {
        try connection.run("update reading set value = \(value) where id = \(id)")
      } else {
        let sensor = Int32.random(in: 1...5, using: &random)
        try connection.run("update reading set sensor = \(sensor) where id = \(id)")
      }
    }
    for _ in 0..<1000 {
      let id = Int32.random(in: 0..<Int32(readings.count), using: &random)
      try connection.run("delete from reading where id = \(id)")
    }
    try connection.run(
      "update reading set id = id + 1000000 where id = (select max(id) from reading)")
  }

  /// The table equals what the engine says of the rows as they are now.
  func expectEngine(_ connection: Connection) throws {
    let rows = try connection.run(
      """
      select r.value, 'anomaly_' || r.device || '_' || r.sensor as wanted, p.model_name, p.label, \
      p.decision, r.id is null as orphan, p.id is null as missing \
      from reading as r full join predictions.anomaly as p using (id)
      """)
    var loaded: [String: Model] = [:]
    for (name, bytes) in models { loaded[name] = try Model.load(bytes) }
    var groups: [String: [Int]] = [:]
    for row in 0..<rows.count {
      #expect(try !rows.value(row, "orphan", as: Bool.self))
      try #require(try !rows.value(row, "missing", as: Bool.self))
      groups[try rows.value(row, "wanted", as: String.self), default: []].append(row)
    }
    for (name, members) in groups {
      let values = try members.map { try rows.value($0, "value", as: Double.self) }
      let oracle = try loaded[name]!.predict(
        Batch(rowCount: values.count, columns: [Column(.float64(values))]), workspace: Workspace())
      guard case .int64(let labels) = oracle.columns[0].values,
        case .float32(let decisions) = oracle.columns[1].values
      else { return }
      for (index, row) in members.enumerated() {
        #expect(try rows.value(row, "model_name", as: String.self) == name)
        #expect(try rows.value(row, "label", as: Int64.self) == labels[index])
        #expect(try rows.value(row, "decision", as: Float.self) == decisions[index])
      }
    }
  }
}
