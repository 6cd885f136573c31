/// An ONNX file as it is written: ModelProto and what it holds, as far as the engine needs it.
///
/// Field numbers are those of onnx.proto3.
struct OnnxModel: Sendable {
  var irVersion: Int64 = 0
  var opsets: [String: Int64] = [:]
  var graph = OnnxGraph()
  var metadata: [String: String] = [:]
  var functions: [OnnxFunction] = []

  /// - Parameter bytes: A ModelProto; its functions are put in place of the nodes that call them.
  init(
    _ bytes: [UInt8], limits: ModelLimits, files: ExternalFiles? = nil
  ) throws(ModelError) {
    var reader = ProtobufReader(bytes, nestingDepth: limits.nestingDepth, files: files)
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
      case 25: functions.append(try OnnxFunction(reader.message(value), limits: limits))
      default: break
      }
    }
    guard hasGraph else { throw ModelError(.malformed, "no graph in the model") }
    guard irVersion > 0 else { throw ModelError(.malformed, "no IR version in the model") }
    if !functions.isEmpty {
      var inliner = try OnnxFunctionInliner(functions, opsets: opsets, limits: limits)
      graph = try inliner.inlined(graph)
    }
    graph.expandContributed()
  }

  static func opset(
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

  /// StringStringEntryProto.
  static func entry(_ message: ProtobufReader) throws(ModelError) -> (String, String) {
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
struct OnnxGraph: Sendable {
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
