internal import CDNN

extension Graph {
  /// Lets values stay in blocks of channels from convolution to convolution, with copies only where a
  /// step wants another layout.
  mutating func assignLayouts() {
    var pass = LayoutPass(self)
    for step in steps { pass.add(step) }
    self = pass.finished()
  }
}

/// Goes through the steps in order and knows how each value lies.
private struct LayoutPass {
  private var graph: Graph
  private var steps: [Graph.Step] = []
  private var layouts: [Int: TensorLayout] = [:]
  /// Copies in the other layout.
  private var copies: [Int: Int] = [:]
  private let block = Int(dn_channel_block())

  init(_ graph: Graph) { self.graph = graph }

  mutating func finished() -> Graph {
    // An output of the graph lies as the file has it.
    let plain = graph.outputs.map { value($0.value, .plain) }
    graph.replaceOutputs(with: plain)
    graph.setSteps(steps)
    return graph
  }

  private func layout(_ value: Int) -> TensorLayout { layouts[value] ?? .plain }

  /// Whether blocks and plain are the same: one element of space.
  private func isEither(_ value: Int) -> Bool {
    let shape = graph.values[value].shape
    return shape.rank < 3 || shape.dims[2...].allSatisfy { $0 == 1 }
  }

  private func fitsBlocks(_ value: Int) -> Bool {
    let info = graph.values[value]
    return info.constant == nil && info.type == .float32 && (3...5).contains(info.shape.rank)
      && (info.shape.rowAxis == 0 || graph.isOfOneRow) && info.shape.dims[1] % block == 0
  }

  /// The number of a value in a layout, copied where it lies otherwise.
  private mutating func value(_ value: Int, _ wanted: TensorLayout) -> Int {
    let found = layout(value)
    if found == wanted || isEither(value) || graph.values[value].constant != nil { return value }
    if let copy = copies[value] { return copy }
    let info = graph.values[value]
    let copy = graph.append([ValueInfo(info.type, info.shape)])[0]
    steps.append(
      Graph.Step(
        name: "", operation: Relayout(info, from: found, to: wanted), inputs: [value],
        outputs: [copy]))
    copies[value] = copy
    copies[copy] = value
    layouts[copy] = wanted
    return copy
  }

  mutating func add(_ step: Graph.Step) {
    if let layer = step.operation as? any NetworkLayer {
      var inputs = step.inputs.map { $0.map { value($0, layer.sourceLayout) } }
      if let place = layer.overwrites, let sum = step.inputs[place] {
        inputs[place] = value(sum, layer.targetLayout)
      }
      return add(step, inputs, layer.targetLayout)
    }
    if addPool(step) || addElementwise(step) || addConcat(step) { return }
    add(step, step.inputs.map { $0.map { value($0, .plain) } }, .plain)
  }

  private mutating func add(
    _ step: Graph.Step, _ inputs: [Int?], _ layout: TensorLayout,
    operation: (any Operator)? = nil
  ) {
    steps.append(
      Graph.Step(
        name: step.name, operation: operation ?? step.operation, inputs: inputs,
        outputs: step.outputs, type: step.type))
    for output in step.outputs { layouts[output] = layout }
  }

  private mutating func addPool(_ step: Graph.Step) -> Bool {
    guard let input = step.inputs.first ?? nil, fitsBlocks(input), step.outputs.count == 1 else {
      return false
    }
    let shape = graph.values[input].shape
    let info = graph.values[step.outputs[0]]
    var made: PackedPooling?
    if let pool = step.operation as? Pooling {
      switch pool.kind {
      case .max:
        made = PackedPooling(
          info, window: pool.window, isMax: true, countsPadding: false, channels: shape.dims[1])
      case .average(let counts):
        made = PackedPooling(
          info, window: pool.window, isMax: false, countsPadding: counts, channels: shape.dims[1])
      case .norm: break
      }
    } else if let reduction = step.operation as? Reduction, layout(input) == .blocks,
      reduction.isMean(of: Array(2..<shape.rank))
    {
      let ones = Array(repeating: 1, count: shape.rank - 2)
      let zeros = ones.map { _ in 0 }
      let space = Array(shape.dims[2...])
      made = PackedPooling(
        info,
        window: Window(
          input: space, output: ones, kernel: space, strides: ones, dilations: ones,
          begin: zeros, end: zeros), isMax: false, countsPadding: false, channels: shape.dims[1])
    }
    guard let made else { return false }
    add(step, [value(input, .blocks)], .blocks, operation: made)
    return true
  }

