internal import CKernels

/// Brings the columns of a batch into the codes of a plan, block by block.
///
/// Holds no references, as `ForestCalls` says.
struct ForestReader: Sendable {
  private let calls: ForestCalls
  /// Features of the model.
  private let width: Int
  private let refusesInfinite: Bool

  /// Up to so many rows are laid out row by row and encoded at once, since getting from one column
  /// to the next takes most of the time then; but not where a row is long.
  private static let fewRows = 7
  private static let longRow = 1024

  /// - Parameter refusesInfinite: whether a row with an infinite float is a failure.
  init(_ plan: ForestPlan, featureCount: Int, refusesInfinite: Bool) {
    (calls, width, self.refusesInfinite) = (plan.calls, featureCount, refusesInfinite)
  }

  /// Memory that a block of rows takes.
  func byteCount(rows: Int) -> Int {
    BlockValues.byteCount(rows: max(rows, Self.fewRows * min(width, Self.longRow)))
  }

  /// Encodes rows of a batch whose columns are all numbers.
  ///
  /// - Parameters:
  ///   - type: in which values are compared, as `BlockValues.withBlock` says.
  ///   - memory: `byteCount` bytes, aligned for doubles.
  ///   - refuse: called with each row that has an infinite float, and the feature's number.
  func encode<Real: ForestReal>(
    _ batch: Batch, _ rows: Range<Int>, _ type: Real.Type, _ memory: UnsafeMutableRawPointer,
    into scratch: UnsafeMutableRawPointer, refuse: (_ row: Int, _ feature: Int) -> Void
  ) {
    if rows.count <= Self.fewRows, width <= Self.longRow {
      let values = memory.assumingMemoryBound(to: type)
      batch.columns.withUnsafeBufferPointer { columns in
        for feature in calls.features {
          BlockValues.copy(columns[feature], rows, to: values + feature, stride: width)
        }
      }
      if refusesInfinite {
        for (row, number) in rows.enumerated() {
          for feature in calls.features where values[row * width + feature].isInfinite {
            refuse(number, feature)
          }
        }
      }
      Real.encode(calls, rows: values, width: width, count: rows.count, into: scratch)
      return
    }
    let values = BlockValues(memory)
    for (index, feature) in calls.features.enumerated() {
      values.withBlock(of: batch.columns[feature], rows: rows, as: type) { read in
        switch read {
        case .float(let values):
          calls.encode(values, count: rows.count, feature: index, into: scratch)
          guard refusesInfinite, ck_forest_infinite_f32(values, rows.count) > 0 else { return }
          for row in 0..<rows.count where values[row].isInfinite {
            refuse(rows.lowerBound + row, feature)
          }
        case .double(let values):
          calls.encode(values, count: rows.count, feature: index, into: scratch)
        }
      }
    }
  }
}
