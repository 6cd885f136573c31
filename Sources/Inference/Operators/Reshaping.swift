/// Reshape, Flatten, Squeeze and Unsqueeze: the same elements under another shape.
struct Reshaping: Operator {
  let outputs: [ValueInfo]
  var isView: Bool { true }

  func run(_ call: Call) {}

  private init(_ node: Node, _ info: ValueInfo, _ shape: Shape) throws(ModelError) {
    let (old, new) = (info.shape, shape)
    guard old.elementCount == new.elementCount, old.isBatched == new.isBatched,
      old.outerCount == new.outerCount
    else {
      throw node.error(.unsupported, "reshaping \(old) to \(new) mixes rows or sizes")
    }
    var output = try node.output(info.type, shape)
    output.extents = info.extents
    outputs = [output]
  }

  static let reshape: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    var target: [Extent]
    if node.opset < 5 {
      target = (try node.ints("shape") ?? []).map(Extent.fixed)
    } else {
      target = try node.knownExtents(input: 1)
    }
    let copiesZero = try node.int("allowzero", default: 0) == 0
    var open: Int?
    for (axis, extent) in target.enumerated() {
      switch extent {
      case .fixed(0) where copiesZero:
        guard axis < info.shape.rank else {
          throw node.error(.malformed, "axis \(axis) is copied from shape \(info.shape)")
        }
        target[axis] = info.shape[axis]
      case .fixed(-1):
        guard open == nil else { throw node.error(.malformed, "two axes are open") }
        open = axis
      case .fixed(let size):
        guard size >= 0 else { throw node.error(.malformed, "a size is \(size)") }
      case .rows: break
      }
    }
    if let open { target[open] = try openExtent(node, info.shape, target, open) }
    let isFixed = target.allSatisfy { if case .fixed = $0 { true } else { false } }
    if node.isOfNetwork, info.shape.rowAxis == 0, info.shape.dims[0] == 1, isFixed,
      target.first == .fixed(1)
    {
      // Exported for a batch of one: what it says of one row holds for each.
      target[0] = .rows(1)
    }
    let shape = try node.shape(of: target)
    if info.shape.isBatched, !shape.isBatched {
      throw node.error(
        .unsupported, "reshaping \(info.shape) to \(shape) fixes the number of rows")
    }
    return try Reshaping(node, info, shape)
  }

  /// The size of the axis that is left open: what the others leave, rows if none has them.
  private static func openExtent(
    _ node: Node, _ shape: Shape, _ target: [Extent], _ open: Int
  ) throws(ModelError) -> Extent {
    var others = 1
    var hasRows = false
    for (axis, extent) in target.enumerated() where axis != open {
      let size: Int
      switch extent {
      case .fixed(let fixed): size = fixed
      case .rows(let each): (size, hasRows) = (each, true)
      }
      let (product, overflow) = others.multipliedReportingOverflow(by: size)
      guard !overflow else { throw node.error(.tooLarge, "the shape is too large") }
      others = product
    }
    guard others > 0, shape.elementCount % others == 0 else {
      throw node.error(
        .malformed, "shape \(shape) does not fill an open axis beside \(others) elements")
    }
    let size = shape.elementCount / others
    return shape.isBatched && !hasRows ? .rows(size) : .fixed(size)
  }

  static let flatten: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let rank = info.shape.rank
    let given = try node.int("axis", default: 1)
    guard (-rank...rank).contains(given) else {
      throw node.error(.malformed, "axis \(given) is outside of rank \(rank)")
    }
    let axis = given < 0 ? given + rank : given
    let dims = info.shape.dims
    let sizes = [dims[..<axis].reduce(1, *), dims[axis...].reduce(1, *)]
    return try Reshaping(
      node, info, Shape(sizes, rowAxis: info.shape.rowAxis.map { $0 < axis ? 0 : 1 }))
  }

  static let squeeze: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let shape = info.shape
    var axes: Set<Int> = []
    if let given = try node.axesAttributeOrInput(since: 13) {
      for axis in given { axes.insert(try node.axis(axis, rank: shape.rank)) }
    } else {
      axes = Set(shape.dims.indices.filter { shape[$0] == .fixed(1) })
    }
    for axis in axes where shape[axis] != .fixed(1) {
      throw node.error(.malformed, "axis \(axis) of shape \(shape) is not 1")
    }
    let kept = shape.dims.indices.filter { !axes.contains($0) }
    return try Reshaping(
      node, info,
      Shape(
        kept.map { shape.dims[$0] },
        rowAxis: shape.rowAxis.flatMap { axis in kept.firstIndex(of: axis) }))
  }

  static let unsqueeze: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let given = try node.axesAttributeOrInput(since: 13) ?? []
    let rank = info.shape.rank + given.count
    var added: Set<Int> = []
    for axis in given { added.insert(try node.axis(axis, rank: rank)) }
    guard added.count == given.count, rank <= 64 else {
      throw node.error(.malformed, "axes are not distinct, or too many")
    }
    var extents = info.shape.extents.makeIterator()
    let all = (0..<rank).map { added.contains($0) ? .fixed(1) : extents.next() ?? .fixed(1) }
    return try Reshaping(node, info, node.shape(of: all))
  }
}

