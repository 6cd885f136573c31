/// Scores with XGBoost's linear booster: bias and base score, then a product for each feature in
/// order, all as floats. A missing value adds nothing.
struct LinearBooster: Predictor {
  private let features: [Signature.Feature]
  private let outputs: ForestOutputs
  /// Feature by feature a weight for each output, then a bias for each.
  private let weights: [Float]
  /// XGBoost starts every output from the first one's base score.
  private let base: Float

  static func model(
    _ document: XGBoostDocument, outputs: ForestOutputs, base: Float, options: ModelOptions
  ) throws(ModelError) -> Model {
    guard options.answer != .leaf else {
      throw ModelError(.mismatch, "a linear booster has no leaves")
    }
    guard options.iterations == nil else {
      throw ModelError(.mismatch, "a linear booster keeps its last iteration only")
    }
    let wanted = (document.featureCount + 1) * outputs.count
    guard document.weights.count == wanted else {
      throw ModelError(
        .malformed,
        "\(document.weights.count) weights for \(document.featureCount) features and \(outputs.count) outputs"
      )
    }
    guard document.weights.allSatisfy(\.isFinite) else {
      throw ModelError(.malformed, "a weight is not finite")
    }
    let features = try document.features()
    var outputs = outputs
    outputs.answersMargins = options.answer == .margin || options.answer == .contribution
    var predictor: any Predictor = LinearBooster(
      features: features, outputs: outputs, weights: document.weights, base: base)
    var written = outputs.signature(.float32)
    if options.explains {
      // XGBoost keeps no means of its features: a weight counts with its whole value.
      let slopes = features.count * outputs.count
      let explainer = LinearExplainer<Float>(
        weights: Array(document.weights[..<slopes]), outputCount: outputs.count,
        means: Array(repeating: 0, count: features.count),
        bases: document.weights[slopes...].map { Double($0 + base) })
      (predictor, written) = try Explanation(
        explainer: explainer, features: features, outputs: outputs
      ).wrap(predictor, written, options)
    }
    return Model(
      format: .xgboost, signature: Signature(features: features, outputs: written),
      byteCount: wanted * 4, givesReasons: outputs.hasOneMargin, predictor: predictor)
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    try batch.requireNumbers(features)
    let block = 128
    let values = BlockValues(workspace.scratch(byteCount: BlockValues.byteCount(rows: block)))
    let biases = weights[(features.count * outputs.count)...]
    var margins = biases.map { Array(repeating: $0 + base, count: batch.rowCount) }
    var failures: [Int: Predictions.Failure] = [:]
    for (index, feature) in features.enumerated() {
      let slopes = weights[(index * outputs.count)..<((index + 1) * outputs.count)]
      for start in stride(from: 0, to: batch.rowCount, by: block) {
        let rows = start..<min(start + block, batch.rowCount)
        values.withBlock(of: batch.columns[index], rows: rows, as: Float.self) { read in
          guard case .float(let values) = read else { return }
          for row in 0..<rows.count {
            let value = values[row]
            if value.isNaN { continue }
            if value.isInfinite, failures[start + row] == nil {
              failures[start + row] = .infinite(row: start + row, feature)
            }
            for (output, slope) in slopes.enumerated() {
              margins[output][start + row] += value * slope
            }
          }
        }
      }
    }
    return Predictions(
      columns: outputs.columns(margins), failures: failures.values.sorted { $0.row < $1.row })
  }
}
