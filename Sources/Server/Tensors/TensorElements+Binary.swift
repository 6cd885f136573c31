internal import Inference

extension TensorElements {
  /// Reads binary data: little-endian numbers, or BYTES each behind its length in four bytes.
  ///
  /// - Throws: `Problem` where the bytes are not as many as the elements need.
  static func read(
    _ bytes: ArraySlice<UInt8>, as type: TensorType, count: Int, named name: String
  ) throws(Problem) -> TensorElements {
    if let size = type.byteCount {
      let (wanted, isTooLarge) = count.multipliedReportingOverflow(by: size)
      guard !isTooLarge, wanted == bytes.count else {
        throw .badRequest(
          "input \"\(name)\" has \(bytes.count) bytes of binary data for \(count) elements of "
            + type.rawValue)
      }
    }
    switch type {
    case .bool: return .numbers(.bool(bytes.map { $0 != 0 }))
    case .int8: return .numbers(.int16(bytes.map { Int16(Int8(bitPattern: $0)) }))
    case .uint8: return .numbers(.int16(bytes.map { Int16($0) }))
    case .int16: return .numbers(.int16(numbers(bytes, count)))
    case .uint16: return .numbers(.int32(numbers(bytes, count, of: UInt16.self).map { Int32($0) }))
    case .int32: return .numbers(.int32(numbers(bytes, count)))
    case .uint32: return .numbers(.int64(numbers(bytes, count, of: UInt32.self).map { Int64($0) }))
    case .int64: return .numbers(.int64(numbers(bytes, count)))
    case .uint64: return .unsigned(numbers(bytes, count))
    case .fp16:
      return .numbers(
        .float32(
          numbers(bytes, count, of: UInt16.self).map { Float(Float16(bitPattern: $0)) }))
    case .bf16:
      return .numbers(
        .float32(
          numbers(bytes, count, of: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }))
    case .fp32:
      return .numbers(
        .float32(numbers(bytes, count, of: UInt32.self).map { Float(bitPattern: $0) }))
    case .fp64:
      return .numbers(
        .float64(numbers(bytes, count, of: UInt64.self).map { Double(bitPattern: $0) }))
    case .bytes: return .blobs(try blobs(bytes, count: count, named: name))
    }
  }

  private static func numbers<Value: FixedWidthInteger>(
    _ bytes: ArraySlice<UInt8>, _ count: Int, of _: Value.Type = Value.self
  ) -> [Value] {
    bytes.withUnsafeBytes { bytes in
      (0..<count).map { index in
        Value(
          littleEndian: bytes.loadUnaligned(
            fromByteOffset: index * MemoryLayout<Value>.size, as: Value.self))
      }
    }
  }

  private static func blobs(
    _ bytes: ArraySlice<UInt8>, count: Int, named name: String
  ) throws(Problem) -> [[UInt8]] {
    var blobs: [[UInt8]] = []
    var rest = bytes
    while rest.count >= 4 {
      let length = Int(numbers(rest.prefix(4), 1, of: UInt32.self)[0])
      rest = rest.dropFirst(4)
      guard length <= rest.count else { break }
      blobs.append(Array(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    guard rest.isEmpty, blobs.count == count else {
      throw .badRequest(
        "binary data of input \"\(name)\" is not \(count) elements, each behind its length")
    }
    return blobs
  }
}
