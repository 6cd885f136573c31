internal import CKernels

/// Reads protobuf's wire format out of one message, each byte distrusted.
///
/// A nested message is read by a reader over its part of the bytes; nothing is copied. Depth is
/// bounded, and a length is checked against what is left before anything is made of it.
struct ProtobufReader {
  /// What a field holds; lengths lie within the bytes.
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    case bytes(Range<Int>)
  }

  private let bytes: [UInt8]
  private(set) var offset: Int
  private let end: Int
  private let depthLeft: Int
  /// Files that the message refers to; nil where there is no folder of such.
  let files: ExternalFiles?

  init(_ bytes: [UInt8], nestingDepth: Int, files: ExternalFiles? = nil) {
    self.init(bytes, 0..<bytes.count, depthLeft: nestingDepth, files: files)
  }

  private init(
    _ bytes: [UInt8], _ range: Range<Int>, depthLeft: Int, files: ExternalFiles? = nil
  ) {
    (self.bytes, offset, end) = (bytes, range.lowerBound, range.upperBound)
    (self.depthLeft, self.files) = (depthLeft, files)
  }

  /// Bytes that are left of the message.
  var byteCount: Int { end - offset }

  /// The next field and its number; nil at the end of the message.
  mutating func next() throws(ModelError) -> (number: Int, value: Value)? {
    guard offset < end else { return nil }
    let start = offset
    let tag = try varint()
    guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
      throw ModelError(.malformed, "field number \(tag >> 3) at offset \(start)")
    }
    let number = Int(tag >> 3)
    switch tag & 7 {
    case 0: return (number, .varint(try varint()))
    case 1: return (number, .fixed64(littleEndian(try take(8), as: UInt64.self)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - offset) else {
        throw ModelError(
          .truncated, "\(length) bytes wanted at offset \(offset), \(end - offset) left")
      }
      return (number, .bytes(try take(Int(length))))
    case 5: return (number, .fixed32(littleEndian(try take(4), as: UInt32.self)))
    case let wireType:
      throw ModelError(.malformed, "wire type \(wireType) of field \(number) at offset \(start)")
    }
  }

  private mutating func varint() throws(ModelError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < end {
      let byte = bytes[offset]
      offset += 1
      // The tenth byte holds the last bit of 64.
      guard shift < 63 || byte <= 1 else {
        throw ModelError(.malformed, "number at offset \(start) has more than 64 bits")
      }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw ModelError(.truncated, "number at offset \(start) has no end")
  }

  private mutating func take(_ count: Int) throws(ModelError) -> Range<Int> {
    guard count <= end - offset else {
      throw ModelError(
        .truncated, "\(count) bytes wanted at offset \(offset), \(end - offset) left")
    }
    defer { offset += count }
    return offset..<(offset + count)
  }

  private func littleEndian<T: FixedWidthInteger>(_ range: Range<Int>, as type: T.Type) -> T {
    bytes.withUnsafeBytes {
      T(littleEndian: $0.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self))
    }
  }
}

// MARK: Values

extension ProtobufReader {
  /// A reader over a nested message.
  func message(_ value: Value) throws(ModelError) -> ProtobufReader {
    let range = try range(value)
    guard depthLeft > 0 else {
      throw ModelError(.tooLarge, "messages nest too deeply at offset \(range.lowerBound)")
    }
    return ProtobufReader(bytes, range, depthLeft: depthLeft - 1, files: files)
  }

  func range(_ value: Value) throws(ModelError) -> Range<Int> {
    guard case .bytes(let range) = value else { throw wrongType }
    return range
  }

