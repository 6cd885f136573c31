/// Scores batches with a plan: columns into the graph's inputs, its outputs into columns.
struct GraphPredictor: Predictor {
  /// Where a feature goes, and what is done where it is missing.
  struct FeatureSlot: Sendable {
    let input: Int
    let element: Int
    /// Elements of a row of the input.
    let width: Int
    let type: TensorType
    let name: String
    let mayBeMissing: Bool
    /// True where the input has all rows of a feature together.
    var isColumn = false
    /// False where no output depends on the feature.
    var isRead = true
  }

  /// Which element of a row of the graph's outputs a column is made of.
  struct OutputSlot: Sendable {
    let output: Int
    let element: Int
    let width: Int
    let type: TensorType
    /// Names that replace the graph's own classes; nil where they stay.
    let names: ClassNames?
    /// Which of the parts that precede the rows, as one for each of several targets does.
    var part = 0
  }

  let plan: Plan
  let features: [FeatureSlot]
  let outputs: [OutputSlot]
  private let readers: [InputReader]
  /// For each feature whether its column must be text.
  private let isText: [Bool]

  init(plan: Plan, features: [FeatureSlot], outputs: [OutputSlot]) {
    (self.plan, self.features, self.outputs) = (plan, features, outputs)
    readers = InputReader.readers(of: features)
    isText = features.map { $0.type == .string }
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    let wrong = batch.columns.withUnsafeBufferPointer { columns in
      columns.indices.first { columns[$0].isText != isText[$0] }
    }
    if let wrong { try FeatureReader.check(batch.columns[wrong], features[wrong]) }
    var builders = outputs.map { $0.makeBuilder(rowCount: batch.rowCount) }
    var failures: [Predictions.Failure] = []
    var start = 0
    while start < batch.rowCount {
      let rows = start..<min(start + plan.blockRows, batch.rowCount)
      let frame = workspace.frame(plan, rowCount: rows.count)
      frame.failures.removeAll()
      batch.columns.withUnsafeBufferPointer { columns in
        features.withUnsafeBufferPointer { slots in
          for index in readers.indices { readers[index].read(columns, slots, rows, into: frame) }
        }
      }
      frame.run()
      for index in builders.indices {
        builders[index].append(
          frame.outputs[outputs[index].output].part(outputs[index], rows.count),
          rowCount: rows.count)
      }
      if !frame.failures.reasons.isEmpty {
        for (row, failure) in frame.failures.reasons.sorted(by: { $0.key < $1.key }) {
          failures.append(.init(row: start + row, code: failure.code, reason: failure.reason))
        }
      }
      start = rows.upperBound
    }
    return Predictions(columns: builders.map { $0.column() }, failures: failures)
  }
}

extension TensorView {
  /// The view from a slot's part on.
  @inline(__always)
  fileprivate func part(_ slot: GraphPredictor.OutputSlot, _ rowCount: Int) -> TensorView {
    if slot.part == 0 { return self }
    return TensorView(
      type: type, dims: [rowCount, slot.width],
      base: base + slot.part * rowCount * slot.width * type.stride)
  }
}

extension Column {
  fileprivate var isText: Bool { if case .string = values { true } else { false } }
}
