/// Range: numbers from a start to a limit, in steps.
enum NumberRange {
  static let factory: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(3...3)
    let start = try node.input(0)
    guard let first = start.constant, let limit = try node.input(1).constant,
      let step = try node.input(2).constant, first.count == 1, limit.count == 1, step.count == 1,
      first.type == limit.type, first.type == step.type, let from = first.doubles?.first,
      let to = limit.doubles?.first, let by = step.doubles?.first
    else { throw node.error(.unsupported, "bounds that are not constant are not supported") }
    let exact = ((to - from) / by).rounded(.up)
    guard exact.isFinite, let count = Int(exactly: max(exact, 0)) else {
      throw node.error(.malformed, "a range without end")
    }
    try node.check([count])
    let result = Tensor(dims: [count], buffer: TensorBuffer(start.type, capacity: count))
    if start.type.isInteger {
      let (base, delta) = (first.view.integer(0), step.view.integer(0))
      fill(result.view, start.type, count) { base &+ $0 &* delta }
    } else {
      for index in 0..<count { result.view.set(index, from + Double(index) * by) }
    }
    return Computed(outputs: [ValueInfo(constant: result)])
  }

  private static func fill(
    _ view: TensorView, _ type: TensorType, _ count: Int, _ value: (Int) -> Int
  ) {
    func write<T: IntegerElement>(_ type: T.Type) {
      let target: UnsafeMutablePointer<T> = view.pointer()
      for index in 0..<count { target[index] = T(truncatingIfNeeded: value(index)) }
    }
    if let integer = type.integer { write(integer) }
  }
}

/// An operator whose results are known as soon as its inputs are.
struct Computed: Operator {
  let outputs: [ValueInfo]

  func run(_ call: Call) {
    for (info, out) in zip(outputs, call.outputs) {
      guard let tensor = info.constant else { continue }
      ElementCopy(tensor.view, out)(from: 0, to: 0, count: tensor.count)
    }
  }
}

/// Size: how many elements there are.
struct SizeOf: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let shape = try node.input(0).shape
    let count = shape.elementCount
    outputs = [
      ValueInfo(
        .int64, Shape([]), constant: shape.isBatched ? nil : Tensor(count),
        extents: [shape.isBatched ? .rows(count) : .fixed(count)])
    ]
  }

  func run(_ call: Call) { call.output(0).int64s[0] = Int64(call.input(0).count) }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: true, count: count)
  }
}

/// EyeLike: ones on a diagonal.
struct EyeLike: Operator {
  let outputs: [ValueInfo]
  private let offset: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard info.shape.rank == 2, !info.shape.isBatched else {
      throw node.error(.unsupported, "input of shape \(info.shape) is not a fixed matrix")
    }
    let code = try node.int("dtype", default: info.type.rawValue)
    guard let type = TensorType(rawValue: code), type != .string else {
      throw node.error(.unsupported, "type \(OnnxTypes.name(Int64(code))) is not supported")
    }
    offset = try node.int("k", default: 0)
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let out = call.output(0)
    let columns = out.dims[1]
    for row in 0..<out.dims[0] {
      for column in 0..<columns {
        out.set(row * columns + column, column &- row == offset ? 1 : 0)
      }
    }
  }
}

/// OneHot: a value in the place that an element names, another one elsewhere.
struct OneHot: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let depth: Int

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let (places, values) = (try node.input(0), try node.input(2))
    guard let given = try node.input(1).constant?.doubles, given.count == 1,
      let depth = Int(exactly: given[0].rounded(.towardZero)), depth >= 0
    else { throw node.error(.unsupported, "a depth that is not constant is not supported") }
    guard values.shape.dims == [2], !values.shape.isBatched, places.type.isNumeric else {
      throw node.error(.malformed, "values of shape \(values.shape) are not two")
    }
    let rank = places.shape.rank
    let axis = try node.axis(node.int("axis", default: -1), rank: rank + 1)
    var dims = places.shape.dims
    dims.insert(depth, at: axis)
    (self.axis, self.depth) = (axis, depth)
    outputs = [
      try node.output(
        values.type, Shape(dims, rowAxis: places.shape.rowAxis.map { $0 < axis ? $0 : $0 + 1 }))
    ]
  }

  func run(_ call: Call) {
    let (places, values, out) = (call.input(0), call.input(2), call.output(0))
    let copy = ElementCopy(values, out)
    let inner = places.dims[axis...].reduce(1, *)
    for index in 0..<places.count {
      let (outer, rest) = index.quotientAndRemainder(dividingBy: inner)
      // A place may count from the end; one that is beyond has no value on.
      let given = places.double(index).rounded(.towardZero)
      let place = given < 0 ? given + Double(depth) : given
      for step in 0..<depth {
        copy(
          from: Double(step) == place ? 1 : 0, to: (outer * depth + step) * inner + rest)
      }
    }
  }
}

