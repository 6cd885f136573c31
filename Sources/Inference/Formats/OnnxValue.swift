/// ValueInfoProto: name and type of an input or output of a graph.
struct OnnxValue: Sendable {
  var name = ""
  var type: OnnxType?

  /// TensorProto's element type; nil where the value is no tensor.
  var elementType: Int64? {
    if case .tensor(let type, _)? = type { type } else { nil }
  }

  /// Sizes of the axes, nil where open; nil altogether where the rank is open.
  var dims: [Int64?]? {
    if case .tensor(_, let dims)? = type { dims } else { nil }
  }

  init(name: String, type: OnnxType? = nil) { (self.name, self.type) = (name, type) }

  init(_ message: ProtobufReader) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: name = try reader.string(value)
      case 2: type = try OnnxType(reader.message(value))
      default: break
      }
    }
  }
}

/// TypeProto: what kind of value it is.
indirect enum OnnxType: Sendable {
  case tensor(elementType: Int64, dims: [Int64?]?)
  case sequence(OnnxType)
  case optional(OnnxType)
  case map(key: Int64, value: OnnxType)
  /// A kind that the engine does not have, or none at all.
  case other

  init(_ message: ProtobufReader) throws(ModelError) {
    self = .other
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: self = try Self.tensor(reader.message(value))
      case 4: self = .sequence(try Self.element(reader.message(value)))
      case 5: self = try Self.map(reader.message(value))
      case 9: self = .optional(try Self.element(reader.message(value)))
      default: break
      }
    }
  }

  private static func element(_ message: ProtobufReader) throws(ModelError) -> OnnxType {
    var reader = message
    var type = OnnxType.other
    while let (number, value) = try reader.next() {
      if number == 1 { type = try OnnxType(reader.message(value)) }
    }
    return type
  }

  private static func map(_ message: ProtobufReader) throws(ModelError) -> OnnxType {
    var reader = message
    var (key, type) = (Int64(0), OnnxType.other)
    while let (number, value) = try reader.next() {
      switch number {
      case 1: key = try reader.int64(value)
      case 2: type = try OnnxType(reader.message(value))
      default: break
      }
    }
    return .map(key: key, value: type)
  }

  private static func tensor(_ message: ProtobufReader) throws(ModelError) -> OnnxType {
    var reader = message
    var elementType: Int64 = 0
    var dims: [Int64?]?
    while let (number, value) = try reader.next() {
      switch number {
      case 1: elementType = try reader.int64(value)
      case 2:
        var shape = try reader.message(value)
        var sizes: [Int64?] = []
        while let (number, value) = try shape.next() {
          guard number == 1 else { continue }
          var dim = try shape.message(value)
          var size: Int64?
          while let (number, value) = try dim.next() {
            if number == 1 { size = try dim.int64(value) }
          }
          sizes.append(size)
        }
        dims = sizes
      default: break
      }
    }
    return .tensor(elementType: elementType, dims: dims)
  }
}
