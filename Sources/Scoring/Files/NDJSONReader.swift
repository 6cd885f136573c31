/// A file with a JSON object a line, read line by line from memory.
///
/// Strict, as RFC 8259 writes JSON. Members stay byte ranges; only strings with escapes are ever
/// decoded, and nothing is built for members that nobody reads.
struct NDJSONReader {
  /// A member of an object. The key's range lies within its quotes.
  struct Member {
    var key: RecordField
    var value: RecordField
  }

  let bytes: [UInt8]
  private var offset = 0
  /// One-based line of the object that was read last.
  private(set) var line: Int
  /// The bytes between that object's braces.
  private(set) var content = 0..<0
  private var nextLine: Int
  private static let mostDepth = 64

  init(_ bytes: [UInt8], line: Int = 1) {
    self.bytes = bytes
    self.line = line
    nextLine = line
    offset = line == 1 && bytes.starts(with: RecordFormat.byteOrderMark) ? 3 : 0
  }

  /// Reads the next object into `members`; false at the end. Blank lines are passed over.
  ///
  /// - Throws: `.file` with the line and the column at which it is not JSON.
  mutating func next(into members: inout [Member]) throws(ScoringError) -> Bool {
    members.removeAll(keepingCapacity: true)
    while offset < bytes.count, isSpace(bytes[offset]) || bytes[offset] == 0x0A {
      if bytes[offset] == 0x0A { nextLine += 1 }
      offset += 1
    }
    guard offset < bytes.count else { return false }
    line = nextLine
    guard take("{") else { throw expected("an object") }
    let start = offset
    skipSpace()
    if !take("}") {
      repeat {
        skipSpace()
        guard peek == UInt8(ascii: "\"") else { throw expected("a member's name") }
        let key = try string()
        skipSpace()
        guard take(":") else { throw expected("a colon") }
        skipSpace()
        members.append(Member(key: key, value: try value(depth: 1)))
        skipSpace()
      } while take(",")
      guard take("}") else { throw expected("a comma or a brace") }
    }
    content = start..<(offset - 1)
    skipSpace()
    guard offset == bytes.count || bytes[offset] == 0x0A else {
      throw expected("the end of the line")
    }
    return true
  }
}

// MARK: Values

extension NDJSONReader {
  private var peek: UInt8 { offset < bytes.count ? bytes[offset] : 0x0A }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

