internal import CKernels
internal import Glibc

/// Reads JSON.
///
/// Foundation's decoder would box each number and round floats by way of doubles; this does
/// neither. NaN, Infinity and -Infinity are numbers here, as XGBoost writes them.
package struct JSONReader: DocumentReader {
  let bytes: [UInt8]
  package private(set) var offset = 0
  private let depthLimit: Int
  private var depth = 0

  package init(_ bytes: [UInt8], limits: ModelLimits) {
    self.bytes = bytes
    depthLimit = limits.nestingDepth
  }

  // MARK: Structure

  package mutating func object(
    _ member: (inout JSONReader, String) throws(ModelError) -> Void
  ) throws(ModelError) {
    try open("{", "an object")
    if try close("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try member(&self, key)
    } while try more(before: "}")
  }

  package mutating func array(
    _ element: (inout JSONReader, Int) throws(ModelError) -> Void
  ) throws(ModelError) {
    try open("[", "an array")
    if try close("]") { return }
    var index = 0
    repeat {
      try element(&self, index)
      index += 1
    } while try more(before: "]")
  }

  /// The end of the document, after white space.
  package mutating func end() throws(ModelError) {
    skipSpace()
    guard offset == bytes.count else {
      throw malformed("more bytes after the end of the document")
    }
  }

  package mutating func nextKind() throws(ModelError) -> DocumentKind {
    switch try peek() {
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "\""): .string
    default: .scalar
    }
  }

  package mutating func skip() throws(ModelError) {
    switch try peek() {
    case UInt8(ascii: "{"): try object { reader, _ throws(ModelError) in try reader.skip() }
    case UInt8(ascii: "["):
      try array { reader, _ throws(ModelError) in
        reader.skipPlain()
        try reader.skip()
      }
    case UInt8(ascii: "\""): _ = try stringRange()
    default: _ = try token()
    }
  }

  /// Skips numbers and words of an array as long as more elements follow them.
  private mutating func skipPlain() {
    offset += bytes.withUnsafeBytes {
      ck_skip_list(
        $0.baseAddress!.assumingMemoryBound(to: CChar.self) + offset, bytes.count - offset)
    }
  }

  func elements() -> (starts: [JSONReader], end: JSONReader)? {
    var reader = self
    do throws(ModelError) {
      try reader.open("[", "an array")
      if try reader.close("]") { return ([], reader) }
      var starts: [JSONReader] = []
      repeat {
        guard try reader.peek() == UInt8(ascii: "{") else { return nil }
        starts.append(reader)
        let length = bytes.withUnsafeBytes {
          ck_object_length(
            $0.baseAddress!.assumingMemoryBound(to: CChar.self) + reader.offset,
            bytes.count - reader.offset)
        }
        guard length > 0 else { return nil }
        reader.offset += length
      } while try reader.more(before: "]")
      return (starts, reader)
    } catch {
      return nil
    }
  }

  /// Passes bytes that are known.
  ///
  /// - Returns: false where others follow.
  package mutating func pass(_ known: [UInt8]) -> Bool {
    guard bytes.count - offset >= known.count else { return false }
    let isSame = bytes.withUnsafeBytes { bytes in
      known.withUnsafeBytes { known in
        known.isEmpty || memcmp(bytes.baseAddress! + offset, known.baseAddress!, known.count) == 0
      }
    }
    if isSame { offset += known.count }
    return isSame
  }

  // MARK: Values

  package mutating func string() throws(ModelError) -> String {
    let (range, hasEscapes) = try stringRange()
    if !hasEscapes { return String(decoding: bytes[range], as: UTF8.self) }
    return try unescaped(range)
  }

  package mutating func float() throws(ModelError) -> Float {
    let range = try token()
    guard let value = number(range, NumberText.float) else { throw notA("number", range) }
    return value
  }

  package mutating func double() throws(ModelError) -> Double {
    let range = try token()
    guard let value = number(range, NumberText.double) else { throw notA("number", range) }
    return value
  }

  /// A number or a word as it is written.
  package mutating func number() throws(ModelError) -> String {
    String(decoding: bytes[try token()], as: UTF8.self)
  }

  package mutating func integer() throws(ModelError) -> Int { try integer(as: Int.self) }

  package mutating func floats() throws(ModelError) -> [Float] {
    try list(NumberList.append) { reader throws(ModelError) in try reader.float() }
  }

  package mutating func doubles() throws(ModelError) -> [Double] {
    try list(NumberList.append) { reader throws(ModelError) in try reader.double() }
  }

  package mutating func integers<Value: FixedWidthInteger>(
    as type: Value.Type
  ) throws(ModelError) -> [Value] {
    var values: [Value] = []
    try open("[", "an array")
    if try close("]") { return values }
    repeat {
      offset += bytes.withUnsafeBytes {
        NumberList.append(
          UnsafeRawBufferPointer(rebasing: $0[offset...]), UInt8(ascii: ","), to: &values)
      }
      values.append(try integer(as: type))
    } while try more(before: "]")
    return values
  }

  /// - Parameters:
  ///   - append: adds what is plain, and returns the bytes that it took.
  ///   - one: reads any other element.
  private mutating func list<Value>(
    _ append: (UnsafeRawBufferPointer, UInt8, inout [Value]) -> Int,
    _ one: (inout JSONReader) throws(ModelError) -> Value
  ) throws(ModelError) -> [Value] {
    var values: [Value] = []
    try open("[", "an array")
    if try close("]") { return values }
    repeat {
      offset += bytes.withUnsafeBytes {
        append(UnsafeRawBufferPointer(rebasing: $0[offset...]), UInt8(ascii: ","), &values)
      }
      values.append(try one(&self))
    } while try more(before: "]")
    return values
  }

  private mutating func integer<Value: FixedWidthInteger>(
    as type: Value.Type
  ) throws(ModelError) -> Value {
    let range = try token()
    if let value = number(range, { NumberText.integer($0, as: type) }) { return value }
    if bytes[range].elementsEqual("true".utf8) { return 1 }
    if bytes[range].elementsEqual("false".utf8) { return 0 }
    throw notA("integer", range)
  }

  func malformed(_ what: String) -> ModelError {
    offset >= bytes.count
      ? ModelError(.truncated, "the file ends at byte \(bytes.count), inside of a value")
      : ModelError(.malformed, "\(what) (byte \(offset))")
  }

  // MARK: Tokens

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  private mutating func peek() throws(ModelError) -> UInt8 {
    skipSpace()
    guard offset < bytes.count else { throw malformed("") }
    return bytes[offset]
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(ModelError) {
    guard try peek() == UInt8(ascii: character) else {
      throw malformed("\"\(character)\" is missing")
    }
    offset += 1
  }

  private mutating func open(_ character: Unicode.Scalar, _ what: String) throws(ModelError) {
    guard try peek() == UInt8(ascii: character) else { throw malformed("\(what) is due") }
    guard depth < depthLimit else {
      throw ModelError(.tooLarge, "nested deeper than \(depthLimit) levels (byte \(offset))")
    }
    depth += 1
    offset += 1
  }

  private mutating func close(_ character: Unicode.Scalar) throws(ModelError) -> Bool {
    guard try peek() == UInt8(ascii: character) else { return false }
    offset += 1
    depth -= 1
    return true
  }

  private mutating func more(before end: Unicode.Scalar) throws(ModelError) -> Bool {
    if try close(end) { return false }
    try expect(",")
    return true
  }

  /// A number or a word.
  private mutating func token() throws(ModelError) -> Range<Int> {
    skipSpace()
    let start = offset
    loop: while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"),
        UInt8(ascii: "."):
        offset += 1
      default: break loop
      }
    }
    guard offset > start else { throw malformed("a value is due") }
    return start..<offset
  }

  private func number<Value>(
    _ range: Range<Int>, _ parse: (UnsafeRawBufferPointer) -> Value?
  ) -> Value? {
    bytes.withUnsafeBytes { parse(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  private func notA(_ kind: String, _ range: Range<Int>) -> ModelError {
    let text = String(decoding: bytes[range].prefix(40), as: UTF8.self)
    return ModelError(.malformed, "\"\(text)\" is not a \(kind) (byte \(range.lowerBound))")
  }

  private mutating func stringRange() throws(ModelError) -> (Range<Int>, hasEscapes: Bool) {
    guard try peek() == UInt8(ascii: "\"") else { throw malformed("a string is due") }
    offset += 1
    let start = offset
    var hasEscapes = false
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        offset += 1
        return (start..<(offset - 1), hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        offset += 2
      case 0..<0x20: throw malformed("a control character inside of a string")
      default: offset += 1
      }
    }
    offset = bytes.count
    throw malformed("")
  }

  private func unescaped(_ range: Range<Int>) throws(ModelError) -> String {
    var units: [UInt16] = []
    var result = ""
    /// Characters beyond 16 bits are written as two escapes, which stand side by side.
    func flush() throws(ModelError) {
      guard !units.isEmpty else { return }
      guard let text = String(validating: units, as: UTF16.self) else {
        throw ModelError(
          .malformed,
          "an escape is half of a character (byte \(range.lowerBound))")
      }
      result += text
      units.removeAll()
    }
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "\\") else {
        let end = bytes[index..<range.upperBound].firstIndex(of: UInt8(ascii: "\\"))
        try flush()
        result += String(decoding: bytes[index..<(end ?? range.upperBound)], as: UTF8.self)
        index = end ?? range.upperBound
        continue
      }
      let escape = bytes[index + 1]
      index += 2
      switch escape {
      case UInt8(ascii: "u"):
        let digits = bytes[index..<min(index + 4, range.upperBound)]
        guard digits.count == 4, digits.allSatisfy({ Character(.init($0)).isHexDigit }),
          let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw ModelError(.malformed, "an escape is cut short (byte \(index))") }
        units.append(unit)
        index += 4
      case UInt8(ascii: "n"): units.append(0x0A)
      case UInt8(ascii: "t"): units.append(0x09)
      case UInt8(ascii: "r"): units.append(0x0D)
      case UInt8(ascii: "b"): units.append(0x08)
      case UInt8(ascii: "f"): units.append(0x0C)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(UInt16(escape))
      default: throw ModelError(.malformed, "an escape is not known (byte \(index - 1))")
      }
    }
    try flush()
    return result
  }
}
