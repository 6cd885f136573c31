/// Reads UBJSON (draft 12), as XGBoost writes it: big-endian numbers behind one-byte markers,
/// arrays of one type without a marker for each element.
///
/// High-precision numbers are refused: no model holds one.
struct UBJSONReader: DocumentReader {
  let bytes: [UInt8]
  private(set) var offset = 0
  private let depthLimit: Int
  private var depth = 0
  /// The marker of the next value, where its container said it for all of its values.
  private var pending: UInt8?

  private enum Marker {
    static let object = UInt8(ascii: "{")
    static let objectEnd = UInt8(ascii: "}")
    static let array = UInt8(ascii: "[")
    static let arrayEnd = UInt8(ascii: "]")
    static let string = UInt8(ascii: "S")
    static let character = UInt8(ascii: "C")
    static let int8 = UInt8(ascii: "i")
    static let uint8 = UInt8(ascii: "U")
    static let int16 = UInt8(ascii: "I")
    static let int32 = UInt8(ascii: "l")
    static let int64 = UInt8(ascii: "L")
    static let float32 = UInt8(ascii: "d")
    static let float64 = UInt8(ascii: "D")
    static let yes = UInt8(ascii: "T")
    static let no = UInt8(ascii: "F")
    static let null = UInt8(ascii: "Z")
    static let none = UInt8(ascii: "N")
    static let type = UInt8(ascii: "$")
    static let count = UInt8(ascii: "#")

    /// Bytes of a number; nil for what is none.
    static func size(_ marker: UInt8) -> Int? {
      switch marker {
      case int8, uint8, character: 1
      case int16: 2
      case int32, float32: 4
      case int64, float64: 8
      default: nil
      }
    }
  }

  /// The head of a container: what it says of all of its values.
  private struct Head {
    var type: UInt8?
    /// nil where an end marker closes it.
    var count: Int?
  }

  init(_ bytes: [UInt8], limits: ModelLimits) {
    self.bytes = bytes
    depthLimit = limits.nestingDepth
  }

  // MARK: Structure

  mutating func object(
    _ member: (inout UBJSONReader, String) throws(ModelError) -> Void
  ) throws(ModelError) {
    let head = try open(Marker.object, "an object")
    var index = 0
    while try hasNext(index, head, end: Marker.objectEnd) {
      let key = String(decoding: try take(try length()), as: UTF8.self)
      pending = head.type
      try member(&self, key)
      index += 1
    }
    depth -= 1
  }

  mutating func array(
    _ element: (inout UBJSONReader, Int) throws(ModelError) -> Void
  ) throws(ModelError) {
    let head = try open(Marker.array, "an array")
    var index = 0
    while try hasNext(index, head, end: Marker.arrayEnd) {
      pending = head.type
      try element(&self, index)
      index += 1
    }
    depth -= 1
  }

  func elements() -> (starts: [UBJSONReader], end: UBJSONReader)? {
    var reader = self
    var starts: [UBJSONReader] = []
    do throws(ModelError) {
      // Long lists are skipped by their lengths.
      try reader.array { reader, _ throws(ModelError) in
        starts.append(reader)
        guard try reader.nextKind() == .object else { throw reader.malformed("an object is due") }
        try reader.skip()
      }
      return (starts, reader)
    } catch {
      return nil
    }
  }

  mutating func end() throws(ModelError) {
    guard offset == bytes.count else {
      throw malformed("more bytes after the end of the document")
    }
  }

  mutating func nextKind() throws(ModelError) -> DocumentKind {
    switch try peekMarker() {
    case Marker.object: .object
    case Marker.array: .array
    case Marker.string, Marker.character: .string
    default: .scalar
    }
  }

  mutating func skip() throws(ModelError) {
    switch try peekMarker() {
    case Marker.object:
      try object { reader, _ throws(ModelError) in try reader.skip() }
    case Marker.array:
      if try numbers({ _, _ in }) == nil {
        try array { reader, _ throws(ModelError) in try reader.skip() }
      }
    case Marker.string:
      _ = try takeMarker()
      _ = try take(try length())
    default:
      let marker = try takeMarker()
      if [Marker.yes, Marker.no, Marker.null].contains(marker) { return }
      guard let size = Marker.size(marker) else { throw unknown(marker) }
      _ = try take(size)
    }
  }

  // MARK: Values

