/// NonMaxSuppression: the boxes of the best scores, without those that overlap a better one.
enum NonMaxSuppression {
  static let factory: OperatorFactory = { node throws(ModelError) in
    guard let boxes = try node.input(0, .float32).constant,
      let scores = try node.input(1, .float32).constant
    else { throw node.error(.unsupported, "inputs that are not constant are not supported") }
    guard boxes.dims.count == 3, boxes.dims[2] == 4, scores.dims.count == 3,
      boxes.dims[0] == scores.dims[0], boxes.dims[1] == scores.dims[2]
    else {
      throw node.error(.malformed, "boxes \(boxes.dims) do not fit scores \(scores.dims)")
    }
    func number(_ index: Int, _ otherwise: Double?) throws(ModelError) -> Double? {
      guard let info = node.optionalInput(index) else { return otherwise }
      guard let values = info.constant?.doubles, let first = values.first else {
        throw node.error(.unsupported, "input \(index) is not one constant number")
      }
      return first
    }
    let most = Int(clamping: Int64(converting: try number(2, 0) ?? 0))
    let overlap = try number(3, 0) ?? 0
    let least = try number(4, nil)
    let isCentered = try node.int("center_point_box", default: 0) != 0
    let (batches, classes, count) = (scores.dims[0], scores.dims[1], scores.dims[2])
    try node.spend(batches * classes, count, min(max(most, 1), max(count, 1)))
    let box = boxes.view.floats
    var found: [Int64] = []
    for batch in 0..<batches {
      let corners = (0..<count).map { Box(box + (batch * count + $0) * 4, isCentered) }
      for group in 0..<classes {
        let score = scores.view.floats + (batch * classes + group) * count
        let order = (0..<count)
          .filter { place in least.map { Double(score[place]) > $0 } ?? true }
          .sorted { (-score[$0], $0) < (-score[$1], $1) }
        var kept: [Int] = []
        for place in order where kept.count < most {
          if kept.allSatisfy({ corners[$0].overlap(corners[place]) <= overlap }) {
            kept.append(place)
            found += [Int64(batch), Int64(group), Int64(place)]
          }
        }
      }
    }
    return Computed(
      outputs: [ValueInfo(constant: Tensor(found, dims: [found.count / 3, 3]))])
  }

  private struct Box {
    let (top, left, bottom, right): (Double, Double, Double, Double)

    init(_ values: UnsafeMutablePointer<Float>, _ isCentered: Bool) {
      let v = (0..<4).map { Double(values[$0]) }
      if isCentered {
        (left, right) = (v[0] - v[2] / 2, v[0] + v[2] / 2)
        (top, bottom) = (v[1] - v[3] / 2, v[1] + v[3] / 2)
      } else {
        (top, bottom) = (min(v[0], v[2]), max(v[0], v[2]))
        (left, right) = (min(v[1], v[3]), max(v[1], v[3]))
      }
    }

    var area: Double { (bottom - top) * (right - left) }

    /// What both share of what either has.
    func overlap(_ other: Box) -> Double {
      let height = min(bottom, other.bottom) - max(top, other.top)
      let width = min(right, other.right) - max(left, other.left)
      guard height > 0, width > 0 else { return 0 }
      let common = height * width
      let all = area + other.area - common
      return all > 0 ? common / all : 0
    }
  }
}

/// Unique: the different elements, or slices of an axis, with their places and how often they are
/// there.
enum Unique {
  static let factory: OperatorFactory = { node throws(ModelError) in
    guard let data = try node.input(0).constant else {
      throw node.error(.unsupported, "an input that is not constant is not supported")
    }
    let isSorted = try node.int("sorted", default: 1) != 0
    let axis = try node.int("axis").map { axis throws(ModelError) in
      try node.axis(axis, rank: data.dims.count)
    }
    // Slices of the axis as rows of one matrix.
    let matrix = axis.map { data.moved($0) } ?? data.reshaped([data.count, 1])
    let rows = matrix.dims[0]
    let width = matrix.dims[1...].reduce(1, *)
    try node.spend(rows, width, 32)
    let compare = matrix.view.comparison(width)
    let order = (0..<rows).sorted { a, b in
      let way = compare(a, b)
      return way == 0 ? a < b : way < 0
    }
    var groups: [(first: Int, count: Int)] = []
    var groupOf = Array(repeating: 0, count: rows)
    for (index, row) in order.enumerated() {
      if index > 0, compare(order[index - 1], row) == 0 {
        groups[groups.count - 1].count += 1
      } else {
        groups.append((row, 1))
      }
      groupOf[row] = groups.count - 1
    }
    var rank = Array(groups.indices)
    if !isSorted { rank.sort { groups[$0].first < groups[$1].first } }
    var place = rank
    for (index, group) in rank.enumerated() { place[group] = index }
    let firsts = rank.map { groups[$0].first }
    var kept = Tensor(
      dims: [firsts.count] + matrix.dims[1...],
      buffer: TensorBuffer(data.type, capacity: firsts.count * width))
    let copy = ElementCopy(matrix.view, kept.view)
    for (to, from) in firsts.enumerated() {
      copy(from: from * width, to: to * width, count: width)
    }
    kept = axis.map { kept.restored($0) } ?? kept.reshaped([firsts.count])
    return Computed(outputs: [
      ValueInfo(constant: kept), ValueInfo(constant: Tensor(firsts.map(Int64.init))),
      ValueInfo(constant: Tensor(groupOf.map { Int64(place[$0]) })),
      ValueInfo(constant: Tensor(rank.map { Int64(groups[$0].count) })),
    ])
  }
}

extension Tensor {
  /// With an axis as the first.
  fileprivate func moved(_ axis: Int) -> Tensor {
    permuted([axis] + dims.indices.filter { $0 != axis })
  }

  /// With the first axis at another place.
  fileprivate func restored(_ axis: Int) -> Tensor {
    var order = Array(1..<dims.count)
    order.insert(0, at: axis)
    return permuted(order)
  }

  private func permuted(_ order: [Int]) -> Tensor {
    let result = Tensor(
      dims: order.map { dims[$0] }, buffer: TensorBuffer(type, capacity: count))
    let copy = ElementCopy(view, result.view)
    let strides = StridedWalk.strides(dims)
    StridedWalk.forEach(result.dims, order.map { strides[$0] }) { copy(from: $1, to: $0) }
    return result
  }
}

extension TensorView {
  /// How rows of so many elements compare: below 0 where the first comes first.
  fileprivate func comparison(_ width: Int) -> (Int, Int) -> Int {
    if type == .string {
      let texts = strings
      return { a, b in
        for i in 0..<width where texts[a * width + i] != texts[b * width + i] {
          return texts[a * width + i] < texts[b * width + i] ? -1 : 1
        }
        return 0
      }
    }
    func compare<T: IntegerElement>(_ type: T.Type) -> (Int, Int) -> Int {
      let values: UnsafeMutablePointer<T> = pointer()
      return { a, b in
        for i in 0..<width where values[a * width + i] != values[b * width + i] {
          return values[a * width + i] < values[b * width + i] ? -1 : 1
        }
        return 0
      }
    }
    if let integer = type.integer { return compare(integer) }
    let view = self
    return { a, b in
      for i in 0..<width {
        let (x, y) = (view.double(a * width + i), view.double(b * width + i))
        if x == y || x.isNaN && y.isNaN { continue }
        // What is no number comes last.
        return y.isNaN || x < y ? -1 : 1
      }
      return 0
    }
  }
}
