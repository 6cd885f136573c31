import Inference

/// Whether contributions and their base add to the margin, as they must: within 1e-9 where the library
/// sums doubles, within 1e-5 where floats; of numbers over one, of the largest of them.
struct BoostedSums {
  private let margins: [Column]
  private let contributions: [Column]
  private let tolerance: Double

  init(_ zooCase: BoostedCase, _ batch: Batch, _ contributions: [Column]) throws {
    let model = try Model.load(zooCase.bytes, options: ModelOptions(answer: .margin))
    margins = try model.predict(batch, workspace: Workspace()).columns
    self.contributions = contributions
    tolerance = model.format == .xgboost ? 1e-5 : 1e-9
  }

  /// The first row that disagrees, in words.
  func complaint(rows: some Sequence<Int>) -> String? {
    let width = contributions.count / margins.count
    for row in rows {
      for (index, margin) in margins.enumerated() {
        let parts = contributions[(index * width)..<((index + 1) * width)]
          .map { $0.number(row) ?? .nan }
        let sum = parts.reduce(0, +)
        let want = margin.number(row) ?? .nan
        let largest = parts.map(\.magnitude).max() ?? 0
        // What floats cannot hold is infinite in the one and not in the other.
        if want.isInfinite { continue }
        guard (sum - want).magnitude <= tolerance * max(1, largest) else {
          return "row \(row): contributions add to \(sum), the margin is \(want)"
        }
      }
    }
    return nil
  }
}
