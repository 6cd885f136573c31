/// A protobuf message as a tree of fields, as far as the schema of an ONNX file is known.
struct WireMessage {
  /// The messages of an ONNX file, with the numbers of their fields as onnx.proto3 has them.
  enum Kind {
    case model, graph, node, attribute, tensor, valueInfo, type, tensorType, shape, dimension
    case opset

    /// The message in a field; nil where it holds none that is mutated by its parts.
    func nested(_ number: Int) -> Kind? {
      switch (self, number) {
      case (.model, 7): .graph
      case (.model, 8): .opset
      case (.graph, 1): .node
      case (.graph, 5): .tensor
      case (.graph, 11), (.graph, 12), (.graph, 13): .valueInfo
      case (.node, 5): .attribute
      case (.attribute, 5), (.attribute, 10): .tensor
      case (.attribute, 6), (.attribute, 11): .graph
      case (.valueInfo, 2): .type
      case (.type, 1): .tensorType
      case (.tensorType, 2): .shape
      case (.shape, 1): .dimension
      default: nil
      }
    }
  }

  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    case bytes([UInt8])
    case message(WireMessage)
  }

  struct Field {
    var number: Int
    var value: Value
  }

  let kind: Kind
  var fields: [Field] = []

  /// - Returns: nil where the bytes are not a message.
  init?(_ bytes: [UInt8], _ kind: Kind) {
    self.init(bytes[...], kind, depth: 0)
  }

  private init?(_ bytes: ArraySlice<UInt8>, _ kind: Kind, depth: Int) {
    guard depth < 20 else { return nil }
    self.kind = kind
    var rest = bytes
    while !rest.isEmpty {
      guard let tag = Self.varint(&rest) else { return nil }
      let number = Int(truncatingIfNeeded: tag >> 3)
      switch tag & 7 {
      case 0:
        guard let value = Self.varint(&rest) else { return nil }
        fields.append(Field(number: number, value: .varint(value)))
      case 1:
        guard rest.count >= 8 else { return nil }
        let value = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        fields.append(Field(number: number, value: .fixed64(value)))
        rest = rest.dropFirst(8)
      case 2:
        guard let count = Self.varint(&rest), count <= UInt64(rest.count) else { return nil }
        let content = rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        if let inner = kind.nested(number),
          let message = WireMessage(content, inner, depth: depth + 1)
        {
          fields.append(Field(number: number, value: .message(message)))
        } else {
          fields.append(Field(number: number, value: .bytes(Array(content))))
        }
      case 5:
        guard rest.count >= 4 else { return nil }
        let value = rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        fields.append(Field(number: number, value: .fixed32(value)))
        rest = rest.dropFirst(4)
      default: return nil
      }
    }
  }

  private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = bytes.popFirst() else { return nil }
      if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
      if byte < 0x80 { return value }
    }
    return nil
  }

  /// The numbers of a packed field; nil where the bytes are none.
  static func unpacked(_ bytes: [UInt8]) -> [UInt64]? {
    var rest = bytes[...]
    var values: [UInt64] = []
    while !rest.isEmpty {
      guard let value = varint(&rest) else { return nil }
      values.append(value)
    }
    return values
  }

  static func packed(_ values: [UInt64]) -> [UInt8] {
    var bytes: [UInt8] = []
    for value in values { append(value, to: &bytes) }
    return bytes
  }

  private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    func tag(_ field: Field, _ type: UInt64) {
      Self.append(UInt64(field.number) << 3 | type, to: &bytes)
    }
    for field in fields {
      switch field.value {
      case .varint(let value):
        tag(field, 0)
        Self.append(value, to: &bytes)
      case .fixed64(let value):
        tag(field, 1)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
          bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
      case .fixed32(let value):
        tag(field, 5)
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
          bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
      case .bytes(let content):
        tag(field, 2)
        Self.append(UInt64(content.count), to: &bytes)
        bytes += content
      case .message(let message):
        tag(field, 2)
        let content = message.encoded()
        Self.append(UInt64(content.count), to: &bytes)
        bytes += content
      }
    }
    return bytes
  }
}