/// Trilu: the upper or lower triangle of matrices, zeros elsewhere.
struct Triangle: Operator {
  let outputs: [ValueInfo]
  private let isUpper: Bool
  private let offset: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard info.shape.rank >= 2, info.type != .string,
      info.shape.rowAxis.map({ $0 < info.shape.rank - 2 }) ?? true
    else { throw node.error(.unsupported, "input of shape \(info.shape) has no matrices") }
    offset = try node.constantInts(input: 1)?.first ?? 0
    isUpper = try node.int("upper", default: 1) != 0
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let copy = ElementCopy(input, out)
    let (rows, columns) = (out.dims[out.dims.count - 2], out.dims[out.dims.count - 1])
    let stride = out.type.stride
    for index in 0..<out.count {
      let (row, column) = (index / columns % rows, index % columns)
      let (distance, overflow) = (column - row).subtractingReportingOverflow(offset)
      let isKept = overflow ? (offset < 0) == isUpper : (isUpper ? distance >= 0 : distance <= 0)
      if isKept {
        copy(from: index, to: index)
      } else {
        (out.base + index * stride).initializeMemory(as: UInt8.self, repeating: 0, count: stride)
      }
    }
  }
}

/// Pad: elements put around a tensor along its axes, or taken away where a size is negative.
struct Pad: Operator {
  enum Mode: Sendable { case constant, reflect, edge, wrap }

  let outputs: [ValueInfo]
  private let before: [Int]
  private let mode: Mode
  private let value: Double

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let rank = info.shape.rank
    let isOld = node.opset < 11
    guard
      let given = try isOld
        ? node.ints(node.opset < 2 ? "paddings" : "pads") : node.constantInts(input: 1)
    else { throw node.error(.malformed, "no pads") }
    let axes =
      try isOld ? nil : node.constantInts(input: 3)
    let places = try (axes ?? Array(0..<rank)).map { axis throws(ModelError) in
      try node.axis(axis, rank: rank)
    }
    guard given.count == 2 * places.count, Set(places).count == places.count else {
      throw node.error(.malformed, "\(given.count) pads for \(places.count) axes")
    }
    switch try node.string("mode", default: "constant") {
    case "constant": mode = .constant
    case "reflect": mode = .reflect
    case "edge": mode = .edge
    case "wrap": mode = .wrap
    case let name: throw node.error(.malformed, "mode \"\(name)\" is not known")
    }
    var before = Array(repeating: 0, count: rank)
    var dims = info.shape.dims
    for (index, axis) in places.enumerated() {
      let (first, last) = (given[index], given[places.count + index])
      guard axis != info.shape.rowAxis || first == 0 && last == 0 else {
        throw node.error(.unsupported, "rows are put around rows")
      }
      let (sum, overflow) = dims[axis].addingReportingOverflow(first)
      let (size, beyond) = sum.addingReportingOverflow(last)
      guard !overflow, !beyond, size >= 0, mode == .constant || dims[axis] > 0 || size == 0 else {
        throw node.error(.malformed, "an axis of \(dims[axis]) is padded by \(first) and \(last)")
      }
      before[axis] = first
      dims[axis] = size
    }
    self.before = before
    if isOld {
      try node.checkInputs(1...1)
      value = Double(try node.float("value", default: 0))
    } else if let filler = node.optionalInput(2) {
      guard filler.type == info.type, !filler.shape.isBatched, filler.shape.elementCount == 1
      else {
        throw node.error(
          .malformed,
          "a value of type \(filler.type.onnxName) and shape \(filler.shape) is not one element")
      }
      value = 0
    } else {
      value = 0
    }
    outputs = [try node.output(info.type, Shape(dims, rowAxis: info.shape.rowAxis))]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let copy = ElementCopy(input, out)
    let filler = call.inputs.count > 2 ? call.inputs[2] : nil
    let fill = filler.map { ElementCopy($0, out) }
    let (sizes, steps) = (input.dims, StridedWalk.strides(input.dims))
    let outSteps = StridedWalk.strides(out.dims)
    for element in 0..<out.count {
      var offset: Int? = 0
      for axis in sizes.indices {
        let place = element / outSteps[axis] % out.dims[axis] - before[axis]
        guard let from = source(place, sizes[axis]) else {
          offset = nil
          break
        }
        offset = offset.map { $0 + from * steps[axis] }
      }
      if let offset {
        copy(from: offset, to: element)
      } else if let fill {
        fill(from: 0, to: element)
      } else if out.type == .string {
        out.strings[element] = ""
      } else {
        out.set(element, value)
      }
    }
  }

  /// Where an element of an axis comes from; nil for the value.
  private func source(_ place: Int, _ size: Int) -> Int? {
    if (0..<size).contains(place) { return place }
    switch mode {
    case .constant: return nil
    case .edge: return place < 0 ? 0 : size - 1
    case .wrap: return ((place % size) + size) % size
    case .reflect:
      guard size > 1 else { return 0 }
      let period = 2 * (size - 1)
      let folded = ((place % period) + period) % period
      return folded < size ? folded : period - folded
    }
  }
}
