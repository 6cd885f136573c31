internal import CKernels

/// ConvTranspose: each element of the input spreads a kernel over the output.
struct TransposedConvolution: Operator {
  let outputs: [ValueInfo]
  /// The window of the convolution that leads from the output back to the input.
  let window: Window
  let groups: Int
  let channels: Int
  let filters: Int

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...3)
    let (input, weights) = (try node.input(0, .float32, .float64), try node.input(1))
    let space = try node.space(of: input)
    let rank = space.count
    groups = try node.int("group", default: 1)
    let dims = weights.shape.dims
    guard weights.type == input.type, !weights.shape.isBatched, dims.count == rank + 2 else {
      throw node.error(
        .unsupported, "weights of shape \(weights.shape) for an input of shape \(input.shape)")
    }
    channels = input.shape.dims[1]
    filters = dims[1] * max(groups, 0)
    guard groups > 0, channels > 0, dims[0] == channels, channels % groups == 0, filters > 0 else {
      throw node.error(
        .malformed,
        "weights of shape \(weights.shape) in \(groups) groups for \(channels) channels")
    }
    window = try Self.window(node, space: space, kernel: Array(dims[2...]))
    if let bias = node.optionalInput(2) {
      guard bias.type == input.type, bias.shape.dims == [filters], !bias.shape.isBatched else {
        throw node.error(.malformed, "a bias of shape \(bias.shape) for \(filters) filters")
      }
    }
    outputs = [
      try node.output(
        input.type,
        Shape([input.shape.dims[0], filters] + window.input, rowAxis: input.shape.rowAxis))
    ]
    try node.spend(outputs[0].shape.elementCount, dims[1] * window.tapCount)
  }

  private static func window(
    _ node: Node, space: [Int], kernel: [Int]
  ) throws(ModelError) -> Window {
    let rank = space.count
    guard try node.ints("kernel_shape") ?? kernel == kernel,
      kernel.allSatisfy({ (1...(1 << 24)).contains($0) })
    else { throw node.error(.malformed, "a kernel_shape that the weights have not") }
    let strides = try node.sizes("strides", rank: rank)
    let dilations = try node.sizes("dilations", rank: rank)
    var (begin, end) = try node.pads(rank: rank)
    let extra = try node.ints("output_padding") ?? Array(repeating: 0, count: rank)
    let asked = try node.ints("output_shape")?.suffix(rank)
    let automatic = try node.string("auto_pad", default: "NOTSET")
    guard extra.count == rank, extra.allSatisfy({ (0...(1 << 24)).contains($0) }),
      asked.map({ $0.count == rank && $0.allSatisfy { (1...(1 << 24)).contains($0) } }) ?? true
    else { throw node.error(.malformed, "output_padding or output_shape of another rank") }
    var output: [Int] = []
    for axis in 0..<rank {
      let extent = (kernel[axis] - 1) * dilations[axis] + 1
      let (span, overflow) = (max(space[axis], 1) - 1).multipliedReportingOverflow(
        by: strides[axis])
      guard !overflow, span < 1 << 40 else {
        throw node.error(.tooLarge, "the output is too large")
      }
      let full = span + extra[axis] + extent
      let size: Int? =
        if let asked {
          asked[asked.startIndex + axis]
        } else if automatic.hasPrefix("SAME") {
          space[axis] * strides[axis]
        } else {
          nil
        }
      if let size {
        let total = full - size
        let half = max(total, 0) / 2
        let isUpper = automatic == "SAME_UPPER" || automatic == "NOTSET" && asked == nil
        begin[axis] = isUpper ? half : max(total, 0) - half
        end[axis] = total - begin[axis]
        output.append(size)
      } else {
        if automatic == "VALID" { (begin[axis], end[axis]) = (0, 0) }
        output.append(full - begin[axis] - end[axis])
      }
      guard output[axis] > 0 else {
        throw node.error(.malformed, "pads leave nothing of the output")
      }
    }
    return Window(
      input: output, output: space, kernel: kernel, strides: strides, dilations: dilations,
      begin: begin, end: end)
  }

  func run(_ call: Call) {
    let (input, weights, out) = (call.input(0), call.input(1), call.output(0))
    let bias = call.inputs.count > 2 ? call.inputs[2] : nil
    let (own, made) = (channels / groups, filters / groups)
    let (plane, taps) = (window.inputCount, window.tapCount)
    var shape = window.kernelWindow
    let walk = WindowWalk(window)
    for image in 0..<input.dims[0] {
      for filter in 0..<filters {
        let to = (image * filters + filter) * plane
        for index in 0..<plane {
          if out.type == .float32 {
            out.floats[to + index] = bias?.floats[filter] ?? 0
          } else {
            out.doubles[to + index] = bias?.doubles[filter] ?? 0
          }
        }
        for channel in (filter / made * own)..<((filter / made + 1) * own) {
          let from = (image * channels + channel) * window.outputCount
          let kernel = (channel * made + filter % made) * taps
          if out.type == .float32 {
            ck_spread_plane_f32(
              &shape, input.floats + from, weights.floats + kernel, out.floats + to)
          } else {
            for place in 0..<window.outputCount {
              walk.forEachTap(of: place) { tap, at in
                out.doubles[to + at] += input.doubles[from + place] * weights.doubles[kernel + tap]
              }
            }
          }
        }
      }
    }
  }
}
