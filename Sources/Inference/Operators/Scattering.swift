/// What happens where an update meets an element.
private enum ScatterReduction {
  static func kernel(
    _ node: Node, _ type: TensorType
  ) throws(ModelError) -> BinaryElementwise.Kernel? {
    switch try node.string("reduction", default: "none") {
    case "none": return nil
    case "add": return try BinaryElementwise.arithmeticKernel(Addition.self, node, type)
    case "mul": return try BinaryElementwise.arithmeticKernel(Multiplication.self, node, type)
    case "max": return try BinaryElementwise.arithmeticKernel(Maximum.self, node, type)
    case "min": return try BinaryElementwise.arithmeticKernel(Minimum.self, node, type)
    case let name: throw node.error(.malformed, "reduction \"\(name)\" is not known")
    }
  }
}

/// ScatterElements and Scatter: updates put at places of an axis.
struct ScatterElements: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let combine: BinaryElementwise.Kernel?
  private let perRow: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let (data, updates) = (try node.input(0), try node.input(2))
    let places = try node.input(1, .int64, .int32)
    axis = try node.axis(node.int("axis", default: 0), rank: data.shape.rank)
    let axis = axis
    guard updates.type == data.type, updates.shape == places.shape,
      places.shape.rank == data.shape.rank, places.shape.rowAxis == data.shape.rowAxis,
      data.shape.rowAxis != axis,
      data.shape.dims.indices.allSatisfy({
        $0 == axis || places.shape.dims[$0] <= data.shape.dims[$0]
      })
    else {
      throw node.error(
        .unsupported,
        "updates of shape \(updates.shape) at \(places.shape) in data of shape \(data.shape)")
    }
    combine = try ScatterReduction.kernel(node, data.type)
    perRow = places.shape.isRowMajor ? places.shape.elementCount : 0
    name = node.name
    outputs = [try node.output(data.type, data.shape)]
  }

  func run(_ call: Call) {
    let (data, places, updates) = (call.input(0), call.input(1), call.input(2))
    let out = call.output(0)
    ElementCopy(data, out)(from: 0, to: 0, count: data.count)
    let copy = ElementCopy(updates, out)
    var steps = StridedWalk.strides(data.dims)
    let (size, step) = (data.dims[axis], steps[axis])
    let stride = out.type.stride
    steps[axis] = 0
    StridedWalk.forEach(places.dims, steps) { element, offset in
      var place = places.integer(element)
      if place < 0 { place &+= size }
      guard (0..<size).contains(place) else {
        call.failures.add(
          row: perRow > 0 ? element / perRow : 0, .wrongType,
          "a place is beyond \(size) elements (node \"\(name)\")")
        return
      }
      let target = offset + place * step
      if let combine {
        let address = out.base + target * stride
        combine(address, 1, updates.base + element * stride, 1, address, 1)
      } else {
        copy(from: element, to: target)
      }
    }
  }
}

/// ScatterND: slices put at places of the first axes.
///
/// Where rows lie along the first axis, each place of a row must be within the row: places that name
/// the row itself are not told apart from others, so the data may not have rows.
struct ScatterND: Operator {
  let outputs: [ValueInfo]
  private let depth: Int
  private let combine: BinaryElementwise.Kernel?
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let (data, updates) = (try node.input(0), try node.input(2))
    let places = try node.input(1, .int64, .int32)
    guard let depth = places.shape.dims.last, depth <= data.shape.rank, updates.type == data.type,
      !data.shape.isBatched, !places.shape.isBatched, !updates.shape.isBatched,
      updates.shape.dims == places.shape.dims.dropLast() + data.shape.dims[depth...]
    else {
      throw node.error(
        .unsupported,
        "updates of shape \(updates.shape) at \(places.shape) in data of shape \(data.shape)")
    }
    self.depth = depth
    combine = try ScatterReduction.kernel(node, data.type)
    name = node.name
    outputs = [try node.output(data.type, data.shape)]
  }

  func run(_ call: Call) {
    let (data, places, updates) = (call.input(0), call.input(1), call.input(2))
    let out = call.output(0)
    ElementCopy(data, out)(from: 0, to: 0, count: data.count)
    let copy = ElementCopy(updates, out)
    let steps = StridedWalk.strides(data.dims)
    let inner = data.dims[depth...].reduce(1, *)
    let stride = out.type.stride
    for slice in 0..<places.dims.dropLast().reduce(1, *) {
      var offset = 0
      var isWithin = true
      for axis in 0..<depth {
        var place = places.integer(slice * depth + axis)
        if place < 0 { place &+= data.dims[axis] }
        isWithin = isWithin && (0..<data.dims[axis]).contains(place)
        offset &+= place &* steps[axis]
      }
      guard isWithin else {
        call.failures.add(row: 0, .wrongType, "a place is beyond the data (node \"\(name)\")")
        continue
      }
      if let combine {
        let address = out.base + offset * stride
        combine(address, 1, updates.base + slice * inner * stride, 1, address, inner)
      } else {
        copy(from: slice * inner, to: offset, count: inner)
      }
    }
  }
}

/// TensorScatter: updates put into a cache from a place of an axis on, for each element of the
/// first axis.
struct TensorScatter: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let wraps: Bool
  private let name: String

  init(_ node: Node) throws(ModelError) {
    let (cache, update) = (try node.input(0), try node.input(1))
    axis = try node.axis(node.int("axis", default: -2), rank: cache.shape.rank)
    let mode = try node.string("mode", default: "linear")
    wraps = mode == "circular"
    let axis = axis
    guard mode == "linear" || wraps, axis > 0, !cache.shape.isBatched, !update.shape.isBatched,
      update.type == cache.type, update.shape.rank == cache.shape.rank,
      update.shape.dims.indices.allSatisfy({
        update.shape.dims[$0] == cache.shape.dims[$0]
          || $0 == axis && update.shape.dims[$0] < cache.shape.dims[$0]
      })
    else {
      throw node.error(
        .unsupported, "updates of shape \(update.shape) in data of shape \(cache.shape)")
    }
    if let places = node.optionalInput(2) {
      guard places.type == .int64, places.shape.dims == [cache.shape.dims[0]] else {
        throw node.error(.malformed, "places of shape \(places.shape)")
      }
    }
    name = node.name
    outputs = [try node.output(cache.type, cache.shape)]
  }

  func run(_ call: Call) {
    let (cache, update, out) = (call.input(0), call.input(1), call.output(0))
    let places = call.inputs.count > 2 ? call.inputs[2] : nil
    ElementCopy(cache, out)(from: 0, to: 0, count: cache.count)
    let copy = ElementCopy(update, out)
    let (size, count) = (cache.dims[axis], update.dims[axis])
    let inner = cache.dims[(axis + 1)...].reduce(1, *)
    let middle = cache.dims[1..<axis].reduce(1, *)
    for batch in 0..<cache.dims[0] {
      let start = places?.integer(batch) ?? 0
      for step in 0..<count {
        var place = start &+ step
        if wraps, size > 0 { place = ((place % size) + size) % size }
        guard (0..<size).contains(place) else {
          call.failures.add(
            row: 0, .wrongType, "a place is beyond \(size) elements (node \"\(name)\")")
          continue
        }
        for group in 0..<middle {
          let outer = batch * middle + group
          copy(
            from: (outer * count + step) * inner, to: (outer * size + place) * inner,
            count: inner)
        }
      }
    }
  }
}
