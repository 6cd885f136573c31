/// Outputs that are sequences of a fixed number of tensors, made outputs of their own.
///
/// A model of several targets returns a list with the probabilities of each.
extension OnnxGraph {
  mutating func splitSequenceOutputs(_ limits: ModelLimits) throws(ModelError) {
    var elements: [String: [String]] = [:]
    for node in nodes where node.type == "SequenceConstruct" && node.domain.isEmpty {
      if let output = node.outputs.first, !node.inputs.isEmpty { elements[output] = node.inputs }
    }
    guard !elements.isEmpty else { return }
    var result: [OnnxValue] = []
    for output in outputs {
      guard let inputs = elements[output.name] else {
        result.append(output)
        continue
      }
      guard nodes.count + inputs.count <= limits.nodeCount else {
        throw ModelError(.tooLarge, "outputs have more than \(limits.nodeCount) elements")
      }
      for (index, input) in inputs.enumerated() {
        let name = "\(output.name)_\(index)"
        nodes.append(OnnxNode(type: "Identity", inputs: [input], outputs: [name]))
        result.append(OnnxValue(name: name))
      }
    }
    outputs = result
  }
}
