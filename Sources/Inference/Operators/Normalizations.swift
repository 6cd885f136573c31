internal import CKernels

/// Normalisation of groups of elements by their mean and variance, each scaled and shifted.
///
/// LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization and
/// MeanVarianceNormalization. Sums are kept in double, in the order of the elements.
struct GroupedNormalization: Operator {
  /// Which scale and shift an element has.
  private enum Parameters: Sendable {
    case none
    /// Those that broadcast to the input.
    case broadcast
    /// One for each place of the second axis.
    case channels
    /// One for each group of places of the second axis.
    case groups(Int)
  }

  let outputs: [ValueInfo]
  private let epsilon: Double
  private let axes: ReducedAxes
  private let centers: Bool
  private let parameters: Parameters
  /// The input under a shape in which a group is an axis of its own.
  private let shape: Shape

  static let layer: OperatorFactory = { node throws(ModelError) in
    try GroupedNormalization(layer: node, centers: true)
  }

  static let rms: OperatorFactory = { node throws(ModelError) in
    try GroupedNormalization(layer: node, centers: false)
  }

  private init(layer node: Node, centers: Bool) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    let axis = try node.axis(node.int("axis", default: -1), rank: info.shape.rank)
    axes = try ReducedAxes(
      node, info, axes: Array(axis..<info.shape.rank), keeps: true)
    epsilon = Double(try node.float("epsilon", default: 1e-5))
    self.centers = centers
    parameters = .broadcast
    shape = info.shape
    for index in 1..<node.inputs.count {
      guard let other = node.inputs[index] else { continue }
      guard other.type == info.type, info.shape.broadcast(with: other.shape) == info.shape else {
        throw node.error(.malformed, "\(other.shape) does not fit \(info.shape)")
      }
    }
    var outputs = [try node.output(info.type, info.shape)]
    if centers {
      outputs += [
        try node.output(info.type, axes.shape), try node.output(info.type, axes.shape),
      ]
    }
    self.outputs = outputs
  }

  static let instance: OperatorFactory = { node throws(ModelError) in
    try GroupedNormalization(channels: node, groups: nil)
  }

  static let group: OperatorFactory = { node throws(ModelError) in
    guard let groups = try node.int("num_groups") else {
      throw node.error(.malformed, "no number of groups")
    }
    return try GroupedNormalization(channels: node, groups: groups)
  }

  private init(channels node: Node, groups: Int?) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    guard info.shape.rank >= 2, info.shape.rowAxis.map({ $0 == 0 }) ?? true else {
      throw node.error(.malformed, "input of shape \(info.shape) has no channels")
    }
    let channels = info.shape.dims[1]
    let count = groups ?? channels
    guard count > 0, channels % count == 0 else {
      throw node.error(.malformed, "\(count) groups of \(channels) channels")
    }
    shape = Shape(
      [info.shape.dims[0], count, channels / count] + info.shape.dims[2...],
      rowAxis: info.shape.rowAxis)
    axes = try ReducedAxes(
      node, ValueInfo(info.type, shape), axes: Array(2..<shape.rank), keeps: true)
    epsilon = Double(try node.float("epsilon", default: 1e-5))
    centers = true
    let width = try node.input(1).shape
    let isPerGroup = groups != nil && node.opset < 21
    guard width.dims == [isPerGroup ? count : channels], try node.input(2).shape == width else {
      throw node.error(.malformed, "a scale of shape \(width) for \(channels) channels")
    }
    parameters = isPerGroup ? .groups(channels / count) : .channels
    outputs = [try node.output(info.type, info.shape)]
  }

  /// MeanVarianceNormalization: over given axes, with nothing to scale by.
  static let meanVariance: OperatorFactory = { node throws(ModelError) in
    try GroupedNormalization(meanVariance: node)
  }

  private init(meanVariance node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    axes = try ReducedAxes(
      node, info, axes: try node.ints("axes") ?? [0, 2, 3], keeps: true)
    (epsilon, centers, parameters, shape) = (1e-9, true, .none, info.shape)
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let inputs = call.inputs.count
    let scale = inputs > 1 ? call.inputs[1] : nil
    let shift = inputs > 2 ? call.inputs[2] : nil
    let dims = shape.dims(rows: call.rowCount)
    axes.forEach(dims) { element, base, offsets in
      let count = Double(offsets.count)
      var mean = 0.0
      if centers {
        for offset in offsets { mean += input.double(base + offset) }
        mean /= count
      }
      var variance = 0.0
      for offset in offsets {
        let difference = input.double(base + offset) - mean
        variance += difference * difference
      }
      let deviation =
        if case .none = parameters {
          (variance / count).squareRoot() + epsilon
        } else {
          (variance / count + epsilon).squareRoot()
        }
      for offset in offsets {
        out.set(base + offset, (input.double(base + offset) - mean) / deviation)
      }
      if call.outputs.count > 2 {
        call.output(1).set(element, mean)
        call.output(2).set(element, 1 / deviation)
      }
    }
    if let scale { apply(scale, to: out) { $0 * $1 } }
    if let shift { apply(shift, to: out) { $0 + $1 } }
  }

  private func apply(
    _ parameter: TensorView, to out: TensorView, _ combine: (Double, Double) -> Double
  ) {
    switch parameters {
    case .none: break
    case .broadcast:
      BroadcastWalk(output: out.dims, inputs: [parameter.dims]).forEachStretch {
        output, offsets, steps, count in
        for i in 0..<count {
          out.set(
            output + i,
            combine(out.double(output + i), parameter.double(offsets[0] + i * steps[0])))
        }
      }
    case .channels: perChannel(parameter, out, 1, combine)
    case .groups(let size): perChannel(parameter, out, size, combine)
    }
  }

  private func perChannel(
    _ parameter: TensorView, _ out: TensorView, _ size: Int,
    _ combine: (Double, Double) -> Double
  ) {
    let inner = out.dims[2...].reduce(1, *)
    for index in 0..<out.count {
      let channel = index / inner % out.dims[1]
      out.set(index, combine(out.double(index), parameter.double(channel / size)))
    }
  }
}

