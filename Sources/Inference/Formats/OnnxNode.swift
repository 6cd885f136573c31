/// NodeProto.
struct OnnxNode: Sendable {
  var name = ""
  var type = ""
  var domain = ""
  /// Names of values; "" where an optional one is left out.
  var inputs: [String] = []
  var outputs: [String] = []
  var attributes: [String: Node.Attribute] = [:]
  /// Tells functions of one name apart.
  var overload = ""
  /// Version of the domain's operator set, where it is not the model's.
  var opset: Int64?

  init(type: String, inputs: [String], outputs: [String]) {
    (self.type, self.inputs, self.outputs) = (type, inputs, outputs)
  }

  init(_ message: ProtobufReader, limits: ModelLimits) throws(ModelError) {
    var reader = message
    var fields: [ProtobufReader] = []
    while let (number, value) = try reader.next() {
      switch number {
      case 1: inputs.append(try reader.string(value))
      case 2: outputs.append(try reader.string(value))
      case 3: name = try reader.string(value)
      case 4: type = try reader.string(value)
      case 5: fields.append(try reader.message(value))
      case 7:
        domain = try reader.string(value)
        if domain == "ai.onnx" { domain = "" }
      case 8: overload = try reader.string(value)
      default: break
      }
    }
    for (name, attribute) in try attributes(fields, limits) {
      guard attributes.updateValue(attribute, forKey: name) == nil else {
        throw ModelError(
          .malformed, "attribute \"\(name)\" is there twice (node \"\(displayName)\")")
      }
    }
  }

  /// The lists of an ensemble are most of its file, and read on all cores.
  private func attributes(
    _ fields: [ProtobufReader], _ limits: ModelLimits
  ) throws(ModelError) -> [(String, Node.Attribute)] {
    let isEnsemble = type.hasPrefix("TreeEnsemble")
    guard fields.reduce(0, { $0 + $1.byteCount }) > 1 << 17 else {
      return try fields.map { field throws(ModelError) in
        try Self.attribute(field, limits: limits, isEnsemble: isEnsemble)
      }
    }
    return try Concurrently.tryMap(fields.count) { index throws(ModelError) in
      try Self.attribute(fields[index], limits: limits, isEnsemble: isEnsemble)
    }
  }

  /// The node's own name, or that of its first output.
  var displayName: String { name.isEmpty ? outputs.first ?? "" : name }

  /// - Parameter isEnsemble: whether long lists are kept narrow, as ensembles ask for them.
  static func attribute(
    _ message: ProtobufReader, limits: ModelLimits, isEnsemble: Bool = false
  ) throws(ModelError) -> (String, Node.Attribute) {
    var reader = message
    var name = ""
    var type: Int64 = 0
    var (float, int, string) = (Float(0), Int64(0), "")
    var tensor: Tensor?
    var graph: OnnxGraph?
    var valueType: OnnxType?
    var reference = ""
    var floats: [Float] = []
    var ints: [Int64] = []
    var strings: [String] = []
    var narrow: [Int32] = []
    var words = WordList()
    var isOfEnsemble: Bool {
      isEnsemble && ["nodes_", "class_", "target_"].contains { name.hasPrefix($0) }
    }
    while let (number, value) = try reader.next() {
      switch number {
      case 1: name = try reader.string(value)
      case 2: float = try reader.float(value)
      case 3: int = try reader.int64(value)
      case 4: string = try reader.string(value)
      case 5: tensor = try Tensor.onnx(reader.message(value), limits: limits).tensor
      case 6: graph = try OnnxGraph(reader.message(value), limits: limits)
      case 7 where isEnsemble && name == "nodes_hitrates":
        // Nobody asks for them.
        _ = try reader.float(value)
        reader.skip(floatsTagged: 7)
      case 7:
        try reader.append(floats: value, to: &floats)
        reader.append(floatsTagged: 7, to: &floats)
      case 8:
        if ints.isEmpty, case .varint(let bits) = value, isOfEnsemble,
          let first = Int32(exactly: Int64(bitPattern: bits))
        {
          narrow.append(first)
          reader.append(int32sTagged: 8, to: &narrow)
          continue
        }
        if !narrow.isEmpty {
          ints = narrow.map(Int64.init)
          narrow = []
        }
        try reader.append(int64s: value, to: &ints)
        reader.append(int64sTagged: 8, to: &ints)
      case 9:
        let text = try reader.string(value)
        if strings.isEmpty, isOfEnsemble, words.append(text, tagged: 9, reader: &reader) {
          continue
        }
        if !words.numbers.isEmpty {
          strings = words.texts
          words = WordList()
        }
        strings.append(text)
      case 14: valueType = try OnnxType(reader.message(value))
      case 21: reference = try reader.string(value)
      case 20: type = try reader.int64(value)
      default: break
      }
    }
    if !reference.isEmpty { return (name, .reference(reference)) }
    switch type {
    case 1: return (name, .float(float))
    case 2: return (name, .int(int))
    case 3: return (name, .string(string))
    case 4:
      guard let tensor else {
        throw ModelError(.malformed, "attribute \"\(name)\" has no tensor")
      }
      return (name, .tensor(tensor))
    case 5:
      guard let graph else {
        throw ModelError(.malformed, "attribute \"\(name)\" has no graph")
      }
      return (name, .graph(graph))
    case 13:
      guard let valueType else {
        throw ModelError(.malformed, "attribute \"\(name)\" has no type")
      }
      return (name, .type(valueType))
    case 6: return (name, .floats(floats))
    case 7: return (name, narrow.isEmpty ? .ints(ints) : .int32s(narrow))
    case 8 where words.numbers.isEmpty: return (name, .strings(strings))
    case 8: return (name, .words(words.numbers, words.names))
    default: return (name, .other)
    }
  }
}
