import ArgumentParser
import Foundation
import Logging
import Postgres
import Scoring

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch sensor readings receive predictions, from nothing.",
    discussion: """
      Starts an appliance, registers fifteen anomaly detectors (three devices with five sensors, \
      a model each), creates a table and a scorer that routes each reading to its model, and \
      streams readings of sensors that drift and misbehave. Shows rows per second, how long a \
      prediction takes, and the anomalies as they are found. At the end it checks that each row \
      has exactly one prediction.

      Twenty times a second a probe row measures the latency: from the answer to its commit until \
      a second connection, which asks over and over, sees the prediction.

      EXAMPLE
        rowcast demo --seconds 20
        rowcast demo --rate 2000 --data-dir .data/demo   # keeps the database

      EXIT STATUS
        0 each row has exactly one prediction, 1 otherwise
      """,
    subcommands: [DemoImages.self])

  @Option(
    help: ArgumentHelp(
      "How long to stream. Default: DEMO_SECONDS, else until Ctrl-C.", valueName: "seconds"))
  var seconds: Double?

  @Option(help: "Single-row inserts per second; every 5 s there is a burst of 500 rows besides.")
  var rate = 500.0

  @Option(help: "Threads that score. Default: the cores.")
  var lanes: Int?

  @Option(
    help: ArgumentHelp(
      "Keep the database here. Default: a temporary directory, removed at the end.",
      valueName: "dir"))
  var dataDir: String?

  @Option(help: ArgumentHelp("The models and their manifest.json.", valueName: "dir"))
  var models: String?

  func validate() throws {
    if let seconds, seconds <= 0 { throw ValidationError("--seconds must be more than 0") }
    guard rate > 0, rate <= 100_000 else {
      throw ValidationError("--rate must be more than 0 and at most 100000")
    }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }

  func run() async throws {
    let interruption = Interruption()
    let folder = try models ?? Share.path("deploy/demo")
    let manifest = try DemoManifest.read(folder: folder)
    let length = try seconds ?? Self.secondsFromEnvironment()
    let place = try DemoPlace(keeping: dataDir)
    defer { place.remove() }
    let appliance = try Appliance(.init(directory: place.clusterPath))
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance.server.stop(.fast) }
    try place.publish(appliance)

    var configuration = WorkerConfiguration(settings: appliance.database)
    if let lanes { configuration.laneCount = lanes }
    let worker = Worker(configuration, logger: WorkerRun.logger(level: .error))
    let show = DemoShow(
      appliance: appliance, worker: worker, manifest: manifest, folder: folder, rate: rate,
      seconds: length, interruption: interruption, keptIn: dataDir)
    let isComplete = try await WorkerRun.during(worker) { try show.run() }
    try appliance.server.stop(.fast)
    if !isComplete { throw ExitCode(CommandError.Status.failed.rawValue) }
  }

  private static func secondsFromEnvironment() throws -> Double? {
    guard let text = ProcessInfo.processInfo.environment["DEMO_SECONDS"], !text.isEmpty else {
      return nil
    }
    guard let seconds = Double(text), seconds > 0 else {
      throw CommandError(.usage, "DEMO_SECONDS is not a number of seconds")
    }
    return seconds
  }
}

/// Where the demo's database lives: a directory of the user's, or one that goes away.
final class DemoPlace {
  private let kept: DataDirectory?
  private let lock: DataDirectoryLock?
  private let temporary: String?

  init(keeping path: String?) throws {
    kept = path.map { DataDirectory(path: $0) }
    lock = try kept?.acquire()
    temporary = try path == nil ? TemporaryDirectory.make("demo") : nil
  }

  var clusterPath: String { kept?.clusterPath ?? temporary! + "/postgres" }

  /// Lets `rowcast status --data-dir` and `rowcast down` find a demo that keeps its data.
  func publish(_ appliance: Appliance) throws {
    try lock?.publish(
      .init(
        pid: getpid(), connection: appliance.connectionKeywords, startedAt: Date(),
        release: Rowcast.release))
  }

  func remove() {
    if let temporary { TemporaryDirectory.remove(temporary) }
  }
}
