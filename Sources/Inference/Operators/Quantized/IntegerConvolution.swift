internal import CKernels

/// ConvInteger and QLinearConv: a convolution of bytes less their zeros, summed in 32 bits, and in the
/// latter scaled to bytes again.
struct IntegerConvolution: Operator {
  let outputs: [ValueInfo]
  private let image: IntegerOperand
  private let kernel: IntegerOperand
  private let result: IntegerOperand?
  private let bias: Int?
  private let requantization: Requantization
  private let hasZerosOfRows: Bool
  private let window: Window
  private let groups: Int
  private let channels: Int
  private let filters: Int
  /// The constant kernels, less their zeros.
  private let kernels: TensorBuffer?

  static let integer: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...4)
    return try IntegerConvolution(
      node, IntegerOperand(input: 0, scale: nil, zero: 2),
      IntegerOperand(input: 1, scale: nil, zero: 3), nil, bias: nil)
  }

  static let scaled: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(8...9)
    return try IntegerConvolution(
      node, IntegerOperand(input: 0, scale: 1, zero: 2),
      IntegerOperand(input: 3, scale: 4, zero: 5), IntegerOperand(input: 0, scale: 6, zero: 7),
      bias: 8)
  }

  private init(
    _ node: Node, _ image: IntegerOperand, _ kernel: IntegerOperand, _ result: IntegerOperand?,
    bias: Int?
  ) throws(ModelError) {
    (self.image, self.kernel, self.result) = (image, kernel, result)
    let (input, weights) = (
      try node.input(image.input, .uint8, .int8), try node.input(kernel.input, .uint8, .int8)
    )
    let space = try node.space(of: input)
    groups = try node.int("group", default: 1)
    let dims = weights.shape.dims
    guard !weights.shape.isBatched, dims.count == space.count + 2 else {
      throw node.error(
        .unsupported, "weights of shape \(weights.shape) for an input of shape \(input.shape)")
    }
    (channels, filters) = (input.shape.dims[1], dims[0])
    guard groups > 0, filters > 0, filters % groups == 0, dims[1] > 0,
      channels == dims[1] * groups,
      try node.ints("kernel_shape") ?? Array(dims[2...]) == Array(dims[2...])
    else {
      throw node.error(
        .malformed,
        "weights of shape \(weights.shape) in \(groups) groups for \(channels) channels")
    }
    window = try node.window(over: space, kernel: Array(dims[2...]))
    hasZerosOfRows = try node.hasZerosOfRows(image, input)
    if !hasZerosOfRows { _ = try node.parameter(image.zero, counts: 1, input.type) }
    let zero = try node.parameter(kernel.zero, counts: filters, weights.type)
    _ = try node.parameter(image.scale, counts: 1, .float32)
    _ = try node.parameter(kernel.scale, counts: filters, .float32)
    let each = dims[1] * window.tapCount
    if let constant = weights.constant, zero == nil || zero?.constant != nil {
      let buffer = TensorBuffer(.int16, capacity: constant.count)
      IntegerOperand.widen(
        constant.view, count: constant.count, zeros: zero?.constant?.view, stretch: each,
        into: buffer.base.assumingMemoryBound(to: Int16.self))
      kernels = buffer
    } else {
      kernels = nil
    }
    let shape = Shape(
      [input.shape.dims[0], filters] + window.output, rowAxis: input.shape.rowAxis)
    try node.spend(shape.elementCount, each)
    guard let result else {
      self.bias = nil
      requantization = Requantization(isSigned: false)
      outputs = [try node.output(.int32, shape)]
      return
    }
    guard try node.parameter(result.scale, counts: 1, .float32) != nil,
      let type = try node.parameter(result.zero, counts: 1, .uint8, .int8)?.type
    else { throw node.error(.malformed, "no scale for the result") }
    let given = try node.parameter(bias, counts: filters, .int32)
    guard given == nil || given?.shape.elementCount == filters else {
      throw node.error(.malformed, "a bias for \(filters) filters")
    }
    self.bias = given == nil ? nil : bias
    requantization = Requantization(isSigned: type == .int8)
    outputs = [try node.output(type, shape)]
  }

  var constantByteCount: Int { (kernels?.capacity ?? 0) * 2 }

  /// Places that are computed at once: some that stay in a core's cache.
  private var block: Int {
    let depth = channels / groups * window.tapCount
    return max(1, min(window.outputCount, (1 << 16) / max(depth, 1)))
  }

  private var sizes: [Int] {
    let depth = channels / groups * window.tapCount
    return [
      IntegerOperand.byteCount(channels * window.inputCount, 2),
      IntegerOperand.byteCount(block * depth, 2),
      IntegerOperand.byteCount(filters / groups * block, 4),
      kernels == nil ? IntegerOperand.byteCount(filters * depth, 2) : 0,
    ]
  }

  func scratchByteCount(rows: Int) -> Int { sizes.reduce(0, +) }

  func run(_ call: Call) {
    let sizes = sizes
    let (input, weights) = (call.input(image.input), call.input(kernel.input))
    let pixels = call.scratch.assumingMemoryBound(to: Int16.self)
    let patches = (call.scratch + sizes[0]).assumingMemoryBound(to: Int16.self)
    let sums = (call.scratch + sizes[0] + sizes[1]).assumingMemoryBound(to: Int32.self)
    let (own, made, taps) = (channels / groups, filters / groups, window.tapCount)
    let depth = own * taps
    let matrix: UnsafeMutablePointer<Int16>
    if let kernels {
      matrix = kernels.base.assumingMemoryBound(to: Int16.self)
    } else {
      matrix = (call.scratch + sizes[0] + sizes[1] + sizes[2]).assumingMemoryBound(to: Int16.self)
      IntegerOperand.widen(
        weights, count: weights.count, zeros: self.input(call, kernel.zero), stretch: depth,
        into: matrix)
    }
    var shape = window.kernelWindow
    let plane = channels * window.inputCount
    let zeros = self.input(call, image.zero)
    for number in 0..<input.dims[0] {
      let zero = zeros.map { zeros in
        TensorView(
          type: zeros.type, dims: [],
          base: zeros.base + (hasZerosOfRows ? number * zeros.type.stride : 0))
      }
      IntegerOperand.widen(
        input, from: number * plane, count: plane, zeros: zero, stretch: 1, into: pixels)
      for group in 0..<groups {
        for first in stride(from: 0, to: window.outputCount, by: block) {
          let count = min(block, window.outputCount - first)
          ck_unroll_i16(
            &shape, pixels + group * own * window.inputCount, own, first, count, patches)
          ck_product_i16(
            matrix + group * made * depth, made, depth, patches, count, sums)
          for filter in 0..<made {
            let place = ((number * groups + group) * made + filter) * window.outputCount + first
            finish(
              call, sums + filter * count, count, filter: group * made + filter, at: place)
          }
        }
      }
    }
  }

  private func finish(
    _ call: Call, _ sums: UnsafeMutablePointer<Int32>, _ count: Int, filter: Int, at place: Int
  ) {
    guard let result else {
      (call.output(0).int32s + place).update(from: sums, count: count)
      return
    }
    guard let first = input(call, image.scale), let second = input(call, kernel.scale),
      let scale = input(call, result.scale), let zero = input(call, result.zero)
    else { return }
    let factor =
      first.floats[0] * second.floats[second.count == 1 ? 0 : filter] / scale.floats[0]
    let shift = zero.integer(0)
    let added = bias.flatMap { input(call, $0) }?.int32s[filter] ?? 0
    let out = call.output(0).base.assumingMemoryBound(to: UInt8.self) + place
    for i in 0..<count { out[i] = requantization.byte(sums[i] &+ added, factor, shift) }
  }

  private func input(_ call: Call, _ index: Int?) -> TensorView? {
    index.flatMap { $0 < call.inputs.count ? call.inputs[$0] : nil }
  }
}
