/// A file in the form of RFC 4180, read record by record from memory.
///
/// Strict: quotes stand around whole fields only, and each record has as many fields as the first.
/// Our own because a scored file is mostly numbers: fields stay byte ranges until a feature's type
/// says what to make of them, and no `String` is made for those that are not text.
struct CSVReader {
  /// Where a field lies in the reader's bytes.
  struct Field {
    var range: Range<Int>
    /// Written between quotes: an empty one is empty text and not a missing value.
    var isQuoted = false
    /// Holds doubled quotes.
    var isEscaped = false
  }

  let bytes: [UInt8]
  private var offset: Int
  /// One-based line of the record that was read last.
  private(set) var line = 1
  private var nextLine = 1

  private static let quote = UInt8(ascii: "\"")
  private static let comma = UInt8(ascii: ",")
  private static let newline = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")

  /// - Parameters:
  ///   - line: The one-based line of the file at which the bytes begin.
  init(_ bytes: [UInt8], line: Int = 1) {
    self.bytes = bytes
    offset = line == 1 && bytes.starts(with: RecordFormat.byteOrderMark) ? 3 : 0
    nextLine = line
  }

  /// Reads the next record into `fields`; false at the end.
  ///
  /// - Throws: `.file` with the line, where a quote is not closed or stands in a field.
  mutating func next(into fields: inout [Field]) throws(ScoringError) -> Bool {
    fields.removeAll(keepingCapacity: true)
    guard offset < bytes.count else { return false }
    line = nextLine
    while true {
      let field = try readField()
      fields.append(field)
      guard offset < bytes.count else {
        nextLine += 1
        return true
      }
      let separator = bytes[offset]
      offset += 1
      switch separator {
      case Self.comma:
        // A comma at the very end is followed by one more, empty, field.
        if offset == bytes.count {
          fields.append(Field(range: offset..<offset))
          return true
        }
      case Self.newline:
        nextLine += 1
        return true
      default:  // A carriage return: `readField` stops only before these.
        if offset < bytes.count, bytes[offset] == Self.newline { offset += 1 }
        nextLine += 1
        return true
      }
    }
  }

  private mutating func readField() throws(ScoringError) -> Field {
    guard offset < bytes.count, bytes[offset] == Self.quote else { return try readPlainField() }
    let start = offset + 1
    var isEscaped = false
    var end = start
    while true {
      guard end < bytes.count else {
        throw ScoringError(.file, "a quote that begins on line \(line) is not closed")
      }
      if bytes[end] == Self.newline { nextLine += 1 }
      if bytes[end] == Self.quote {
        guard end + 1 < bytes.count, bytes[end + 1] == Self.quote else { break }
        isEscaped = true
        end += 1
      }
      end += 1
    }
    offset = end + 1
    if offset < bytes.count,
      ![Self.comma, Self.newline, Self.carriageReturn].contains(bytes[offset])
    {
      throw ScoringError(.file, "line \(nextLine) goes on after a closing quote")
    }
    return Field(range: start..<end, isQuoted: true, isEscaped: isEscaped)
  }

  private mutating func readPlainField() throws(ScoringError) -> Field {
    let start = offset
    let end: Int = bytes.withUnsafeBufferPointer { bytes in
      var end = start
      while end < bytes.count {
        let byte = bytes[end]
        if byte == Self.comma || byte == Self.newline || byte == Self.carriageReturn { break }
        end += 1
      }
      return end
    }
    offset = end
    return Field(range: start..<end)
  }

  func text(_ field: Field) -> String {
    let raw = bytes[field.range]
    return String(decoding: field.isEscaped ? Self.unquoted(raw)[...] : raw, as: UTF8.self)
  }

  /// The bytes of a field in which quotes are doubled.
  static func unquoted(_ raw: ArraySlice<UInt8>) -> [UInt8] {
    var plain: [UInt8] = []
    plain.reserveCapacity(raw.count)
    var skip = false
    for byte in raw {
      if byte == Self.quote, skip {
        skip = false
        continue
      }
      skip = byte == Self.quote
      plain.append(byte)
    }
    return plain
  }

  /// No value: nothing between two commas.
  func isMissing(_ field: Field) -> Bool { field.range.isEmpty && !field.isQuoted }
}

/// The names in a file's first record.
struct CSVHeader {
  let names: [String]

  /// - Throws: `.file` for an empty file, and where a name comes twice.
  init(_ reader: inout CSVReader) throws(ScoringError) {
    var fields: [CSVReader.Field] = []
    guard try reader.next(into: &fields) else {
      throw ScoringError(
        .file, "the file is empty", hint: "Its first line must name the columns.")
    }
    let current = reader
    names = fields.map { current.text($0) }
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted {
      throw ScoringError(.file, "column \"\(name)\" is named twice in the first line")
    }
  }

  /// - Throws: `.file` where there is no such column.
  func index(of name: String) throws(ScoringError) -> Int {
    guard let index = names.firstIndex(of: name) else {
      throw ScoringError(
        .file, "the file has no column \"\(name)\"",
        detail: "It has \(names.map { "\"\($0)\"" }.joined(separator: ", ")).",
        hint: "The first line must name a column for each feature of the model.")
    }
    return index
  }
}
