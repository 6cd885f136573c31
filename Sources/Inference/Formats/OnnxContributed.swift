extension OnnxGraph {
  /// Puts operators of ONNX in place of those that ONNX Runtime's quantizer writes beside them: numbers
  /// are made of the bytes, computed with, and made bytes again.
  mutating func expandContributed() {
    guard nodes.contains(where: { $0.domain == "com.microsoft" || !$0.subgraphs.isEmpty }) else {
      return
    }
    var result: [OnnxNode] = []
    for var node in nodes {
      for (name, graph) in node.subgraphs {
        var graph = graph
        graph.expandContributed()
        node.attributes[name] = .graph(graph)
      }
      result += Self.expansion(of: node) ?? [node]
    }
    nodes = result
  }

  /// - Returns: nil for an operator that is none of these, or asks for what they do not have.
  private static func expansion(of node: OnnxNode) -> [OnnxNode]? {
    guard node.domain == "com.microsoft", let result = node.outputs.first else { return nil }
    var made = Expansion(result: result, inputs: node.inputs)
    if case .int(let last)? = node.attributes["channels_last"], last != 0 { return nil }
    switch node.type {
    case "QuantizeLinear", "DequantizeLinear":
      var same = node
      (same.domain, same.opset) = ("", 21)
      return [same]
    case "QLinearAdd", "QLinearMul":
      guard node.inputs.count == 8 else { return nil }
      let numbers = [made.numbers(0), made.numbers(3)]
      made.add(node.type == "QLinearAdd" ? "Add" : "Mul", numbers, scaledBy: 6)
    case "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QLinearReduceMean",
      "QLinearGlobalAveragePool", "QLinearAveragePool":
      guard node.inputs.count == 5 else { return nil }
      var attributes = node.attributes
      // Softmax's own version is an attribute: before 13 it takes all axes from one on together.
      var opset: Int64 = 13
      if case .int(let own)? = attributes.removeValue(forKey: "opset") { opset = own }
      attributes["channels_last"] = nil
      made.add(
        String(node.type.dropFirst("QLinear".count)), [made.numbers(0)], scaledBy: 3, attributes,
        opset: opset)
    case "QLinearConcat":
      guard node.inputs.count >= 5, node.inputs.count % 3 == 2 else { return nil }
      let numbers = stride(from: 2, to: node.inputs.count, by: 3).map { made.numbers($0) }
      made.add("Concat", numbers, scaledBy: 0, node.attributes)
    case "QGemm": guard made.addProduct(node) else { return nil }
    default: return nil
    }
    return made.nodes
  }

  /// The nodes in place of one; their values have names that no file can have, with a line break.
  private struct Expansion {
    let result: String
    let inputs: [String]
    private(set) var nodes: [OnnxNode] = []

    init(result: String, inputs: [String]) { (self.result, self.inputs) = (result, inputs) }

    private mutating func append(
      _ type: String, _ inputs: [String], _ output: String,
      _ attributes: [String: Node.Attribute] = [:], opset: Int64 = 13
    ) {
      var node = OnnxNode(type: type, inputs: inputs, outputs: [output])
      (node.attributes, node.opset) = (attributes, opset)
      nodes.append(node)
    }

    private func input(_ index: Int) -> String { index < inputs.count ? inputs[index] : "" }

    /// The numbers that an input of bytes stands for, whose scale and zero follow it.
    mutating func numbers(_ index: Int, axis: Int64 = 1) -> String {
      let name = "\(result)\n\(index)"
      append(
        "DequantizeLinear", [input(index), input(index + 1), input(index + 2)], name,
        ["axis": .int(axis)], opset: 21)
      return name
    }

    /// An operator of numbers, and its result as bytes.
    mutating func add(
      _ type: String, _ numbers: [String], scaledBy scale: Int,
      _ attributes: [String: Node.Attribute] = [:], opset: Int64 = 13
    ) {
      append(type, numbers, "\(result)\nnumbers", attributes, opset: opset)
      append(
        "QuantizeLinear", ["\(result)\nnumbers", input(scale), input(scale + 1)], result,
        opset: 21)
    }

    /// QGemm, whose bias counts in units of both scales.
    mutating func addProduct(_ node: OnnxNode) -> Bool {
      guard inputs.count >= 6 else { return false }
      var attributes = node.attributes
      var isTurned = false
      if case .int(let turned)? = attributes["transB"] { isTurned = turned != 0 }
      var numbers = [self.numbers(0), self.numbers(3, axis: isTurned ? 0 : 1)]
      if !input(6).isEmpty {
        append("Cast", [input(6)], "\(result)\nwhole", ["to": .int(1)])
        append("Mul", [input(1), input(4)], "\(result)\nunit")
        append("Mul", ["\(result)\nwhole", "\(result)\nunit"], "\(result)\nbias")
        numbers.append("\(result)\nbias")
        attributes["beta"] = attributes["alpha"]
      }
      if input(7).isEmpty {
        append("Gemm", numbers, result, attributes)
      } else {
        add("Gemm", numbers, scaledBy: 7, attributes)
      }
      return true
    }
  }
}

extension OnnxNode {
  fileprivate var subgraphs: [(String, OnnxGraph)] {
    attributes.compactMap { name, attribute in
      if case .graph(let graph) = attribute { (name, graph) } else { nil }
    }
  }
}
