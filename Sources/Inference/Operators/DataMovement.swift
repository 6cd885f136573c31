internal import CKernels

/// An operator that only moves elements of its inputs, whatever their type.
///
/// Everything that decides where they go is known at load.
protocol DataMovement: PassesElements {
  /// Which inputs hold the elements that move.
  func movesInput(_ index: Int) -> Bool
}

extension DataMovement {
  func movesInput(_ index: Int) -> Bool { index == 0 }

  /// Moves the numbers of the elements instead of the elements, for one row, and looks where they
  /// came to.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    var result = Array(repeating: movesInput(input), count: count)
    guard movesInput(input), let shapes = inputShapes else {
      return Array(repeating: false, count: count)
    }
    let numbers = shapes.enumerated().map { index, shape in
      let size = shape.elementCount
      return Tensor(
        (0..<size).map { index == input ? Int64($0) : -1 }, dims: shape.dims)
    }
    let targets = self.outputs.map { info in
      Tensor(
        dims: info.shape.dims, buffer: TensorBuffer(.int64, capacity: info.shape.elementCount))
    }
    withExtendedLifetime((numbers, targets)) {
      run(
        Call(
          rowCount: 1, inputs: numbers.map(\.view), outputs: targets.map(\.view),
          scratch: targets[0].buffer.base, failures: RowFailures()))
    }
    for (target, mask) in zip(targets, outputs) {
      for (element, mayBe) in zip(target.values(as: Int64.self), mask)
      where !mayBe && element >= 0 {
        result[Int(element)] = false
      }
    }
    return result
  }
}

extension Operator {
  /// Shapes of the inputs, where a data movement knows them.
  fileprivate var inputShapes: [Shape]? { (self as? any KnowsInputShapes)?.shapes }
}

/// A data movement that remembers the shapes that it was made for.
protocol KnowsInputShapes {
  var shapes: [Shape] { get }
}

/// Copies elements between tensors of one type.
struct ElementCopy {
  private let from: UnsafeMutableRawPointer
  private let to: UnsafeMutableRawPointer
  private let stride: Int
  private let isText: Bool

  init(_ from: TensorView, _ to: TensorView) {
    precondition(from.type == to.type)
    (self.from, self.to) = (from.base, to.base)
    stride = from.type.stride
    isText = from.type == .string
  }

  func callAsFunction(from source: Int, to target: Int, count: Int = 1) {
    if isText {
      let strings = from.assumingMemoryBound(to: String.self)
      (to.assumingMemoryBound(to: String.self) + target).update(
        from: strings + source, count: count)
    } else {
      (to + target * stride).copyMemory(from: from + source * stride, byteCount: count * stride)
    }
  }
}

/// Concat: inputs one after the other along an axis.
struct Concat: DataMovement, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]
  let axis: Int

  init(_ node: Node) throws(ModelError) {
    let first = try node.input(0)
    guard let given = try node.int("axis") else { throw node.error(.malformed, "no axis") }
    let axis = try node.axis(given, rank: first.shape.rank)
    var shapes: [Shape] = []
    var size = 0
    for index in node.inputs.indices {
      let info = try node.input(index)
      var (own, wanted) = (info.shape.dims, first.shape.dims)
      guard own.count == wanted.count else {
        throw node.error(
          .malformed, "input \(index) of shape \(info.shape) does not fit \(first.shape)")
      }
      (own[axis], wanted[axis]) = (0, 0)
      guard own == wanted, info.type == first.type, info.shape.rowAxis == first.shape.rowAxis
      else {
        throw node.error(
          .malformed, "input \(index) of shape \(info.shape) does not fit \(first.shape)")
      }
      let (sum, overflow) = size.addingReportingOverflow(info.shape.dims[axis])
      guard !overflow else { throw node.error(.tooLarge, "the axis is too long") }
      size = sum
      shapes.append(info.shape)
    }
    guard first.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows are put after each other")
    }
    var dims = first.shape.dims
    dims[axis] = size
    self.shapes = shapes
    self.axis = axis
    outputs = [try node.output(first.type, Shape(dims, rowAxis: first.shape.rowAxis))]
  }

  func movesInput(_ index: Int) -> Bool { true }

  func run(_ call: Call) {
    let out = call.output(0)
    let outer = out.dims[..<axis].reduce(1, *)
    let total = out.dims[axis...].reduce(1, *)
    var offset = 0
    for input in call.inputs {
      guard let input else { continue }
      let copy = ElementCopy(input, out)
      let size = input.dims[axis...].reduce(1, *)
      for i in 0..<outer { copy(from: i * size, to: i * total + offset, count: size) }
      offset += size
    }
  }
}

