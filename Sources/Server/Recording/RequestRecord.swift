internal import FoundationEssentials
internal import Inference
internal import Scoring

/// What a request was answered, as it waits to be written.
///
/// It has what is needed of its model and not the model, which may go meanwhile.
final class RequestRecord: Sendable {
  let model: String
  let version: Int32
  let origin: RequestOrigin
  let scoredAt = Date()
  let latency: Duration
  /// Memory that it holds, roughly.
  let byteCount: Int
  private let signature: Signature
  /// nil where features are not recorded.
  private let inputs: [Column]?
  private let predictions: Predictions
  /// Rows that could not be read, and why.
  private let unreadable: [Int: String]
  private let rowCount: Int

  /// - Parameter hasInputs: Whether features are to be recorded.
  /// - Complexity: A look at the length of each text; values are not copied.
  init(
    _ model: LoadedModel, _ origin: RequestOrigin, _ batch: Batch, hasInputs: Bool,
    _ predictions: Predictions, unreadable: [Int: String]
  ) {
    self.model = model.name
    version = model.id.version
    signature = model.model.signature
    self.origin = origin
    inputs = hasInputs ? batch.columns : nil
    self.predictions = predictions
    self.unreadable = unreadable
    rowCount = batch.rowCount
    latency = origin.arrivedAt.duration(to: .now)
    let values = (predictions.columns + (inputs ?? [])).reduce(512) { $0 + $1.byteCount }
    let failures = predictions.failures.reduce(0) { $0 + 48 + $1.reason.utf8.count }
    byteCount = unreadable.values.reduce(values + failures) { $0 + 48 + $1.utf8.count }
  }

  /// Rows of a request that stand in one record of the table.
  static let rowsTogether = 256

  /// A part of the request's rows as the table has it.
  struct Part {
    var firstRow: Int
    /// Arrays of objects.
    var inputs: String?
    var outputs: String
    /// An object of reasons by the row's place in the part; nil where all rows were scored.
    var failures: String?
  }

  /// Its rows in parts, none of them with secrets; each is made when it is asked for.
  var parts: some Sequence<Part> {
    var reasons = unreadable
    for failure in predictions.failures where reasons[failure.row] == nil {
      reasons[failure.row] = failure.reason
    }
    let outputs = RecordedRows(signature.outputs.map(\.name), predictions.columns)
    let inputs = inputs.map { RecordedRows(signature.features.map(\.name), $0) }
    return stride(from: 0, to: rowCount, by: Self.rowsTogether).lazy.map { [reasons, rowCount] in
      let rows = $0..<min($0 + Self.rowsTogether, rowCount)
      let failed = rows.compactMap { row in reasons[row].map { (row, $0) } }
      return Part(
        firstRow: rows.lowerBound, inputs: inputs?.json(rows, without: []),
        outputs: outputs.json(rows, without: Set(failed.map(\.0))),
        failures: failed.isEmpty ? nil : Self.json(failed, from: rows.lowerBound))
    }
  }

  /// - Parameter reasons: In the order of their rows.
  private static func json(_ reasons: [(row: Int, reason: String)], from first: Int) -> String {
    var bytes: [UInt8] = []
    JSONText.open("{", &bytes)
    for (row, reason) in reasons {
      if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
      RecordedRows.append(text: String(row - first), to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      RecordedRows.append(text: reason, to: &bytes)
    }
    JSONText.close("}", &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension Column {
  /// Memory of the values, roughly.
  fileprivate var byteCount: Int {
    let values =
      switch values {
      case .bool(let v): v.count
      case .int16(let v): v.count * 2
      case .int32(let v): v.count * 4
      case .float32(let v): v.count * 4
      case .int64(let v): v.count * 8
      case .float64(let v): v.count * 8
      case .string(let v): v.reduce(0) { $0 + 16 + $1.utf8.count }
      case .bytes(let v): v.reduce(0) { $0 + 32 + $1.count }
      }
    return values + 8 * ((nulls?.count ?? 0) + (counts?.count ?? 0))
  }
}
