import Foundation
import Inference
import Scoring

/// What `rowcast bench engine` found, as `--json` prints it.
struct EngineReport: Encodable {
  struct Result: Encodable {
    var model: String
    var format: ModelFormat
    var features = 0
    var rows = 0
    var rowsAreSynthetic = false
    var check: EngineCheck?
    var figures: [EngineTimer.Figure] = []

    init(model: String, format: ModelFormat) { (self.model, self.format) = (model, format) }
  }

  var machine = BenchMachine.name
  var cores = Machine.coreCount
  var release = Rowcast.release
  var commit = BenchMachine.commit()
  var results: [Result] = []

  /// A table a model, for people.
  var text: String {
    var lines = [
      "\(machine), \(cores) cores; rowcast \(release)\(commit.map { " (\($0))" } ?? "")"
    ]
    for result in results {
      let name = result.model.split(separator: "/").last.map(String.init) ?? result.model
      lines += [
        "",
        "\(name): \(result.format), \(Format.count(result.features)) features, "
          + "\(Format.count(result.rows)) \(result.rowsAreSynthetic ? "synthetic " : "")rows"
          + Self.words(result.check),
      ]
      var table = TextTable([
        ("threads", .right), ("batch", .right), ("rows/s", .right), ("ns a row", .right),
      ])
      for figure in result.figures {
        table.append([
          "\(figure.threads)", Format.count(figure.batch), Format.rate(figure.rowsPerSecond),
          Format.rate(figure.nanosecondsPerRow),
        ])
      }
      lines += table.lines
    }
    return lines.joined(separator: "\n")
  }

  private static func words(_ check: EngineCheck?) -> String {
    guard let check else { return "" }
    return ", outputs \(check.outputs.joined(separator: ", ")) within "
      + (check.largestDifference == 0 ? "0" : String(format: "%.1e", check.largestDifference))
  }
}