  mutating func string() throws(ModelError) -> String {
    switch try takeMarker() {
    case Marker.string: String(decoding: try take(try length()), as: UTF8.self)
    case Marker.character: String(decoding: try take(1), as: UTF8.self)
    case let marker: throw notA("a string", marker)
    }
  }

  mutating func float() throws(ModelError) -> Float {
    let marker = try takeMarker()
    guard let value: Float = try real(marker) else { throw notA("a number", marker) }
    return value
  }

  mutating func double() throws(ModelError) -> Double {
    let marker = try takeMarker()
    guard let value: Double = try real(marker) else { throw notA("a number", marker) }
    return value
  }

  mutating func integer() throws(ModelError) -> Int {
    let marker = try takeMarker()
    switch marker {
    case Marker.yes: return 1
    case Marker.no: return 0
    default:
      guard let value = try integer(marker) else { throw notA("an integer", marker) }
      return value
    }
  }

  mutating func floats() throws(ModelError) -> [Float] {
    var values: [Float] = []
    let typed = try numbers { type, bytes in
      switch type {
      case Marker.float32:
        values = Self.elements(bytes, UInt32.self) { Float(bitPattern: $0) }
      case Marker.float64:
        values = Self.elements(bytes, UInt64.self) { Float(Double(bitPattern: $0)) }
      default: values = Self.integers(type, bytes) { Float($0) }
      }
    }
    if typed != nil { return values }
    try array { reader, _ throws(ModelError) in values.append(try reader.float()) }
    return values
  }

  mutating func doubles() throws(ModelError) -> [Double] {
    var values: [Double] = []
    try array { reader, _ throws(ModelError) in values.append(try reader.double()) }
    return values
  }

  mutating func integers<Value: FixedWidthInteger>(
    as type: Value.Type
  ) throws(ModelError) -> [Value] {
    var values: [Value] = []
    var misfit: Int64?
    let start = offset
    let typed = try numbers { type, bytes in
      values = Self.integers(type, bytes) { number in
        guard let value = Value(exactly: number) else {
          misfit = number
          return 0
        }
        return value
      }
    }
    if let misfit {
      throw ModelError(.malformed, "\(misfit) is beyond its range (array at byte \(start))")
    }
    if let typed {
      guard typed != Marker.float32, typed != Marker.float64 else {
        throw ModelError(.malformed, "an array of integers is due (byte \(start))")
      }
      return values
    }
    try array { reader, _ throws(ModelError) in
      let number = try reader.integer()
      guard let value = Value(exactly: number) else {
        throw reader.malformed("\(number) is beyond its range")
      }
      values.append(value)
    }
    return values
  }

  func malformed(_ what: String) -> ModelError {
    ModelError(.malformed, "\(what) (byte \(offset))")
  }

  // MARK: Tokens

  private func unknown(_ marker: UInt8) -> ModelError {
    let name = (0x21...0x7E).contains(marker) ? "\"\(Unicode.Scalar(marker))\"" : "\(marker)"
    return ModelError(.malformed, "marker \(name) is not known (byte \(offset - 1))")
  }

  private func notA(_ kind: String, _ marker: UInt8) -> ModelError {
    guard
      Marker.size(marker) != nil
        || [Marker.object, Marker.array, Marker.string, Marker.yes, Marker.no, Marker.null]
          .contains(marker)
    else { return unknown(marker) }
    return ModelError(
      .malformed,
      "a value of marker \"\(Unicode.Scalar(marker))\" where \(kind) is due (byte \(offset - 1))")
  }

  private mutating func take(_ count: Int) throws(ModelError) -> ArraySlice<UInt8> {
    guard (0...(bytes.count - offset)).contains(count) else {
      throw ModelError(
        .truncated, "\(count) bytes wanted at byte \(offset), \(bytes.count - offset) left")
    }
    defer { offset += count }
    return bytes[offset..<(offset + count)]
  }

  private mutating func peekMarker() throws(ModelError) -> UInt8 {
    if let pending { return pending }
    while offset < bytes.count, bytes[offset] == Marker.none { offset += 1 }
    guard offset < bytes.count else {
      throw ModelError(.truncated, "the file ends at byte \(offset), inside of a value")
    }
    return bytes[offset]
  }

  private mutating func takeMarker() throws(ModelError) -> UInt8 {
    let marker = try peekMarker()
    if pending == nil { offset += 1 } else { pending = nil }
    return marker
  }