/// Split: a tensor cut along an axis.
struct Split: DataMovement, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]
  private let axis: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let axis = try node.axis(node.int("axis", default: 0), rank: info.shape.rank)
    guard info.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows are split from each other")
    }
    let size = info.shape.dims[axis]
    var parts: [Int] = []
    if let given = try node.opset >= 13 ? node.constantInts(input: 1) : node.ints("split") {
      parts = given
    } else {
      let count = try node.int("num_outputs", default: node.wantsOutput.count)
      guard count > 0, count <= max(size, 1) else {
        throw node.error(.malformed, "\(count) parts of \(size)")
      }
      let each = (size + count - 1) / count
      parts = (0..<count).map { max(0, min(each, size - $0 * each)) }
    }
    guard parts.allSatisfy({ (0...size).contains($0) }), parts.reduce(0, +) == size else {
      throw node.error(.malformed, "the parts are not \(size) in all")
    }
    self.axis = axis
    shapes = [info.shape]
    var outputs: [ValueInfo] = []
    for part in parts {
      var dims = info.shape.dims
      dims[axis] = part
      outputs.append(try node.output(info.type, Shape(dims, rowAxis: info.shape.rowAxis)))
    }
    self.outputs = outputs
  }

  func run(_ call: Call) {
    let input = call.input(0)
    let outer = input.dims[..<axis].reduce(1, *)
    let total = input.dims[axis...].reduce(1, *)
    var offset = 0
    for out in call.outputs {
      let copy = ElementCopy(input, out)
      let size = out.dims[axis...].reduce(1, *)
      for i in 0..<outer { copy(from: i * total + offset, to: i * size, count: size) }
      offset += size
    }
  }
}

/// Slice: every so-many-th element between two bounds of some axes.
struct Slice: DataMovement, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]
  /// For each axis the first element and the step.
  private let starts: [Int]
  private let steps: [Int]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let rank = info.shape.rank
    let isOld = node.opset < 10
    guard let first = try isOld ? node.ints("starts") : node.constantInts(input: 1),
      let last = try isOld ? node.ints("ends") : node.constantInts(input: 2)
    else { throw node.error(.malformed, "no starts or no ends") }
    let axes =
      try (isOld ? node.ints("axes") : node.constantInts(input: 3)) ?? Array(0..<first.count)
    let by =
      try (isOld ? nil : node.constantInts(input: 4)) ?? Array(repeating: 1, count: first.count)
    guard last.count == first.count, axes.count == first.count, by.count == first.count else {
      throw node.error(.malformed, "starts, ends, axes and steps are not as many")
    }
    var starts = Array(repeating: 0, count: rank)
    var steps = Array(repeating: 1, count: rank)
    var dims = info.shape.dims
    for index in axes.indices {
      let axis = try node.axis(axes[index], rank: rank)
      let (size, step) = (info.shape.dims[axis], by[index])
      guard step != 0, step != .min else { throw node.error(.malformed, "a step is \(step)") }
      if axis == info.shape.rowAxis {
        guard first[index] == 0, last[index] >= Int(Int32.max), step == 1 else {
          throw node.error(.unsupported, "rows are cut off")
        }
        continue
      }
      // A bound may count from the end and lie beyond it.
      func bound(_ value: Int, _ range: ClosedRange<Int>) -> Int {
        let place = value < 0 ? value.addingReportingOverflow(size).partialValue : value
        return min(max(place, range.lowerBound), range.upperBound)
      }
      guard size > 0 else { continue }
      if step > 0 {
        starts[axis] = bound(first[index], 0...size)
        let end = bound(last[index], 0...size)
        dims[axis] = end <= starts[axis] ? 0 : (end - starts[axis] - 1) / step + 1
      } else {
        starts[axis] = bound(first[index], 0...(size - 1))
        let end = last[index] < -size ? -1 : bound(last[index], -1...(size - 1))
        dims[axis] = starts[axis] <= end ? 0 : (starts[axis] - end - 1) / -step + 1
      }
      steps[axis] = step
    }
    (self.starts, self.steps) = (starts, steps)
    shapes = [info.shape]
    outputs = [try node.output(info.type, Shape(dims, rowAxis: info.shape.rowAxis))]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let copy = ElementCopy(input, out)
    let strides = StridedWalk.strides(input.dims)
    let origin = zip(starts, strides).reduce(0) { $0 + $1.0 * $1.1 }
    StridedWalk.forEach(out.dims, zip(steps, strides).map(*)) { target, offset in
      copy(from: origin + offset, to: target)
    }
  }
}