  /// Text; refused where it is not UTF-8.
  func string(_ value: Value) throws(ModelError) -> String {
    let range = try range(value)
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw ModelError(.malformed, "text at offset \(range.lowerBound) is not UTF-8")
    }
    return text
  }

  func int64(_ value: Value) throws(ModelError) -> Int64 {
    guard case .varint(let bits) = value else { throw wrongType }
    return Int64(bitPattern: bits)
  }

  func float(_ value: Value) throws(ModelError) -> Float {
    guard case .fixed32(let bits) = value else { throw wrongType }
    return Float(bitPattern: bits)
  }

  /// Appends one number or a packed list of them.
  func append(int64s value: Value, to list: inout [Int64]) throws(ModelError) {
    guard case .bytes(let range) = value else { return list.append(try int64(value)) }
    var packed = ProtobufReader(bytes, range, depthLeft: 0)
    list.reserveCapacity(list.count + range.count / 2)
    while packed.offset < packed.end { list.append(Int64(bitPattern: try packed.varint())) }
  }

  /// Appends one number or a packed list of them.
  func append(floats value: Value, to list: inout [Float]) throws(ModelError) {
    guard case .bytes(let range) = value else { return list.append(try float(value)) }
    try append(range, UInt32.self) { list.append(Float(bitPattern: $0)) }
  }

  /// Appends one number or a packed list of them.
  func append(doubles value: Value, to list: inout [Double]) throws(ModelError) {
    switch value {
    case .bytes(let range):
      try append(range, UInt64.self) { list.append(Double(bitPattern: $0)) }
    case .fixed64(let bits): list.append(Double(bitPattern: bits))
    default: throw wrongType
    }
  }

  /// Appends the numbers that follow as fields of their own with the same one-byte tag, as lists are
  /// written that are not packed.
  mutating func append(int64sTagged number: Int, to list: inout [Int64]) {
    // Two bytes or more each.
    append(tag: UInt8(number << 3), least: 2, to: &list) {
      ck_wire_i64($0, $1, UInt8(number << 3), $2, $3, &$4)
    }
  }

  /// The same of those that 32 bits hold, up to the first that they do not.
  mutating func append(int32sTagged number: Int, to list: inout [Int32]) {
    append(tag: UInt8(number << 3), least: 2, to: &list) {
      ck_wire_i32($0, $1, UInt8(number << 3), $2, $3, &$4)
    }
  }

  mutating func append(floatsTagged number: Int, to list: inout [Float]) {
    append(tag: UInt8(number << 3 | 5), least: 5, to: &list) {
      ck_wire_f32($0, $1, UInt8(number << 3 | 5), $2, $3, &$4)
    }
  }

  mutating func skip(floatsTagged number: Int) {
    var none: [Float] = []
    append(tag: UInt8(number << 3 | 5), least: 5, to: &none, keeps: false) {
      ck_wire_f32($0, $1, UInt8(number << 3 | 5), $2, $3, &$4)
    }
  }

  /// Appends the numbers of texts among `words`, as long as those are that follow.
  mutating func append(
    wordsTagged number: Int, _ words: inout ck_wire_words, to list: inout [UInt8]
  ) {
    append(tag: UInt8(number << 3 | 2), least: 2, to: &list) {
      ck_wire_words_u8($0, $1, UInt8(number << 3 | 2), &words, $2, $3, &$4)
    }
  }

  /// - Parameters:
  ///   - least: bytes that an element takes at least, its tag included.
  ///   - read: reads some elements, and says where it stopped.
  @inline(__always)
  private mutating func append<Element>(
    tag: UInt8, least: Int, to list: inout [Element], keeps: Bool = true,
    _ read: (UnsafePointer<UInt8>, Int, UnsafeMutablePointer<Element>, Int, inout Int) -> Int
  ) {
    guard offset < end, bytes[offset] == tag else { return }
    if keeps { list.reserveCapacity(list.count + (end - offset) / least) }
    bytes.withUnsafeBufferPointer { bytes in
      withUnsafeTemporaryAllocation(of: Element.self, capacity: 1024) { elements in
        var count = 0
        repeat {
          var next = 0
          count = read(
            bytes.baseAddress! + offset, end - offset, elements.baseAddress!, elements.count, &next)
          offset += next
          if keeps { list.append(contentsOf: UnsafeBufferPointer(rebasing: elements[..<count])) }
        } while count == elements.count
      }
    }
  }

  private func append<T: FixedWidthInteger>(
    _ range: Range<Int>, _ type: T.Type, _ add: (T) -> Void
  ) throws(ModelError) {
    let stride = MemoryLayout<T>.size
    guard range.count % stride == 0 else {
      throw ModelError(
        .malformed, "\(range.count) bytes at offset \(range.lowerBound) are not whole numbers")
    }
    bytes.withUnsafeBytes { raw in
      for at in Swift.stride(from: range.lowerBound, to: range.upperBound, by: stride) {
        add(T(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: T.self)))
      }
    }
  }

  /// Copies raw bytes, as many as there is room for at most.
  func copy(_ range: Range<Int>, to target: UnsafeMutableRawBufferPointer) {
    bytes.withUnsafeBytes { raw in
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[range].prefix(target.count)))
    }
  }

  /// Raw bytes as fixed-width numbers, as TensorProto's `raw_data` has them.
  func rawNumbers<T: FixedWidthInteger>(
    _ range: Range<Int>, as type: T.Type
  ) throws(ModelError) -> [T] {
    var list: [T] = []
    list.reserveCapacity(range.count / MemoryLayout<T>.size)
    try append(range, type) { list.append($0) }
    return list
  }

  private var wrongType: ModelError {
    ModelError(.malformed, "field before offset \(offset) has a type that it cannot have")
  }
}
