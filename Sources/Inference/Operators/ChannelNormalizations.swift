internal import CKernels

/// BatchNormalization: by the mean and variance of each channel from training, or, where the graph
/// itself trains, of the tensor at hand.
struct BatchNormalization: Operator {
  let outputs: [ValueInfo]
  let epsilon: Double
  /// The share of the old mean and variance in the new ones; nil at inference.
  let momentum: Double?

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(5...5)
    let info = try node.input(0, .float32, .float64)
    let trains =
      try node.opset < 7
      ? node.int("is_test", default: 0) == 0 : node.int("training_mode", default: 0) != 0
    guard info.shape.rank >= 1, info.shape.rowAxis != 1, !trains || !info.shape.isBatched else {
      throw node.error(
        .unsupported, "input of shape \(info.shape) has no channels, or rows to be told apart")
    }
    let channels = info.shape.rank > 1 ? info.shape.dims[1] : 1
    for index in 1..<5 {
      let shape = try node.input(index).shape
      guard !shape.isBatched, shape.dims == [channels] else {
        throw node.error(.malformed, "\(shape) for \(channels) channels")
      }
    }
    epsilon = Double(try node.float("epsilon", default: 1e-5))
    let share = Double(try node.float("momentum", default: 0.9))
    momentum = trains ? share : nil
    outputs =
      [try node.output(info.type, info.shape)]
      + (trains
        ? [ValueInfo(info.type, Shape([channels])), ValueInfo(info.type, Shape([channels]))] : [])
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let channels = call.input(1).count
    let inner = input.dims.count > 1 ? input.dims[2...].reduce(1, *) : 1
    var means = (0..<channels).map { call.input(3).double($0) }
    var variances = (0..<channels).map { call.input(4).double($0) }
    if let momentum {
      let count = Double(input.count / max(channels, 1))
      var (sums, squares) = (means.map { _ in 0.0 }, means.map { _ in 0.0 })
      for index in 0..<input.count { sums[index / inner % channels] += input.double(index) }
      for index in 0..<input.count {
        let channel = index / inner % channels
        let difference = input.double(index) - sums[channel] / count
        squares[channel] += difference * difference
      }
      for channel in 0..<channels {
        let (mean, variance) = (sums[channel] / count, squares[channel] / count)
        call.output(1).set(channel, means[channel] * momentum + mean * (1 - momentum))
        call.output(2).set(channel, variances[channel] * momentum + variance * (1 - momentum))
        (means[channel], variances[channel]) = (mean, variance)
      }
    }
    var scales: [Double] = []
    for channel in 0..<channels {
      scales.append(call.input(1).double(channel) / (variances[channel] + epsilon).squareRoot())
    }
    for index in 0..<input.count {
      let channel = index / inner % channels
      out.set(
        index,
        (input.double(index) - means[channel]) * scales[channel] + call.input(2).double(channel))
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
      throw node.mixing("rows are compared with each other")
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
