import ArgumentParser
import Foundation
import Inference
import Postgres
import Scoring

struct Push: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Register a model file as a new version of a model.",
    discussion: """
      The file is loaded here first, so one that cannot be scored is refused with the operator, \
      tree or line at fault, before anything is sent. The same bytes again give the version that \
      has them. --golden names a CSV file with the model's features and the outputs that its \
      trainer computed, as "rowcast predict" writes it: the version is refused where they \
      disagree, here and wherever a worker loads it.

      A network of images reads one column of type bytea with JPEG, PNG or WebP. --image and --preset \
      say how its images were prepared, --labels and --softmax what its numbers mean. Images that \
      cannot be read become failures with a reason.

      The files in which an ONNX model keeps the data of its tensors are read from its folder and \
      stored with it.

      EXAMPLE
        rowcast push churn.onnx --name churn --alias champion
        rowcast push iris.onnx --name iris --labels classes.txt --golden held_out.csv
        rowcast push resnet50.onnx --name animals --image 224x224 --preset torchvision \
      --softmax --labels imagenet.txt

      EXIT STATUS
        0 registered, 65 the file is unfit or its golden rows disagree, 69 no database
      """)

  @Argument(help: "An ONNX, LightGBM, XGBoost or CatBoost model file.")
  var file: String

  @Option(help: "The model of which this becomes a version.")
  var name: String

  @Option(help: "Point this alias at the version; create_scorer follows champion by default.")
  var alias: String?

  @Option(help: ArgumentHelp("Class names, one a line.", valueName: "file"))
  var labels: String?

  @Option(help: ArgumentHelp("Rows with the trainer's own outputs, as CSV.", valueName: "file"))
  var golden: String?

  @Option(help: "What the model is for.")
  var description: String?

  @Option(help: ArgumentHelp("Measured quality, as a JSON object.", valueName: "json"))
  var metrics: String?

  @Option(
    help:
      "Where the model's versions run: cpu, gpu, or auto, a GPU where there is one. Default: cpu.")
  var device: Device?

  @OptionGroup var setup: SetupOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  /// Files larger than this get a word on how far they are.
  private static let largeByteCount = 8 << 20

  private struct Report: Encodable {
    var name: String
    var version: Int
    var format: String
    var sha256: String
    var byteCount: Int
    var alias: String?
    var goldenRowCount: Int
    var isNew: Bool
    var isReady: Bool
    var signature: Signature
  }

  func validate() throws {
    if name.isEmpty { throw ValidationError("--name is empty") }
  }

  func run() throws {
    let bytes = try ModelFile.model(path: file)
    let submission = Registry.Submission(
      name: name, bytes: bytes, alias: alias,
      labels: try labels.map { try Labels.read(ModelFile.bytes(path: $0)) },
      goldenCSV: try golden.map(ModelFile.bytes(path:)), description: description,
      metrics: metrics, setup: try setup.resolved(), device: device)
    let options = ModelOptions(setup: submission.setup)
    if bytes.count >= Self.largeByteCount {
      // What would be refused is, before a connection is made and the bytes travel.
      Terminal.standardError.line("checking \(Format.bytes(bytes.count)) …")
      _ = try Model.load(bytes, labels: submission.labels, options: options)
      Terminal.standardError.line("sending \(Format.bytes(bytes.count)) …")
    }
    let start = ContinuousClock.now
    let session: Connection
    do {
      session = try Connection(connection.settings(application: "rowcast push"))
    } catch {
      // A bad file is the more useful thing to hear of.
      _ = try Model.load(bytes, labels: submission.labels, options: options)
      throw error
    }
    let pushed = try Registry(session).push(submission)
    show(pushed, seconds: Format.seconds(.now - start))
  }

  private func show(_ pushed: Registry.Pushed, seconds: Double) {
    let terminal = Terminal.standardOutput
    if output.json {
      let report = Report(
        name: pushed.name, version: pushed.version, format: pushed.format.rawValue,
        sha256: pushed.sha256, byteCount: pushed.byteCount, alias: pushed.alias,
        goldenRowCount: pushed.goldenRowCount, isNew: pushed.isNew, isReady: pushed.isReady,
        signature: pushed.signature)
      // Strings and numbers only: encoding cannot fail.
      terminal.line(try! JSONText.of(report))
      return
    }
    let features = pushed.signature.features.count
    let outputs = pushed.signature.outputs.map(\.name)
    let more = outputs.count > 4 ? ", … (\(outputs.count))" : ""
    terminal.line(
      "\(pushed.name) \(pushed.version)\(pushed.isNew ? "" : " (these bytes were there already)"): "
        + "\(pushed.format.rawValue), \(features) feature\(features == 1 ? "" : "s") → "
        + outputs.prefix(4).joined(separator: ", ") + more)
    terminal.line(
      "\(Format.bytes(pushed.byteCount)), sha256 \(pushed.sha256.prefix(12))…, "
        + "in \(Format.length(seconds: seconds))")
    if pushed.goldenRowCount > 0 {
      terminal.line("\(Format.count(pushed.goldenRowCount)) golden rows agree")
    }
    for feature in pushed.signature.features {
      if let image = feature.image { terminal.line("image \"\(feature.name)\": \(image)") }
    }
    if pushed.lacksDevice {
      terminal.line(
        "No worker has a GPU: rows wait for one. --device auto takes the CPU meanwhile.")
    }
    if let alias = pushed.alias { terminal.line("alias \"\(alias)\" points at it") }
    if !pushed.isReady {
      terminal.line("A worker inspects it next; call rowcast.wait_for_model('\(pushed.name)').")
    }
  }
}
