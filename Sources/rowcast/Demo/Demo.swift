import ArgumentParser
import Foundation
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

  @OptionGroup var place: DemoOptions

  @Option(help: ArgumentHelp("The models and their manifest.json.", valueName: "dir"))
  var models: String?

  func validate() throws {
    if let seconds, seconds <= 0 { throw ValidationError("--seconds must be more than 0") }
    guard rate > 0, rate <= 100_000 else {
      throw ValidationError("--rate must be more than 0 and at most 100000")
    }
  }

  func run() async throws {
    let interruption = Interruption()
    let folder = try models ?? Share.path("deploy/demo")
    let manifest = try DemoManifest.read(folder: folder)
    let length = try seconds ?? Self.secondsFromEnvironment()
    let (rate, kept) = (rate, place.dataDir)
    try await place.during { appliance, worker in
      try DemoShow(
        appliance: appliance, worker: worker, manifest: manifest, folder: folder, rate: rate,
        seconds: length, interruption: interruption, keptIn: kept
      ).run()
    }
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
