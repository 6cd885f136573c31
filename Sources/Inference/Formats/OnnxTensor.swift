internal import Foundation

extension Tensor {
  /// Reads a TensorProto: dimensions, element type and data in whichever field it is.
  ///
  /// - Throws: `.tooLarge` where the dimensions ask for more elements than the limits or the
  ///   bytes have; `.unsupported` for data outside of the file and for element types that the
  ///   engine does not compute with.
  static func onnx(
    _ message: ProtobufReader, limits: ModelLimits
  ) throws(ModelError) -> (name: String, tensor: Tensor) {
    var fields = OnnxTensorFields()
    try fields.read(message)
    let count = try fields.elementCount(limit: limits.elementCount)
    return (fields.name, try fields.tensor(count: count, message))
  }
}

/// The fields of a TensorProto as they were found.
private struct OnnxTensorFields {
  var name = ""
  var dims: [Int64] = []
  var type: Int64 = 0
  var floats: [Float] = []
  var int32s: [Int64] = []
  var int64s: [Int64] = []
  var uint64s: [Int64] = []
  var doubles: [Double] = []
  var strings: [String] = []
  var raw: Range<Int>?
  /// Where the data is, if that is another file.
  var external: [String: String] = [:]
  var isExternal = false

  mutating func read(_ message: ProtobufReader) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: try reader.append(int64s: value, to: &dims)
      case 2: type = try reader.int64(value)
      case 4: try reader.append(floats: value, to: &floats)
      case 5: try reader.append(int64s: value, to: &int32s)
      case 6: strings.append(try reader.string(value))
      case 7: try reader.append(int64s: value, to: &int64s)
      case 8: name = try reader.string(value)
      case 9: raw = try reader.range(value)
      case 10: try reader.append(doubles: value, to: &doubles)
      case 11: try reader.append(int64s: value, to: &uint64s)
      case 13:
        let (key, text) = try OnnxModel.entry(reader.message(value))
        external[key] = text
      // data_location; its default, 0, is "in this file".
      case 14: isExternal = try reader.int64(value) != 0
      default: break
      }
    }
  }

  func elementCount(limit: Int) throws(ModelError) -> Int {
    if let size = dims.first(where: { $0 < 0 }) {
      throw ModelError(.malformed, "tensor \"\(name)\" has a size of \(size)")
    }
    guard let count = ModelLimits.elementCount(dims.map(Int.init), limit: limit) else {
      throw ModelError(.tooLarge, "tensor \"\(name)\" has more than \(limit) elements")
    }
    return count
  }

  /// The tensor from typed values, or from raw bytes where those are there.
  func tensor(count: Int, _ reader: ProtobufReader) throws(ModelError) -> Tensor {
    guard let type = TensorType(rawValue: Int(clamping: type)) else {
      throw ModelError(
        .unsupported,
        "element type \(OnnxTypes.name(type)) of tensor \"\(name)\" is not supported")
    }
    if isExternal { return try externalTensor(type, count, reader) }
    if let stored = type.stored {
      let bytes =
        try raw.map { raw throws(ModelError) in try reader.rawNumbers(raw, as: UInt8.self) }
        ?? int32s.map { UInt8(truncatingIfNeeded: $0) }
      return try unpacked(bytes, stored.bitCount, type, count)
    }
    switch type {
    case .float32:
      guard let raw else { return try make(floats, count) }
      try checkSize(raw.count, type, count)
      let buffer = TensorBuffer(.float32, capacity: count)
      reader.copy(
        raw, to: UnsafeMutableRawBufferPointer(start: buffer.base, count: count * type.stride))
      return Tensor(dims: dims.map(Int.init), buffer: buffer)
    case .float64:
      guard let raw else { return try make(doubles, count) }
      return try make(reader.rawNumbers(raw, as: UInt64.self).map(Double.init(bitPattern:)), count)
    case .float16: return try make(bits(reader).map(Half.init(bitPattern:)), count)
    case .bfloat16: return try make(bits(reader).map(BFloat16.init(bitPattern:)), count)
    case .bool:
      guard let raw else { return try make(int32s.map { $0 != 0 }, count) }
      return try make(reader.rawNumbers(raw, as: UInt8.self).map { $0 != 0 }, count)
    case .string: return try make(strings, count)
    case .int64: return try integers(Int64.self, int64s, count, reader)
    case .uint64: return try integers(UInt64.self, uint64s, count, reader)
    case .uint32: return try integers(UInt32.self, uint64s, count, reader)
    case .int32: return try integers(Int32.self, int32s, count, reader)
    case .int16: return try integers(Int16.self, int32s, count, reader)
    case .uint16: return try integers(UInt16.self, int32s, count, reader)
    case .int8: return try integers(Int8.self, int32s, count, reader)
    case .uint8: return try integers(UInt8.self, int32s, count, reader)
    default:
      throw ModelError(
        .unsupported, "element type \(type.onnxName) of tensor \"\(name)\" is not supported")
    }
  }

  /// Numbers that are stored alone, of which a byte may hold several.
  private func unpacked(
    _ bytes: [UInt8], _ bitCount: Int, _ type: TensorType, _ count: Int
  ) throws(ModelError) -> Tensor {
    let each = 8 / bitCount
    let wanted = (count + each - 1) / each
    guard bytes.count == wanted else {
      throw ModelError(
        bytes.count < wanted ? .truncated : .malformed,
        "tensor \"\(name)\" has \(bytes.count) bytes for \(count) elements")
    }
    let buffer = TensorBuffer(type, capacity: count)
    let target = buffer.base.assumingMemoryBound(to: UInt8.self)
    let mask = UInt8(truncatingIfNeeded: 1 << bitCount - 1)
    for index in 0..<count {
      target[index] = bytes[index / each] >> UInt8(index % each * bitCount) & mask
    }
    return Tensor(dims: dims.map(Int.init), buffer: buffer)
  }

  private func checkSize(
    _ byteCount: Int, _ type: TensorType, _ count: Int
  ) throws(ModelError) {
    guard byteCount == count * type.stride else {
      throw ModelError(
        byteCount < count * type.stride ? .truncated : .malformed,
        "tensor \"\(name)\" has \(byteCount / type.stride) of \(count) elements")
    }
  }

  /// The tensor from a file beside the model's.
  private func externalTensor(
    _ type: TensorType, _ count: Int, _ reader: ProtobufReader
  ) throws(ModelError) -> Tensor {
    guard let files = reader.files, let location = external["location"], type != .string else {
      throw ModelError(
        .unsupported, "tensor \"\(name)\" keeps its data in another file",
        hint: "Push the file with \"rowcast push\", which reads the other, or save all in one file."
      )
    }
    let offset = external["offset"].map { Int($0) ?? -1 } ?? 0
    let length = external["length"].map { Int($0) ?? -1 }
    let data = try files.bytes(location, offset: offset, byteCount: length, tensor: name)
    if let stored = type.stored {
      return try unpacked([UInt8](data), stored.bitCount, type, count)
    }
    try checkSize(data.count, type, count)
    let buffer = TensorBuffer(type, capacity: count)
    data.copyBytes(
      to: UnsafeMutableRawBufferPointer(start: buffer.base, count: count * type.stride))
    if type == .bool {
      let bytes = buffer.base.assumingMemoryBound(to: UInt8.self)
      for index in 0..<count where bytes[index] > 1 { bytes[index] = 1 }
    }
    return Tensor(dims: dims.map(Int.init), buffer: buffer)
  }

  private func integers<T: IntegerElement>(
    _ type: T.Type, _ typed: [Int64], _ count: Int, _ reader: ProtobufReader
  ) throws(ModelError) -> Tensor {
    if let raw { return try make(reader.rawNumbers(raw, as: type), count) }
    return try make(typed.map { T(truncatingIfNeeded: $0) }, count)
  }

  /// The bits of numbers of 16.
  private func bits(_ reader: ProtobufReader) throws(ModelError) -> [UInt16] {
    if let raw { return try reader.rawNumbers(raw, as: UInt16.self) }
    return int32s.map { UInt16(truncatingIfNeeded: $0) }
  }

  private func make<T: TensorElement>(_ values: [T], _ count: Int) throws(ModelError) -> Tensor {
    guard values.count == count else {
      throw ModelError(
        values.count < count ? .truncated : .malformed,
        "tensor \"\(name)\" has \(values.count) of \(count) elements")
    }
    return Tensor(values, dims: dims.map(Int.init))
  }
}
