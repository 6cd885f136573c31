internal import CKernels

/// CausalConvWithState: each channel of a sequence with a kernel of its own that looks back only, and
/// the last elements as what the next call begins with.
struct CausalConvolution: Operator {
  let outputs: [ValueInfo]
  private let size: Int
  private let hasBias: Bool
  private let hasPast: Bool
  private let isSwish: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...4)
    let (info, weights) = (try node.input(0, .float32, .float64), try node.input(1))
    let (shape, dims) = (info.shape, weights.shape.dims)
    guard shape.rank == 3, weights.type == info.type, !weights.shape.isBatched, dims.count == 3,
      dims[0] == shape.dims[1], dims[1] == 1, dims[2] > 0,
      shape.rowAxis == nil || shape.rowAxis == 0
    else {
      throw node.error(
        .malformed, "weights of shape \(weights.shape) for an input of shape \(shape)")
    }
    size = dims[2]
    let state = Shape([shape.dims[0], shape.dims[1], size - 1], rowAxis: shape.rowAxis)
    let (bias, past) = (node.optionalInput(2), node.optionalInput(3))
    guard bias == nil || bias?.type == info.type && bias?.shape == Shape([dims[0]]),
      past == nil || past?.type == info.type && past?.shape == state
    else { throw node.error(.malformed, "a bias or state that does not fit \(shape)") }
    (hasBias, hasPast) = (bias != nil, past != nil)
    switch try node.string("activation", default: "none") {
    case "none": isSwish = false
    case "silu", "swish": isSwish = true
    case let name: throw node.error(.unsupported, "activation \"\(name)\" is not supported")
    }
    outputs = [try node.output(info.type, shape), try node.output(info.type, state)]
    try node.spend(shape.elementCount, size)
  }

  func run(_ call: Call) {
    let (input, weights) = (call.input(0), call.input(1))
    let (channels, length, state) = (input.dims[1], input.dims[2], size - 1)
    let past = hasPast ? call.input(3) : nil
    for line in 0..<(input.dims[0] * channels) {
      let channel = line % max(channels, 1)
      func element(_ place: Int) -> Double {
        place >= 0
          ? input.double(line * length + place)
          : past?.double(line * state + state + place) ?? 0
      }
      for place in 0..<length {
        var sum = hasBias ? call.input(2).double(channel) : 0
        for k in 0..<size {
          sum += weights.double(channel * size + k) * element(place - state + k)
        }
        call.output(0).set(line * length + place, isSwish ? sum * ck_logistic(sum) : sum)
      }
      for place in 0..<state {
        call.output(1).set(line * state + place, element(length - state + place))
      }
    }
  }
}

/// SwiGLU: a times the logistic of alpha times a, times b.
struct GatedSwish: Operator {
  let outputs: [ValueInfo]
  private let alpha: Double

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let (a, b) = (try node.input(0, .float32, .float64), try node.input(1))
    guard a.type == b.type, a.shape == b.shape else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    alpha = Double(try node.float("alpha", default: 1))
    outputs = [try node.output(a.type, a.shape)]
  }

  func run(_ call: Call) {
    let (a, b, out) = (call.input(0), call.input(1), call.output(0))
    for index in 0..<out.count {
      let x = a.double(index)
      out.set(index, x * ck_logistic(alpha * x) * b.double(index))
    }
  }
}
