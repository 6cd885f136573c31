import ArgumentParser
import Foundation
import Inference
import Postgres
import Scoring

struct JobBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "job",
    abstract: "Measure a job over a big table: its id, its progress, its rate, its faults.",
    discussion: """
      On a throw-away PostgreSQL with fsync on, scored by two worker processes. Prints how long \
      submit_job took to return, how fresh rowcast.job_progress was and how far its ETA at half-way \
      was off, rows per second beside the bulk floor (reading the same columns and copying the same \
      predictions by as many connections), and how long cancelling takes. Every row must be in the \
      destination once.

        --faults   kills a worker at a fifth, and ends the server at once at a third

      EXAMPLE
        rowcast bench job
        rowcast bench job --rows 10000000 --faults
      """)

  @Option(help: "Rows of the table.")
  var rows = 1_000_000

  @Option(help: "Lanes of both workers together. Default: the cores.")
  var lanes: Int?

  @Option(help: ArgumentHelp("The model.", valueName: "file"))
  var model: String?

  @Flag(help: "Kill a worker and the server while the job runs.")
  var faults = false

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 1000 else { throw ValidationError("--rows must be 1000 or more") }
    if let lanes, lanes < 2 { throw ValidationError("--lanes must be 2 or more") }
  }

  func run() throws {
    let bytes = try ModelFile.bytes(
      path: try model ?? Share.path("deploy/bench/boosted_100x31.txt"))
    let place = try TemporaryDirectory.make("bench")
    defer { TemporaryDirectory.remove(place) }
    let appliance = try Appliance(.init(directory: place + "/postgres"))
    defer { try? appliance.server.stop(.immediate) }
    let laneCount = lanes ?? max(2, Machine.coreCount)
    let run = JobRun(
      appliance: appliance, rows: rows, lanes: laneCount, isFaulty: faults,
      stage: BenchStage(
        settings: appliance.database, lanes: laneCount,
        serverDirectory: place + "/postgres"))
    let report = try run.measure(model: bytes)
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
    guard report.isRight else { throw ExitCode(CommandError.Status.failed.rawValue) }
  }
}

/// What `bench job` found.
struct JobBenchReport: Encodable {
  var machine = BenchMachine.name
  var cores = Machine.coreCount
  var commit = BenchMachine.commit()
  var lanes: Int
  var rows: Int
  var faults: [String]
  var submitMilliseconds: Double
  var seconds: Double
  var rowsPerSecond: Double
  var readRowsPerSecond: Double
  var writtenRowsPerSecond: Double
  /// 1 / (1/read + 1/write).
  var floorRowsPerSecond: Double
  /// The longest time that rows_done stood still while the job ran and nothing was at fault.
  var stalestSeconds: Double
  /// The ETA at half-way against the time that was then left.
  var halfwayETA: Double
  var halfwayLeft: Double
  var destinationRows: Int
  var destinationKeys: Int
  var progressRows: Int
  var cancelSeconds: Double

  var etaError: Double { abs(halfwayETA - halfwayLeft) / max(halfwayLeft, 0.001) }
  var isRight: Bool {
    destinationRows == rows && destinationKeys == rows && progressRows == rows
  }

  var text: String {
    let ratio = rowsPerSecond / floorRowsPerSecond
    return """
      \(machine), \(cores) cores; \(lanes) lanes of 2 workers\(commit.map { "; \($0)" } ?? "")
      job over \(Format.count(rows)) rows\(faults.isEmpty ? "" : "; " + faults.joined(separator: ", "))
        id after           \(Format.decimal(submitMilliseconds, places: 1)) ms
        scored in          \(Format.decimal(seconds, places: 1)) s, \(Format.rate(rowsPerSecond)) rows/s
        bulk floor         \(Format.rate(floorRowsPerSecond)) rows/s \
      (read \(Format.rate(readRowsPerSecond)), write \(Format.rate(writtenRowsPerSecond))); \
      ratio \(Format.decimal(ratio, places: 2))
        progress           stood still for at most \(Format.decimal(stalestSeconds, places: 2)) s
        ETA at half-way    \(Format.decimal(halfwayETA, places: 1)) s, it took \
      \(Format.decimal(halfwayLeft, places: 1)) s: off by \(Format.decimal(etaError * 100, places: 0)) %
        cancelled within   \(Format.decimal(cancelSeconds, places: 2)) s
        destination        \(Format.count(destinationRows)) rows, \(Format.count(destinationKeys)) keys: \
      \(isRight ? "each row once" : "WRONG")
      """
  }
}
