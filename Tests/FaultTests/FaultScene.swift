import Foundation
import Glibc
import Inference
import Postgres
import Schema
import Testing

/// A server of its own (it is going to be ended without mercy), a watched table and its workers.
final class FaultScene {
  /// What a scene's server is like.
  struct Setting {
    var server: [String: String] = [:]
    /// For TCP; nil for the socket alone.
    var port: Int?
    /// Where the server's data lies; in the scene's folder unless given.
    var place: URL?
  }

  /// How the tests and their writers connect: superuser, by the socket.
  var settings: ConnectionSettings
  /// How the workers connect, unless told otherwise: as a role that may do no more than score.
  var workerSettings: ConnectionSettings
  /// A command line that workers are run by, as of another network.
  var workerPrefix: [String] = []
  /// The program; the one that was built with the tests unless given.
  var workerBinary = WorkerProcess.binary
  /// Of each worker; nil for as many as it thinks right.
  var workerLanes: Int? = 2
  let folder: URL
  let server: LocalServer
  private(set) var workers: [WorkerProcess] = []
  let modelBytes: [UInt8]
  private let name: String

  init(_ name: String = "faults", _ setting: Setting = Setting()) throws {
    self.name = name
    folder = try Self.makeFolder(name)
    modelBytes = [UInt8](
      try Data(
        contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
          .deletingLastPathComponent()
          .appendingPathComponent("InferenceTests/Fixtures/linear_regression/model.onnx")))
    var configuration = LocalServer.Configuration(
      directory: (setting.place ?? folder).appendingPathComponent("data").path)
    configuration.settings = setting.server.merging(["max_connections": "60"]) { given, _ in given }
    configuration.port = setting.port
    server = try LocalServer(configuration)
    settings = try server.database("faults")
    workerSettings = settings.setting("user", to: "scorer")
  }

  /// The folder of a scene of that name; places within it can be made before the scene is.
  static func makeFolder(_ name: String) throws -> URL {
    let folder = URL(fileURLWithPath: "/tmp/rowcast-\(name)-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    chmod(folder.path, 0o755)
    return folder
  }

  func prepare() throws {
    try Migrator(settings).migrate()
    let model = try Model.load(modelBytes)
    let signature = String(decoding: try JSONEncoder().encode(model.signature), as: UTF8.self)
    let connection = try Connection(settings)
    defer { connection.close() }
    try connection.runScript(
      """
      create role scorer login in role rowcast_worker;
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
      let rows = try connection.run(
        "select coalesce(sum(backlog_rows), 0)::int8 from rowcast.scorer_status")
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
      workers[index] = try makeWorker(index)
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

  /// The place among the workers of the one that dispatches; waits for an election.
  func dispatcher(_ connection: Connection) throws -> Int {
    let end = Date().addingTimeInterval(10)
    while true {
      // The lock, and not what the worker said last.
      let rows = try connection.run(
        """
        select w.pid from pg_locks as l
        join pg_database as d on d.oid = l.database and d.datname = current_database()
        join rowcast.worker as w on w.backend_pid = l.pid
        where l.locktype = 'advisory' and l.classid = 1919907683 and l.objid = 2 and l.granted
        """)
      if rows.count == 1 {
        let pid = try rows.value(0, 0, as: Int32.self)
        if let index = workers.firstIndex(where: { $0.processID == pid }) { return index }
      }
      guard Date() < end else {
        throw PostgresError(sqlState: "57014", message: "no worker of the scene was elected")
      }
      usleep(20_000)
    }
  }

  func tearDown() {
    for worker in workers where worker.isRunning { worker.killAndWait() }
    try? server.stop(.immediate)
    try? FileManager.default.removeItem(at: folder)
  }

  // MARK: Workers

  private func log(_ index: Int) -> URL { folder.appendingPathComponent("worker\(index).log") }

  private func makeWorker(_ index: Int) throws -> WorkerProcess {
    try WorkerProcess(
      name: "w\(index)", database: workerSettings, log: log(index), prefix: workerPrefix,
      binary: workerBinary, lanes: workerLanes)
  }

  func startWorkers(_ count: Int) throws {
    for _ in 0..<count { workers.append(try makeWorker(workers.count)) }
  }

  /// - Returns: The exit statuses; nil for one that had to be killed.
  func stopWorkers() -> [Int32?] { workers.map { $0.stop(within: 15) } }

  /// What the workers logged, one after another.
  func logs() -> [String] {
    workers.indices.map { (try? String(contentsOf: log($0), encoding: .utf8)) ?? "" }
  }

  /// How many changes no bell had announced, by the workers' own account.
  func safetyPollHits() -> Int {
    logs().reduce(0) { $0 + $1.components(separatedBy: "nobody had rung for").count - 1 }
  }
}
