/// How a network's graph is made fit to be run: what is constant is folded into weights, layers take
/// on what follows them, and where oneDNN is there its kernels and layouts take the place of the plain
/// ones.
extension Graph {
  ///
  /// Weights are let go as they are packed: a tensor that nobody else holds is in memory once.
  mutating func lowerNetwork(_ store: WeightStore) {
    // Forms of weights are chosen, and weights packed, by one thread alone.
    withThreads(1) { lower(store) }
  }

  private mutating func lower(_ store: WeightStore) {
    foldNormalizations(store)
    if NetworkKernels.usesOneDNN {
      fuseFunctions()
      makeLayers()
      assignLayouts()
    }
    removeUnread()
    dropUnreadConstants()
    packLayers(store)
    dropUnreadConstants()
  }

  // MARK: Constants

  /// Takes what a normalisation by channel does at inference into the weights of the convolution that
  /// it alone reads.
  private mutating func foldNormalizations(_ store: WeightStore) {
    var dead: Set<Int> = []
    let links = GraphLinks(self)
    for index in steps.indices {
      guard steps[index].operation is BatchNormalization, let input = steps[index].inputs[0],
        let maker = links.maker(of: input), links.isReadOnce(input),
        let plain = steps[maker].operation as? Convolution, !dead.contains(maker),
        let weights = constant(steps[maker].inputs[1]), weights.type == .float32,
        let affine = channelAffine(steps[index], of: input, axis: 1)
      else { continue }
      let parameters = steps[index].inputs.dropFirst().compactMap { constant($0) }
      var bias = Array(repeating: Double(0), count: plain.filters)
      if plain.hasBias {
        guard let values = constant(steps[maker].inputs[2])?.doubles else { continue }
        bias = values
      }
      let scaled = store.derived(from: [weights] + parameters) {
        let each = weights.count / plain.filters
        let old: [Float] = weights.values()
        return Tensor(
          old.indices.map { Float(Double(old[$0]) * affine.factors[$0 / each]) },
          dims: weights.dims)
      }
      let shifted = bias.indices.map { Float(bias[$0] * affine.factors[$0] + affine.shifts[$0]) }
      let added = append([
        ValueInfo(constant: scaled),
        ValueInfo(constant: Tensor(shifted)),
      ])
      replaceStep(
        index,
        with: Step(
          name: steps[maker].name,
          operation: Convolution(
            outputs: plain.outputs, window: plain.window, groups: plain.groups,
            channels: plain.channels, filters: plain.filters),
          inputs: [steps[maker].inputs[0], added[0], added[1]], outputs: steps[index].outputs,
          type: "Conv"))
      dead.insert(maker)
    }
    removeSteps(dead)
  }

  func constant(_ value: Int?) -> Tensor? { value.flatMap { values[$0].constant } }

  /// What a step does to the channels of one of its inputs: times factors, plus shifts; nil where it
  /// does anything else.
  func channelAffine(
    _ step: Step, of input: Int, axis: Int
  ) -> (factors: [Double], shifts: [Double])? {
    let shape = values[input].shape
    guard axis < shape.rank, values[step.outputs[0]].shape == shape,
      values[input].type == .float32
    else { return nil }
    let channels = shape.dims[axis]
    let ones = Array(repeating: 1.0, count: channels)
    let zeros = Array(repeating: 0.0, count: channels)
    if let normalization = step.operation as? BatchNormalization, axis == 1 {
      guard normalization.momentum == nil, step.inputs.count == 5, step.inputs[0] == input,
        let scale = constant(step.inputs[1])?.doubles,
        let shift = constant(step.inputs[2])?.doubles,
        let mean = constant(step.inputs[3])?.doubles,
        let variance = constant(step.inputs[4])?.doubles
      else { return nil }
      let factors = zip(scale, variance).map { scale, variance in
        scale / (variance + normalization.epsilon).squareRoot()
      }
      return (factors, zip(shift, zip(mean, factors)).map { $0 - $1.0 * $1.1 })
    }
    guard step.inputs.count == 2, let a = step.inputs[0], let b = step.inputs[1],
      let other = a == input ? b : (b == input ? a : nil), other != input,
      let list = perChannel(constant(other), shape, axis)
    else { return nil }
    switch step.type {
    case "Add": return (ones, list)
    case "Sub" where a == input: return (ones, list.map { -$0 })
    case "Mul": return (list, zeros)
    case "Div" where a == input && list.allSatisfy({ $0 != 0 }): return (list.map { 1 / $0 }, zeros)
    default: return nil
    }
  }

