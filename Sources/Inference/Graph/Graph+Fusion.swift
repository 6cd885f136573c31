/// An operator that can take on the work of a scaler before it.
protocol FusesScaler: Operator {
  /// The same operator on unscaled rows: of `scale * (x - offset)` it knows the numbers.
  func fusing(offset: [Double], scale: [Double]) -> any Operator
}

extension Graph {
  /// Takes scalers into the linear models that alone read them.
  ///
  /// Weights and intercepts are adjusted in double, so what the scaler would have rounded to a float
  /// is no longer rounded.
  mutating func fuseScalers() {
    var readers = Array(repeating: 0, count: values.count)
    for step in steps { for input in step.inputs { if let input { readers[input] += 1 } } }
    for output in outputs { readers[output.value] += 1 }
    var makers: [Int: Int] = [:]
    for (index, step) in steps.enumerated() {
      for output in step.outputs { makers[output] = index }
    }
    var dead: Set<Int> = []
    for (index, step) in steps.enumerated() {
      guard let linear = step.operation as? any FusesScaler, let input = step.inputs[0],
        readers[input] == 1, let maker = makers[input],
        let scaler = steps[maker].operation as? Scaler, let source = steps[maker].inputs[0],
        values[source].type == .float32
      else { continue }
      replaceStep(
        index,
        with: Step(
          name: step.name,
          operation: linear.fusing(offset: scaler.offset, scale: scaler.scale),
          inputs: [source], outputs: step.outputs))
      dead.insert(maker)
    }
    removeSteps(dead)
  }
}
