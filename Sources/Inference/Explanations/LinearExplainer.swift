/// Contributions to linear margins: a feature's weight times how far its value is from its mean,
/// where the file has a mean, else from zero. A missing value contributes nothing.
///
/// These are the Shapley values of a linear model whose features are independent.
struct LinearExplainer<Real: ForestReal>: Explainer {
  let features: [Int]
  let outputCount: Int
  let bases: [Double]
  let blockRows = 32

  /// For each of `features` a weight for each output.
  private let weights: [Real]
  private let means: [Real]

  var scratchByteCount: Int { BlockValues.byteCount(rows: blockRows) }

  /// - Parameters:
  ///   - weights: Feature by feature, one for each output.
  ///   - means: One a feature.
  ///   - bases: What each margin is where all features have their means.
  init(weights: [Real], outputCount: Int, means: [Real], bases: [Double]) {
    self.outputCount = outputCount
    self.bases = bases
    let used = means.indices.filter { feature in
      weights[(feature * outputCount)..<((feature + 1) * outputCount)].contains { $0 != 0 }
    }
    features = used
    self.weights = used.flatMap { weights[($0 * outputCount)..<(($0 + 1) * outputCount)] }
    self.means = used.map { means[$0] }
  }

  func explain(
    _ batch: Batch, _ rows: Range<Int>, scratch: UnsafeMutableRawPointer,
    into target: UnsafeMutablePointer<Double>
  ) {
    target.update(repeating: 0, count: features.count * outputCount * blockRows)
    let block = BlockValues(scratch)
    for (place, feature) in features.enumerated() {
      block.withBlock(of: batch.columns[feature], rows: rows, as: Real.self) { read in
        for row in 0..<rows.count {
          let value =
            switch read {
            case .float(let floats): Real(floats[row])
            case .double(let doubles): Real(doubles[row])
            }
          if value.isNaN { continue }
          for output in 0..<outputCount {
            target[(output * features.count + place) * blockRows + row] = Double(
              weights[place * outputCount + output] * (value - means[place]))
          }
        }
      }
    }
  }
}