  /// Functions of each element, alone or of two values: they follow the layout of what they read.
  private mutating func addElementwise(_ step: Graph.Step) -> Bool {
    let shape = graph.values[step.outputs[0]].shape
    let varying = step.inputs.compactMap { $0 }.filter { graph.values[$0].constant == nil }
    if let activation = step.activation, varying.count == 1,
      let made = MappedFunction(graph.values[step.outputs[0]], activation)
    {
      add(step, [varying[0]], layout(varying[0]), operation: made)
      return true
    }
    guard
      step.operation is BinaryElementwise || step.operation is UnaryElementwise
        || step.operation is Clip, !varying.isEmpty,
      varying.contains(where: { layout($0) == .blocks && graph.values[$0].shape == shape })
    else { return false }
    let constants = step.inputs.compactMap { $0 }.filter { graph.values[$0].constant != nil }
    let isFlat =
      varying.allSatisfy { graph.values[$0].shape == shape && fitsBlocks($0) }
      && constants.allSatisfy { graph.values[$0].shape.elementCount == 1 }
    if isFlat {
      add(step, step.inputs.map { $0.map { value($0, .blocks) } }, .blocks)
      return true
    }
    return addChannelwise(step, shape)
  }

  /// A value in blocks times, or plus, something for each channel.
  private mutating func addChannelwise(_ step: Graph.Step, _ shape: Shape) -> Bool {
    guard step.inputs.count == 2, let a = step.inputs[0], let b = step.inputs[1], a != b,
      step.type == "Mul" || step.type == "Add"
    else { return false }
    let (image, other) = graph.values[a].shape == shape ? (a, b) : (b, a)
    guard graph.values[image].shape == shape, fitsBlocks(image) else { return false }
    let dims = graph.values[other].shape.dims
    let perRow =
      graph.values[other].shape.rowAxis == 0 && fitsBlocks(other) && isEither(other)
      && dims.count == shape.rank && dims[0] == shape.dims[0]
    let perChannel =
      graph.values[other].constant != nil
      && graph.channelAffine(step, of: image, axis: 1) != nil
    guard perRow && dims[1] == shape.dims[1] || perChannel else { return false }
    if perChannel, let affine = graph.channelAffine(step, of: image, axis: 1) {
      add(
        step, [value(image, .blocks)], .blocks,
        operation: ChannelAffine(
          graph.values[step.outputs[0]], factors: affine.factors, shifts: affine.shifts,
          block: block))
    } else {
      add(
        step, [value(image, .blocks), other], .blocks,
        operation: ChannelCombination(
          graph.values[step.outputs[0]], isProduct: step.type == "Mul", block: block))
    }
    return true
  }

  /// Channels after channels: blocks after blocks.
  private mutating func addConcat(_ step: Graph.Step) -> Bool {
    if step.operation is BatchNormalization, let input = step.inputs[0], fitsBlocks(input),
      let affine = graph.channelAffine(step, of: input, axis: 1)
    {
      add(
        step, [value(input, .blocks)], .blocks,
        operation: ChannelAffine(
          graph.values[step.outputs[0]], factors: affine.factors, shifts: affine.shifts,
          block: block))
      return true
    }
    guard let concat = step.operation as? Concat, concat.axis == 1,
      step.inputs.allSatisfy({ $0.map(fitsBlocks) ?? false }),
      step.inputs.contains(where: { $0.map { layout($0) == .blocks } ?? false })
    else { return false }
    add(step, step.inputs.map { $0.map { value($0, .blocks) } }, .blocks)
    return true
  }
}
