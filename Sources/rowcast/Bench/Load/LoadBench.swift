import ArgumentParser
import Foundation
import Inference

struct LoadBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load",
    abstract: "Measure how fast models load, and what they take in memory.",
    discussion: """
      For each model: the speed of a load, the memory that stays allocated, what is left after many \
      loads whose models were dropped (a leak, if it grows with them), and what many loaded at once \
      take each. Memory is the allocator's own count.

      EXAMPLE
        rowcast bench load
        rowcast bench load --model churn.txt --times 1000 --resident 0
      """)

  @Option(
    help: ArgumentHelp(
      "A model; may be repeated. Default: those that come with the program.", valueName: "file"))
  var model: [String] = []

  @Option(help: "Loads after which memory is compared.")
  var times = 1000

  @Option(help: "Models that are kept loaded at once.")
  var resident = 1000

  @Option(help: "How long the speed of loads is measured, in seconds.")
  var seconds = 1.0

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard times >= 0 else { throw ValidationError("--times must be 0 or more") }
    guard resident >= 0 else { throw ValidationError("--resident must be 0 or more") }
    guard seconds > 0 else { throw ValidationError("--seconds must be more than 0") }
  }

  func run() throws {
    let paths =
      model.isEmpty
      ? [
        try Share.path("deploy/bench/boosted_100x31.txt"),
        try Share.path("deploy/demo/models/anomaly_1_1.onnx"),
      ] : model
    var report = LoadReport(times: times, resident: resident)
    for path in paths { report.results.append(try measure(path)) }
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
  }

  private func measure(_ path: String) throws -> LoadReport.Result {
    let bytes = try ModelFile.model(path: path)
    let (model, figure) = try LoadTimer.measure(bytes, seconds: seconds)
    let rows = model.syntheticRows(count: 3)
    /// A model that was loaded, and has scored.
    func loadAndPredict() throws -> Model {
      let model = try Model.load(bytes)
      _ = try model.predict(rows, workspace: Workspace())
      return model
    }
    for _ in 0..<min(times, 100) { _ = try loadAndPredict() }
    let (_, left) = try Heap.bytes { for _ in 0..<times { _ = try loadAndPredict() } }
    let (models, kept) = try Heap.bytes { try (0..<resident).map { _ in try loadAndPredict() } }
    return LoadReport.Result(
      model: path, load: figure, leftByteCount: left,
      residentByteCount: models.isEmpty ? nil : kept / models.count)
  }
}

/// What `rowcast bench load` found, as `--json` prints it.
struct LoadReport: Encodable {
  struct Result: Encodable {
    var model: String
    var load: LoadTimer.Figure
    /// Allocated after `times` loads more than before them.
    var leftByteCount: Int
    /// What each of the resident models takes; nil where none were asked for.
    var residentByteCount: Int?
  }

  var machine = BenchMachine.name
  var release = Rowcast.release
  var times: Int
  var resident: Int
  var results: [Result] = []

  init(times: Int, resident: Int) { (self.times, self.resident) = (times, resident) }

  var text: String {
    var table = TextTable([
      ("model", .left), ("file", .right), ("load", .right), ("MB/s", .right),
      ("read", .right), ("plan", .right), ("trial", .right), ("memory", .right),
      ("of file", .right), ("left after \(Format.count(times)) loads", .right),
      ("each of \(Format.count(resident)) resident", .right),
    ])
    for result in results {
      table.append([
        result.model.split(separator: "/").last.map(String.init) ?? result.model,
        Format.bytes(result.load.byteCount), Format.length(seconds: result.load.seconds),
        Format.rate(result.load.bytesPerSecond / 1e6),
        Format.length(seconds: result.load.readSeconds),
        Format.length(seconds: result.load.planSeconds),
        Format.length(seconds: result.load.trialSeconds),
        Format.bytes(result.load.heapByteCount),
        Format.decimal(result.load.memoryRatio, places: 2), Format.bytes(result.leftByteCount),
        result.residentByteCount.map { Format.bytes($0) } ?? "",
      ])
    }
    return (["\(machine); rowcast \(release)", ""] + table.lines).joined(separator: "\n")
  }
}
