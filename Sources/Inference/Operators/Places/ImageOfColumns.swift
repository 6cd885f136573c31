/// Col2Im: the sum of blocks at their places in an image.
struct ImageOfColumns: Operator {
  let outputs: [ValueInfo]
  /// From the image to its blocks.
  private let window: Window

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let info = try node.input(0, .float32, .float64)
    guard let space = try node.constantInts(input: 1), let kernel = try node.constantInts(input: 2),
      !space.isEmpty, space.count == kernel.count, space.allSatisfy({ $0 > 0 }),
      info.shape.rank == 3, info.shape.rowAxis == nil || info.shape.rowAxis == 0
    else {
      throw node.error(.malformed, "blocks of an image of input of shape \(info.shape)")
    }
    try node.check(space)
    window = try node.window(over: space, kernel: kernel)
    let taps = window.tapCount
    guard taps <= info.shape.dims[1], info.shape.dims[1] % taps == 0,
      info.shape.dims[2] == window.outputCount
    else {
      throw node.error(
        .malformed, "\(info.shape) is not \(window.outputCount) blocks of shape \(kernel)")
    }
    outputs = [
      try node.output(
        info.type,
        Shape([info.shape.dims[0], info.shape.dims[1] / taps] + space, rowAxis: info.shape.rowAxis))
    ]
    try node.spend(info.shape.elementCount, 4)
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let walk = WindowWalk(window)
    let (taps, blocks, places) = (window.tapCount, window.outputCount, window.inputCount)
    var sums = Array(repeating: 0.0, count: places)
    for plane in 0..<(out.dims[0] * out.dims[1]) {
      for index in sums.indices { sums[index] = 0 }
      for block in 0..<blocks {
        walk.forEachTap(of: block) { tap, place in
          sums[place] += input.double((plane * taps + tap) * blocks + block)
        }
      }
      for index in sums.indices { out.set(plane * places + index, sums[index]) }
    }
  }
}

/// MaxUnpool: what MaxPool has found, at its places in an image of zeros.
struct MaxUnpooling: Operator {
  let outputs: [ValueInfo]
  private let pooled: [Int]

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...3)
    let (info, places) = (try node.input(0), try node.input(1, .int64))
    let space = try node.space(of: info)
    guard info.type.isNumeric, !info.shape.isBatched, places.shape == info.shape,
      let kernel = try node.ints("kernel_shape"), kernel.count == space.count
    else {
      // Places count all rows.
      throw node.error(.unsupported, "inputs of shapes \(info.shape) and \(places.shape)")
    }
    let strides = try node.sizes("strides", rank: space.count)
    let (begin, end) = try node.pads(rank: space.count)
    pooled =
      Array(info.shape.dims[..<2])
      + space.indices.map { axis in
        (space[axis] - 1) * strides[axis] - begin[axis] - end[axis] + kernel[axis]
      }
    try node.check(pooled)
    let dims = try node.constantInts(input: 2) ?? pooled
    guard dims.count == pooled.count, zip(dims, pooled).allSatisfy({ $0 >= $1 }) else {
      throw node.error(.malformed, "an output of shape \(dims) for one of \(pooled)")
    }
    outputs = [try node.output(info.type, Shape(dims))]
  }

  func run(_ call: Call) {
    let (input, places, out) = (call.input(0), call.input(1), call.output(0))
    let count = pooled.reduce(1, *)
    for index in 0..<out.count { out.set(index, 0) }
    for index in 0..<input.count {
      let place = Int(places.int64s[index])
      guard (0..<count).contains(place) else {
        call.failures.add(row: 0, .wrongType, "place \(place) is not in an image of \(count)")
        continue
      }
      var (rest, at, step) = (place, 0, 1)
      for axis in pooled.indices.reversed() {
        at += rest % pooled[axis] * step
        step *= out.dims[axis]
        rest /= pooled[axis]
      }
      out.set(at, input.double(index))
    }
  }
}