extension Shape {
  /// Elements before the axis of rows moves on: 1 where rows lie one after the other.
  fileprivate var outerCount: Int { rowAxis.map { dims[..<$0].reduce(1, *) } ?? 1 }
}

extension Node {
  /// The elements of an integer input that are known at load, row counts left open.
  func knownExtents(input index: Int) throws(ModelError) -> [Extent] {
    guard let extents = try input(index, .int64, .int32).knownExtents else {
      throw error(.unsupported, "a shape that depends on the data is not supported")
    }
    return extents
  }

  /// A shape from its extents; at most one may grow with the rows.
  func shape(of extents: [Extent]) throws(ModelError) -> Shape {
    guard extents.count <= 64 else { throw error(.tooLarge, "\(extents.count) axes") }
    var dims: [Int] = []
    var rowAxis: Int?
    for extent in extents {
      switch extent {
      case .fixed(let size): dims.append(size)
      case .rows(let each):
        guard rowAxis == nil else { throw error(.unsupported, "rows meet rows") }
        rowAxis = dims.count
        dims.append(each)
      }
    }
    try check(dims)
    return Shape(dims, rowAxis: rowAxis)
  }

  /// `axes`, an attribute before an opset and the second input from then on.
  func axesAttributeOrInput(since opset: Int) throws(ModelError) -> [Int]? {
    try self.opset < opset ? ints("axes") : constantInts(input: 1)
  }
}

/// Shape: the dimensions of a tensor.
struct ShapeOf: Operator {
  let outputs: [ValueInfo]
  private let range: Range<Int>

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let rank = info.shape.rank
    func bound(_ name: String, _ otherwise: Int) throws(ModelError) -> Int {
      let value = try node.int(name, default: otherwise)
      return min(max(value < 0 ? value.addingReportingOverflow(rank).partialValue : value, 0), rank)
    }
    let start = try bound("start", 0)
    range = try start..<max(start, bound("end", rank))
    outputs = [
      ValueInfo(.int64, Shape([range.count]), extents: Array(info.shape.extents[range]))
    ]
  }

  func run(_ call: Call) {
    for (index, size) in call.input(0).dims[range].enumerated() {
      call.output(0).int64s[index] = Int64(size)
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: true, count: count)
  }
}

/// ConstantOfShape: one value all over.
struct ConstantOfShape: Operator {
  let outputs: [ValueInfo]
  private let value: Tensor

  init(_ node: Node) throws(ModelError) {
    value = try node.tensor("value") ?? Tensor([Float(0)])
    guard value.count == 1 else {
      throw node.error(.malformed, "a value of \(value.count) elements")
    }
    outputs = [try node.output(value.type, node.shape(of: node.knownExtents(input: 0)))]
  }

  func run(_ call: Call) {
    let out = call.output(0)
    let copy = ElementCopy(value.view, out)
    for index in 0..<out.count { copy(from: 0, to: index) }
  }
}

/// Constant: a tensor written into the node.
struct Constant: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let tensor: Tensor
    if let value = try node.tensor("value") {
      tensor = value
    } else if let value = try node.float("value_float") {
      tensor = Tensor([value], dims: [])
    } else if let value = try node.int("value_int") {
      tensor = Tensor([Int64(value)], dims: [])
    } else if let value = try node.string("value_string") {
      tensor = Tensor([value], dims: [])
    } else if let values = try node.floats("value_floats") {
      tensor = Tensor(values)
    } else if let values = try node.ints("value_ints") {
      tensor = Tensor(values.map(Int64.init))
    } else if let values = try node.strings("value_strings") {
      tensor = Tensor(values)
    } else {
      throw node.error(.unsupported, "a value of this kind is not supported")
    }
    outputs = [ValueInfo(constant: tensor)]
  }

  func run(_ call: Call) {
    guard let tensor = outputs[0].constant else { return }
    ElementCopy(tensor.view, call.output(0))(from: 0, to: 0, count: tensor.count)
  }
}