  private mutating func open(
    _ marker: UInt8, _ what: String
  ) throws(ModelError) -> Head {
    guard try peekMarker() == marker else { throw malformed("\(what) is due") }
    _ = try takeMarker()
    guard depth < depthLimit else {
      throw ModelError(.tooLarge, "nested deeper than \(depthLimit) levels (byte \(offset))")
    }
    depth += 1
    return try head()
  }

  private mutating func head() throws(ModelError) -> Head {
    var head = Head()
    if try peekMarker() == Marker.type {
      offset += 1
      let type = try take(1).first!
      guard Marker.size(type) != nil || [Marker.string, Marker.object, Marker.array].contains(type)
      else {
        // Values without bytes would make a few bytes a container of any length.
        throw unknown(type)
      }
      head.type = type
      guard try peekMarker() == Marker.count else {
        throw malformed("a container of one type has no count")
      }
    }
    if try peekMarker() == Marker.count {
      offset += 1
      head.count = try length()
    }
    return head
  }

  private mutating func hasNext(
    _ index: Int, _ head: Head, end: UInt8
  ) throws(ModelError) -> Bool {
    if let count = head.count { return index < count }
    guard try peekMarker() == end else { return true }
    offset += 1
    return false
  }

  /// A length: an integer behind its marker, at most the bytes that are left.
  private mutating func length() throws(ModelError) -> Int {
    let marker = try takeMarker()
    guard let length = try integer(marker) else { throw notA("a length", marker) }
    guard (0...(bytes.count - offset)).contains(length) else {
      throw ModelError(
        .truncated, "a length of \(length) at byte \(offset), \(bytes.count - offset) bytes left")
    }
    return length
  }

  private mutating func integer(_ marker: UInt8) throws(ModelError) -> Int? {
    guard let size = Marker.size(marker), marker != Marker.float32, marker != Marker.float64
    else { return nil }
    return Int(Self.integers(marker, try take(size)) { $0 }[0])
  }

  private mutating func real<Value: BinaryFloatingPoint>(
    _ marker: UInt8
  ) throws(ModelError) -> Value? {
    switch marker {
    case Marker.float32:
      Value(Self.elements(try take(4), UInt32.self) { Float(bitPattern: $0) }[0])
    case Marker.float64:
      Value(Self.elements(try take(8), UInt64.self) { Double(bitPattern: $0) }[0])
    default: try integer(marker).map { Value($0) }
    }
  }

  /// Hands over the bytes of an array of numbers of one type, and returns that type; takes nothing
  /// and returns nil where the next array is of another kind.
  private mutating func numbers(
    _ body: (UInt8, ArraySlice<UInt8>) -> Void
  ) throws(ModelError) -> UInt8? {
    let start = self
    guard try peekMarker() == Marker.array else { throw malformed("an array is due") }
    _ = try takeMarker()
    let head = try head()
    guard let type = head.type, let size = Marker.size(type), let count = head.count else {
      self = start
      return nil
    }
    guard count <= (bytes.count - offset) / size else {
      throw ModelError(
        .truncated,
        "\(count) numbers of \(size) bytes at byte \(offset), \(bytes.count - offset) left")
    }
    body(type, try take(count * size))
    return type
  }

  private static func integers<Value>(
    _ type: UInt8, _ bytes: ArraySlice<UInt8>, _ convert: (Int64) -> Value
  ) -> [Value] {
    switch type {
    case Marker.int8, Marker.character:
      elements(bytes, UInt8.self) { convert(Int64(Int8(bitPattern: $0))) }
    case Marker.uint8: elements(bytes, UInt8.self) { convert(Int64($0)) }
    case Marker.int16: elements(bytes, UInt16.self) { convert(Int64(Int16(bitPattern: $0))) }
    case Marker.int32: elements(bytes, UInt32.self) { convert(Int64(Int32(bitPattern: $0))) }
    case Marker.int64: elements(bytes, UInt64.self) { convert(Int64(bitPattern: $0)) }
    default: []
    }
  }

  private static func elements<Bits: FixedWidthInteger, Value>(
    _ bytes: ArraySlice<UInt8>, _ type: Bits.Type, _ convert: (Bits) -> Value
  ) -> [Value] {
    bytes.withUnsafeBytes { bytes in
      let size = MemoryLayout<Bits>.size
      return (0..<(bytes.count / size)).map {
        convert(Bits(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self)))
      }
    }
  }
}
