import Foundation
import Glibc
import Inference
import Postgres
import Schema
import Testing

/// A server of its own (it is going to be ended without mercy), a watched table and its workers.
final class FaultScene {
  let settings: ConnectionSettings
  private let folder: URL
  private let server: LocalServer
  private var workers: [WorkerProcess] = []
  private let modelBytes: [UInt8]

  init(_ name: String = "faults") throws {
    folder = URL(fileURLWithPath: "/tmp/rowcast-\(name)-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    chmod(folder.path, 0o755)
    modelBytes = [UInt8](
      try Data(
        contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
          .deletingLastPathComponent()
          .appendingPathComponent("InferenceTests/Fixtures/linear_regression/model.onnx")))
    var configuration = LocalServer.Configuration(
      directory: folder.appendingPathComponent("data").path)
    configuration.settings["max_connections"] = "60"
    server = try LocalServer(configuration)
    settings = try server.database("faults")
  }

  func prepare() throws {
    try Migrator(settings).migrate()
    let model = try Model.load(modelBytes)
    let signature = String(decoding: try JSONEncoder().encode(model.signature), as: UTF8.self)
    let connection = try Connection(settings)
    defer { connection.close() }
    try connection.runScript(
      """
      create table reading (
        reading_id bigint primary key, f0 float8, f1 float8 not null, f2 float8 not null,
        f3 float8 not null, f4 float8 not null, note text);
      """)
    try connection.run(
      """
      select rowcast.register_model(
        name => 'reading', artifact => \(modelBytes), alias => 'champion')
      """)
    let rows = try connection.run("select model_id, version from rowcast.models_to_inspect()")
    try connection.run(
      """
      select rowcast.record_inspection(
        \(rows.value(0, 0, as: Int32.self)), \(rows.value(0, 1, as: Int32.self)),
        \(JSON(signature)), null, 'onnx')
      """)
    try connection.run(
      "select rowcast.create_scorer('reading', source => 'public.reading', model => 'reading')")
  }

  /// Waits until nothing that is committed is unscored.
  func waitUntilScored(within seconds: Double) throws {
    let end = Date().addingTimeInterval(seconds)
    let connection = try Connection(settings)
    defer { connection.close() }
    while Date() < end {
      let rows = try connection.run("select backlog_rows::int8 from rowcast.scorer_status")
      if try rows.value(0, 0, as: Int64.self) == 0 { return }
      usleep(50_000)
    }
    Issue.record("there is still a backlog after \(seconds) s")
  }

  // MARK: Faults

  func inflict(_ fault: Fault) throws {
    switch fault {
    case .kill(let index):
      workers[index].killAndWait()
      workers[index] = try WorkerProcess(name: "w\(index)", database: settings, log: log(index))
    case .stall(let index, let seconds):
      workers[index].send(SIGSTOP)
      usleep(useconds_t(seconds * 1_000_000))
      workers[index].send(SIGCONT)
    case .terminate:
      let connection = try Connection(settings)
      defer { connection.close() }
      try connection.run(
        """
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()
          and application_name not in ('writer', 'monitor')
        order by random() limit 1
        """)
    case .restartServer:
      try server.stop(.immediate)
      try server.start()
    }
  }

  // MARK: Oracle

  struct Comparison {
    var rows = 0
    var predictions = 0
    var failures = 0
    var missing = 0
    var stale = 0
    var orphaned = 0
    var duplicate = 0
    var held = 0
  }

  /// Scores the table as it is now with the engine alone, and compares.
  func compareWithOracle() throws -> Comparison {
    let connection = try Connection(settings)
    defer { connection.close() }
    let source = try connection.run(
      "select reading_id, f0, f1, f2, f3, f4 from reading order by reading_id")
    let model = try Model.load(modelBytes)
    var report = Comparison()
    report.rows = source.count
    var columns: [Column] = []
    for index in 1...5 {
      var column = Column(.float64([]))
      var values: [Double] = []
      var nulls = [UInt64](repeating: 0, count: (source.count + 63) / 64)
      for row in 0..<source.count {
        let value = try source.value(row, index, as: Double?.self)
        values.append(value ?? 0)
        if value == nil { nulls[row >> 6] |= 1 << UInt64(row & 63) }
      }
      column.values = .float64(values)
      column.nulls = nulls
      columns.append(column)
    }
    let expected = try model.predict(
      Batch(rowCount: source.count, columns: columns), workspace: Workspace())
    guard case .float32(let scores) = expected.columns[0].values else {
      throw ModelError(.mismatch, "the oracle's score is not a float32")
    }
    let refused = Set(expected.failures.map(\.row))

    var wanted: [Int64: Float?] = [:]
    for row in 0..<source.count {
      wanted[try source.value(row, 0, as: Int64.self)] =
        refused.contains(row) ? .some(nil) : scores[row]
    }
    var scored: Set<Int64> = []
    let predictions = try connection.run("select reading_id, score from predictions.reading")
    report.predictions = predictions.count
    for row in 0..<predictions.count {
      let key = try predictions.value(row, 0, as: Int64.self)
      if !scored.insert(key).inserted { report.duplicate += 1 }
      switch wanted[key] {
      case nil: report.orphaned += 1
      case .some(let score):
        if try predictions.value(row, 1, as: Float.self) != score { report.stale += 1 }
      }
    }
    let failures = try connection.run("select reading_id from predictions.reading_failure")
    report.failures = failures.count
    for row in 0..<failures.count {
      let key = try failures.value(row, 0, as: Int64.self)
      if !scored.insert(key).inserted { report.duplicate += 1 }
      switch wanted[key] {
      case nil: report.orphaned += 1
      case .some(let score): if score != nil { report.stale += 1 }
      }
    }
    report.missing = wanted.keys.count { !scored.contains($0) }
    report.held = Int(
      try connection.run("select count(*) from rowcast.chunk where state = 'running'")
        .value(0, 0, as: Int64.self))
    return report
  }

  func tearDown() {
    for worker in workers where worker.isRunning { worker.killAndWait() }
    try? server.stop(.immediate)
    try? FileManager.default.removeItem(at: folder)
  }

  // MARK: Workers

  private func log(_ index: Int) -> URL { folder.appendingPathComponent("worker\(index).log") }

  func startWorkers(_ count: Int) throws {
    for index in 0..<count {
      workers.append(
        try WorkerProcess(name: "w\(index)", database: settings, log: log(index)))
    }
  }

  /// - Returns: The exit statuses; nil for one that had to be killed.
  func stopWorkers() -> [Int32?] { workers.map { $0.stop(within: 15) } }

  func safetyPollHits() -> Int {
    workers.indices.reduce(0) { sum, index in
      let text = (try? String(contentsOf: log(index), encoding: .utf8)) ?? ""
      return sum + text.components(separatedBy: "safety poll").count - 1
    }
  }
}
