/// How a file writes its records, one a row.
public enum RecordFormat: String, Sendable, Codable, CaseIterable {
  /// RFC 4180, the first line names the columns; a field with nothing in it is a missing value.
  case csv
  /// A JSON object a line; `null`, or no member of the name, is a missing value.
  case ndjson

  /// The format that a file's first bytes speak of: objects begin with a brace.
  init(sniffing bytes: [UInt8]) {
    let start = bytes.starts(with: Self.byteOrderMark) ? 3 : 0
    let first = bytes[start...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    self = first == UInt8(ascii: "{") ? .ndjson : .csv
  }

  /// As spreadsheets write it before the first line.
  static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
}
