/// An ONNX file as it is written: ModelProto and what it holds, as far as the engine needs it.
///
/// Field numbers are those of onnx.proto3.
struct OnnxModel {
  var irVersion: Int64 = 0
  var opsets: [String: Int64] = [:]
  var graph = OnnxGraph()
  var metadata: [String: String] = [:]

  init(_ bytes: [UInt8], limits: ModelLimits) throws(ModelError) {
    var reader = ProtobufReader(bytes, nestingDepth: limits.nestingDepth)
    var hasGraph = false
    while let (number, value) = try reader.next() {
      switch number {
      case 1: irVersion = try reader.int64(value)
      case 7:
        guard !hasGraph else { throw ModelError(.malformed, "model has two graphs") }
        graph = try OnnxGraph(reader.message(value), limits: limits)
        hasGraph = true
      case 8:
        let (domain, version) = try Self.opset(reader.message(value))
        // Some exporters list a domain twice; the newer one holds, as in ONNX Runtime.
        opsets[domain] = max(version, opsets[domain] ?? 0)
      case 14:
        let (key, text) = try Self.entry(reader.message(value))
        metadata[key] = text
      case 25:
        throw ModelError(.unsupported, "functions defined in the model are not supported")
      default: break
      }
    }
    guard hasGraph else { throw ModelError(.malformed, "no graph in the model") }
    guard irVersion > 0 else { throw ModelError(.malformed, "no IR version in the model") }
  }

  private static func opset(
    _ message: ProtobufReader
  ) throws(ModelError) -> (String, Int64) {
    var reader = message
    var domain = ""
    var version: Int64 = 0
    while let (number, value) = try reader.next() {
      switch number {
      case 1: domain = try reader.string(value)
      case 2: version = try reader.int64(value)
      default: break
      }
    }
    guard (1...10_000).contains(version) else {
      throw ModelError(.malformed, "opset \(version) of domain \"\(domain)\"")
    }
    return (domain == "ai.onnx" ? "" : domain, version)
  }

  private static func entry(_ message: ProtobufReader) throws(ModelError) -> (String, String) {
    var reader = message
    var (key, text) = ("", "")
    while let (number, value) = try reader.next() {
      switch number {
      case 1: key = try reader.string(value)
      case 2: text = try reader.string(value)
      default: break
      }
    }
    return (key, text)
  }
}

/// GraphProto.
struct OnnxGraph {
  var nodes: [OnnxNode] = []
  var initializers: [(name: String, tensor: Tensor)] = []
  var inputs: [OnnxValue] = []
  var outputs: [OnnxValue] = []

  init() {}

  init(_ message: ProtobufReader, limits: ModelLimits) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1:
        guard nodes.count < limits.nodeCount else {
          throw ModelError(.tooLarge, "graph has more than \(limits.nodeCount) nodes")
        }
        nodes.append(try OnnxNode(reader.message(value), limits: limits))
      case 5: initializers.append(try Tensor.onnx(reader.message(value), limits: limits))
      case 11: inputs.append(try OnnxValue(reader.message(value)))
      case 12: outputs.append(try OnnxValue(reader.message(value)))
      case 15: throw ModelError(.unsupported, "sparse initializers are not supported")
      default: break
      }
    }
  }
}

/// NodeProto.
struct OnnxNode {
  var name = ""
  var type = ""
  var domain = ""
  /// Names of values; "" where an optional one is left out.
  var inputs: [String] = []
  var outputs: [String] = []
  var attributes: [String: Node.Attribute] = [:]

  init(_ message: ProtobufReader, limits: ModelLimits) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: inputs.append(try reader.string(value))
      case 2: outputs.append(try reader.string(value))
      case 3: name = try reader.string(value)
      case 4: type = try reader.string(value)
      case 5:
        let (name, attribute) = try Self.attribute(reader.message(value), limits: limits)
        guard attributes.updateValue(attribute, forKey: name) == nil else {
          throw ModelError(
            .malformed, "attribute \"\(name)\" is there twice (node \"\(displayName)\")")
        }
      case 7:
        domain = try reader.string(value)
        if domain == "ai.onnx" { domain = "" }
      default: break
      }
    }
  }

  /// The node's own name, or that of its first output.
  var displayName: String { name.isEmpty ? outputs.first ?? "" : name }

  private static func attribute(
    _ message: ProtobufReader, limits: ModelLimits
  ) throws(ModelError) -> (String, Node.Attribute) {
    var reader = message
    var name = ""
    var type: Int64 = 0
    var (float, int, string) = (Float(0), Int64(0), "")
    var tensor: Tensor?
    var floats: [Float] = []
    var ints: [Int64] = []
    var strings: [String] = []
    while let (number, value) = try reader.next() {
      switch number {
      case 1: name = try reader.string(value)
      case 2: float = try reader.float(value)
      case 3: int = try reader.int64(value)
      case 4: string = try reader.string(value)
      case 5: tensor = try Tensor.onnx(reader.message(value), limits: limits).tensor
      case 7: try reader.append(floats: value, to: &floats)
      case 8: try reader.append(int64s: value, to: &ints)
      case 9: strings.append(try reader.string(value))
      case 20: type = try reader.int64(value)
      default: break
      }
    }
    switch type {
    case 1: return (name, .float(float))
    case 2: return (name, .int(int))
    case 3: return (name, .string(string))
    case 4:
      guard let tensor else {
        throw ModelError(.malformed, "attribute \"\(name)\" has no tensor")
      }
      return (name, .tensor(tensor))
    case 6: return (name, .floats(floats))
    case 7: return (name, .ints(ints))
    case 8: return (name, .strings(strings))
    default: return (name, .other)
    }
  }
}

/// ValueInfoProto: name, element type and dimensions of an input or output of the graph.
struct OnnxValue {
  var name = ""
  /// TensorProto's element type; nil where the value is no tensor.
  var elementType: Int64?
  /// Sizes of the axes, nil where open; nil altogether where the rank is open.
  var dims: [Int64?]?

  init(_ message: ProtobufReader) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: name = try reader.string(value)
      case 2:
        var type = try reader.message(value)
        while let (number, value) = try type.next() {
          if number == 1 { try readTensorType(type.message(value)) }
        }
      default: break
      }
    }
  }

  private mutating func readTensorType(_ message: ProtobufReader) throws(ModelError) {
    var reader = message
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
  }
}
