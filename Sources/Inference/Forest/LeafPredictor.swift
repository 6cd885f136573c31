/// Answers what the leaves of rows say, where that is more than a sum: their numbers, or linear
/// functions.
///
/// The plan is of the same trees, each of which adds the number of its leaf to an output of its own
/// (`Forest.numberingLeaves`), so that the kernels for sums find leaves as well.
final class LeafPredictor: Predictor {
  enum Answer: Sendable {
    /// The number of each tree's leaf.
    case numbers
    /// Sums of the leaves' functions.
    case sums(LinearSums, ForestOutputs)
  }

  /// What the functions of a forest's leaves add up to.
  struct LinearSums: Sendable {
    /// The forest that the leaves are of.
    let forest: Forest
    let functions: LinearLeaves
    /// Where sums start, one an output.
    let base: [Double]
    /// Sums are divided by this.
    let divisor: Double
  }

  private let plan: ForestPlan
  private let calls: ForestCalls
  private let reader: ForestReader
  private let features: [Signature.Feature]
  private let answer: Answer
  /// Whether values are compared as floats.
  private let readsFloats: Bool
  /// The features that functions name, ascending, and for each of the model's its place among them.
  private let terms: [Int]
  private let placeOfFeature: [Int]

  /// Rows of many trees' leaves stay in cache.
  private static let mostRows = 128

  /// - Parameter plan: of the forest with its leaves numbered, summed as doubles.
  init(
    plan: ForestPlan, features: [Signature.Feature], answer: Answer, readsFloats: Bool,
    refusesInfinite: Bool
  ) {
    (self.plan, self.features, self.answer) = (plan, features, answer)
    self.readsFloats = readsFloats
    calls = plan.calls
    reader = ForestReader(plan, featureCount: features.count, refusesInfinite: refusesInfinite)
    if case .sums(let sums, _) = answer {
      terms = Set(sums.functions.features.map { Int($0) }).sorted()
    } else {
      terms = []
    }
    var places = Array(repeating: 0, count: terms.isEmpty ? 0 : features.count)
    for (place, feature) in terms.enumerated() { places[feature] = place }
    placeOfFeature = places
  }

  var byteCount: Int {
    guard case .sums(let sums, _) = answer else { return plan.byteCount }
    return plan.byteCount + sums.byteCount
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    try batch.requireNumbers(features)
    let block = min(plan.blockRows, Self.mostRows, max(batch.rowCount, 1))
    let readerBytes = reader.byteCount(rows: block)
    let scratch = workspace.scratch(
      byteCount: plan.scratchByteCount + readerBytes + block * terms.count * 8)
    let memory = scratch + plan.scratchByteCount
    let values = (memory + readerBytes).assumingMemoryBound(to: Double.self)
    let leaves = plan.sums(in: scratch, as: Double.self)
    let width = plan.sumStride
    var failures: [Int: Predictions.Failure] = [:]
    func refuse(_ row: Int, _ feature: Int) {
      if failures[row] == nil { failures[row] = .infinite(row: row, features[feature]) }
    }
    var collected = Collected(answer, trees: width, rows: batch.rowCount)
    for start in stride(from: 0, to: batch.rowCount, by: block) {
      let rows = start..<min(start + block, batch.rowCount)
      if readsFloats {
        reader.encode(batch, rows, Float.self, memory, into: scratch, refuse: refuse)
      } else {
        reader.encode(batch, rows, Double.self, memory, into: scratch, refuse: refuse)
      }
      leaves.update(repeating: 0, count: rows.count * width)
      calls.add(scratch, count: rows.count, to: leaves)
      batch.columns.withUnsafeBufferPointer { columns in
        for (place, feature) in terms.enumerated() {
          BlockValues.copy(columns[feature], rows, to: values + place, stride: terms.count)
        }
      }
      switch answer {
      case .numbers: collected.take(leaves, trees: width, rows)
      case .sums(let sums, _):
        for (index, row) in rows.enumerated() {
          collected.take(
            sums, leaves + index * width, values + index * terms.count, placeOfFeature, row)
        }
      }
    }
    return Predictions(
      columns: collected.columns(), failures: failures.values.sorted { $0.row < $1.row })
  }

  /// The answers of the rows so far, output by output or tree by tree.
  private struct Collected {
    private let answer: Answer
    private var margins: [[Double]] = []
    private var numbers: [[Int64]] = []

    init(_ answer: Answer, trees: Int, rows: Int) {
      self.answer = answer
      switch answer {
      case .numbers:
        numbers = (0..<trees).map { _ in [Int64](repeating: 0, count: rows) }
      case .sums(_, let outputs):
        margins = (0..<outputs.count).map { _ in [Double](repeating: 0, count: rows) }
      }
    }

    mutating func take(_ leaves: UnsafePointer<Double>, trees: Int, _ rows: Range<Int>) {
      for tree in 0..<trees {
        numbers[tree].withUnsafeMutableBufferPointer { numbers in
          for (index, row) in rows.enumerated() {
            numbers[row] = Int64(leaves[index * trees + tree])
          }
        }
      }
    }

    mutating func take(
      _ sums: LinearSums, _ leaves: UnsafePointer<Double>, _ values: UnsafePointer<Double>,
      _ places: [Int], _ row: Int
    ) {
      for output in margins.indices { margins[output][row] = sums.base[output] }
      for (index, tree) in sums.forest.trees.enumerated() {
        guard case .one(let output) = tree.output else { continue }
        let leaf = tree.firstValue + Int(leaves[index])
        margins[output][row] += sums.functions.value(of: leaf, plain: sums.forest.values[leaf]) {
          values[places[$0]]
        }
      }
      guard sums.divisor != 1 else { return }
      for output in margins.indices { margins[output][row] /= sums.divisor }
    }

    consuming func columns() -> [Column] {
      switch answer {
      case .sums(_, let outputs): outputs.columns(margins)
      case .numbers: numbers.map { Column(.int64($0)) }
      }
    }
  }
}

extension LeafPredictor.LinearSums {
  /// What the functions take, and the leaves that they are for.
  fileprivate var byteCount: Int {
    functions.coefficients.count * 12 + functions.constants.count * 16 + forest.values.count * 8
      + forest.trees.count * MemoryLayout<Forest.Tree>.stride
  }
}

extension LeafPredictor: KernelReporting {
  var kernelReports: [KernelReport] { plan.kernelReports }
}

extension LeafPredictor: Inspectable {
  func describe(in structure: inout ModelStructure) { plan.describe(in: &structure) }
}
