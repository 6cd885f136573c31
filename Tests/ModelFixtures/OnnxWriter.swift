/// Writes ONNX files: what tests need to make models, good and bad.
///
/// Nothing is checked; field numbers are those of onnx.proto3.
package struct OnnxWriter {
  package enum ElementType: Int64, Sendable {
    case float = 1
    case uint8 = 2
    case int16 = 5
    case int32 = 6
    case int64 = 7
    case string = 8
    case bool = 9
    case double = 11
  }

  package enum Attribute {
    case float(Float)
    case int(Int64)
    case string(String)
    case floats([Float])
    case ints([Int64])
    case strings([String])
    case tensor(Tensor)
    /// The graph of another writer: its inputs, outputs, initializers and nodes.
    indirect case graph(OnnxWriter)
    /// In a function's body: an attribute that the function is called with.
    case reference(String)
  }

  package struct Tensor {
    package enum Values {
      case floats([Float])
      case doubles([Double])
      case ints([Int64])
      case bools([Bool])
      case strings([String])
      /// As little-endian bytes of an element type.
      case raw(ElementType, [UInt8])
    }

    package var dims: [Int64]
    package var values: Values

    package init(dims: [Int64], _ values: Values) { (self.dims, self.values) = (dims, values) }
  }

  package var irVersion: Int64 = 8
  package var opsets: [(domain: String, version: Int64)]
  package var metadata: [(key: String, value: String)] = []
  private var graph = ProtobufWriter()
  private var functions: [ProtobufWriter] = []

  package init(opset: Int64 = 17, machineLearning: Int64 = 3) {
    opsets = [("", opset), ("ai.onnx.ml", machineLearning)]
    graph.string(2, "graph")
  }

  /// - Parameter dims: nil where a size is open, as the number of rows is.
  package mutating func input(_ name: String, _ type: ElementType, _ dims: [Int64?]) {
    value(11, name, type, dims)
  }

  /// An input that is a map from keys to single values.
  package mutating func mapInput(_ name: String, key: ElementType, value: ElementType) {
    graph.message(11) { input in
      input.string(1, name)
      input.message(2) { type in
        type.message(5) { map in
          map.int(1, key.rawValue)
          map.message(2) { type in
            type.message(1) { tensor in
              tensor.int(1, value.rawValue)
              tensor.message(2) { shape in shape.message(1) { $0.int(1, 1) } }
            }
          }
        }
      }
    }
  }

  package mutating func output(_ name: String, _ type: ElementType, _ dims: [Int64?]) {
    value(12, name, type, dims)
  }

  private mutating func value(
    _ field: Int, _ name: String, _ type: ElementType, _ dims: [Int64?]
  ) {
    graph.message(field) { value in
      value.string(1, name)
      value.message(2) { type_ in
        type_.message(1) { tensor in
          tensor.int(1, type.rawValue)
          tensor.message(2) { shape in
            for dim in dims {
              shape.message(1) { if let dim { $0.int(1, dim) } }
            }
          }
        }
      }
    }
  }

  package mutating func initializer(_ name: String, _ tensor: Tensor) {
    graph.message(5) { Self.write(tensor, name: name, to: &$0) }
  }

  /// Floats that are kept in another file, where `entries` say: location, offset, length.
  package mutating func externalInitializer(
    _ name: String, dims: [Int64], _ entries: [(key: String, value: String)]
  ) {
    graph.message(5) { tensor in
      for size in dims { tensor.int(1, size) }
      tensor.int(2, ElementType.float.rawValue)
      tensor.string(8, name)
      for (key, value) in entries {
        tensor.message(13) { entry in
          entry.string(1, key)
          entry.string(2, value)
        }
      }
      tensor.int(14, 1)
    }
  }

  package mutating func node(
    _ type: String, domain: String = "", name: String = "", _ inputs: [String],
    _ outputs: [String], _ attributes: [(String, Attribute)] = []
  ) {
    let node = FunctionNode(
      type: type, domain: domain, inputs: inputs, outputs: outputs, attributes: attributes)
    graph.message(1) { Self.write(node, name: name, to: &$0) }
  }

  /// A node of a function's body.
  package struct FunctionNode {
    var type: String
    var domain: String
    var inputs: [String]
    var outputs: [String]
    var attributes: [(String, Attribute)]

    package init(
      type: String, domain: String = "", inputs: [String], outputs: [String],
      attributes: [(String, Attribute)] = []
    ) {
      (self.type, self.domain, self.inputs, self.outputs) = (type, domain, inputs, outputs)
      self.attributes = attributes
    }
  }

  private static func write(
    _ source: FunctionNode, name: String, to node: inout ProtobufWriter
  ) {
    for input in source.inputs { node.string(1, input) }
    for output in source.outputs { node.string(2, output) }
    if !name.isEmpty { node.string(3, name) }
    node.string(4, source.type)
    for (name, attribute) in source.attributes {
      node.message(5) { write(attribute, name: name, to: &$0) }
    }
    if !source.domain.isEmpty { node.string(7, source.domain) }
  }

  /// A function of domain "local" that gives the last node's outputs.
  package mutating func function(_ name: String, inputs: [String], _ nodes: [FunctionNode]) {
    var function = ProtobufWriter()
    function.string(1, name)
    for input in inputs { function.string(4, input) }
    for output in nodes.last?.outputs ?? [] { function.string(5, output) }
    for node in nodes { function.message(7) { Self.write(node, name: "", to: &$0) } }
    function.message(9) { $0.int(2, opsets[0].version) }
    function.string(10, "local")
    functions.append(function)
  }

  private static func write(
    _ attribute: Attribute, name: String, to writer: inout ProtobufWriter
  ) {
    writer.string(1, name)
    let type: Int64
    switch attribute {
    case .float(let value):
      writer.float(2, value)
      type = 1
    case .int(let value):
      writer.int(3, value)
      type = 2
    case .string(let value):
      writer.string(4, value)
      type = 3
    case .tensor(let value):
      writer.message(5) { write(value, name: "", to: &$0) }
      type = 4
    case .graph(let other):
      writer.bytes(6, other.graph.bytes)
      type = 5
    case .reference(let source):
      writer.string(21, source)
      type = 1
    case .floats(let values):
      writer.packed(7, floats: values)
      type = 6
    case .ints(let values):
      writer.packed(8, ints: values)
      type = 7
    case .strings(let values):
      for value in values { writer.string(9, value) }
      type = 8
    }
    writer.int(20, type)
  }

  private static func write(_ tensor: Tensor, name: String, to writer: inout ProtobufWriter) {
    writer.packed(1, ints: tensor.dims)
    switch tensor.values {
    case .floats(let values):
      writer.int(2, ElementType.float.rawValue)
      writer.packed(4, floats: values)
    case .doubles(let values):
      writer.int(2, ElementType.double.rawValue)
      writer.bytes(
        10,
        values.flatMap { value in
          withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
        })
    case .ints(let values):
      writer.int(2, ElementType.int64.rawValue)
      writer.packed(7, ints: values)
    case .bools(let values):
      writer.int(2, ElementType.bool.rawValue)
      writer.packed(5, ints: values.map { $0 ? 1 : 0 })
    case .strings(let values):
      writer.int(2, ElementType.string.rawValue)
      for value in values { writer.string(6, value) }
    case .raw(let type, let bytes):
      writer.int(2, type.rawValue)
      writer.bytes(9, bytes)
    }
    if !name.isEmpty { writer.string(8, name) }
  }

  /// The file.
  package func bytes() -> [UInt8] {
    var model = ProtobufWriter()
    model.int(1, irVersion)
    model.string(2, "rowcast-tests")
    model.bytes(7, graph.bytes)
    for opset in opsets {
      model.message(8) {
        $0.string(1, opset.domain)
        $0.int(2, opset.version)
      }
    }
    for function in functions { model.bytes(25, function.bytes) }
    for (key, value) in metadata {
      model.message(14) {
        $0.string(1, key)
        $0.string(2, value)
      }
    }
    return model.bytes
  }
}
