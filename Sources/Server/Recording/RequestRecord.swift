internal import FoundationEssentials
internal import Inference
internal import Scoring

/// What a request was answered, as it waits to be written.
struct RequestRecord: Sendable {
  let model: LoadedModel
  let origin: RequestOrigin
  let scoredAt = Date()
  let latency: Duration
  /// nil where features are not recorded.
  let inputs: [Column]?
  let predictions: Predictions
  /// Rows that could not be read, and why.
  let unreadable: [Int: String]
  let rowCount: Int
  /// Memory that it holds, roughly.
  let byteCount: Int

  /// - Parameter inputs: nil where features are not to be recorded.
  init(
    _ model: LoadedModel, _ origin: RequestOrigin, inputs: [Column]?, _ predictions: Predictions,
    unreadable: [Int: String], rowCount: Int
  ) {
    self.model = model
    self.origin = origin
    self.inputs = inputs
    self.predictions = predictions
    self.unreadable = unreadable
    self.rowCount = rowCount
    latency = origin.arrivedAt.duration(to: .now)
    byteCount = (predictions.columns + (inputs ?? [])).reduce(512) { $0 + $1.byteCount }
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

  /// Its rows in parts, none of them with secrets.
  var parts: [Part] {
    var reasons = unreadable
    for failure in predictions.failures where reasons[failure.row] == nil {
      reasons[failure.row] = failure.reason
    }
    let outputs = RecordedRows(model.model.signature.outputs.map(\.name), predictions.columns)
    let inputs = inputs.map { RecordedRows(model.model.signature.features.map(\.name), $0) }
    return stride(from: 0, to: rowCount, by: Self.rowsTogether).map { first in
      let rows = first..<min(first + Self.rowsTogether, rowCount)
      let failed = reasons.filter { rows.contains($0.key) }
      return Part(
        firstRow: first, inputs: inputs?.json(rows, without: []),
        outputs: outputs.json(rows, without: Set(failed.keys)),
        failures: failed.isEmpty ? nil : Self.json(failed, from: first))
    }
  }

  private static func json(_ reasons: [Int: String], from first: Int) -> String {
    var bytes: [UInt8] = []
    JSONText.open("{", &bytes)
    for (row, reason) in reasons.sorted(by: { $0.key < $1.key }) {
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
  }
}
