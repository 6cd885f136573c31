/// NonZero and Compress by constants: what depends on rows would give rows of different sizes.
struct ConstantSelection: Operator {
  let outputs: [ValueInfo]
  private let result: Tensor?
  private let selection: Selection?

  /// Places of an axis that are kept; of all elements in order where there is no axis.
  private struct Selection: Sendable {
    let axis: Int?
    let places: [Int]
  }

  static let nonZero: OperatorFactory = { node throws(ModelError) in
    guard let constant = try node.input(0).constant else {
      throw node.error(.unsupported, "an input that is not constant is not supported")
    }
    let found: [Int]
    if let values = constant.doubles {
      found = values.indices.filter { values[$0] != 0 }
    } else {
      let texts = constant.values(as: String.self)
      found = texts.indices.filter { !texts[$0].isEmpty }
    }
    // A scalar counts as one element of one axis.
    let dims = constant.dims.isEmpty ? [1] : constant.dims
    let places = zip(dims, StridedWalk.strides(dims)).map { size, step in
      found.map { Int64($0 / step % size) }
    }
    return ConstantSelection(Tensor(places.flatMap { $0 }, dims: [dims.count, found.count]))
  }

  static let compress: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    guard let condition = try node.input(1, .bool).constant else {
      throw node.error(.unsupported, "a condition that is not constant is not supported")
    }
    let flags = condition.values(as: Bool.self)
    let places = flags.indices.filter { flags[$0] }
    guard let given = try node.int("axis") else {
      guard !info.shape.isBatched, flags.count <= info.shape.elementCount else {
        throw node.error(.unsupported, "rows are selected, or more elements than there are")
      }
      return ConstantSelection(
        try node.output(info.type, Shape([places.count])), Selection(axis: nil, places: places))
    }
    let axis = try node.axis(given, rank: info.shape.rank)
    guard info.shape.rowAxis != axis, flags.count <= info.shape.dims[axis] else {
      throw node.error(.unsupported, "rows are selected, or more than there are")
    }
    var dims = info.shape.dims
    dims[axis] = places.count
    return ConstantSelection(
      try node.output(info.type, Shape(dims, rowAxis: info.shape.rowAxis)),
      Selection(axis: axis, places: places))
  }

  private init(_ result: Tensor) {
    (self.result, selection) = (result, nil)
    outputs = [ValueInfo(constant: result)]
  }

  private init(_ output: ValueInfo, _ selection: Selection) {
    (result, self.selection) = (nil, selection)
    outputs = [output]
  }

  func run(_ call: Call) {
    let out = call.output(0)
    if let result { return ElementCopy(result.view, out)(from: 0, to: 0, count: result.count) }
    guard let selection else { return }
    let data = call.input(0)
    let copy = ElementCopy(data, out)
    guard let axis = selection.axis else {
      for (target, place) in selection.places.enumerated() { copy(from: place, to: target) }
      return
    }
    let size = data.dims[axis]
    let inner = data.dims[(axis + 1)...].reduce(1, *)
    var target = 0
    for outer in 0..<data.dims[..<axis].reduce(1, *) {
      for place in selection.places {
        copy(from: (outer * size + place) * inner, to: target, count: inner)
        target += inner
      }
    }
  }
}
