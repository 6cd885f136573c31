/// A data movement whose elements come from places that are known for a shape: for each element of
/// the output the number of the input's element.
struct Rearrangement: Operator {
  let outputs: [ValueInfo]
  /// Sizes under which the input's elements are walked, the axes in the output's order, and
  /// the axis that rows are on.
  private let dims: [Int]
  private let order: [Int]
  private let rowAxis: Int?

  /// - Parameters:
  ///   - dims: The input's elements under another shape; rows stay on axis 0.
  ///   - order: The axes of that shape as the output has them, to be taken together.
  private init(
    _ node: Node, _ info: ValueInfo, dims: [Int], order: [Int], shape: [Int]
  ) throws(ModelError) {
    guard info.shape.rowAxis.map({ $0 == 0 && order[0] == 0 }) ?? true else {
      throw node.error(.unsupported, "input of shape \(info.shape) mixes rows")
    }
    (self.dims, self.order, rowAxis) = (dims, order, info.shape.rowAxis)
    outputs = [try node.output(info.type, Shape(shape, rowAxis: info.shape.rowAxis))]
  }

  static let depthToSpace: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    guard info.shape.rank == 4, let block = try node.int("blocksize"), block > 0 else {
      throw node.error(.malformed, "input of shape \(info.shape), or no block size")
    }
    let d = info.shape.dims
    let (area, overflow) = block.multipliedReportingOverflow(by: block)
    guard !overflow, d[1] % area == 0 else {
      throw node.error(.malformed, "\(d[1]) channels for blocks of \(block)")
    }
    let channels = d[1] / area
    let shape = [d[0], channels, d[2] * block, d[3] * block]
    return try node.string("mode", default: "DCR") == "DCR"
      ? Rearrangement(
        node, info, dims: [d[0], block, block, channels, d[2], d[3]],
        order: [0, 3, 4, 1, 5, 2], shape: shape)
      : Rearrangement(
        node, info, dims: [d[0], channels, block, block, d[2], d[3]],
        order: [0, 1, 4, 2, 5, 3], shape: shape)
  }

  static let spaceToDepth: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    guard info.shape.rank == 4, let block = try node.int("blocksize"), block > 0 else {
      throw node.error(.malformed, "input of shape \(info.shape), or no block size")
    }
    let d = info.shape.dims
    guard d[2] % block == 0, d[3] % block == 0 else {
      throw node.error(.malformed, "sizes \(d[2]) and \(d[3]) for blocks of \(block)")
    }
    let (height, width) = (d[2] / block, d[3] / block)
    let isDepthFirst = try node.string("mode", default: "DCR") == "DCR"
    return try Rearrangement(
      node, info, dims: [d[0], d[1], height, block, width, block],
      order: isDepthFirst ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4],
      shape: [d[0], d[1] * block * block, height, width])
  }

  func run(_ call: Call) {
    let copy = ElementCopy(call.input(0), call.output(0))
    var sizes = dims
    if rowAxis != nil { sizes[0] *= call.rowCount }
    let strides = StridedWalk.strides(sizes)
    StridedWalk.forEach(order.map { sizes[$0] }, order.map { strides[$0] }) {
      copy(from: $1, to: $0)
    }
  }
}

/// ReverseSequence: the first so many places of an axis in reverse, for each place of another.
struct ReverseSequence: Operator {
  let outputs: [ValueInfo]
  private let batchAxis: Int
  private let timeAxis: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    let (info, lengths) = (try node.input(0), try node.input(1, .int64))
    let rank = info.shape.rank
    batchAxis = try node.axis(node.int("batch_axis", default: 1), rank: rank)
    timeAxis = try node.axis(node.int("time_axis", default: 0), rank: rank)
    guard batchAxis != timeAxis, lengths.shape.rank == 1,
      lengths.shape.dims[0] == info.shape.dims[batchAxis], info.shape.rowAxis != timeAxis,
      lengths.shape.isBatched == (info.shape.rowAxis == batchAxis)
    else {
      throw node.error(
        .unsupported, "lengths of shape \(lengths.shape) for an input of shape \(info.shape)")
    }
    name = node.name
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, lengths, out) = (call.input(0), call.input(1), call.output(0))
    let copy = ElementCopy(input, out)
    let strides = StridedWalk.strides(input.dims)
    let size = input.dims[timeAxis]
    for element in 0..<input.count {
      let batch = element / strides[batchAxis] % input.dims[batchAxis]
      let time = element / strides[timeAxis] % size
      let length = lengths.integer(batch)
      guard (0...size).contains(length) else {
        call.failures.add(
          row: lengths.count == call.rowCount ? batch : 0, .wrongType,
          "a length is beyond \(size) (node \"\(name)\")")
        continue
      }
      let from = time < length ? length - 1 - time : time
      copy(from: element + (from - time) * strides[timeAxis], to: element)
    }
  }
}

/// CenterCropPad: the middle of axes that are too long, zeros around those that are too short.
enum CenterCropPad {
  static let factory: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let rank = info.shape.rank
    guard let sizes = try node.constantInts(input: 1) else {
      throw node.error(.malformed, "no shape")
    }
    let axes = try (node.ints("axes") ?? Array(0..<rank)).map { axis throws(ModelError) in
      try node.axis(axis, rank: rank)
    }
    guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 0 && $0 <= 1 << 40 }) else {
      throw node.error(.malformed, "\(sizes.count) sizes for \(axes.count) axes")
    }
    var first = Array(repeating: Int64(0), count: rank)
    var last = first
    for (axis, size) in zip(axes, sizes) {
      let difference = size - info.shape.dims[axis]
      // An odd element goes to the end of what is padded and is left at the end of what is cut.
      let before = difference >= 0 ? difference / 2 : -(-difference / 2)
      first[axis] = Int64(before)
      last[axis] = Int64(difference - before)
    }
    return try Pad(
      node.with(
        type: "Pad", attributes: [:],
        inputs: [info, ValueInfo(constant: Tensor(first + last)), nil]))
  }
}

/// Dropout at inference: the input as it is, and a mask of what was kept: all.
struct Dropout: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    if let training = node.optionalInput(2) {
      guard let constant = training.constant, constant.type == .bool, constant.count == 1 else {
        throw node.error(.unsupported, "training that is not constant is not supported")
      }
      let ratio = node.optionalInput(1).map { $0.constant?.doubles?.first } ?? 0.5
      guard !constant.view.bools[0] || ratio == 0 else {
        throw node.error(.unsupported, "training is not supported")
      }
    }
    outputs = [
      try node.output(info.type, info.shape),
      try node.output(node.opset < 10 ? info.type : .bool, info.shape),
    ]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    ElementCopy(input, call.output(0))(from: 0, to: 0, count: input.count)
    for index in 0..<input.count { call.output(1).set(index, 1) }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    input == 0 ? outputs[0] : Array(repeating: false, count: count)
  }
}
