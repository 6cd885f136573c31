import ArgumentParser
import Foundation
import Inference
import Scoring

struct EngineBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine",
    abstract: "Measure how fast models score, without a database.",
    discussion: """
      Calls the engine as lanes do: each thread has batches and a workspace of its own. A figure is \
      the median of some repeats, rows of all threads together. Where the file of rows has columns \
      named as the model's outputs, they are compared first, and a model that disagrees is not timed. \
      Without --rows the rows are made up from the model's own thresholds.

      EXAMPLE
        rowcast bench engine
        rowcast bench engine --model churn.txt --rows golden.csv --threads 1
        rowcast bench engine --model a.onnx --model b.json --batches 1,4096 --json

      EXIT STATUS
        0 measured, 1 outputs disagree, 65 a model or file is unfit
      """)

  @Option(
    help: ArgumentHelp(
      "A model; may be repeated. Default: those that come with the program.", valueName: "file"))
  var model: [String] = []

  @Option(help: ArgumentHelp("Rows for the one model, CSV or NDJSON.", valueName: "file"))
  var rows: String?

  @Option(help: "Rows that a call scores.")
  var batches = CountList("1,16,1024,65536")

  @Option(help: "Threads that score at once; \"all\" is the number of cores.")
  var threads = CountList("1,all")

  @Option(help: "Repeats, of which the median counts.")
  var repeats = 5

  @Option(help: "The least length of a repeat, in seconds.")
  var seconds = 0.2

  @Option(help: "How far an output may lie from the file's, relative to it or to 1.")
  var tolerance = 1e-5

  @Flag(help: "Time contributions of features in place of predictions.")
  var contributions = false

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard repeats >= 1 else { throw ValidationError("--repeats must be 1 or more") }
    guard seconds > 0 else { throw ValidationError("--seconds must be more than 0") }
    guard rows == nil || model.count == 1 else {
      throw ValidationError("--rows belongs to one --model")
    }
  }

  func run() throws {
    var report = EngineReport()
    for subject in try subjects() {
      let bytes = try ModelFile.model(path: subject.model)
      let model = try Model.load(
        bytes, options: ModelOptions(answer: contributions ? .contribution : .prediction))
      var result = EngineReport.Result(model: subject.model, format: model.format)
      let batch: Batch
      if let path = subject.rows {
        let rows = try FileRows.read(ModelFile.bytes(path: path), for: model.signature)
        if !rows.expected.isEmpty { result.check = try check(model, rows, subject.model) }
        batch = rows.batch
      } else {
        batch = model.syntheticRows(count: batches.largest)
      }
      result.features = batch.columns.count
      result.rows = batch.rowCount
      result.rowsAreSynthetic = subject.rows == nil
      let timer = EngineTimer(model: model, rows: batch, repeats: repeats, seconds: seconds)
      for threads in threads.counts {
        for batch in batches.counts {
          result.figures.append(try timer.measure(batch: batch, threads: threads))
        }
      }
      report.results.append(result)
    }
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
  }

  private func subjects() throws -> [(model: String, rows: String?)] {
    guard model.isEmpty else { return model.map { ($0, rows) } }
    return [
      (
        try Share.path("deploy/bench/boosted_100x31.txt"),
        try Share.path("deploy/bench/expected.csv")
      ),
      (try Share.path("deploy/demo/models/anomaly_1_1.onnx"), nil),
    ]
  }

  private func check(_ model: Model, _ rows: FileRows, _ path: String) throws -> EngineCheck {
    let check = try EngineCheck(model, rows)
    guard check.unequal == 0, check.largestDifference <= tolerance else {
      throw CommandError(
        .failed,
        "\(path) does not give the outputs of the file: \(check.unequal) labels differ, numbers by "
          + "\(check.largestDifference) at most",
        hint: "Was the model exported from the one that scored these rows?")
    }
    return check
  }
}

/// Positive numbers apart by commas; "all" is the number of cores.
struct CountList: ExpressibleByArgument, CustomStringConvertible {
  let counts: [Int]
  /// As it was given.
  let description: String

  init(_ literal: StaticString) {
    guard let list = Self(argument: "\(literal)") else { preconditionFailure("\(literal)") }
    self = list
  }

  init?(argument: String) {
    let counts = argument.split(separator: ",").map { word in
      word == "all" ? Machine.coreCount : Int(word) ?? 0
    }
    guard !counts.isEmpty, counts.allSatisfy({ (1...(1 << 24)).contains($0) }) else { return nil }
    // A machine with one core has the same figure for "1" and "all".
    self.counts = counts.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    description = argument
  }

  var largest: Int { counts.max() ?? 1 }
  var defaultValueDescription: String { description }
}
