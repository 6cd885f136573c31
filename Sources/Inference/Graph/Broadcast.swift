/// How inputs of different shapes meet, element by element, as in NumPy.
extension Shape {
  /// The shape that two shapes broadcast to; nil where they do not fit, or where rows would meet
  /// other rows.
  func broadcast(with other: Shape) -> Shape? {
    let rank = max(rank, other.rank)
    let (a, b) = (padded(to: rank), other.padded(to: rank))
    if let first = a.rowAxis, let second = b.rowAxis, first != second { return nil }
    let rowAxis = a.rowAxis ?? b.rowAxis
    var dims: [Int] = []
    for axis in 0..<rank {
      let (x, y) = (a.dims[axis], b.dims[axis])
      if axis == rowAxis {
        // The axis of rows meets itself, or a size of one.
        if a.rowAxis != nil, b.rowAxis != nil {
          guard x == y else { return nil }
        } else {
          guard (a.rowAxis == nil ? x : y) == 1 else { return nil }
        }
        dims.append(a.rowAxis == nil ? y : x)
      } else {
        guard x == y || x == 1 || y == 1 else { return nil }
        dims.append(x == 1 ? y : x)
      }
    }
    return Shape(dims, rowAxis: rowAxis)
  }

  /// The shape with leading axes of size one.
  private func padded(to rank: Int) -> Shape {
    let extra = rank - self.rank
    return Shape(Array(repeating: 1, count: extra) + dims, rowAxis: rowAxis.map { $0 + extra })
  }
}

/// A walk over the elements of an output and of the inputs that broadcast to it.
///
/// Axes that lie together in memory for all of them are walked as one.
struct BroadcastWalk {
  private var sizes: [Int] = []
  /// For each input the step of each axis, 0 where it stays.
  private var steps: [[Int]]

  init(output: [Int], inputs: [[Int]]) {
    steps = Array(repeating: [], count: inputs.count)
    let strides = inputs.map { Self.strides($0, rank: output.count) }
    for (axis, size) in output.enumerated() where size != 1 {
      let merges =
        !sizes.isEmpty
        && steps.indices.allSatisfy { index in
          steps[index][steps[index].count - 1] == strides[index][axis] * size
        }
      if merges {
        sizes[sizes.count - 1] *= size
        for index in steps.indices {
          steps[index][steps[index].count - 1] = strides[index][axis]
        }
      } else {
        sizes.append(size)
        for index in steps.indices { steps[index].append(strides[index][axis]) }
      }
    }
    if sizes.isEmpty {
      sizes = [1]
      for index in steps.indices { steps[index] = [0] }
    }
  }

  private static func strides(_ dims: [Int], rank: Int) -> [Int] {
    var result = Array(repeating: 0, count: rank)
    var stride = 1
    for (index, size) in dims.enumerated().reversed() {
      result[rank - dims.count + index] = size == 1 ? 0 : stride
      stride *= size
    }
    return result
  }

  /// Calls `body` for each stretch of the last axis with the output's offset, the inputs' offsets,
  /// their steps and the length of the stretch.
  func forEachStretch(_ body: (Int, [Int], [Int], Int) -> Void) {
    guard !sizes.contains(0) else { return }
    let last = sizes.count - 1
    let innerSteps = steps.map { $0[last] }
    var index = Array(repeating: 0, count: last)
    var offsets = Array(repeating: 0, count: steps.count)
    var output = 0
    while true {
      body(output, offsets, innerSteps, sizes[last])
      output += sizes[last]
      var axis = last - 1
      while axis >= 0 {
        index[axis] += 1
        for input in offsets.indices { offsets[input] += steps[input][axis] }
        if index[axis] < sizes[axis] { break }
        for input in offsets.indices { offsets[input] -= steps[input][axis] * sizes[axis] }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