  private mutating func skipSpace() {
    while offset < bytes.count, isSpace(bytes[offset]) { offset += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private func expected(_ what: String) -> ScoringError {
    let start = bytes[..<offset].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return ScoringError(
      .file, "line \(line) is not a JSON object: \(what) is due at column \(offset - start + 1)")
  }

  private mutating func value(depth: Int) throws(ScoringError) -> RecordField {
    switch peek {
    case UInt8(ascii: "\""): return try string()
    case UInt8(ascii: "{"), UInt8(ascii: "["): return try nested(depth: depth)
    case UInt8(ascii: "t"): return try word("true", .bool)
    case UInt8(ascii: "f"): return try word("false", .bool)
    case UInt8(ascii: "n"): return try word("null", .missing)
    default: return try number()
    }
  }

  private mutating func word(
    _ text: StaticString, _ form: RecordField.Form
  ) throws(ScoringError) -> RecordField {
    let end = offset + text.utf8CodeUnitCount
    let matches =
      end <= bytes.count
      && text.withUTF8Buffer { word in bytes[offset..<end].elementsEqual(word) }
    guard matches else { throw expected("a value") }
    defer { offset = end }
    return RecordField(range: offset..<end, form: form)
  }

  private mutating func digits() throws(ScoringError) {
    let start = offset
    while peek &- 0x30 < 10 { offset += 1 }
    if offset == start { throw expected("a digit") }
  }

  private mutating func number() throws(ScoringError) -> RecordField {
    guard peek == UInt8(ascii: "-") || peek &- 0x30 < 10 else { throw expected("a value") }
    let start = offset
    _ = take("-")
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if peek | 0x20 == UInt8(ascii: "e") {
      offset += 1
      if !take("+") { _ = take("-") }
      try digits()
    }
    return RecordField(range: start..<offset, form: .number)
  }

  /// Whether text is written as JSON writes a number: without leading zeros, words or white space.
  static func isNumber(_ text: ArraySlice<UInt8>) -> Bool {
    var rest = text
    func digits() -> Bool {
      let start = rest.startIndex
      rest = rest.drop { $0 &- 0x30 < 10 }
      return rest.startIndex > start
    }
    if rest.first == UInt8(ascii: "-") { rest.removeFirst() }
    if rest.first == UInt8(ascii: "0") {
      rest.removeFirst()
    } else if !digits() {
      return false
    }
    if rest.first == UInt8(ascii: ".") {
      rest.removeFirst()
      if !digits() { return false }
    }
    if let sign = rest.first, sign | 0x20 == UInt8(ascii: "e") {
      rest.removeFirst()
      if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
        rest.removeFirst()
      }
      if !digits() { return false }
    }
    return rest.isEmpty
  }

  private mutating func string() throws(ScoringError) -> RecordField {
    offset += 1
    let start = offset
    var form = RecordField.Form.string
    while true {
      let byte = peek
      guard byte >= 0x20 else { throw expected("the end of a string") }
      offset += 1
      if byte == UInt8(ascii: "\"") { break }
      guard byte == UInt8(ascii: "\\") else { continue }
      form = .escaped
      switch peek {
      case UInt8(ascii: "u"):
        offset += 1
        for _ in 0..<4 {
          guard Self.hexadecimal(peek) != nil else { throw expected("a hexadecimal digit") }
          offset += 1
        }
      case let escape where Self.escapes[escape] != nil: offset += 1
      default: throw expected("an escape")
      }
    }
    return RecordField(range: start..<(offset - 1), form: form)
  }

  private mutating func nested(depth: Int) throws(ScoringError) -> RecordField {
    guard depth < Self.mostDepth else {
      throw ScoringError(.file, "line \(line) nests more than \(Self.mostDepth) deep")
    }
    let start = offset
    let isObject = take("{")
    if !isObject { offset += 1 }
    let end: Unicode.Scalar = isObject ? "}" : "]"
    skipSpace()
    if !take(end) {
      repeat {
        skipSpace()
        if isObject {
          guard peek == UInt8(ascii: "\"") else { throw expected("a member's name") }
          _ = try string()
          skipSpace()
          guard take(":") else { throw expected("a colon") }
          skipSpace()
        }
        _ = try value(depth: depth + 1)
        skipSpace()
      } while take(",")
      guard take(end) else { throw expected("a comma or \"\(end)\"") }
    }
    return RecordField(range: start..<offset, form: .nested)
  }
}

// MARK: Escapes

extension NDJSONReader {
  private static let escapes: [UInt8: UInt8] = [
    UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F,
    UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A,
    UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
  ]

  private static func hexadecimal(_ byte: UInt8) -> UInt16? {
    switch byte {
    case 0x30...0x39: UInt16(byte - 0x30)
    case 0x41...0x46: UInt16(byte - 0x41 + 10)
    case 0x61...0x66: UInt16(byte - 0x61 + 10)
    default: nil
    }
  }

  /// The bytes of a string whose escapes were checked when it was read. Half of a surrogate pair
  /// without the other becomes the replacement character.
  static func unescaped(_ raw: ArraySlice<UInt8>) -> [UInt8] {
    var plain: [UInt8] = []
    plain.reserveCapacity(raw.count)
    var units: [UInt16] = []
    func flush() {
      guard !units.isEmpty else { return }
      plain.append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
      units.removeAll()
    }
    var index = raw.startIndex
    while index < raw.endIndex {
      guard raw[index] == UInt8(ascii: "\\") else {
        flush()
        plain.append(raw[index])
        index += 1
        continue
      }
      if raw[index + 1] == UInt8(ascii: "u") {
        units.append(
          raw[(index + 2)..<(index + 6)].reduce(0) { $0 << 4 | (hexadecimal($1) ?? 0) })
        index += 6
      } else {
        flush()
        plain.append(escapes[raw[index + 1]] ?? raw[index + 1])
        index += 2
      }
    }
    flush()
    return plain
  }
}
