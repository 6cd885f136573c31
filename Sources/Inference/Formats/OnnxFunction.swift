/// FunctionProto: an operator that the model defines by a graph of its own.
struct OnnxFunction: Sendable {
  var name = ""
  var domain = ""
  var overload = ""
  var inputs: [String] = []
  var outputs: [String] = []
  var nodes: [OnnxNode] = []
  var opsets: [String: Int64] = [:]
  /// Attributes that a call may leave out, with what they are then.
  var defaults: [String: Node.Attribute] = [:]

  init(_ message: ProtobufReader, limits: ModelLimits) throws(ModelError) {
    var reader = message
    while let (number, value) = try reader.next() {
      switch number {
      case 1: name = try reader.string(value)
      case 4: inputs.append(try reader.string(value))
      case 5: outputs.append(try reader.string(value))
      case 7:
        guard nodes.count < limits.nodeCount else {
          throw ModelError(.tooLarge, "function has more than \(limits.nodeCount) nodes")
        }
        nodes.append(try OnnxNode(reader.message(value), limits: limits))
      case 9:
        let (domain, version) = try OnnxModel.opset(reader.message(value))
        opsets[domain] = max(version, opsets[domain] ?? 0)
      case 10:
        domain = try reader.string(value)
        if domain == "ai.onnx" { domain = "" }
      case 11:
        let (name, attribute) = try OnnxNode.attribute(reader.message(value), limits: limits)
        defaults[name] = attribute
      case 13: overload = try reader.string(value)
      default: break
      }
    }
  }
}

/// Puts the nodes of functions in place of the nodes that call them.
///
/// Values of a function's body get names that no value of the file can clash with: those of a call
/// begin with a number and a slash.
struct OnnxFunctionInliner {
  private struct Key: Hashable {
    let domain: String
    let name: String
    let overload: String
  }

  private var functions: [Key: OnnxFunction] = [:]
  private let opsets: [String: Int64]
  private let limits: ModelLimits
  private var calls = 0
  private var nodeCount = 0

  /// Functions that call each other deeper than this are in a cycle, or hostile.
  private static let mostDepth = 32

  init(
    _ functions: [OnnxFunction], opsets: [String: Int64], limits: ModelLimits
  ) throws(ModelError) {
    (self.opsets, self.limits) = (opsets, limits)
    for function in functions {
      let key = Key(
        domain: function.domain, name: function.name, overload: function.overload)
      guard self.functions.updateValue(function, forKey: key) == nil else {
        throw ModelError(.malformed, "function \"\(function.name)\" is defined twice")
      }
    }
  }

  mutating func inlined(_ graph: OnnxGraph) throws(ModelError) -> OnnxGraph {
    var result = graph
    result.nodes = try expand(graph.nodes, depth: 0)
    return result
  }

  private mutating func expand(
    _ nodes: [OnnxNode], depth: Int
  ) throws(ModelError) -> [OnnxNode] {
    guard depth <= Self.mostDepth else {
      throw ModelError(.malformed, "functions call each other more than \(Self.mostDepth) deep")
    }
    var result: [OnnxNode] = []
    for var node in nodes {
      let key = Key(domain: node.domain, name: node.type, overload: node.overload)
      if let function = functions[key] {
        result += try expand(body(of: function, calledBy: node), depth: depth + 1)
        continue
      }
      for (name, attribute) in node.attributes {
        guard case .graph(var graph) = attribute else { continue }
        graph.nodes = try expand(graph.nodes, depth: depth + 1)
        node.attributes[name] = .graph(graph)
      }
      nodeCount += 1
      guard nodeCount <= limits.nodeCount else {
        throw ModelError(.tooLarge, "functions expand to more than \(limits.nodeCount) nodes")
      }
      result.append(node)
    }
    return result
  }

  /// The function's nodes with the caller's values and attributes.
  private mutating func body(
    of function: OnnxFunction, calledBy node: OnnxNode
  ) throws(ModelError) -> [OnnxNode] {
    guard node.inputs.count <= function.inputs.count,
      node.outputs.count <= function.outputs.count
    else {
      throw ModelError(
        .malformed,
        "function \"\(function.name)\" is called with \(node.inputs.count) inputs and "
          + "\(node.outputs.count) outputs (node \"\(node.displayName)\")")
    }
    calls += 1
    guard calls <= limits.nodeCount else {
      throw ModelError(.tooLarge, "functions are called more than \(limits.nodeCount) times")
    }
    var names: [String: String] = [:]
    for (index, name) in function.inputs.enumerated() {
      names[name] = index < node.inputs.count ? node.inputs[index] : ""
    }
    var nodes: [OnnxNode] = []
    for (name, output) in zip(function.outputs, node.outputs) where !output.isEmpty {
      if let input = names[name] {
        // An input that is an output at once.
        nodes.append(OnnxNode(type: "Identity", inputs: [input], outputs: [output]))
      } else {
        names[name] = output
      }
    }
    let call = Call(
      names: names, prefix: "\(calls)/", attributes: node.attributes,
      defaults: function.defaults, opsets: function.opsets.merging(opsets) { own, _ in own })
    return function.nodes.map(call.renamed) + nodes
  }

  /// One call: how names and attributes of the body become the caller's.
  private struct Call {
    let names: [String: String]
    let prefix: String
    let attributes: [String: Node.Attribute]
    let defaults: [String: Node.Attribute]
    let opsets: [String: Int64]

    private func name(_ name: String) -> String {
      name.isEmpty ? "" : names[name] ?? prefix + name
    }

    func renamed(_ node: OnnxNode) -> OnnxNode {
      var result = node
      result.inputs = node.inputs.map(name)
      result.outputs = node.outputs.map(name)
      result.opset = node.opset ?? opsets[node.domain]
      result.attributes = [:]
      for (key, attribute) in node.attributes {
        switch attribute {
        case .reference(let source):
          result.attributes[key] = attributes[source] ?? defaults[source]
        case .graph(let graph): result.attributes[key] = .graph(renamed(graph))
        default: result.attributes[key] = attribute
        }
      }
      return result
    }

    private func renamed(_ graph: OnnxGraph) -> OnnxGraph {
      var result = graph
      result.nodes = graph.nodes.map(renamed)
      for index in graph.inputs.indices {
        result.inputs[index].name = name(graph.inputs[index].name)
      }
      for index in graph.outputs.indices {
        result.outputs[index].name = name(graph.outputs[index].name)
      }
      for index in graph.initializers.indices {
        result.initializers[index].name = name(graph.initializers[index].name)
      }
      return result
    }
  }
}
