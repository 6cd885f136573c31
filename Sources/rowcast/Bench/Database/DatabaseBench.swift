import ArgumentParser
import Foundation
import Inference
import Postgres
import Schema
import Scoring

struct DatabaseBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database",
    abstract: "Measure the appliance against its floors, in one run.",
    discussion: """
      On a throw-away PostgreSQL with fsync on, or on --database (in a schema of its own; all that it \
      makes is removed at the end). Workers are processes of this program. Every measurement stands \
      beside its floor: what the same server does on the same data by as many connections when \
      nothing is scored. Rounds take turns, after a checkpoint each.

        bulk           a backfill from create_scorer to the last prediction, beside reading the \
      same features and copying the same predictions; a job of the same rows into segments; then scoring the same rows \
      again, beside an upsert of constants. With what a row costs: processor time of workers and server, WAL, dead \
      tuples, commits
        latency        single-row inserts on an idle appliance until another connection sees \
      the prediction, beside two bare connections that pass a row on
        writers        commits per second of 64 single-row writers, watched and unwatched
        updates        INSERT … SELECT, COPY and UPDATE of another column, of many rows, watched and \
      unwatched
        mixed          single-row inserts while a backfill runs
        held-snapshot  rows at a steady rate, without and with a snapshot held all the time
        workers        1, 2 and 4 worker processes with a slow model that says its reasons
        soak           inserts, updates and deletes while workers are killed and models come and go

      EXAMPLE
        rowcast bench
        rowcast bench bulk --rows 200000 --json > bulk.json
        rowcast bench bulk --peer "python3 Tests/Peers/pipeline.py"
        rowcast bench mixed --rows 10000000
        rowcast bench held-snapshot soak --minutes 10

      EXIT STATUS
        0 measured, 1 a soak ended with rows missing or wrong
      """)

  enum Part: String, ExpressibleByArgument, CaseIterable {
    case bulk, latency, writers, updates, mixed
    case heldSnapshot = "held-snapshot"
    case workers, soak

    /// What is measured when nothing is named: the parts that take a minute or two together.
    static let short: [Part] = [.latency, .writers, .updates, .bulk]
  }

  @Argument(help: "Which to measure; bulk, latency, writers and updates when none is given.")
  var parts: [Part] = []

  @Option(help: "Rows of bulk and mixed, and of each statement of updates.")
  var rows = 1_000_000

  @Option(help: "Repeats, of which the median counts.")
  var repeats = 3

  @Option(help: "Lanes, and connections of the floors. Default: the cores.")
  var lanes: Int?

  @Option(help: "Inserts of each round of latency.")
  var inserts = 300

  @Option(help: "Writers of the writers part.")
  var writers = 64

  @Option(help: ArgumentHelp("Length of each round of writers.", valueName: "seconds"))
  var roundSeconds = 4

  @Option(help: "Length of soak, and of each half of held-snapshot, in minutes.")
  var minutes = 1.0

  @Option(help: "Rows a second of held-snapshot (default: 5000) and soak (default: 500).")
  var rate: Int?

  @Option(help: ArgumentHelp("Between two kills of soak.", valueName: "seconds"))
  var killEvery = 20

  @Option(help: "Rows of workers.")
  var workerRows = 60_000

  @Option(
    help: ArgumentHelp(
      "Another program that scores bulk's table in turn; may be repeated. Tests/Peers has some.",
      valueName: "command"))
  var peer: [String] = []

  @Flag(inversion: .prefixedNo, help: "fsync of the throw-away server.")
  var fsync = true

  @Option(
    name: [.customLong("database"), .customShort("d")],
    help: ArgumentHelp(
      "Measure on this database instead; it needs a superuser.", valueName: "uri"))
  var database: String?

  @Option(help: ArgumentHelp("The model; workers and soak have their own.", valueName: "file"))
  var model: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 1000 else { throw ValidationError("--rows must be 1000 or more") }
    guard repeats >= 1 else { throw ValidationError("--repeats must be 1 or more") }
    guard inserts >= 20 else { throw ValidationError("--inserts must be 20 or more") }
    guard writers >= 1 else { throw ValidationError("--writers must be 1 or more") }
    guard roundSeconds >= 1 else { throw ValidationError("--round-seconds must be 1 or more") }
    guard minutes >= 0.05 else { throw ValidationError("--minutes must be 0.05 or more") }
    guard killEvery >= 1 else { throw ValidationError("--kill-every must be 1 or more") }
    guard workerRows >= 5000 else { throw ValidationError("--worker-rows must be 5000 or more") }
    if let rate, rate < 1 { throw ValidationError("--rate must be 1 or more") }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }
}

