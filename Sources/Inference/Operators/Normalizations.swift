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

  /// Groups that lie one after the other, with a scale and a shift for each place in them.
  private func runRows(_ call: Call, scale: TensorView?, shift: TensorView?) -> Bool {
    let (input, out) = (call.input(0), call.output(0))
    let kept = input.dims.count - axes.axes.count
    guard case .broadcast = parameters, input.type == .float32,
      axes.axes == Array(kept..<input.dims.count)
    else { return false }
    let width = input.dims[kept...].reduce(1, *)
    guard width > 0,
      [scale, shift].allSatisfy({ $0.map { $0.count == width && $0.type == .float32 } ?? true })
    else { return false }
    let rows = input.count / width
    // Enough rows that handing them out costs little.
    let parts = min(call.threads, max(rows * width >> 14, 1))
    let isWhole = call.outputs.count > 2
    let (from, to) = (input.floats, out.floats)
    let (means, deviations) = isWhole ? (call.output(1).floats, call.output(2).floats) : (nil, nil)
    parallel(parts, threads: parts) { part in
      let (first, last) = (rows * part / parts, rows * (part + 1) / parts)
      ck_normalize_f32(
        from + first * width, last - first, width, centers ? 1 : 0, epsilon, scale?.floats,
        shift?.floats, to + first * width, means.map { $0 + first }, deviations.map { $0 + first })
    }
    return true
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let inputs = call.inputs.count
    let scale = inputs > 1 ? call.inputs[1] : nil
    let shift = inputs > 2 ? call.inputs[2] : nil
    if runRows(call, scale: scale, shift: shift) { return }
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
