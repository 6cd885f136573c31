package import Inference

/// Writes records with their predictions, in the order of the file.
package struct AnswerWriter: Sendable {
  let format: RecordFormat
  let plan: RecordPlan
  let hasFailures: Bool
  /// As the answer calls the outputs, and the failure behind them.
  private let names: [String]
  /// `"name":` for each of them.
  private let keys: [[UInt8]]
  /// What is passed through, and the same as keys.
  private let keptNames: [String]
  private let keptKeys: [[UInt8]]

  /// - Parameter hasFailures: Whether the answer tells of failures, in a column of that name.
  init(
    format: RecordFormat, plan: RecordPlan, outputs: [Signature.Output], hasFailures: Bool
  ) {
    self.format = format
    self.plan = plan
    self.hasFailures = hasFailures
    let kept: [String] =
      switch plan.keep {
      case .wholeRecords: plan.names
      case .columns(let columns): columns.map { plan.names[$0] }
      }
    // A column of the file may have an output's name already.
    names = (outputs.map(\.name) + (hasFailures ? ["failure"] : []))
      .map { kept.contains($0) ? "predicted_\($0)" : $0 }
    func key(_ name: String) -> [UInt8] {
      var bytes: [UInt8] = []
      Self.append(json: name, to: &bytes)
      return bytes + [UInt8(ascii: ":")]
    }
    keys = names.map(key)
    keptKeys = kept.map(key)
    keptNames = kept
  }

  /// Names that records kept whole may not use in another than the first.
  var reserved: Set<String> { Set(names) }

  /// The first line of the answer, where the format has one.
  func head() -> [UInt8] {
    guard format == .csv else { return [] }
    var bytes: [UInt8] = []
    for (index, name) in (keptNames + names).enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      Self.append(csv: name, to: &bytes)
    }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  /// - Parameter failures: Why rows were not scored, by row.
  func answer(
    _ batch: RecordBatch, _ predictions: Predictions, failures: [Int: String]
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(batch.bytes.count + batch.rowCount * 24 * (names.count + 1))
    for row in 0..<batch.rowCount {
      switch format {
      case .csv: appendCSV(batch, row, predictions, failures[row], to: &bytes)
      case .ndjson: appendNDJSON(batch, row, predictions, failures[row], to: &bytes)
      }
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }
}

// MARK: CSV

extension AnswerWriter {
  private func appendCSV(
    _ batch: RecordBatch, _ row: Int, _ predictions: Predictions, _ failure: String?,
    to bytes: inout [UInt8]
  ) {
    let start = bytes.count
    switch plan.keep {
    case .wholeRecords: bytes.append(contentsOf: batch.bytes[batch.kept[row].range])
    case .columns(let columns):
      for index in columns.indices {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        Self.append(csv: batch.kept[row * columns.count + index], of: batch.bytes, to: &bytes)
      }
    }
    var isFirst = bytes.count == start && keptNames.isEmpty
    func separate() {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
    }
    for column in predictions.columns {
      separate()
      guard failure == nil, !column.isNull(row) else { continue }
      if !column.shape.isEmpty {
        Self.append(csv: column.array(row), to: &bytes)
      } else if case .string(let values) = column.values {
        Self.append(csv: values[row], to: &bytes)
      } else {
        Self.append(column, row, to: &bytes)
      }
    }
    if hasFailures {
      separate()
      if let failure { Self.append(csv: failure, to: &bytes) }
    }
  }

  private static func append(csv field: RecordField, of block: [UInt8], to bytes: inout [UInt8]) {
    switch field.form {
    case .missing: break
    case .plain, .number, .bool: bytes.append(contentsOf: block[field.range])
    case .quoted, .quotedTwice:
      bytes.append(contentsOf: block[(field.range.lowerBound - 1)..<(field.range.upperBound + 1)])
    case .string, .escaped, .nested: append(csv: field.text(in: block), to: &bytes)
    }
  }

  /// Quoted where it must be; empty text is, to tell it from a missing value.
  static func append(csv text: String, to bytes: inout [UInt8]) {
    let special: [UInt8] = [0x22, 0x2C, 0x0A, 0x0D]
    guard text.isEmpty || text.utf8.contains(where: { special.contains($0) }) else {
      bytes.append(contentsOf: text.utf8)
      return
    }
    bytes.append(0x22)
    for byte in text.utf8 {
      if byte == 0x22 { bytes.append(0x22) }
      bytes.append(byte)
    }
    bytes.append(0x22)
  }
}

// MARK: NDJSON

extension AnswerWriter {
  private func appendNDJSON(
    _ batch: RecordBatch, _ row: Int, _ predictions: Predictions, _ failure: String?,
    to bytes: inout [UInt8]
  ) {
    bytes.append(UInt8(ascii: "{"))
    var isFirst = true
    func separate() {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
    }
    switch plan.keep {
    case .wholeRecords:
      let content = batch.bytes[batch.kept[row].range]
      isFirst = content.allSatisfy { $0 <= 0x20 }
      bytes.append(contentsOf: content)
    case .columns(let columns):
      for index in columns.indices {
        separate()
        bytes.append(contentsOf: keptKeys[index])
        Self.append(json: batch.kept[row * columns.count + index], of: batch.bytes, to: &bytes)
      }
    }
    for (index, column) in predictions.columns.enumerated() {
      separate()
      bytes.append(contentsOf: keys[index])
      if failure != nil || column.isNull(row) {
        bytes.append(contentsOf: "null".utf8)
      } else {
        Self.append(json: column, row, to: &bytes)
      }
    }
    if hasFailures {
      separate()
      bytes.append(contentsOf: keys[keys.count - 1])
      if let failure {
        Self.append(json: failure, to: &bytes)
      } else {
        bytes.append(contentsOf: "null".utf8)
      }
    }
    bytes.append(UInt8(ascii: "}"))
  }

  /// A field of CSV without quotes that is written as JSON writes numbers stays a number.
  private static func append(json field: RecordField, of block: [UInt8], to bytes: inout [UInt8]) {
    switch field.form {
    case .missing: bytes.append(contentsOf: "null".utf8)
    case .number, .bool, .nested: bytes.append(contentsOf: block[field.range])
    case .string, .escaped:
      bytes.append(contentsOf: block[(field.range.lowerBound - 1)..<(field.range.upperBound + 1)])
    case .plain where NDJSONReader.isNumber(block[field.range]):
      bytes.append(contentsOf: block[field.range])
    case .plain, .quoted, .quotedTwice: append(json: field.text(in: block), to: &bytes)
    }
  }

  /// What JSON has no number for is a string, which this program reads back.
  package static func append(json column: Column, _ row: Int, to bytes: inout [UInt8]) {
    guard column.shape.isEmpty else {
      bytes.append(contentsOf: column.array(row, asJSON: true).utf8)
      return
    }
    switch column.values {
    case .float32(let v) where !v[row].isFinite: append(json: name(Double(v[row])), to: &bytes)
    case .float64(let v) where !v[row].isFinite: append(json: name(v[row]), to: &bytes)
    case .string(let v): append(json: v[row], to: &bytes)
    default: append(column, row, to: &bytes)
    }
  }

  private static func name(_ value: Double) -> String {
    value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  package static func append(json text: String, to bytes: inout [UInt8]) {
    bytes.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5C: bytes += [0x5C, byte]
      case 0x0A: bytes += [0x5C, UInt8(ascii: "n")]
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}

// MARK: Values

extension AnswerWriter {
  /// The shortest digits that read back as the same value.
  private static func append(_ column: Column, _ row: Int, to bytes: inout [UInt8]) {
    switch column.values {
    case .float32(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .float64(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int16(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int32(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int64(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .bool(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .string(let v): bytes.append(contentsOf: v[row].utf8)
    // No output is of bytes.
    case .bytes: break
    }
  }
}
