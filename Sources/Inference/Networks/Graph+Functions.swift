/// Functions of an element that exporters write as several nodes.
extension Graph {
  mutating func fuseFunctions() {
    fuseGates()
  }

  /// x * sigmoid(x), x * hardSigmoid(x): one function.
  private mutating func fuseGates() {
    let links = GraphLinks(self)
    var dead: Set<Int> = []
    for index in steps.indices {
      let step = steps[index]
      guard step.type == "Mul", step.inputs.count == 2, let a = step.inputs[0],
        let b = step.inputs[1], values[a].shape == values[b].shape
      else { continue }
      for (value, gate) in [(a, b), (b, a)] {
        guard let maker = links.maker(of: gate), links.isReadOnce(gate),
          let activation = steps[maker].activation, steps[maker].inputs[0] == value
        else { continue }
        let made: Activation
        switch activation {
        case .sigmoid: made = .swish(1)
        case .hardSigmoid(let alpha, let beta)
        where abs(alpha - 1 / 6) < 1e-6 && beta == 0.5:
          made = .hardSwish
        default: continue
        }
        guard let function = MappedFunction(values[step.outputs[0]], made) else { continue }
        replaceStep(
          index,
          with: Step(
            name: step.name, operation: function, inputs: [value], outputs: step.outputs,
            activation: made))
        dead.insert(maker)
        break
      }
    }
    removeSteps(dead)
  }
}
