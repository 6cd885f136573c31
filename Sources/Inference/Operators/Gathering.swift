/// Gather: slices of an axis by their places, constant or computed for each row.
struct Gather: PicksElements, KnowsInputShapes {
  let outputs: [ValueInfo]
  let shapes: [Shape]
  private let axis: Int
  /// The places, where they are constant.
  private let places: [Int]?
  private let placesPerRow: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let data = try node.input(0)
    let indices = try node.input(1, .int64, .int32)
    let axis = try node.axis(node.int("axis", default: 0), rank: data.shape.rank)
    let size = data.shape.dims[axis]
    guard data.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows are gathered by their places")
    }
    guard !(data.shape.isBatched && indices.shape.isBatched), size > 0 || indices.isEmpty else {
      throw node.error(
        .unsupported, "places of shape \(indices.shape) in data of shape \(data.shape)")
    }
    places = indices.constant?.integers
    for place in places ?? [] where place < -size || place >= size {
      throw node.error(.malformed, "place \(place) of \(size)")
    }
    self.axis = axis
    name = node.name
    shapes = [data.shape, indices.shape]
    placesPerRow = indices.shape.elementCount
    let dims = data.shape.dims
    let rowAxis =
      if let own = data.shape.rowAxis {
        own < axis ? own : own - 1 + indices.shape.rank
      } else {
        indices.shape.rowAxis.map { $0 + axis }
      }
    outputs = [
      try node.output(
        data.type,
        Shape(dims[..<axis] + indices.shape.dims + dims[(axis + 1)...], rowAxis: rowAxis))
    ]
  }

  var pickedElements: [Int]? {
    guard let places, shapes[0].isRowMajor, shapes[0].rowAxis == 0, axis == 1, shapes[0].rank == 2
    else { return nil }
    return places.map { $0 < 0 ? $0 + shapes[0].dims[1] : $0 }
  }

  func run(_ call: Call) {
    let (data, indices, out) = (call.input(0), call.input(1), call.output(0))
    let copy = ElementCopy(data, out)
    let size = data.dims[axis]
    let outer = data.dims[..<axis].reduce(1, *)
    let inner = data.dims[(axis + 1)...].reduce(1, *)
    for i in 0..<outer {
      for j in 0..<indices.count {
        var place = places?[j] ?? indices.integer(j)
        if place < 0 { place += size }
        if !(0..<size).contains(place) {
          place = 0
          call.failures.add(
            row: j / max(placesPerRow, 1), .wrongType,
            "a place is beyond \(size) elements (node \"\(name)\")")
        }
        copy(
          from: (i * size + place) * inner, to: (i * indices.count + j) * inner, count: inner)
      }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    guard input == 0, let places else { return Array(repeating: false, count: count) }
    let dims = shapes[0].dims
    let inner = dims[(axis + 1)...].reduce(1, *)
    var result = Array(repeating: true, count: count)
    for (element, mayBe) in outputs[0].enumerated() where !mayBe && !places.isEmpty && inner > 0 {
      let (outer, rest) = element.quotientAndRemainder(dividingBy: places.count * inner)
      let place = places[rest / inner]
      let from = place < 0 ? place + dims[axis] : place
      result[(outer * dims[axis] + from) * inner + rest % inner] = false
    }
    return result
  }
}

extension ValueInfo {
  fileprivate var isEmpty: Bool { shape.elementCount == 0 }
}

/// GatherElements: for each element of the places the one at that place of an axis.
struct GatherElements: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let perRow: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let data = try node.input(0)
    let indices = try node.input(1, .int64, .int32)
    let axis = try node.axis(node.int("axis", default: 0), rank: data.shape.rank)
    guard indices.shape.rank == data.shape.rank, data.shape.dims[axis] > 0 || indices.isEmpty,
      data.shape.rowAxis == indices.shape.rowAxis, data.shape.rowAxis != axis,
      data.shape.dims.indices.allSatisfy({
        $0 == axis || indices.shape.dims[$0] <= data.shape.dims[$0]
      })
    else {
      throw node.error(
        .unsupported, "places of shape \(indices.shape) in data of shape \(data.shape)")
    }
    self.axis = axis
    perRow = indices.shape.isRowMajor ? indices.shape.elementCount : 0
    name = node.name
    outputs = [try node.output(data.type, indices.shape)]
  }

  func run(_ call: Call) {
    let (data, indices, out) = (call.input(0), call.input(1), call.output(0))
    let copy = ElementCopy(data, out)
    var steps = StridedWalk.strides(data.dims)
    let (size, step) = (data.dims[axis], steps[axis])
    steps[axis] = 0
    StridedWalk.forEach(indices.dims, steps) { element, offset in
      var place = indices.integer(element)
      if place < 0 { place &+= size }
      if !(0..<size).contains(place) {
        place = 0
        call.failures.add(
          row: perRow > 0 ? element / perRow : 0, .wrongType,
          "a place is beyond \(size) elements (node \"\(name)\")")
      }
      copy(from: offset + place * step, to: element)
    }
  }
}

/// GatherND: slices by places that speak of the first axes, or of those after some that both inputs
/// have in common. Rows are told apart where they lie along such a common axis, or where the data
/// are constant.
struct GatherND: Operator {
  let outputs: [ValueInfo]
  /// Axes that both have in common, and axes that a place speaks of.
  private let common: Int
  private let depth: Int
  private let perRow: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let data = try node.input(0)
    let indices = try node.input(1, .int64, .int32)
    let common = try node.int("batch_dims", default: 0)
    guard let depth = indices.shape.dims.last, common >= 0, common < indices.shape.rank,
      common + depth <= data.shape.rank, indices.shape.rowAxis != indices.shape.rank - 1,
      data.shape.dims[..<common] == indices.shape.dims[..<common],
      !data.shape.dims.contains(0) || indices.isEmpty,
      !data.shape.isBatched
        || data.shape.rowAxis == indices.shape.rowAxis && (data.shape.rowAxis ?? 0) < common
    else {
      throw node.error(
        .unsupported, "places of shape \(indices.shape) in data of shape \(data.shape)")
    }
    (self.common, self.depth) = (common, depth)
    perRow = indices.shape.isRowMajor && depth > 0 ? indices.shape.elementCount / depth : 0
    name = node.name
    outputs = [
      try node.output(
        data.type,
        Shape(
          indices.shape.dims.dropLast() + data.shape.dims[(common + depth)...],
          rowAxis: indices.shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let (data, indices, out) = (call.input(0), call.input(1), call.output(0))
    let copy = ElementCopy(data, out)
    let steps = StridedWalk.strides(data.dims)
    let inner = data.dims[(common + depth)...].reduce(1, *)
    let each = data.dims[common...].reduce(1, *)
    let perCommon = indices.dims[common...].dropLast().reduce(1, *)
    let count = inner > 0 ? out.count / inner : 0
    for slice in 0..<count {
      var offset = slice / max(perCommon, 1) * each
      for axis in 0..<depth {
        let size = data.dims[common + axis]
        var place = indices.integer(slice * depth + axis)
        if place < 0 { place &+= size }
        if !(0..<size).contains(place) {
          place = 0
          call.failures.add(
            row: perRow > 0 ? slice / perRow : 0, .wrongType,
            "a place is beyond \(size) elements (node \"\(name)\")")
        }
        offset += place * steps[common + axis]
      }
      copy(from: offset, to: slice * inner, count: inner)
    }
  }
}
