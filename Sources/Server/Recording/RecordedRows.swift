internal import Crypto
internal import FoundationEssentials
internal import Inference
internal import Scoring

/// Named columns as JSON that the database takes as `jsonb`: an object a row, in an array.
///
/// Secrets are taken out of texts, and zero characters, which PostgreSQL has not. Numbers that JSON has not are
/// strings, as in answers. Images, and values of more than 16 kB, stand there by their size and SHA-256.
struct RecordedRows {
  /// `"name":` for each column.
  private let keys: [[UInt8]]
  private let columns: [Column]

  private static let longest = 16 << 10

  init(_ names: [String], _ columns: [Column]) {
    keys = names.map { name in
      var bytes: [UInt8] = []
      Self.append(text: name, to: &bytes)
      return bytes + [UInt8(ascii: ":")]
    }
    self.columns = columns
  }

  private static func clean(_ text: String) -> String {
    let text = Scrubber.scrub(text)
    return text.utf8.contains(0) ? text.replacing("\0", with: "\u{FFFD}") : text
  }

  /// - Parameter missing: Rows that have no values: null in their place.
  func json(_ rows: Range<Int>, without missing: Set<Int>) -> String {
    var bytes: [UInt8] = [UInt8(ascii: "[")]
    for row in rows {
      if row > rows.lowerBound { bytes.append(UInt8(ascii: ",")) }
      if missing.contains(row) {
        bytes += Array("null".utf8)
      } else {
        append(row, to: &bytes)
      }
    }
    bytes.append(UInt8(ascii: "]"))
    return String(decoding: bytes, as: UTF8.self)
  }

  private func append(_ row: Int, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "{"))
    for (index, (key, column)) in zip(keys, columns).enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += key
      Self.append(column, row, to: &bytes)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  private static func append(_ column: Column, _ row: Int, to bytes: inout [UInt8]) {
    guard !column.isNull(row) else { return bytes += Array("null".utf8) }
    switch column.values {
    case .bytes(let values): append(digestOf: values[row], to: &bytes)
    case .string(let values) where column.shape.isEmpty:
      let text = values[row]
      guard text.utf8.count <= longest else {
        return append(digestOf: Array(text.utf8), to: &bytes)
      }
      append(text: text, to: &bytes)
    default:
      var value: [UInt8] = []
      if case .string(let texts) = column.values {
        let own = texts[row * column.width..<(row + 1) * column.width].map(clean)
        let alone = Column(
          .string(own), shape: column.shape, counts: column.counts.map { [$0[row]] })
        AnswerWriter.append(json: alone, 0, to: &value)
      } else {
        AnswerWriter.append(json: column, row, to: &value)
      }
      guard value.count <= longest else { return append(digestOf: value, to: &bytes) }
      bytes += value
    }
  }

  private static func append(digestOf value: [UInt8], to bytes: inout [UInt8]) {
    let digits = SHA256.hash(data: value).map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }
    bytes += Array(#"{"bytes":\#(value.count),"sha256":"\#(digits.joined())"}"#.utf8)
  }

  static func append(text: String, to bytes: inout [UInt8]) {
    AnswerWriter.append(json: clean(text), to: &bytes)
  }
}
