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
///
/// A class, since a struct's members would each be retained for a call, by all threads at once.
final class ForestScoring<Real: ForestReal>: Sendable {
  let plan: ForestPlan
  let features: [Signature.Feature]
  let outputs: ForestOutputs
  /// Where sums start, one an output.
  let base: [Real]
  /// Sums are divided by this once all trees are added.
  let divisor: Real
  private let reader: ForestReader
  private let calls: ForestCalls
  private let blockRows: Int
  private let sumStride: Int
  private let planByteCount: Int

  /// - Parameter refusesInfinite: whether a row with an infinite value is refused (XGBoost) or
  ///   scored (LightGBM).
  init(
    plan: ForestPlan, features: [Signature.Feature], outputs: ForestOutputs, base: [Real],
    divisor: Real, refusesInfinite: Bool
  ) {
    (self.plan, self.features, self.outputs) = (plan, features, outputs)
    (self.base, self.divisor) = (base, divisor)
    calls = plan.calls
    reader = ForestReader(
      plan, featureCount: features.count, refusesInfinite: refusesInfinite)
    blockRows = plan.blockRows
    sumStride = plan.sumStride
    planByteCount = plan.scratchByteCount
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    try batch.requireNumbers(features)
    let block = min(blockRows, max(batch.rowCount, 1))
    let scratch = workspace.scratch(
      byteCount: planByteCount + reader.byteCount(rows: block))
    let memory = scratch + planByteCount
    var failures: [Int: Predictions.Failure] = [:]
    var columns: [Column]
    if sumStride == 1 {
      columns = workspace.takeColumns()
      var margins = Real.array(count: batch.rowCount, in: &columns)
      margins.withUnsafeMutableBufferPointer { sums in
        guard let first = sums.baseAddress else { return }
        sums.update(repeating: base[0])
        for start in stride(from: 0, to: sums.count, by: block) {
          let rows = start..<min(start + block, sums.count)
          encode(batch, rows, memory, scratch, &failures)
          Real.add(calls, scratch, count: rows.count, to: first + start)
        }
        if divisor != 1 { for row in sums.indices { sums[row] /= divisor } }
      }
      outputs.write(margins, to: &columns)
      workspace.columns = columns
    } else {
      columns = outputs.columns(
        severalMargins(batch, block: block, memory, scratch, &failures))
    }
    return Predictions(
      columns: columns,
      failures: failures.isEmpty ? [] : failures.values.sorted { $0.row < $1.row })
  }

  @inline(__always)
  private func encode(
    _ batch: Batch, _ rows: Range<Int>, _ memory: UnsafeMutableRawPointer,
    _ scratch: UnsafeMutableRawPointer, _ failures: inout [Int: Predictions.Failure]
  ) {
    reader.encode(batch, rows, Real.self, memory, into: scratch) { row, feature in
      if failures[row] == nil { failures[row] = .infinite(row: row, features[feature]) }
    }
  }

  /// Several sums a row: they are added up side by side, then parted.
  private func severalMargins(
    _ batch: Batch, block: Int, _ memory: UnsafeMutableRawPointer,
    _ scratch: UnsafeMutableRawPointer, _ failures: inout [Int: Predictions.Failure]
  ) -> [[Real]] {
    let sums = plan.sums(in: scratch, as: Real.self)
    let width = sumStride
    var margins = (0..<outputs.count).map { _ in
      [Real](repeating: 0, count: batch.rowCount)
    }
    for start in stride(from: 0, to: batch.rowCount, by: block) {
      let rows = start..<min(start + block, batch.rowCount)
      encode(batch, rows, memory, scratch, &failures)
      for row in 0..<rows.count {
        for k in 0..<width { sums[row * width + k] = k < base.count ? base[k] : 0 }
      }
      Real.add(calls, scratch, count: rows.count, to: sums)
      for k in margins.indices {
        margins[k].withUnsafeMutableBufferPointer { target in
          for row in 0..<rows.count { target[start + row] = sums[row * width + k] }
        }
      }
    }
    if divisor != 1 {
      for k in margins.indices {
        for row in margins[k].indices { margins[k][row] /= divisor }
      }
    }
    return margins
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