/// Transpose: axes in another order.
struct Transpose: DataMovement, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]
  private let permutation: [Int]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let rank = info.shape.rank
    let permutation = try node.ints("perm") ?? Array((0..<rank).reversed())
    guard permutation.sorted() == Array(0..<rank) else {
      throw node.error(.malformed, "perm is not an order of \(rank) axes")
    }
    self.permutation = permutation
    shapes = [info.shape]
    outputs = [
      try node.output(
        info.type,
        Shape(
          permutation.map { info.shape.dims[$0] },
          rowAxis: info.shape.rowAxis.flatMap { permutation.firstIndex(of: $0) }))
    ]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let strides = StridedWalk.strides(input.dims)
    if input.type != .string, permutation.count <= Int(CK_MAX_AXES) {
      ck_permute(
        input.base, input.type.stride, permutation.count, out.dims.map(Int64.init),
        permutation.map { Int64(strides[$0]) }, out.base)
      return
    }
    let copy = ElementCopy(input, out)
    StridedWalk.forEach(out.dims, permutation.map { strides[$0] }) { target, offset in
      copy(from: offset, to: target)
    }
  }
}

/// A walk over the elements of a tensor in order, with an offset into another one.
enum StridedWalk {
  /// Elements from one place of an axis to the next.
  static func strides(_ dims: [Int]) -> [Int] {
    var result = dims
    var stride = 1
    for axis in dims.indices.reversed() {
      result[axis] = stride
      stride *= dims[axis]
    }
    return result
  }

  /// Calls `body` with each element's number and the sum of its places times `steps`.
  static func forEach(_ dims: [Int], _ steps: [Int], _ body: (Int, Int) -> Void) {
    let count = dims.reduce(1, *)
    guard count > 0 else { return }
    var places = Array(repeating: 0, count: dims.count)
    var offset = 0
    for element in 0..<count {
      body(element, offset)
      var axis = dims.count - 1
      while axis >= 0 {
        places[axis] += 1
        offset += steps[axis]
        if places[axis] < dims[axis] { break }
        offset -= steps[axis] * dims[axis]
        places[axis] = 0
        axis -= 1
      }
    }
  }
}

/// Expand and Tile: elements repeated along axes.
struct Repeat: DataMovement, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]

  private init(_ node: Node, _ info: ValueInfo, _ shape: Shape) throws(ModelError) {
    shapes = [info.shape]
    outputs = [try node.output(info.type, shape)]
  }

  /// Expand: to the shape that the input and the given one broadcast to.
  static let expand: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let extents = try node.knownExtents(input: 1)
    let wanted = try node.shape(of: extents)
    guard let shape = info.shape.broadcast(with: wanted) else {
      throw node.error(
        .malformed, "input of shape \(info.shape) does not expand to \(wanted)")
    }
    return try Repeat(node, info, shape)
  }

  /// Tile: as often along each axis as the input says.
  static let tile: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let repeats = try node.constantInts(input: 1) ?? []
    guard repeats.count == info.shape.rank, repeats.allSatisfy({ $0 >= 0 }) else {
      throw node.error(.malformed, "\(repeats.count) repeats for shape \(info.shape)")
    }
    var dims = info.shape.dims
    for (axis, times) in repeats.enumerated() where times != 1 {
      guard axis != info.shape.rowAxis else {
        throw node.error(.unsupported, "rows are repeated")
      }
      let (size, overflow) = dims[axis].multipliedReportingOverflow(by: times)
      guard !overflow else { throw node.error(.tooLarge, "the output is too large") }
      dims[axis] = size
    }
    return try Repeat(node, info, Shape(dims, rowAxis: info.shape.rowAxis))
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let copy = ElementCopy(input, out)
    let extra = out.dims.count - input.dims.count
    let strides = StridedWalk.strides(input.dims)
    let sizes = Array(repeating: 1, count: extra) + input.dims
    let steps = Array(repeating: 0, count: extra) + strides
    let outSteps = StridedWalk.strides(out.dims)
    guard input.count > 0 else { return }
    for element in 0..<out.count {
      var (rest, offset) = (element, 0)
      for axis in out.dims.indices {
        let place = rest / outSteps[axis]
        rest -= place * outSteps[axis]
        offset += place % sizes[axis] * steps[axis]
      }
      copy(from: offset, to: element)
    }
  }
}