/// BatchNormalization at inference: by the mean and variance of each channel from training.
struct BatchNormalization: Operator {
  let outputs: [ValueInfo]
  private let epsilon: Double

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(5...5)
    let info = try node.input(0, .float32, .float64)
    guard try node.int("training_mode", default: 0) == 0, node.opset >= 7 else {
      throw node.error(.unsupported, "training is not supported")
    }
    guard info.shape.rank >= 1, info.shape.rowAxis != 1 else {
      throw node.error(.unsupported, "input of shape \(info.shape) has no channels")
    }
    let channels = info.shape.rank > 1 ? info.shape.dims[1] : 1
    for index in 1..<5 {
      let shape = try node.input(index).shape
      guard !shape.isBatched, shape.dims == [channels] else {
        throw node.error(.malformed, "\(shape) for \(channels) channels")
      }
    }
    epsilon = Double(try node.float("epsilon", default: 1e-5))
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let channels = call.input(1).count
    let inner = input.dims.count > 1 ? input.dims[2...].reduce(1, *) : 1
    var factors: [(scale: Double, mean: Double, shift: Double)] = []
    for channel in 0..<channels {
      let deviation = (call.input(4).double(channel) + epsilon).squareRoot()
      factors.append(
        (
          call.input(1).double(channel) / deviation, call.input(3).double(channel),
          call.input(2).double(channel)
        ))
    }
    for index in 0..<input.count {
      let factor = factors[index / inner % channels]
      out.set(index, (input.double(index) - factor.mean) * factor.scale + factor.shift)
    }
  }
}

/// LRN: over the squares of neighbouring channels.
struct LocalResponseNormalization: Operator {
  let outputs: [ValueInfo]
  private let alpha: Double
  private let beta: Double
  private let bias: Double
  private let size: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    guard info.shape.rank >= 2, info.shape.rowAxis != 1, let size = try node.int("size"), size > 0
    else { throw node.error(.malformed, "no size, or no channels") }
    self.size = size
    alpha = Double(try node.float("alpha", default: 0.0001))
    beta = Double(try node.float("beta", default: 0.75))
    bias = Double(try node.float("bias", default: 1))
    outputs = [try node.output(info.type, info.shape)]
    try node.spend(info.shape.elementCount, min(size, info.shape.dims[1]))
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let channels = input.dims[1]
    let inner = input.dims[2...].reduce(1, *)
    for index in 0..<input.count {
      let channel = index / inner % channels
      let first = max(0, channel - (size - 1) / 2)
      let last = min(channels - 1, channel + size / 2)
      var sum = 0.0
      for other in first...last {
        let x = input.double(index + (other - channel) * inner)
        sum += x * x
      }
      out.set(index, input.double(index) / ck_pow(bias + alpha / Double(size) * sum, beta))
    }
  }
}

/// Hardmax: one at the first of the greatest elements of an axis, zero elsewhere.
struct Hardmax: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let flattens: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    flattens = node.opset < 13
    axis = try node.axis(node.int("axis", default: flattens ? 1 : -1), rank: info.shape.rank)
    if let rowAxis = info.shape.rowAxis, rowAxis == axis || flattens && rowAxis > axis {
      throw node.error(.unsupported, "rows are compared with each other")
    }
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let size = flattens ? input.dims[axis...].reduce(1, *) : input.dims[axis]
    let inner = flattens ? 1 : input.dims[(axis + 1)...].reduce(1, *)
    guard size > 0 else { return }
    for outer in 0..<input.dims[..<axis].reduce(1, *) {
      for i in 0..<inner {
        let base = outer * size * inner + i
        var best = 0
        for place in 1..<max(size, 1)
        where input.double(base + place * inner) > input.double(base + best * inner) {
          best = place
        }
        for place in 0..<size { out.set(base + place * inner, place == best ? 1 : 0) }
      }
    }
  }
}
