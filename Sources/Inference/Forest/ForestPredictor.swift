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
    let text = batch.columns.withUnsafeBufferPointer { columns in
      columns.indices.first { if case .string = columns[$0].values { true } else { false } }
    }
    if let text {
      throw ModelError(
        .mismatch, "feature \"\(features[text].name)\" is text, the model wants numbers")
    }
    let block = min(plan.blockRows, max(batch.rowCount, 1))
    let scratch = workspace.scratch(
      byteCount: plan.scratchByteCount + BlockValues.byteCount(rows: block))
    let values = BlockValues(scratch + plan.scratchByteCount)
    var failures: [Int: Predictions.Failure] = [:]
    var margins: [[Real]] = []
    if plan.sumStride == 1 {
      margins.append(
        [Real](unsafeUninitializedCapacity: batch.rowCount) { sums, count in
          count = batch.rowCount
          guard let first = sums.baseAddress else { return }
          for start in stride(from: 0, to: count, by: block) {
            let rows = start..<min(start + block, count)
            encode(batch, rows, values, scratch, &failures)
            (first + start).update(repeating: base[0], count: rows.count)
            Real.add(plan, scratch, count: rows.count, to: first + start)
          }
        })
    } else {
      margins = addMargins(batch, block: block, values, scratch, &failures)
    }
    if divisor != 1 {
      for k in margins.indices {
        for row in margins[k].indices { margins[k][row] /= divisor }
      }
    }
    return Predictions(
      columns: outputs.columns(margins),
      failures: failures.isEmpty ? [] : failures.values.sorted { $0.row < $1.row })
  }

  /// Several sums a row: they are added up side by side, then parted.
  private func addMargins(
    _ batch: Batch, block: Int, _ values: BlockValues, _ scratch: UnsafeMutableRawPointer,
    _ failures: inout [Int: Predictions.Failure]
  ) -> [[Real]] {
    let sums = plan.sums(in: scratch, as: Real.self)
    let width = plan.sumStride
    var margins = (0..<outputs.count).map { _ in
      [Real](repeating: 0, count: batch.rowCount)
    }
    for start in stride(from: 0, to: batch.rowCount, by: block) {
      let rows = start..<min(start + block, batch.rowCount)
      encode(batch, rows, values, scratch, &failures)
      for row in 0..<rows.count {
        for k in 0..<width { sums[row * width + k] = k < base.count ? base[k] : 0 }
      }
      Real.add(plan, scratch, count: rows.count, to: sums)
      for k in margins.indices {
        margins[k].withUnsafeMutableBufferPointer { target in
          for row in 0..<rows.count { target[start + row] = sums[row * width + k] }
        }
      }
    }
    return margins
  }

  private func encode(
    _ batch: Batch, _ rows: Range<Int>, _ values: BlockValues, _ scratch: UnsafeMutableRawPointer,
    _ failures: inout [Int: Predictions.Failure]
  ) {
    if encodePlain(batch.columns, rows, scratch) { return }
    for (index, feature) in plan.features.enumerated() {
      values.withBlock(of: batch.columns[feature], rows: rows, as: Real.self) { read in
        switch read {
        case .float(let values):
          plan.encode(values, count: rows.count, feature: index, into: scratch)
          guard refusesInfinite, ck_forest_infinite_f32(values, rows.count) > 0 else { return }
          for row in 0..<rows.count where values[row].isInfinite {
            refuse(rows.lowerBound + row, feature, &failures)
          }
        case .double(let values):
          plan.encode(values, count: rows.count, feature: index, into: scratch)
        }
      }
    }
  }

  /// Encodes a block whose columns are all floats, or all doubles, without NULL: at once, since for
  /// a single row most of the time goes into looking at columns one by one.
  ///
  /// - Returns: whether it was; not where a row may have to be refused.
  @inline(__always)
  private func encodePlain(
    _ columns: [Column], _ rows: Range<Int>, _ scratch: UnsafeMutableRawPointer
  ) -> Bool {
    let count = plan.features.count
    return withUnsafeTemporaryAllocation(
      of: Optional<UnsafePointer<Float>>.self, capacity: max(count, 1)
    ) { floats in
      let base = floats.baseAddress!
      if BlockValues.floats(columns, plan.features, from: rows.lowerBound, base) {
        if refusesInfinite, ck_forest_infinite_columns_f32(base, count, rows.count) > 0 {
          return false
        }
        plan.encode(columns: base, count: rows.count, into: scratch)
        return true
      }
      guard Real.self == Double.self else { return false }
      return base.withMemoryRebound(to: Optional<UnsafePointer<Double>>.self, capacity: count) {
        guard BlockValues.doubles(columns, plan.features, from: rows.lowerBound, $0) else {
          return false
        }
        plan.encode(columns: $0, count: rows.count, into: scratch)
        return true
      }
    }
  }

  private func refuse(_ row: Int, _ feature: Int, _ failures: inout [Int: Predictions.Failure]) {
    guard failures[row] == nil else { return }
    failures[row] = Predictions.Failure(
      row: row, code: .notFinite,
      reason: "feature \"\(features[feature].name)\" is infinite or too large")
  }
}

extension ForestPredictor: KernelReporting {
  var kernelReports: [KernelReport] {
    switch self {
    case .float(let scoring): scoring.plan.kernelReports
    case .double(let scoring): scoring.plan.kernelReports
    }
  }
}
