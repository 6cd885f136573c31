import ArgumentParser
import Foundation
import Inference
import Scoring

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a model file reads, writes, is made of and costs.",
    discussion: """
      Loads the model and times it briefly, on rows made up from its own thresholds: the figures are \
      estimates for one thread of this machine. What the engine refuses is refused here, with the \
      operator, tree or line at fault.

      EXAMPLE
        rowcast inspect churn.onnx
        rowcast inspect churn.txt --json | jq '.signature.features[].name'
        rowcast inspect resnet50.onnx --image 224x224 --preset torchvision --softmax

      EXIT STATUS
        0 the model can be scored, 65 it cannot be
      """)

  @Argument(help: "An ONNX, LightGBM, XGBoost or CatBoost model file.")
  var model: String

  @Option(help: ArgumentHelp("Class names, one a line.", valueName: "file"))
  var labels: String?

  @OptionGroup var setup: SetupOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let labels = try labels.map { try Labels.read(ModelFile.bytes(path: $0)) }
    let bytes = try ModelFile.model(path: model)
    let report = try InspectReport(
      path: model, bytes: bytes, labels: labels,
      options: ModelOptions(setup: try setup.resolved()))
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
  }
}
