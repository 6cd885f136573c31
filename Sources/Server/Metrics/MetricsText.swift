/// Writes figures in Prometheus' text format.
struct MetricsText {
  private(set) var text = ""

  enum Kind: String {
    case counter, gauge, histogram
  }

  typealias Labels = [(String, String)]
  typealias Sample = (Labels, Double)

  /// - Parameter samples: None where nothing is known; the figure is described all the same.
  mutating func family(
    _ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]
  ) {
    describe(name, kind, help)
    for (labels, value) in samples { sample(name, labels, value) }
  }

  mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double?) {
    describe(name, kind, help)
    if let value { sample(name, [], value) }
  }

  /// What was counted by bounds, and added up.
  struct Distribution {
    var labels: Labels
    /// One a bound, not cumulative, and one for what exceeded all.
    var counts: [Double]
    var sum: Double
  }

  mutating func histogram(
    _ name: String, _ help: String, bounds: [Double], _ distributions: [Distribution]
  ) {
    describe(name, .histogram, help)
    for own in distributions {
      var count = 0.0
      for (index, part) in own.counts.enumerated() {
        count += part
        let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
        sample(name + "_bucket", own.labels + [("le", bound)], count)
      }
      sample(name + "_sum", own.labels, own.sum)
      sample(name + "_count", own.labels, count)
    }
  }

  private mutating func describe(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  private mutating func sample(_ name: String, _ labels: Labels, _ value: Double) {
    text += name
    if !labels.isEmpty {
      text +=
        "{" + labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",") + "}"
    }
    let isWhole = value == value.rounded() && abs(value) < 1e15
    text += " \(isWhole ? String(Int(value)) : value.description)\n"
  }

  private static func escaped(_ label: String) -> String {
    label.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
