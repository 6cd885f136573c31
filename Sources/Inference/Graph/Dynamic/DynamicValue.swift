/// A value of a graph that is run without a plan.
indirect enum DynamicValue: Sendable {
  case tensor(Tensor)
  case sequence([DynamicValue])
  case optional(DynamicValue?)

  var tensor: Tensor? {
    if case .tensor(let tensor) = self { tensor } else { nil }
  }

  /// Elements that it holds in all.
  var elementCount: Int {
    switch self {
    case .tensor(let tensor): tensor.count
    case .sequence(let list): list.reduce(list.count) { $0 + $1.elementCount }
    case .optional(let value): value?.elementCount ?? 0
    }
  }

  /// Kinds within each other: 1 for a tensor.
  var depth: Int {
    switch self {
    case .tensor: 1
    case .sequence(let list): 1 + list.reduce(0) { max($0, $1.depth) }
    case .optional(let value): 1 + (value?.depth ?? 0)
    }
  }

  /// Deeper ones are hostile: they would be taken apart again on the stack.
  static let mostDepth = 8

  var kind: String {
    switch self {
    case .tensor: "tensor"
    case .sequence: "sequence"
    case .optional: "optional"
    }
  }
}

extension Tensor {
  init(_ value: Int) { self.init([Int64(value)], dims: []) }
  init(_ value: Bool) { self.init([value], dims: []) }

  /// The part at a place of an axis, without the axis. Place and axis must be there.
  func part(_ place: Int, axis: Int) -> Tensor {
    var rest = dims
    rest.remove(at: axis)
    return slice(place..<(place + 1), axis: axis).reshaped(rest)
  }

  /// The parts at some places of an axis.
  func slice(_ places: Range<Int>, axis: Int) -> Tensor {
    var result = dims
    result[axis] = places.count
    let buffer = TensorBuffer(type, capacity: result.reduce(1, *))
    let target = Tensor(dims: result, buffer: buffer)
    let copy = ElementCopy(view, target.view)
    let inner = dims[(axis + 1)...].reduce(1, *)
    for outer in 0..<dims[..<axis].reduce(1, *) {
      copy(
        from: (outer * dims[axis] + places.lowerBound) * inner,
        to: outer * places.count * inner, count: places.count * inner)
    }
    return target
  }

  /// The same elements; the sizes must multiply to their number.
  func reshaped(_ dims: [Int]) -> Tensor { Tensor(dims: dims, buffer: buffer) }

  /// Tensors one after the other along an axis that they have; nil where they do not fit.
  static func concatenated(_ parts: [Tensor], axis: Int) -> Tensor? {
    guard let first = parts.first else { return nil }
    var dims = first.dims
    dims[axis] = 0
    for part in parts {
      var own = part.dims
      guard part.type == first.type, own.count == dims.count else { return nil }
      dims[axis] += own[axis]
      own[axis] = dims[axis]
      guard own == dims else { return nil }
    }
    let result = Tensor(
      dims: dims, buffer: TensorBuffer(first.type, capacity: dims.reduce(1, *)))
    let total = dims[axis...].reduce(1, *)
    var offset = 0
    for part in parts {
      let copy = ElementCopy(part.view, result.view)
      let size = part.dims[axis...].reduce(1, *)
      for outer in 0..<dims[..<axis].reduce(1, *) {
        copy(from: outer * size, to: outer * total + offset, count: size)
      }
      offset += size
    }
    return result
  }

  /// Tensors of one shape along a new axis; nil where they are not.
  static func stacked(_ parts: [Tensor], axis: Int) -> Tensor? {
    concatenated(
      parts.map { part in
        var dims = part.dims
        dims.insert(1, at: axis)
        return part.reshaped(dims)
      }, axis: axis)
  }
}
