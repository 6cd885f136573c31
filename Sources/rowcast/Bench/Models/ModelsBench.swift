import ArgumentParser
import Foundation
import Inference
import Postgres
import Scoring

struct ModelsBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "Measure a fleet: one table whose rows are routed to many models.",
    discussion: """
      On a throw-away PostgreSQL. Scores the rows of a table with one model, then with a model for \
      each device, rows of all devices mixed, and then a tenth of them with a quarter of the memory \
      that the models need. Prints rows per second of each, loads of models and memory in use, and \
      compares a sample of the predictions with the engine's.

      EXAMPLE
        rowcast bench models
        rowcast bench models --rows 200000 --models 100
      """)

  @Option(help: "Rows of the table.")
  var rows = 1_000_000

  @Option(help: "Models, as many as devices.")
  var models = 1000

  @Option(help: "Lanes of the worker. Default: the cores.")
  var lanes: Int?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 10_000 else { throw ValidationError("--rows must be 10000 or more") }
    guard (2...100_000).contains(models) else {
      throw ValidationError("--models must be from 2 to 100000")
    }
  }

  func run() async throws {
    let place = try TemporaryDirectory.make("bench")
    defer { TemporaryDirectory.remove(place) }
    let appliance = try Appliance(.init(directory: place + "/postgres"))
    defer { try? appliance.server.stop(.immediate) }
    let laneCount = lanes ?? Machine.coreCount
    let fleet = Fleet(
      stage: BenchStage(
        settings: appliance.database, lanes: laneCount, serverDirectory: place + "/postgres"),
      rows: rows, models: models)
    let report = try await fleet.measure()
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
    guard report.isRight else { throw ExitCode(CommandError.Status.failed.rawValue) }
  }
}

/// What `bench models` found.
struct ModelsBenchReport: Encodable {
  /// One way of scoring.
  struct Pass: Encodable {
    var models: Int
    var rows: Int
    var seconds: Double
    var loads: Int
    /// What models may take, and what this process has in use when the pass is over.
    var limitBytes: Int
    var heapBytes: Int
    var rowsPerSecond: Double { Double(rows) / seconds }
  }

  var machine = BenchMachine.name
  var cores = Machine.coreCount
  var commit = BenchMachine.commit()
  var lanes: Int
  /// Of all models, by the engine's own count.
  var modelBytes: Int
  var heapBefore: Int
  var one: Pass
  var many: Pass
  var bounded: Pass
  var sampled: Int
  var differing: Int

  var isRight: Bool { differing == 0 && sampled > 0 }

  var text: String {
    func line(_ title: String, _ pass: Pass) -> String {
      "  " + title.padding(toLength: 19, withPad: " ", startingAt: 0)
        + "\(Format.rate(pass.rowsPerSecond)) rows/s, \(Format.count(pass.loads)) loads, "
        + "heap \(Format.bytes(pass.heapBytes)) (models at most \(Format.bytes(pass.limitBytes)))"
    }
    return """
      \(machine), \(cores) cores; \(lanes) lanes\(commit.map { "; \($0)" } ?? "")
      \(Format.count(many.rows)) rows, \(Format.count(many.models)) models of together \
      \(Format.bytes(modelBytes)); heap before \(Format.bytes(heapBefore))
      \(line("one model", one))
      \(line("routed", many)); ratio \
      \(Format.decimal(many.rowsPerSecond / one.rowsPerSecond, places: 2))
      \(line("quarter of memory", bounded))
        sample             \(Format.count(sampled)) predictions, \(differing == 0 ? "all equal to the engine's" : "\(differing) DIFFER")
      """
  }
}
