/// Functions of an element that exporters write as several nodes.
extension Graph {
  mutating func fuseFunctions() {
    fuseGates()
    fuseGelu()
  }

  /// x * (1 + erf(x / sqrt 2)) / 2 in the order of any exporter.
  private mutating func fuseGelu() {
    let links = GraphLinks(self)
    var dead: Set<Int> = []
    for index in steps.indices where steps[index].type == "Erf" {
      guard let inner = steps[index].inputs[0], links.isReadOnce(inner),
        let scaling = links.maker(of: inner),
        let (source, factor) = scaled(steps[scaling]), abs(factor - 0.5.squareRoot()) < 1e-4,
        let adding = links.onlyReader(of: steps[index].outputs[0]),
        addsOne(steps[adding])
      else { continue }
      // Times x and times a half: in two steps, whichever is first.
      var parts = [scaling, index, adding]
      var (hasSource, rest, last) = (false, 2.0, adding)
      while !(hasSource && abs(rest - 1) < 1e-6), parts.count < 6,
        let next = links.onlyReader(of: steps[last].outputs[0]), steps[next].type == "Mul"
      {
        let value = steps[last].outputs[0]
        guard let a = steps[next].inputs[0], let b = steps[next].inputs[1], a != b else { break }
        let other = a == value ? b : a
        if other == source, !hasSource {
          hasSource = true
        } else if let number = scalar(other) {
          rest *= number
        } else if !hasSource, links.isReadOnce(other), let halving = links.maker(of: other),
          let (from, number) = scaled(steps[halving]), from == source
        {
          hasSource = true
          rest *= number
          parts.append(halving)
        } else {
          break
        }
        parts.append(next)
        last = next
      }
      guard hasSource, abs(rest - 1) < 1e-6,
        values[steps[last].outputs[0]].shape == values[source].shape,
        let function = MappedFunction(values[steps[last].outputs[0]], .gelu)
      else { continue }
      let (name, outputs) = (steps[index].name, steps[last].outputs)
      replaceStep(
        last,
        with: Step(
          name: name, operation: function, inputs: [source], outputs: outputs, activation: .gelu))
      dead.formUnion(parts.filter { $0 != last })
    }
    removeSteps(dead)
  }

  private func scalar(_ value: Int?) -> Double? {
    guard let tensor = constant(value), tensor.count == 1 else { return nil }
    return tensor.doubles?[0]
  }

  /// A value and the number that a step multiplies it with; nil where it does anything else.
  private func scaled(_ step: Step) -> (source: Int, factor: Double)? {
    guard step.inputs.count == 2, let a = step.inputs[0], let b = step.inputs[1] else { return nil }
    if step.type == "Div", let number = scalar(b), number != 0 { return (a, 1 / number) }
    guard step.type == "Mul" else { return nil }
    if let number = scalar(b) { return (a, number) }
    return scalar(a).map { (b, $0) }
  }

  private func addsOne(_ step: Step) -> Bool {
    step.type == "Add" && step.inputs.contains { scalar($0) == 1 }
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
