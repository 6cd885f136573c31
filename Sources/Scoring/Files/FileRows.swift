public import Inference

/// A file's rows in memory: a batch for a model, and what the file says the outputs should be.
public struct FileRows: Sendable {
  public let batch: Batch
  /// The column that the file has of an output's name, by the number of the output.
  public let expected: [Int: Column]

  /// Reads a file whole. Columns that the signature does not name are passed over.
  ///
  /// - Throws: `.file` where a feature has no column, and for the first value that is not of its
  ///   feature's type, with its line.
  public static func read(
    _ bytes: [UInt8], for signature: Signature, format: RecordFormat? = nil
  ) throws(ScoringError) -> FileRows {
    let format = format ?? RecordFormat(sniffing: bytes)
    let block = RecordBlocks.Block(bytes: bytes, line: 1)
    let names = try RecordReader.names(in: block, format: format)
    let outputs = signature.outputs.indices.filter { names.contains(signature.outputs[$0].name) }
    // An output's column is read like a feature's, as the type that the model gives it.
    let wanted = outputs.map { index in
      let output = signature.outputs[index]
      return Signature.Feature(name: output.name, type: output.type, missing: .allowed)
    }
    let plan = try RecordPlan(
      names: names, features: signature.features + wanted, kept: [], rewrites: false,
      format: format)
    let batch = try RecordReader(format: format, plan: plan).read(block, isFirst: true)
    if let (row, reason) = batch.unreadable.min(by: { $0.key < $1.key }) {
      throw ScoringError(.file, "line \(batch.lines[row]): \(reason)")
    }
    guard batch.rowCount > 0 else { throw ScoringError(.file, "the file has no rows") }
    let count = signature.features.count
    return FileRows(
      batch: Batch(rowCount: batch.rowCount, columns: Array(batch.columns[..<count])),
      expected: Dictionary(uniqueKeysWithValues: zip(outputs, batch.columns[count...])))
  }
}
