extension OnnxGraph {
  /// Gives a network that answers a number a class, and nothing else, the outputs of a classifier: the
  /// class with the greatest number as `label`, and the number of each, as a probability where the
  /// softmax is wanted.
  ///
  /// - Parameter labels: Names for the classes; where the network's own labels are meant, nothing is changed.
  /// - Throws: `.mismatch` where the outputs are not those of a network of classes.
  mutating func nameClasses(
    _ labels: [String]?, softmax: Bool, opsets: [String: Int64], limits: ModelLimits,
    isNetwork: Bool
  ) throws(ModelError) {
    guard labels != nil || softmax else { return }
    guard let output = outputs.first, outputs.count == 1, isFloat(output) else {
      guard softmax else { return }
      throw ModelError(
        .mismatch, "the model has \(outputs.count) outputs, the softmax is taken of one of numbers",
        hint: "Leave softmax out, and name classes by labels.")
    }
    let width = try outputWidth(output, opsets: opsets, limits: limits, isNetwork: isNetwork)
    // A sigmoid's one number, or a regression's, is no choice of classes.
    guard width > 1 else {
      guard softmax else { return }
      throw ModelError(.mismatch, "output \"\(output.name)\" is one number, which has no softmax")
    }
    if let labels, labels.count != width {
      throw ModelError(.mismatch, "\(labels.count) labels for \(width) classes")
    }
    // Names that no graph can have: they hold a line break.
    func own(_ name: String) -> String { "\(output.name)\n\(name)" }
    add("Flatten", [output.name], own("rows"), ["axis": .int(1)])
    let scores = softmax ? own("probabilities") : own("rows")
    if softmax { add("Softmax", [own("rows")], scores, ["axis": .int(1)]) }
    add("ArgMax", [own("rows")], own("place"), ["axis": .int(1), "keepdims": .int(0)])
    initializers.append((own("classes"), Tensor((0..<width).map(Int64.init))))
    add("Gather", [own("classes"), own("place")], own("label"), ["axis": .int(0)])
    // Outputs are named as the columns are to be.
    add("Identity", [scores], own(output.name), [:])
    outputs = [
      OnnxValue(name: own("label"), type: .tensor(elementType: 7, dims: [nil])),
      OnnxValue(name: own(output.name), type: .tensor(elementType: 1, dims: [nil, Int64(width)])),
    ]
  }

  mutating func add(
    _ type: String, _ inputs: [String], _ output: String, _ attributes: [String: Node.Attribute]
  ) {
    var node = OnnxNode(type: type, inputs: inputs, outputs: [output])
    node.attributes = attributes
    // Whatever the model's own: all of these mean the same from 13 on.
    node.opset = 13
    nodes.append(node)
  }

  private func isFloat(_ output: OnnxValue) -> Bool {
    guard let code = output.elementType else { return false }
    return TensorType(rawValue: Int(clamping: code))?.isFloatingPoint ?? false
  }

  /// Values a row, as declared, or else as the graph's operators make them.
  private func outputWidth(
    _ output: OnnxValue, opsets: [String: Int64], limits: ModelLimits, isNetwork: Bool
  ) throws(ModelError) -> Int {
    if let dims = output.dims, dims.count > 1, dims.dropFirst().allSatisfy({ ($0 ?? 0) > 0 }),
      let count = ModelLimits.elementCount(
        dims.dropFirst().map { Int(clamping: $0 ?? 0) }, limit: limits.features)
    {
      return count
    }
    let graph = try Graph(self, opsets: opsets, limits: limits, isNetwork: isNetwork)
    return graph.outputs.first.map { graph.values[$0.value].shape.elementCount } ?? 0
  }
}
