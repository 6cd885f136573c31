import Foundation
import Inference

/// Turns text fields into batches for a model: which column of a file is which feature, and what
/// the text of each means.
struct RowBuilder {
  private struct Source {
    var feature: Signature.Feature
    /// The column of the file.
    var column: Int
  }

  private let sources: [Source]

  /// Matches features to columns by name: exactly, else without regard to case.
  ///
  /// - Throws: `CommandError` with status 65 that names each feature without a column.
  init(signature: Signature, header: [String]) throws {
    var sources: [Source] = []
    var missing: [String] = []
    for feature in signature.features {
      let column =
        header.firstIndex(of: feature.name)
        ?? header.firstIndex { $0.lowercased() == feature.name.lowercased() }
      if let column {
        sources.append(Source(feature: feature, column: column))
      } else {
        missing.append(feature.name)
      }
    }
    guard missing.isEmpty else {
      let names = missing.prefix(5).map { "\"\($0)\"" }.joined(separator: ", ")
      let more = missing.count > 5 ? " and \(missing.count - 5) more" : ""
      throw CommandError(
        .badData, "the file has no column for \(names)\(more)",
        detail: "Its columns are \(header.map { "\"\($0)\"" }.joined(separator: ", ")).",
        hint: "Name the columns in the first line as the model names its features.")
    }
    self.sources = sources
  }

  /// A batch of the records, and a failure for each whose text cannot be read as the feature's
  /// type; the value there is missing.
  func batch(_ records: [CSVReader.Record]) -> (batch: Batch, failures: [Predictions.Failure]) {
    var unreadable: [Int: Predictions.Failure] = [:]
    let columns = sources.map { source in
      let texts = records.map { $0.fields[source.column] }
      let (column, failed) = Self.column(texts, as: source.feature.type)
      for row in failed where unreadable[row] == nil {
        unreadable[row] = Predictions.Failure(
          row: row, code: .wrongType,
          reason: "feature \"\(source.feature.name)\" wants \(source.feature.type.rawValue)")
      }
      return column
    }
    let failures = unreadable.values.sorted { $0.row < $1.row }
    return (Batch(rowCount: records.count, columns: columns), failures)
  }

  private static func column(
    _ texts: [String?], as type: ElementType
  ) -> (column: Column, failed: [Int]) {
    switch type {
    case .float32: parse(texts, filler: 0, { Float($0) }, Column.Values.float32)
    case .float64: parse(texts, filler: 0, { Double($0) }, Column.Values.float64)
    case .int64: parse(texts, filler: 0, { Int64($0) }, Column.Values.int64)
    case .bool: parse(texts, filler: false, boolean, Column.Values.bool)
    case .string: parse(texts, filler: "", { $0 }, Column.Values.string)
    }
  }

  private static func parse<Value>(
    _ texts: [String?], filler: Value, _ read: (String) -> Value?,
    _ wrap: ([Value]) -> Column.Values
  ) -> (column: Column, failed: [Int]) {
    var values = [Value](repeating: filler, count: texts.count)
    var nulls = [UInt64](repeating: 0, count: (texts.count + 63) / 64)
    var hasNulls = false
    var failed: [Int] = []
    for (row, text) in texts.enumerated() {
      if let text, let value = read(text) {
        values[row] = value
        continue
      }
      if text != nil { failed.append(row) }
      nulls[row >> 6] |= 1 << UInt64(row & 63)
      hasNulls = true
    }
    return (Column(wrap(values), nulls: hasNulls ? nulls : nil), failed)
  }

  private static func boolean(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "t", "true", "1", "yes", "on": true
    case "f", "false", "0", "no", "off": false
    default: nil
    }
  }
}

extension Column {
  /// The value at a row as PostgreSQL would write it; nil where it is missing.
  func text(_ row: Int) -> String? {
    if isNull(row) { return nil }
    return switch values {
    case .int16(let values): "\(values[row])"
    case .int32(let values): "\(values[row])"
    case .int64(let values): "\(values[row])"
    case .float32(let values): Self.text(values[row])
    case .float64(let values): Self.text(values[row])
    case .bool(let values): values[row] ? "t" : "f"
    case .string(let values): values[row]
    }
  }

  private static func text<Value: BinaryFloatingPoint & LosslessStringConvertible>(
    _ value: Value
  ) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    let text = String(value)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
