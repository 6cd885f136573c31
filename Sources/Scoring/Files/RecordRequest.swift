package import Inference

/// Records in memory that one request brings: read as a model's features, answered with its outputs.
///
/// Records are read as files are: the first line of a CSV, or the first object, names the columns, found
/// exactly or else whatever their case.
package struct RecordRequest: Sendable {
  private let records: RecordBatch
  private let plan: RecordPlan
  private let outputs: [Signature.Output]

  /// - Parameter kept: Columns that the answer begins with, none by default.
  /// - Throws: `.file` with the line that is not a record, or the feature that is not there.
  package init(
    _ bytes: [UInt8], format: RecordFormat, signature: Signature, kept: [String] = []
  ) throws(ScoringError) {
    let block = RecordBlocks.Block(bytes: bytes, line: 1)
    plan = try RecordPlan(
      names: RecordReader.names(in: block, format: format), features: signature.features,
      kept: kept, rewrites: true, format: format)
    records = try RecordReader(format: format, plan: plan).read(block, isFirst: true)
    outputs = signature.outputs
  }

  package var rowCount: Int { records.rowCount }

  package var batch: Batch { Batch(rowCount: records.rowCount, columns: records.columns) }

  /// Why rows could not be read, by row.
  package var unreadable: [Int: String] { records.unreadable }

  /// A line for each record, with a head where the format has one. What could not be scored has no
  /// outputs, and says why in `failure`.
  package func answer(_ predictions: Predictions, as format: RecordFormat) -> [UInt8] {
    let writer = AnswerWriter(format: format, plan: plan, outputs: outputs, hasFailures: true)
    return writer.head() + writer.answer(records, predictions, failures: failures(in: predictions))
  }

  /// Why rows were not scored, by row.
  package func failures(in predictions: Predictions) -> [Int: String] {
    var reasons = records.unreadable
    for failure in predictions.failures where reasons[failure.row] == nil {
      reasons[failure.row] = failure.reason
    }
    return reasons
  }
}
