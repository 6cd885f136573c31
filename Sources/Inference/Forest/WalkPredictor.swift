internal import CKernels

/// Scores batches by a `ForestWalk`, row by row.
struct WalkPredictor<Real: ForestReal>: Predictor {
  enum Answer: Sendable {
    /// Sums of leaves from `base` on, one an output, divided by `divisor`.
    case sums(ForestOutputs, base: [Real], divisor: Real)
    /// The number of each tree's leaf.
    case leaves
  }

  let walk: ForestWalk
  let features: [Signature.Feature]
  let answer: Answer
  /// Whether a row with an infinite value is refused.
  let refusesInfinite: Bool

  /// Rows that are laid out together; few where they are wide, so that they stay in cache.
  private var blockRows: Int { min(128, max(1, (1 << 16) / max(walk.features.count, 1))) }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    try batch.requireNumbers(features)
    let width = walk.features.count
    let valueBytes = BlockValues.byteCount(rows: blockRows)
    let scratch = workspace.scratch(byteCount: valueBytes + blockRows * max(width, 1) * 8)
    let values = BlockValues(scratch)
    let rowValues = (scratch + valueBytes).assumingMemoryBound(to: Double.self)
    var failures: [Int: Predictions.Failure] = [:]
    var collected = Collected(answer, trees: walk.forest.trees.count, rows: batch.rowCount)
    for start in stride(from: 0, to: batch.rowCount, by: blockRows) {
      let rows = start..<min(start + blockRows, batch.rowCount)
      for (place, feature) in walk.features.enumerated() {
        values.withBlock(of: batch.columns[feature], rows: rows, as: Real.self) { read in
          for row in 0..<rows.count {
            let value =
              switch read {
              case .float(let values): Double(values[row])
              case .double(let values): values[row]
              }
            rowValues[row * width + place] = value
            if refusesInfinite, value.isInfinite, failures[start + row] == nil {
              failures[start + row] = .infinite(row: start + row, features[feature])
            }
          }
        }
      }
      for row in 0..<rows.count { collected.take(walk, rowValues + row * width) }
    }
    return Predictions(
      columns: collected.columns(), failures: failures.values.sorted { $0.row < $1.row })
  }

  /// The answers of the rows so far, output by output or tree by tree.
  private struct Collected {
    private let answer: Answer
    private var sums: [Real] = []
    private var margins: [[Real]] = []
    private var leaves: [[Int64]] = []

    init(_ answer: Answer, trees: Int, rows: Int) {
      self.answer = answer
      switch answer {
      case .sums(let outputs, let base, _):
        sums = base
        margins = Array(repeating: [], count: outputs.count)
        for index in margins.indices { margins[index].reserveCapacity(rows) }
      case .leaves:
        leaves = Array(repeating: [], count: trees)
        for index in leaves.indices { leaves[index].reserveCapacity(rows) }
      }
    }

    mutating func take(_ walk: ForestWalk, _ row: UnsafePointer<Double>) {
      switch answer {
      case .sums(_, let base, let divisor):
        sums = base
        sums.withUnsafeMutableBufferPointer { walk.add(row, to: $0.baseAddress!) }
        for index in margins.indices {
          margins[index].append(divisor == 1 ? sums[index] : sums[index] / divisor)
        }
      case .leaves:
        for (index, tree) in walk.forest.trees.enumerated() {
          leaves[index].append(Int64(walk.leafNumber(of: tree, row)))
        }
      }
    }

    consuming func columns() -> [Column] {
      switch answer {
      case .sums(let outputs, _, _): outputs.columns(margins)
      case .leaves: leaves.map { Column(.int64($0)) }
      }
    }
  }
}
