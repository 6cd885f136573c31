internal import CKernels

/// Scores batches with a boosted model (LightGBM, XGBoost), in the type that its library adds in.
///
/// Two cases rather than a generic predictor: behind `any Predictor` the compiler would not
/// specialise it.
enum ForestPredictor: Predictor {
  case float(ForestScoring<Float>)
  case double(ForestScoring<Double>)

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    switch self {
    case .float(let scoring): try scoring.predict(batch, workspace: workspace)
    case .double(let scoring): try scoring.predict(batch, workspace: workspace)
    }
  }
}

/// A value is read in the type that the source library compares in: float for XGBoost; double for
/// LightGBM, where a float column needs no conversion since its thresholds are known in float too.
struct ForestScoring<Real: ForestReal>: Sendable {
  let plan: ForestPlan
  let features: [Signature.Feature]
  let outputs: ForestOutputs
  /// Where sums start, one an output.
  let base: [Real]
  /// Sums are divided by this once all trees are added.
  let divisor: Real
  /// Whether a row with an infinite value is refused (XGBoost) or scored (LightGBM).
  let refusesInfinite: Bool

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    for (column, feature) in zip(batch.columns, features) {
      if case .string = column.values {
        throw ModelError(.mismatch, "feature \"\(feature.name)\" is text, the model wants numbers")
      }
    }
    let block = ForestPlan.blockRows
    let scratch = workspace.scratch(
      byteCount: plan.scratchByteCount + BlockValues.byteCount(rows: block))
    let sums = plan.sums(in: scratch, as: Real.self)
    let values = BlockValues(scratch + plan.scratchByteCount)
    var failures: [Int: Predictions.Failure] = [:]
    var margins = (0..<outputs.count).map { _ in
      [Real](unsafeUninitializedCapacity: batch.rowCount) { _, count in count = 0 }
    }
    for start in stride(from: 0, to: batch.rowCount, by: block) {
      let rows = start..<min(start + block, batch.rowCount)
      for (index, feature) in plan.features.enumerated() {
        values.withBlock(
          of: batch.columns[feature.feature], rows: rows, as: Real.self
        ) { read in
          switch read {
          case .float(let values):
            plan.rank(values, count: rows.count, feature: index, into: scratch)
            guard refusesInfinite, ck_forest_infinite_f32(values, rows.count) > 0 else { return }
            for row in 0..<rows.count where values[row].isInfinite {
              refuse(start + row, feature.feature, &failures)
            }
          case .double(let values):
            plan.rank(values, count: rows.count, feature: index, into: scratch)
          }
        }
      }
      for k in 0..<outputs.count {
        for row in 0..<block { sums[k * block + row] = base[k] }
      }
      Real.add(plan, scratch, count: rows.count, to: sums)
      for k in 0..<outputs.count {
        margins[k].append(
          contentsOf: UnsafeBufferPointer(start: sums + k * block, count: rows.count))
      }
    }
    if divisor != 1 {
      for k in margins.indices {
        for row in margins[k].indices { margins[k][row] /= divisor }
      }
    }
    return Predictions(
      columns: outputs.columns(margins),
      failures: failures.values.sorted { $0.row < $1.row })
  }

  private func refuse(_ row: Int, _ feature: Int, _ failures: inout [Int: Predictions.Failure]) {
    guard failures[row] == nil else { return }
    failures[row] = Predictions.Failure(
      row: row, code: .notFinite,
      reason: "feature \"\(features[feature].name)\" is infinite or too large")
  }
}