extension DatabaseBench {
  func run() throws {
    let path = try model ?? Share.path("deploy/bench/boosted_100x31.txt")
    let bytes = try ModelFile.bytes(path: path)
    let signature = try Model.load(bytes).signature
    let place = try database == nil ? TemporaryDirectory.make("bench") : nil
    defer { if let place { TemporaryDirectory.remove(place) } }
    let appliance = try place.map {
      var options = Appliance.Options(directory: $0 + "/postgres")
      options.isDurable = fsync
      return try Appliance(options)
    }
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance?.server.stop(.immediate) }
    let settings = try appliance?.database ?? ConnectionSettings(database ?? "")
    let stage = BenchStage(
      settings: settings, lanes: lanes ?? Machine.coreCount,
      serverDirectory: try Self.serverDirectory(settings),
      interruption: Interruption())
    let connection = try stage.connect()
    if appliance == nil {
      try Migrator.requireSchema(on: connection)
      try stage.refuseWhereTaken(connection)
    }
    var report = BenchReport(setting: try setting(stage, connection))
    do {
      try measure(stage, connection, &report, model: (path, bytes), signature)
    } catch {
      if appliance == nil { try? stage.clear() }
      throw error
    }
    if appliance == nil { try stage.clear() }
    try appliance?.server.stop(.fast)
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
    guard report.isRight else { throw ExitCode(CommandError.Status.failed.rawValue) }
  }

  private func measure(
    _ stage: BenchStage, _ connection: Connection, _ report: inout BenchReport,
    model: (path: String, bytes: [UInt8]), _ signature: Signature
  ) throws {
    let name = BenchStage.schema
    let wanted = Set(parts.isEmpty ? Part.short : parts)
    let workers = WorkerProcesses(database: stage.settings)
    defer { workers.kill() }
    try workers.start(0, .init(lanes: stage.lanes))
    try connection.runScript("create schema \(BenchStage.schema)")
    try connection.run(
      """
      select rowcast.register_model(
        name => \(name), artifact => \(model.bytes), alias => 'champion')
      """)
    try connection.run("call rowcast.wait_for_model(\(name))")
    try workers.waitUntilReady(connection)
    let features = try stage.quoted(identifiers: signature.features.map(\.name))
    if wanted.contains(.latency) {
      report.latency = try LatencyBench(
        stage: stage, workers: workers, inserts: inserts, repeats: repeats
      ).run(model: name, features: features)
    }
    if wanted.contains(.writers) {
      report.writers = try WritersBench(
        stage: stage, workers: workers, writers: writers, roundSeconds: roundSeconds,
        repeats: repeats
      ).run(model: name, features: features)
    }
    if wanted.contains(.updates) {
      report.updates = try UpdatesBench(
        stage: stage, workers: workers, rows: rows, repeats: repeats
      ).run(model: name, features: features)
    }
    if wanted.contains(.bulk) {
      (report.bulk, report.rescore) = try BulkBench(
        stage: stage, workers: workers, rows: rows, repeats: repeats,
        peers: peer.map(BulkPeer.init)
      ).run(model: name, modelPath: model.path, features: features)
    }
    if wanted.contains(.mixed) {
      report.mixed = try MixedBench(stage: stage, workers: workers, rows: rows, repeats: repeats)
        .run(model: name, features: features)
    }
    // The rest have workers of their own.
    workers.stop()
    if wanted.contains(.heldSnapshot) {
      report.heldSnapshot = try HeldSnapshotBench(
        stage: stage, minutes: minutes, rate: rate ?? 5000
      ).run(model: name, features: features)
    }
    if wanted.contains(.workers) {
      report.workers = try WorkersBench(stage: stage, rows: workerRows, repeats: repeats).run()
    }
    if wanted.contains(.soak) {
      report.soak = try SoakBench(
        stage: stage, minutes: minutes, rate: rate ?? 500, killSeconds: killEvery
      ).run()
    }
  }

  private func setting(_ stage: BenchStage, _ connection: Connection) throws
    -> BenchReport.Setting
  {
    let rows = try connection.run(
      """
      select current_setting('server_version'),
             (select json_object_agg(name, current_setting(name))::text from pg_settings
              where name in ('fsync', 'synchronous_commit', 'shared_buffers', 'max_wal_size',
                             'wal_level', 'full_page_writes')),
             (select count(distinct worker_id) from rowcast.lane)
      """)
    let settings = try JSONDecoder().decode(
      [String: String].self, from: Data(try rows.value(0, 1, as: String.self).utf8))
    return BenchReport.Setting(
      machine: BenchMachine.name, cores: Machine.coreCount,
      postgresql: try rows.value(0, 0, as: String.self), settings: settings,
      commit: BenchMachine.commit(), lanes: stage.lanes, repeats: repeats,
      otherWorkers: Int(try rows.value(0, 2, as: Int64.self)))
  }

  private static func serverDirectory(_ settings: ConnectionSettings) throws -> String {
    let rows = try Connection(settings).run(
      """
      select rolsuper, current_setting('data_directory', true) from pg_roles
      where rolname = current_user
      """)
    guard try rows.value(0, 0, as: Bool.self) else {
      throw CommandError(
        .failed, "the floors need a superuser, for COPY to and from files of the server",
        hint: "Leave out --database to measure on a throw-away server.")
    }
    return try rows.value(0, 1, as: String.self)
  }
}
