internal import CKernels

/// Conv: each output a sum over a window of the channels of its group.
///
/// This is the plain form, for layouts as ONNX has them and sums in a fixed order; where oneDNN is
/// there, `Graph.lowerNetwork` puts its kernels in place of it.
struct Convolution: Operator {
  let outputs: [ValueInfo]
  let window: Window
  let groups: Int
  let channels: Int
  let filters: Int
  let hasBias: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...3)
    let (input, weights) = (try node.input(0, .float32, .float64), try node.input(1))
    let space = try node.space(of: input)
    groups = try node.int("group", default: 1)
    let dims = weights.shape.dims
    guard weights.type == input.type, !weights.shape.isBatched, dims.count == space.count + 2 else {
      throw node.error(
        .unsupported, "weights of shape \(weights.shape) for an input of shape \(input.shape)")
    }
    channels = input.shape.dims[1]
    filters = dims[0]
    guard groups > 0, filters > 0, filters % groups == 0, dims[1] > 0,
      channels == dims[1] * groups
    else {
      throw node.error(
        .malformed,
        "weights of shape \(weights.shape) in \(groups) groups for \(channels) channels")
    }
    let kernel = try node.ints("kernel_shape") ?? Array(dims[2...])
    guard kernel == Array(dims[2...]) else {
      throw node.error(.malformed, "a kernel of shape \(kernel) with weights \(weights.shape)")
    }
    window = try node.window(over: space, kernel: kernel)
    hasBias = node.optionalInput(2) != nil
    if let bias = node.optionalInput(2) {
      guard bias.type == input.type, bias.shape.dims == [filters], !bias.shape.isBatched else {
        throw node.error(.malformed, "a bias of shape \(bias.shape) for \(filters) filters")
      }
    }
    outputs = [
      try node.output(
        input.type,
        Shape([input.shape.dims[0], filters] + window.output, rowAxis: input.shape.rowAxis))
    ]
    try node.spend(outputs[0].shape.elementCount, dims[1] * window.tapCount)
  }

  private var isDepthwise: Bool { channels == groups }

  func scratchByteCount(rows: Int) -> Int {
    if isDepthwise || outputs[0].type == .float64 { return 0 }
    var window = window.kernelWindow
    return ck_conv_scratch(&window, channels / groups, filters / groups) * 4
  }

  func run(_ call: Call) {
    let (input, weights, out) = (call.input(0), call.input(1), call.output(0))
    let bias = hasBias ? call.inputs[2] : nil
    guard out.type == .float32 else { return runDoubles(call) }
    var shape = window.kernelWindow
    let (inputPlane, outputPlane, taps) = (window.inputCount, window.outputCount, window.tapCount)
    let (own, made) = (channels / groups, filters / groups)
    for image in 0..<input.dims[0] {
      for group in 0..<groups {
        let from = input.floats + (image * channels + group * own) * inputPlane
        let first = group * made
        let to = out.floats + (image * filters + first) * outputPlane
        if isDepthwise {
          for filter in 0..<made {
            ck_conv_plane_f32(
              &shape, from, weights.floats + (first + filter) * taps,
              bias.map { $0.floats[first + filter] } ?? 0, to + filter * outputPlane)
          }
        } else {
          ck_conv_f32(
            &shape, from, own, weights.floats + first * own * taps, made,
            bias.map { UnsafePointer($0.floats + first) }, to,
            call.scratch.assumingMemoryBound(to: Float.self))
        }
      }
    }
  }

  /// The definition, for doubles: no network of real use has them.
  private func runDoubles(_ call: Call) {
    let (input, weights, out) = (call.input(0), call.input(1), call.output(0))
    let (own, made) = (channels / groups, filters / groups)
    let walk = WindowWalk(window)
    for image in 0..<input.dims[0] {
      for filter in 0..<filters {
        let first = (image * channels + filter / made * own) * window.inputCount
        for place in 0..<window.outputCount {
          var sum = hasBias ? call.input(2).doubles[filter] : 0
          walk.forEachTap(of: place) { tap, from in
            for channel in 0..<own {
              sum +=
                weights.doubles[(filter * own + channel) * window.tapCount + tap]
                * input.doubles[first + channel * window.inputCount + from]
            }
          }
          out.doubles[(image * filters + filter) * window.outputCount + place] = sum
        }
      }
    }
  }
}

/// The places of an image that the windows of its outputs take in, one by one.
struct WindowWalk {
  let window: Window
  private let inputSteps: [Int]

  init(_ window: Window) {
    self.window = window
    inputSteps = window.input.indices.map { window.input[($0 + 1)...].reduce(1, *) }
  }

  /// Calls `body` with each tap in the image and its place there.
  func forEachTap(of place: Int, _ body: (_ tap: Int, _ from: Int) -> Void) {
    var origin: [Int] = Array(repeating: 0, count: window.rank)
    var rest = place
    for axis in (0..<window.rank).reversed() {
      origin[axis] = rest % window.output[axis] * window.strides[axis] - window.begin[axis]
      rest /= window.output[axis]
    }
    for tap in 0..<window.tapCount {
      var (rest, from, isInside) = (tap, 0, true)
      for axis in (0..<window.rank).reversed() {
        let at = origin[axis] + rest % window.kernel[axis] * window.dilations[axis]
        rest /= window.kernel[axis]
        if !(0..<window.input[axis]).contains(at) { isInside = false }
        from += at * inputSteps[axis]
      }
      if isInside { body(tap, from) }
    }
  }
}
