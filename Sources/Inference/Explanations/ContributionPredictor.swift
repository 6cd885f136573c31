/// Answers every feature's contribution and the base, margin by margin.
struct ContributionPredictor: Predictor {
  /// Answers the margins; it knows which rows cannot be scored.
  let margins: any Predictor
  let explainer: any Explainer
  let featureCount: Int

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    let failures = try margins.predict(batch, workspace: workspace).failures
    let width = featureCount + 1
    var values = (0..<explainer.outputCount).flatMap { output in
      (0..<width).map { feature in
        [Double](
          repeating: feature < featureCount ? 0 : explainer.bases[output], count: batch.rowCount)
      }
    }
    explainer.explain(batch, workspace) { rows, output, place, contributions in
      let column = output * width + explainer.features[place]
      for row in rows { values[column][row] = contributions[row - rows.lowerBound] }
    }
    return Predictions(columns: values.map { Column(.float64($0)) }, failures: failures)
  }
}

extension Explainer {
  /// Explains a batch block by block.
  ///
  /// - Parameter take: called for each block, output and place of a feature with the block's rows
  ///   and their contributions.
  func explain(
    _ batch: Batch, _ workspace: Workspace,
    _ take: (_ rows: Range<Int>, _ output: Int, _ place: Int, UnsafePointer<Double>) -> Void
  ) {
    blocks(batch, workspace) { rows, contributions in
      for output in 0..<outputCount {
        for place in features.indices {
          take(
            rows, output, place,
            contributions + (output * features.count + place) * blockRows)
        }
      }
    }
  }

  /// Explains a batch block by block.
  ///
  /// - Parameter take: called with a block's rows, and `blockRows` numbers for each output and place
  ///   of a feature.
  func blocks(
    _ batch: Batch, _ workspace: Workspace,
    _ take: (_ rows: Range<Int>, UnsafePointer<Double>) -> Void
  ) {
    let count = outputCount * features.count * blockRows
    let memory = workspace.scratch(byteCount: count * 8 + scratchByteCount)
    let target = memory.assumingMemoryBound(to: Double.self)
    for start in stride(from: 0, to: batch.rowCount, by: blockRows) {
      let rows = start..<min(start + blockRows, batch.rowCount)
      explain(batch, rows, scratch: memory + count * 8, into: target)
      take(rows, target)
    }
  }
}
