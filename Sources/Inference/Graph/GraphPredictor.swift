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
  }

  /// Which element of a row of the graph's outputs a column is made of.
  struct OutputSlot: Sendable {
    let output: Int
    let element: Int
    let width: Int
    let type: TensorType
    /// Names that replace the graph's own classes; nil where they stay.
    let names: ClassNames?
  }

  let plan: Plan
  let features: [FeatureSlot]
  let outputs: [OutputSlot]

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    for (column, feature) in zip(batch.columns, features) {
      try FeatureReader.check(column, feature)
    }
    var builders = outputs.map { $0.makeBuilder(rowCount: batch.rowCount) }
    var failures: [Predictions.Failure] = []
    var start = 0
    while start < batch.rowCount {
      let rows = start..<min(start + plan.blockRows, batch.rowCount)
      let frame = workspace.frame(plan, rowCount: rows.count)
      frame.failures.removeAll()
      for (column, feature) in zip(batch.columns, features) {
        FeatureReader.read(
          column, rows, feature, into: frame.inputs[feature.input], failures: frame.failures)
      }
      frame.run()
      for index in builders.indices {
        builders[index].append(frame.outputs[outputs[index].output], rowCount: rows.count)
      }
      for (row, failure) in frame.failures.reasons.sorted(by: { $0.key < $1.key }) {
        failures.append(.init(row: start + row, code: failure.code, reason: failure.reason))
      }
      start = rows.upperBound
    }
    return Predictions(columns: builders.map { $0.column() }, failures: failures)
  }
}
