internal import CDNN

/// A convolution by oneDNN: weights packed once, and what follows it in the same pass.
struct PackedConvolution: NetworkLayer {
  let outputs: [ValueInfo]
  let stages: [LayerStage]
  let sourceLayout: TensorLayout
  let targetLayout: TensorLayout
  private let window: Window
  private let groups: Int
  private let channels: Int
  private let filters: Int
  /// As the file has them, until they are packed.
  private let weights: Tensor
  private let bias: [Float]?
  private let form: Primitive
  private let packed: TensorBuffer?
  private let biases: TensorBuffer?

  var channelAxis: Int { 1 }
  var overwrites: Int? { stages.contains(.sum) ? 1 : nil }
  var constantByteCount: Int { ((packed?.capacity ?? 0) + filters) * 4 }

  /// Rows that the form of the weights is chosen for.
  private static let usualRows = 4

  /// - Returns: nil where oneDNN has nothing better than the plain form.
  init?(_ plain: Convolution, weights: Tensor, bias: [Float]?) {
    guard plain.outputs[0].type == .float32, weights.type == .float32 else { return nil }
    let block = Int(dn_channel_block())
    let isDepthwise = plain.groups == plain.channels && plain.filters == plain.channels
    let own = isDepthwise ? plain.channels : plain.channels / plain.groups
    let made = isDepthwise ? plain.filters : plain.filters / plain.groups
    let takesBlocks = own % block == 0
    let givesBlocks = made % block == 0
    var choices: [(TensorLayout, TensorLayout)] = []
    if takesBlocks, givesBlocks {
      choices.append((.blocks, .blocks))
    } else if givesBlocks {
      choices.append((.plain, .blocks))
    }
    choices.append((.plain, .plain))
    for (source, target) in choices {
      if let made = Self(
        plain, weights: weights, bias: bias, stages: [], source: source, target: target)
      {
        self = made
        return
      }
    }
    return nil
  }

  private init?(
    _ plain: Convolution, weights: Tensor, bias: [Float]?, stages: [LayerStage],
    source: TensorLayout, target: TensorLayout
  ) {
    outputs = plain.outputs
    (window, groups) = (plain.window, plain.groups)
    (channels, filters) = (plain.channels, plain.filters)
    (self.weights, self.bias, self.stages) = (weights, bias, stages)
    (sourceLayout, targetLayout) = (source, target)
    (packed, biases) = (nil, nil)
    guard
      let form = Self.primitive(
        window, groups: groups, channels: channels, filters: filters, rows: Self.usualRows,
        hasBias: true, stages: stages, source: source, target: target, like: nil)
    else { return nil }
    self.form = form
  }

  private init(_ other: Self, packed: TensorBuffer, biases: TensorBuffer) {
    (outputs, stages) = (other.outputs, other.stages)
    (sourceLayout, targetLayout) = (other.sourceLayout, other.targetLayout)
    (window, groups) = (other.window, other.groups)
    (channels, filters) = (other.channels, other.filters)
    (weights, bias, form) = (Tensor([Float]()), nil, other.form)
    (self.packed, self.biases) = (packed, biases)
  }

  private static func primitive(
    _ window: Window, groups: Int, channels: Int, filters: Int, rows: Int, hasBias: Bool,
    stages: [LayerStage], source: TensorLayout, target: TensorLayout, like: Primitive?
  ) -> Primitive? {
    var spec = dn_convolution_spec()
    spec.source = dn_tensor([rows, channels] + window.input, source)
    spec.target = dn_tensor([rows, filters] + window.output, target)
    spec.groups = groups > 1 ? Int32(groups) : 0
    fill(&spec.kernel, window.kernel)
    fill(&spec.strides, window.strides)
    fill(&spec.dilations, window.dilations)
    fill(&spec.pads_begin, window.begin)
    // What the last window leaves over is not padding; oneDNN checks the sizes.
    fill(&spec.pads_end, window.usedEnd)
    spec.has_bias = hasBias ? 1 : 0
    guard stages.write(&spec.post_op_count, &spec.post_ops) else { return nil }
    return Primitive(dn_convolution(&spec, like?.handle))
  }

  func extended(
    factors: [Float]?, shifts: [Float]?, stages added: [LayerStage]
  ) -> (any NetworkLayer)? {
    if factors != nil || shifts != nil, !stages.isEmpty { return nil }
    var (weights, bias) = (weights, bias)
    if let factors {
      let each = weights.count / filters
      let old: [Float] = weights.values()
      weights = Tensor(
        old.indices.map { old[$0] * factors[$0 / each] }, dims: weights.dims)
      bias = bias.map { zip($0, factors).map { $0 * $1 } }
    }
    if let shifts { bias = bias.map { zip($0, shifts).map { $0 + $1 } } ?? shifts }
    let plain = Convolution(
      outputs: outputs, window: window, groups: groups, channels: channels, filters: filters)
    return Self(
      plain, weights: weights, bias: bias, stages: stages + added, source: sourceLayout,
      target: targetLayout)
  }

  /// The layer with its weights packed; nil where memory or oneDNN refuses.
  func packing(_ store: WeightStore) -> (any Operator)? {
    if sourceLayout == .blocks, targetLayout == .blocks, let own = ownKernel(store) { return own }
    let taps = window.kernel
    let own = channels / groups
    let dims = groups > 1 ? [groups, filters / groups, own] + taps : [filters, own] + taps
    let strides = dims.indices.map { dims[($0 + 1)...].reduce(1, *) }
    let packed = store.packed(weights, form: form) {
      form.packed(weights.view.floats, dims: dims, strides: strides)
    }
    guard let packed else { return nil }
    let biases = TensorBuffer(.float32, capacity: filters + 16)
    let target = biases.base.assumingMemoryBound(to: Float.self)
    for (index, value) in (bias ?? []).enumerated() { target[index] = value }
    return Self(self, packed: packed, biases: biases)
  }

  /// The engine's own kernel for the layer; nil where oneDNN's is as good.
  private func ownKernel(_ store: WeightStore) -> (any Operator)? {
    let layer = BlockLayer(
      plain: Convolution(
        outputs: outputs, window: window, groups: groups, channels: channels, filters: filters),
      stages: stages, block: Int(dn_channel_block()), bias: bias, weights: weights, store: store)
    return PointwiseConvolution(layer) ?? WinogradConvolution(layer)
  }

  func prepared(for call: Call) -> any Operator {
    let input = call.input(0)
    let primitive = Self.primitive(
      window, groups: groups, channels: channels, filters: filters, rows: input.dims[0],
      hasBias: true, stages: stages, source: sourceLayout, target: targetLayout, like: form)
    return BoundPrimitive(
      primitive, outputs: outputs, source: input.floats,
      weights: packed?.base.assumingMemoryBound(to: Float.self),
      bias: biases?.base.assumingMemoryBound(to: Float.self), target: call.output(0).floats,
      keeping: [packed, biases].compactMap { $0 })
  }

  func run(_ call: Call) { prepared(for: call).run(call) }
}

extension Window {
  /// The padding after each axis that the last window reaches.
  var usedEnd: [Int] {
    input.indices.map { axis in
      (output[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - input[axis]
        - begin[axis]
    }
  }
}

extension Convolution {
  /// The same layer once more, from what is known of it.
  init(outputs: [ValueInfo], window: Window, groups: Int, channels: Int, filters: Int) {
    (self.outputs, self.window, self.groups) = (outputs, window, groups)
    (self.channels, self.filters) = (channels, filters)
    hasBias = true
  }
}
