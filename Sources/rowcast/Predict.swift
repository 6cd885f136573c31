public import ArgumentParser
import CDispatch  // Where C's structures are found, since NIO brings it.
import Foundation
import Inference
public import Scoring

struct Predict: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score a file of CSV or NDJSON with a model file, without a database.",
    discussion: """
      Columns that the model reads are found by name, exactly or else whatever its case: in the \
      first line of a CSV, in the first object of an NDJSON file. An empty field, null, or an \
      absent member is a missing value. Each record is written to standard output in its own \
      words, with the model's outputs behind it and a column "failure", which is empty or says \
      why the row could not be scored. Rows stay in order; all cores work; memory stays small \
      however long the file is.

        --keep id,name     passes these columns through, and no others; --keep "" none
        --to ndjson        writes another format than it reads
        --failures column  tells of failed rows in the answer only, stderr on standard error only

      Of a boosted model (LightGBM, XGBoost, CatBoost) more can be asked than its predictions, as of \
      the library that trained it:

        --raw              margins: the sums before the objective's link
        --leaves           the number of each tree's leaf, in columns leaf_0, leaf_1, …
        --contributions    what each feature adds to the margin, and the base to which they add
        --iterations 50    the first 50 boosting rounds alone; 10:50 those from the tenth on, \
      counted from 0, up to the one before the fiftieth

      Why a row has its prediction, of LightGBM's and XGBoost's models and linear ones:

        --explain 3        the three features that contribute most to the margin (of several \
      classes: the predicted one's), in columns reason_1, contribution_1, …

      Of a network of images, the column holds JPEG, PNG or WebP as PostgreSQL writes bytea (\\x89504e…), \
      or in base64.

      EXAMPLE
        rowcast predict churn.onnx customers.csv > scored.csv
        psql … -c "copy customer to stdout (format csv, header)" | rowcast predict churn.onnx
        rowcast predict churn.onnx events.ndjson --keep id --to csv
        rowcast predict churn.txt customers.csv --raw --iterations 100
        psql … -c "copy (select id, image from photo) to stdout (format csv, header)" \
      | rowcast predict resnet50.onnx --preset torchvision --softmax --labels classes.txt --keep id

      EXIT STATUS
        0 each row was scored, 1 some rows failed, 65 the model or the file is unfit
      """)

  enum Failures: String, ExpressibleByArgument, CaseIterable {
    case both, column, stderr

    var hasColumn: Bool { self != .stderr }
    var hasLines: Bool { self != .column }
  }

  @Argument(help: "An ONNX, LightGBM, XGBoost or CatBoost model file.")
  var model: String

  @Argument(help: "A file of CSV or NDJSON, or - for standard input.")
  var file = "-"

  @Option(help: ArgumentHelp("Class names, one a line.", valueName: "file"))
  var labels: String?

  @Option(help: "The input's format: csv or ndjson. Default: told from its first byte.")
  var from: RecordFormat?

  @Option(help: "The answer's format. Default: as the input.")
  var to: RecordFormat?

  @Option(
    help: ArgumentHelp(
      "Columns of the input that the answer begins with. Default: all.", valueName: "names"))
  var keep: String?

  @Option(help: "Where failed rows are told of: column, stderr or both.")
  var failures = Failures.both

  @Option(help: "Where the model runs: cpu, gpu, or auto, a GPU where there is one.")
  var device = Device.cpu

  @Option(help: "Threads. Default: the cores.")
  var threads: Int?

  @OptionGroup var setup: SetupOptions

  @Flag(help: "Margins in place of predictions.")
  var raw = false

  @Flag(help: "Leaf numbers in place of predictions.")
  var leaves = false

  @Flag(help: "Contributions of all features in place of predictions.")
  var contributions = false

  @Option(
    help: ArgumentHelp("The largest contributions to each prediction.", valueName: "count"))
  var explain: Int?

  @Option(
    help: ArgumentHelp(
      "Boosting rounds that count. Default: those that the library counts.",
      valueName: "[first:]end"))
  var iterations: IterationRange?

  func validate() throws {
    if [raw, leaves, contributions, explain != nil].count(where: { $0 }) > 1 {
      throw ValidationError("--raw, --leaves, --contributions and --explain exclude each other")
    }
    if let explain, !(1...ModelOptions.mostReasons).contains(explain) {
      throw ValidationError("--explain must be 1 to \(ModelOptions.mostReasons)")
    }
    if let threads, threads < 1 { throw ValidationError("--threads must be 1 or more") }
  }

  func run() async throws {
    // As a filter does: whoever reads the answer may stop before its end.
    signal(SIGPIPE, SIG_DFL)
    let labels = try labels.map { try Labels.read(ModelFile.bytes(path: $0)) }
    let model = try Model.load(
      ModelFile.model(path: model), labels: labels,
      options: ModelOptions(
        answer: raw ? .margin : leaves ? .leaf : contributions ? .contribution : .prediction,
        reasons: explain ?? 0, iterations: iterations?.rounds, setup: try setup.resolved(),
        device: device))
    if device == .auto, model.isNetwork, model.device == .cpu {
      Terminal.standardError.line("no GPU is here: the model runs on the CPU")
    }
    var input = STDIN_FILENO
    if file != "-" {
      input = open(file, O_RDONLY | O_CLOEXEC)
      guard input >= 0 else { throw CommandError.unreadable(file, errno) }
    }
    var options = FilePrediction.Options()
    options.threads = threads
    options.from = from
    options.to = to
    options.keep = keep.map { $0.split(separator: ",").map(String.init) }
    options.hasFailures = failures.hasColumn
    let bar = ProgressLine(byteCount: Self.size(of: input))
    let terminal = Terminal.standardError
    let summary = try await FilePrediction(model: model, options: options).run(
      from: input, to: STDOUT_FILENO,
      onFailure: { failure in
        guard failures.hasLines else { return }
        bar.clear()
        terminal.line("line \(failure.line): \(failure.reason)")
      },
      onProgress: { progress in
        bar.show(rows: progress.summary.rows, bytes: progress.bytesRead)
      })
    bar.clear()
    guard summary.failures == 0 else {
      terminal.line(
        "rowcast: \(Format.count(summary.failures)) of \(Format.count(summary.rows)) rows "
          + "could not be scored")
      throw ExitCode(CommandError.Status.failed.rawValue)
    }
  }

  /// Of a regular file; nil for what has no known end.
  private static func size(of descriptor: Int32) -> Int? {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }
}

extension RecordFormat: ExpressibleByArgument {}

/// `50` or `10:50`, as XGBoost's `iteration_range` has it.
struct IterationRange: ExpressibleByArgument {
  let rounds: Range<Int>

  init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    guard numbers.count == parts.count, (1...2).contains(numbers.count) else { return nil }
    let first = numbers.count == 2 ? numbers[0] : 0
    guard first >= 0, let end = numbers.last, end > first else { return nil }
    rounds = first..<end
  }
}
