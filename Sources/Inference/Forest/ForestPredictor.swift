/// Scores batches with a boosted model (LightGBM, XGBoost).
///
/// A value is read in the type that the source library compares in: float for XGBoost; double for
/// LightGBM, where a float column needs no conversion since its thresholds are known in float too.
struct ForestPredictor<Real: ForestReal>: Predictor {
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
    let scratch = workspace.scratch(byteCount: plan.scratchByteCount)
    let sums = plan.sums(in: scratch, as: Real.self)
    let values = BlockValues(capacity: block)
    var failures: [Int: Predictions.Failure] = [:]
    var margins = (0..<outputs.count).map { _ in
      [Real](unsafeUninitializedCapacity: batch.rowCount) { _, count in count = 0 }
    }
    for start in stride(from: 0, to: batch.rowCount, by: block) {
      let rows = start..<min(start + block, batch.rowCount)
      for (index, feature) in plan.features.enumerated() {
        let hasInfinite = values.withBlock(
          of: batch.columns[feature.feature], rows: rows, as: Real.self,
          checksInfinite: refusesInfinite
        ) { read in
          switch read {
          case .float(let pointer):
            plan.rank(pointer, count: rows.count, feature: index, into: scratch)
          case .double(let pointer):
            plan.rank(pointer, count: rows.count, feature: index, into: scratch)
          }
        }
        guard hasInfinite else { continue }
        for row in values.infiniteRows(rows.count) where failures[start + row] == nil {
          failures[start + row] = Predictions.Failure(
            row: start + row, code: .notFinite,
            reason: "feature \"\(features[feature.feature].name)\" is infinite or too large")
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
}

/// One feature's values of a block, as C wants them.
final class BlockValues {
  enum Read {
    case float(UnsafePointer<Float>)
    case double(UnsafePointer<Double>)
  }

  private let floats: UnsafeMutableBufferPointer<Float>
  private let doubles: UnsafeMutableBufferPointer<Double>

  init(capacity: Int) {
    floats = .allocate(capacity: capacity)
    doubles = .allocate(capacity: capacity)
  }

  deinit {
    floats.deallocate()
    doubles.deallocate()
  }

  /// Calls `body` with the rows' values, NaN where they are null.
  ///
  /// - Returns: whether one of them is infinite, where that is asked; `infiniteRows` says which.
  func withBlock<Real: ForestReal>(
    of column: Column, rows: Range<Int>, as type: Real.Type, checksInfinite: Bool,
    _ body: (Read) -> Void
  ) -> Bool {
    let asFloat = type == Float.self
    switch column.values {
    case .float32(let values):
      if column.nulls == nil, !checksInfinite {
        values.withUnsafeBufferPointer { body(.float($0.baseAddress! + rows.lowerBound)) }
        return false
      }
      fillFloats(values, column, rows) { $0 }
      return finish(rows.count, float: true, checksInfinite, body)
    case .float64(let values):
      if !asFloat, column.nulls == nil, !checksInfinite {
        values.withUnsafeBufferPointer { body(.double($0.baseAddress! + rows.lowerBound)) }
        return false
      }
      if asFloat {
        fillFloats(values, column, rows) { Float($0) }
      } else {
        fillDoubles(values, column, rows) { $0 }
      }
    case .int16(let values):
      if asFloat {
        fillFloats(values, column, rows) { Float($0) }
      } else {
        fillDoubles(values, column, rows) { Double($0) }
      }
    case .int32(let values):
      if asFloat {
        fillFloats(values, column, rows) { Float($0) }
      } else {
        fillDoubles(values, column, rows) { Double($0) }
      }
    case .int64(let values):
      if asFloat {
        fillFloats(values, column, rows) { Float($0) }
      } else {
        fillDoubles(values, column, rows) { Double($0) }
      }
    case .bool(let values):
      if asFloat {
        fillFloats(values, column, rows) { $0 ? 1 : 0 }
      } else {
        fillDoubles(values, column, rows) { $0 ? 1 : 0 }
      }
    case .string:
      preconditionFailure("text is refused before blocks are read")
    }
    return finish(rows.count, float: asFloat, checksInfinite, body)
  }

  /// The rows of the last block whose value is infinite.
  func infiniteRows(_ count: Int) -> [Int] {
    (0..<count).filter { floats[$0].isInfinite }
  }

  private func finish(
    _ count: Int, float: Bool, _ checksInfinite: Bool, _ body: (Read) -> Void
  ) -> Bool {
    guard float else {
      body(.double(UnsafePointer(doubles.baseAddress!)))
      return false
    }
    body(.float(UnsafePointer(floats.baseAddress!)))
    guard checksInfinite else { return false }
    var found = false
    for row in 0..<count { found = found || floats[row].magnitude == .infinity }
    return found
  }

  @inline(__always)
  private func fillFloats<Element>(
    _ values: [Element], _ column: Column, _ rows: Range<Int>, _ convert: (Element) -> Float
  ) {
    values.withUnsafeBufferPointer { values in
      for row in 0..<rows.count { floats[row] = convert(values[rows.lowerBound + row]) }
    }
    guard column.nulls != nil else { return }
    for row in 0..<rows.count where column.isNull(rows.lowerBound + row) { floats[row] = .nan }
  }

  @inline(__always)
  private func fillDoubles<Element>(
    _ values: [Element], _ column: Column, _ rows: Range<Int>, _ convert: (Element) -> Double
  ) {
    values.withUnsafeBufferPointer { values in
      for row in 0..<rows.count { doubles[row] = convert(values[rows.lowerBound + row]) }
    }
    guard column.nulls != nil else { return }
    for row in 0..<rows.count where column.isNull(rows.lowerBound + row) { doubles[row] = .nan }
  }
}
