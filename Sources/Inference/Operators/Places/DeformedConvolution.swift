/// DeformConv: a convolution whose kernels take in places that other inputs move.
struct DeformedConvolution: Operator {
  let outputs: [ValueInfo]
  private let window: Window
  private let groups: Int
  private let offsetGroups: Int
  private let hasBias: Bool
  private let hasMask: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...5)
    let (info, weights, offset) = (
      try node.input(0, .float32, .float64), try node.input(1), try node.input(2)
    )
    let space = try node.space(of: info)
    let dims = weights.shape.dims
    guard space.count == 2, dims.count == 4, weights.type == info.type, offset.type == info.type,
      !weights.shape.isBatched
    else {
      throw node.error(
        .unsupported, "weights of shape \(weights.shape) for an input of shape \(info.shape)")
    }
    groups = try node.int("group", default: 1)
    offsetGroups = try node.int("offset_group", default: 1)
    let (channels, filters) = (info.shape.dims[1], dims[0])
    guard groups > 0, offsetGroups > 0, filters > 0, filters % groups == 0, dims[1] > 0,
      channels == dims[1] * groups, channels % offsetGroups == 0,
      try node.ints("kernel_shape") ?? Array(dims[2...]) == Array(dims[2...])
    else {
      throw node.error(
        .malformed, "weights of shape \(weights.shape) for \(channels) channels in groups")
    }
    window = try node.window(over: space, kernel: Array(dims[2...]))
    let (batch, rowAxis) = (info.shape.dims[0], info.shape.rowAxis)
    let moved = offsetGroups * window.tapCount
    guard offset.shape == Shape([batch, 2 * moved] + window.output, rowAxis: rowAxis) else {
      throw node.error(.malformed, "offsets of shape \(offset.shape) for \(info.shape)")
    }
    let bias = node.optionalInput(3)
    let mask = node.optionalInput(4)
    guard bias == nil || bias?.type == info.type && bias?.shape == Shape([filters]),
      mask == nil
        || mask?.type == info.type
          && mask?.shape == Shape([batch, moved] + window.output, rowAxis: rowAxis)
    else { throw node.error(.malformed, "a bias or mask that does not fit \(info.shape)") }
    (hasBias, hasMask) = (bias != nil, mask != nil)
    outputs = [
      try node.output(info.type, Shape([batch, filters] + window.output, rowAxis: rowAxis))
    ]
    try node.spend(outputs[0].shape.elementCount, dims[1] * window.tapCount, 8)
  }

  func run(_ call: Call) {
    let (input, weights, offsets, out) = (
      call.input(0), call.input(1), call.input(2), call.output(0)
    )
    let (channels, filters) = (input.dims[1], out.dims[1])
    let (own, made, taps) = (channels / groups, filters / groups, window.tapCount)
    let (plane, places) = (window.inputCount, window.outputCount)
    // What each tap of each channel takes in at a place.
    var taken = Array(repeating: 0.0, count: channels * taps)
    for image in 0..<input.dims[0] {
      for place in 0..<places {
        for tap in 0..<taps {
          let top = place / window.output[1] * window.strides[0] - window.begin[0]
          let left = place % window.output[1] * window.strides[1] - window.begin[1]
          for group in 0..<offsetGroups {
            let moved = (image * offsetGroups + group) * taps + tap
            let y =
              Double(top + tap / window.kernel[1] * window.dilations[0])
              + offsets.double(2 * moved * places + place)
            let x =
              Double(left + tap % window.kernel[1] * window.dilations[1])
              + offsets.double((2 * moved + 1) * places + place)
            let factor = hasMask ? call.input(4).double(moved * places + place) : 1
            let corners = corners(y, x)
            for channel
              in (group * channels / offsetGroups)..<((group + 1) * channels
              / offsetGroups)
            {
              let base = (image * channels + channel) * plane
              var sum = 0.0
              for (at, weight) in corners { sum += weight * input.double(base + at) }
              taken[channel * taps + tap] = sum * factor
            }
          }
        }
        for filter in 0..<filters {
          var sum = hasBias ? call.input(3).double(filter) : 0
          let first = filter / made * own * taps
          for k in 0..<(own * taps) {
            sum += weights.double(filter * own * taps + k) * taken[first + k]
          }
          out.set((image * filters + filter) * places + place, sum)
        }
      }
    }
  }

  /// The places around a point that are in the image, and how much each counts.
  private func corners(_ y: Double, _ x: Double) -> [(Int, Double)] {
    let (height, width) = (window.input[0], window.input[1])
    guard y > -1, x > -1, y < Double(height), x < Double(width) else { return [] }
    let (top, left) = (Int(y.rounded(.down)), Int(x.rounded(.down)))
    let (b, r) = (y - y.rounded(.down), x - x.rounded(.down))
    var list: [(Int, Double)] = []
    for (row, down) in [(top, 1 - b), (top + 1, b)] where (0..<height).contains(row) {
      for (column, across) in [(left, 1 - r), (left + 1, r)] where (0..<width).contains(column) {
        list.append((row * width + column, down * across))
      }
    }
    return list
  }
}
