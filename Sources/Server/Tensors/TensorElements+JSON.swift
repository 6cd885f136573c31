internal import HTTPTypes
internal import Inference

extension TensorElements {
  /// Reads the value of `data`: elements flat, or nested as the shape is.
  ///
  /// - Throws: `Problem` that names the tensor.
  static func read(
    _ reader: inout JSONReader, as type: TensorType, named name: String
  ) throws(Problem) -> TensorElements {
    do throws(ModelError) {
      switch type {
      case .fp32, .fp16, .bf16:
        var values: [Float] = []
        try flatten(&reader, into: &values) { r throws(ModelError) in try r.floats() }
        return .numbers(.float32(values))
      case .fp64:
        var values: [Double] = []
        try flatten(&reader, into: &values) { r throws(ModelError) in try r.doubles() }
        return .numbers(.float64(values))
      case .bool:
        let values = try integers(&reader, as: Int16.self, in: 0...1, type)
        return .numbers(.bool(values.map { $0 == 1 }))
      case .int8:
        return .numbers(.int16(try integers(&reader, as: Int16.self, in: -128...127, type)))
      case .uint8:
        return .numbers(.int16(try integers(&reader, as: Int16.self, in: 0...255, type)))
      case .int16:
        return .numbers(.int16(try integers(&reader, as: Int16.self, in: .min ... .max, type)))
      case .uint16:
        return .numbers(.int32(try integers(&reader, as: Int32.self, in: 0...65_535, type)))
      case .int32:
        return .numbers(.int32(try integers(&reader, as: Int32.self, in: .min ... .max, type)))
      case .uint32:
        return .numbers(
          .int64(try integers(&reader, as: Int64.self, in: 0...4_294_967_295, type)))
      case .int64:
        return .numbers(.int64(try integers(&reader, as: Int64.self, in: .min ... .max, type)))
      case .uint64:
        return .unsigned(try integers(&reader, as: UInt64.self, in: .min ... .max, type))
      case .bytes:
        var values: [String] = []
        try gather(&reader, into: &values) { r throws(ModelError) in try r.string() }
        return .texts(values)
      }
    } catch {
      throw .badRequest("data of input \"\(name)\": \(Problem(error).message)")
    }
  }

  private static func integers<Value: FixedWidthInteger & Sendable>(
    _ reader: inout JSONReader, as _: Value.Type, in range: ClosedRange<Value>, _ type: TensorType
  ) throws(ModelError) -> [Value] {
    var values: [Value] = []
    try flatten(&reader, into: &values) { r throws(ModelError) in try r.integers(as: Value.self) }
    guard values.allSatisfy({ range.contains($0) }) else {
      throw ModelError(.malformed, "a value is beyond the range of \(type.rawValue)")
    }
    return values
  }

  /// Reads an array, however deep it is, by lists where its elements are plain.
  private static func flatten<Value>(
    _ reader: inout JSONReader, into values: inout [Value],
    list: (inout JSONReader) throws(ModelError) -> [Value]
  ) throws(ModelError) {
    var ahead = reader
    var problem: ModelError?
    do throws(ModelError) {
      let list = try list(&ahead)
      if values.isEmpty { values = list } else { values += list }
      reader = ahead
      return
    } catch {
      problem = error
    }
    // Not a list of plain values: of lists, or a mistake.
    try reader.array { reader, _ throws(ModelError) in
      guard try reader.nextKind() == .array else { throw problem! }
      try flatten(&reader, into: &values, list: list)
    }
  }

  private static func gather<Value>(
    _ reader: inout JSONReader, into values: inout [Value],
    one: (inout JSONReader) throws(ModelError) -> Value
  ) throws(ModelError) {
    try reader.array { reader, _ throws(ModelError) in
      if try reader.nextKind() == .array {
        try gather(&reader, into: &values, one: one)
      } else {
        values.append(try one(&reader))
      }
    }
  }
}