  /// A constant that is one number for each channel, or one for all.
  private func perChannel(_ tensor: Tensor?, _ shape: Shape, _ axis: Int) -> [Double]? {
    guard let tensor, tensor.type == .float32, tensor.dims.count <= shape.rank,
      let list = tensor.doubles
    else { return nil }
    let channels = shape.dims[axis]
    if list.count == 1 { return Array(repeating: list[0], count: channels) }
    let place = axis - (shape.rank - tensor.dims.count)
    guard place >= 0, list.count == channels, tensor.dims[place] == channels else { return nil }
    return list
  }

  // MARK: Layers

  /// Makes layers of convolutions and products, each with as much of what follows as it can take on.
  private mutating func makeLayers() {
    let links = GraphLinks(self)
    let isOutput = Set(outputs.map(\.value))
    let isInput = Set(inputs.map(\.value))
    var dead: Set<Int> = []
    for first in steps.indices where !dead.contains(first) {
      guard var layer = layer(steps[first]) else { continue }
      var parts = [first]
      var residual: Int?
      while true {
        let output = steps[parts[parts.count - 1]].outputs[0]
        guard let next = links.onlyReader(of: output), !dead.contains(next) else { break }
        let step = steps[next]
        if layer.stages.isEmpty,
          let affine = channelAffine(step, of: output, axis: layer.channelAxis),
          let longer = layer.extended(
            factors: affine.factors.allSatisfy { $0 == 1 } ? nil : affine.factors.map { Float($0) },
            shifts: affine.shifts.allSatisfy { $0 == 0 } ? nil : affine.shifts.map { Float($0) },
            stages: [])
        {
          layer = longer
        } else if let activation = step.activation, step.inputs[0] == output,
          let longer = layer.extended(
            factors: nil, shifts: nil, stages: [.function(activation)])
        {
          layer = longer
        } else if residual == nil, let other = addend(step, to: output),
          !isInput.contains(other), !isOutput.contains(other),
          // What the layer still reads may not become its result.
          !steps[first].inputs.contains(other),
          canOverwrite(other, at: next, links),
          let longer = layer.extended(factors: nil, shifts: nil, stages: [.sum])
        {
          layer = longer
          residual = other
        } else {
          break
        }
        parts.append(next)
      }
      let last = parts.removeLast()
      var inputs = [steps[first].inputs[0]]
      if let residual { inputs.append(residual) }
      if layer is FloatProduct, steps[first].inputs.count > 1,
        constant(steps[first].inputs[1]) == nil
      {
        inputs.append(steps[first].inputs[1])
      }
      let made = Step(
        name: steps[first].name, operation: layer, inputs: inputs, outputs: steps[last].outputs)
      dead.formUnion(parts)
      replaceStep(last, with: made)
    }
    removeSteps(dead)
  }

  private func layer(_ step: Step) -> (any NetworkLayer)? {
    if let product = step.operation as? FloatProduct { return product }
    guard let plain = step.operation as? Convolution, let weights = constant(step.inputs[1]) else {
      return nil
    }
    var bias: [Float]?
    if plain.hasBias {
      guard step.inputs.count > 2, let values = constant(step.inputs[2])?.doubles else {
        return nil
      }
      bias = values.map { Float($0) }
    }
    return PackedConvolution(plain, weights: weights, bias: bias)
  }

  /// The other value that a step adds to one of the same shape; nil where it does anything else.
  private func addend(_ step: Step, to value: Int) -> Int? {
    guard step.type == "Add", step.inputs.count == 2, let a = step.inputs[0],
      let b = step.inputs[1], a != b
    else { return nil }
    let other = a == value ? b : a
    guard values[other].constant == nil, values[other].shape == values[value].shape,
      values[other].type == .float32
    else { return nil }
    return other
  }

  /// Whether nothing reads a value after a step, so that the step may write into its memory.
  private func canOverwrite(_ value: Int, at step: Int, _ links: GraphLinks) -> Bool {
    guard let maker = links.maker(of: value), !steps[maker].operation.isView,
      !(steps[maker].operation is RowRegion)
    else { return false }
    return links.readers(of: value).allSatisfy { $0 <= step && !steps[$0].operation.isView }
  }

  /// Packs the weights of all layers; what cannot be packed was not made a layer.
  private mutating func packLayers(_ store: WeightStore) {
    for index in steps.indices {
      let step = steps[index]
      var made: (any Operator)?
      if let convolution = step.operation as? PackedConvolution {
        made = convolution.packing(store)
      }
      var inputs = step.inputs
      if let product = step.operation as? FloatProduct {
        made = product.packing(store)
        if !NetworkKernels.usesOneDNN {
          inputs = inputs.enumerated().filter {
            $0.offset == 0 || $0.offset == 1 && constant($0.element) == nil
          }.map(\.element)
        }
      }
      guard let made else { continue }
      replaceStep(
        index, with: Step(name: step.name, operation: made, inputs: inputs, outputs: step.outputs))
    }
  }
}
