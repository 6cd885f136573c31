extension Graph {
  /// A layer of fewer weights stays a product in double, which costs little then.
  private static let leastWeights = 2048
  private static let activations: Set<String> = ["Relu", "Tanh", "Sigmoid"]

  /// Makes layers of products with a bias that go into an activation, or come out of one.
  ///
  /// Only these are computed in floats: elsewhere a product may be part of a difference of large
  /// numbers, which floats would spoil. A network's training rounded at the same places.
  mutating func fuseLayers() {
    let links = GraphLinks(self)
    var activated: Set<Int> = []
    var layered: Set<Int> = []
    var dead: Set<Int> = []
    for first in steps.indices {
      guard let product = steps[first].operation as? MatrixProduct, !product.isDouble,
        let input = steps[first].inputs[0]
      else { continue }
      var parts = [first]
      var bias = product.bias
      func next() -> Int? { links.onlyReader(of: steps[parts[parts.count - 1]].outputs[0]) }
      if bias == nil, let step = next(), let added = addedBias(steps[step], product) {
        bias = added
        parts.append(step)
      }
      let activation = next().flatMap { Self.activations.contains(steps[$0].type) ? $0 : nil }
      guard activation != nil || activated.contains(original(of: input, links)) else { continue }
      if let activation { activated.insert(steps[activation].outputs[0]) }
      // The last layer of a network is narrow; it goes with the others.
      let isLast = activation == nil && layered.contains(original(of: input, links))
      guard isLast || product.weights.depth * product.weights.columns >= Self.leastWeights
      else { continue }
      let isRectified = activation.map { steps[$0].type == "Relu" } ?? false
      if let activation, isRectified { parts.append(activation) }
      let last = parts.removeLast()
      let output = steps[last].outputs[0]
      replaceStep(
        last,
        with: Step(
          name: steps[last].name,
          operation: DenseLayer(
            values[output], LayerPanels(product.weights, bias: bias), isRectified: isRectified),
          inputs: [input], outputs: [output]))
      layered.insert(output)
      dead.formUnion(parts)
    }
    removeSteps(dead)
  }

  /// The constant that a step adds to each row of a product; nil where it does anything else.
  private func addedBias(_ step: Step, _ product: MatrixProduct) -> [Double]? {
    let columns = product.weights.columns
    guard step.type == "Add", step.inputs.count == 2,
      let constant = step.inputs.compactMap({ $0 }).compactMap({ values[$0].constant }).first,
      values[step.outputs[0]].shape == product.outputs[0].shape, constant.count == columns,
      constant.dims.last == columns
    else { return nil }
    return constant.doubles
  }
}
