import ArgumentParser
import Foundation
import Inference
import Scoring

struct Predict: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score a CSV file with a model file, without a database.",
    discussion: """
      The first line of the CSV names its columns; those that the model reads are found by name. \
      An empty field is a missing value. Each record is written to standard output in its own \
      words, with the model's outputs behind it and a column "failure", which is empty or says why \
      the row could not be scored. Rows stay in order; all cores work; memory stays small however \
      long the file is. Failed rows go to standard error too, with their line numbers.

      EXAMPLE
        rowcast predict churn.onnx customers.csv > scored.csv
        psql … -c "copy customer to stdout (format csv, header)" | rowcast predict churn.onnx -

      EXIT STATUS
        0 each row was scored, 1 some rows failed, 65 the model or the file is unfit
      """)

  @Argument(help: "An ONNX, LightGBM text or XGBoost JSON model.")
  var model: String

  @Argument(help: "A CSV file with a header, or - for standard input.")
  var file: String

  @Option(help: ArgumentHelp("Class names, one a line.", valueName: "file"))
  var labels: String?

  @Option(help: "Threads. Default: the cores.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be 1 or more") }
  }

  func run() async throws {
    let labels = try labels.map { try Labels.read(ModelFile.bytes(path: $0)) }
    let model = try Model.load(ModelFile.bytes(path: model), labels: labels)
    var input = STDIN_FILENO
    if file != "-" {
      input = open(file, O_RDONLY | O_CLOEXEC)
      guard input >= 0 else { throw CommandError.unreadable(file, errno) }
    }
    let summary = try await FilePrediction(model: model, threads: threads)
      .run(from: input, to: STDOUT_FILENO) { failure in
        Terminal.standardError.line("line \(failure.line): \(failure.reason)")
      }
    guard summary.failures == 0 else {
      Terminal.standardError.line(
        "rowcast: \(Format.count(summary.failures)) of \(Format.count(summary.rows)) rows "
          + "could not be scored")
      throw ExitCode(CommandError.Status.failed.rawValue)
    }
  }
}
