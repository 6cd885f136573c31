import ArgumentParser
import Foundation
import Logging
import Inference
import Postgres
import Scoring

struct DatabaseBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database",
    abstract: "Measure bulk, latency and writers against their floors, in one run.",
    discussion: """
      On a throw-away PostgreSQL with fsync on, or on --database (in a schema of its own that is \
      dropped at the end). Every measurement stands beside its floor: what the same server does \
      on the same data by as many connections when nothing is scored.

        bulk      a backfill from create_scorer to the last prediction; the floor is reading \
      the same features and copying the same predictions
        latency   single-row inserts on an idle appliance until another connection sees the \
      prediction; the floor is two bare connections that pass a row on
        writers   commits per second of 64 single-row writers, watched and unwatched in turn

      EXAMPLE
        rowcast bench
        rowcast bench bulk --rows 200000 --json > bulk.json
      """)

  enum Part: String, ExpressibleByArgument, CaseIterable {
    case bulk, latency, writers
  }

  @Argument(help: "Which to measure: bulk, latency or writers; all when none is given.")
  var parts: [Part] = []

  @Option(help: "Rows of the bulk part.")
  var rows = 1_000_000

  @Option(help: "Repeats, of which the median counts.")
  var repeats = 3

  @Option(help: "Lanes, and connections of the floors. Default: the cores.")
  var lanes: Int?

  @Option(help: "Inserts of the latency part.")
  var inserts = 300

  @Option(help: "Writers of the writers part.")
  var writers = 64

  @Option(help: ArgumentHelp("Length of each round of the writers part.", valueName: "seconds"))
  var roundSeconds = 4

  @Flag(inversion: .prefixedNo, help: "fsync of the throw-away server.")
  var fsync = true

  @Option(
    name: [.customLong("database"), .customShort("d")],
    help: ArgumentHelp("Measure on this database instead; it needs a superuser.", valueName: "uri"))
  var database: String?

  @Option(help: ArgumentHelp("The model of bulk and latency.", valueName: "file"))
  var model: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 1000 else { throw ValidationError("--rows must be 1000 or more") }
    guard repeats >= 1 else { throw ValidationError("--repeats must be 1 or more") }
    guard inserts >= 20 else { throw ValidationError("--inserts must be 20 or more") }
    guard writers >= 1 else { throw ValidationError("--writers must be 1 or more") }
    guard roundSeconds >= 1 else { throw ValidationError("--round-seconds must be 1 or more") }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }
}

extension DatabaseBench {
  func run() async throws {
    let folder = try model ?? Share.path("deploy/bench/boosted_100x31.txt")
    let bytes = try ModelFile.bytes(path: folder)
    let signature = try Model.load(bytes).signature
    let laneCount = lanes ?? Machine.coreCount
    let place = try database == nil ? TemporaryDirectory.make("bench") : nil
    defer { if let place { TemporaryDirectory.remove(place) } }
    let appliance = try place.map {
      try Appliance(.init(directory: $0 + "/postgres", isDurable: fsync))
    }
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance?.server.stop(.immediate) }
    let settings = try appliance?.database ?? ConnectionSettings(database ?? "")
    let stage = BenchStage(
      settings: settings, lanes: laneCount,
      serverDirectory: try Self.serverDirectory(settings))

    var configuration = WorkerConfiguration(settings: settings)
    configuration.laneCount = laneCount
    let worker = Worker(configuration, logger: WorkerRun.logger(level: .warning))
    let report = try await WorkerRun.during(worker) {
      try measure(stage, model: bytes, signature: signature)
    }
    try appliance?.server.stop(.fast)
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
  }

  private func measure(
    _ stage: BenchStage, model bytes: [UInt8], signature: Signature
  ) throws -> BenchReport {
    let name = "rowcast_bench"
    let connection = try stage.connect()
    let wanted = parts.isEmpty ? Set(Part.allCases) : Set(parts)
    var report = BenchReport(setting: try setting(stage, connection))
    try connection.runScript("create schema \(BenchStage.schema)")
    try connection.run(
      """
      select rowcast.register_model(name => \(name), artifact => \(bytes), alias => 'champion')
      """)
    try connection.run("call rowcast.wait_for_model(\(name))")
    let features = try stage.quoted(identifiers: signature.features.map(\.name))
    if wanted.contains(.latency) {
      report.latency = try LatencyBench(stage: stage, inserts: inserts)
        .run(model: name, features: features)
    }
    if wanted.contains(.writers) {
      report.writers = try WritersBench(
        stage: stage, writers: writers, roundSeconds: roundSeconds, repeats: repeats
      ).run(model: name, features: features)
    }
    if wanted.contains(.bulk) {
      report.bulk = try BulkBench(stage: stage, rows: rows, repeats: repeats)
        .run(model: name, features: features)
    }
    if database != nil {
      try connection.runScript("drop schema \(BenchStage.schema) cascade")
      try connection.run("select rowcast.drop_model(\(name))")
    }
    return report
  }

  private func setting(_ stage: BenchStage, _ connection: Connection) throws
    -> BenchReport.Setting
  {
    let rows = try connection.run(
      """
      select current_setting('server_version'),
             (select json_object_agg(name, current_setting(name))::text from pg_settings
              where name in ('fsync', 'synchronous_commit', 'shared_buffers', 'max_wal_size',
                             'wal_level', 'full_page_writes'))
      """)
    let settings = try JSONDecoder().decode(
      [String: String].self, from: Data(try rows.value(0, 1, as: String.self).utf8))
    return BenchReport.Setting(
      machine: BenchMachine.name, cores: Machine.coreCount,
      postgresql: try rows.value(0, 0, as: String.self), settings: settings,
      commit: BenchMachine.commit(), lanes: stage.lanes, repeats: repeats)
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
