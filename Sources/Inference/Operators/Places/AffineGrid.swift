/// AffineGrid: where each place of an image comes from, turned, scaled and moved.
struct AffineGrid: Operator {
  let outputs: [ValueInfo]
  private let space: [Int]
  private let alignsCorners: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let theta = try node.input(0, .float32, .float64)
    var space: [Int] = []
    for extent in try node.knownExtents(input: 1).dropFirst(2) {
      guard case .fixed(let size) = extent, size > 0 else {
        throw node.error(.unsupported, "an image of as many places as there are rows")
      }
      space.append(size)
    }
    let rank = space.count
    guard rank == 2 || rank == 3, theta.shape.rank == 3,
      Array(theta.shape.dims[1...]) == [rank, rank + 1],
      theta.shape.rowAxis == nil || theta.shape.rowAxis == 0
    else { throw node.error(.malformed, "\(theta.shape) for an image of shape \(space)") }
    self.space = space
    alignsCorners = try node.int("align_corners", default: 0) != 0
    outputs = [
      try node.output(
        theta.type, Shape([theta.shape.dims[0]] + space + [rank], rowAxis: theta.shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let (theta, out) = (call.input(0), call.output(0))
    let rank = space.count
    let count = space.reduce(1, *)
    var place = Array(repeating: 1.0, count: rank + 1)
    for row in 0..<theta.dims[0] {
      for index in 0..<count {
        // The last axis first, as the matrix has them.
        var rest = index
        for axis in (0..<rank).reversed() {
          let (size, at) = (Double(space[axis]), Double(rest % space[axis]))
          rest /= space[axis]
          place[rank - 1 - axis] =
            alignsCorners ? (size > 1 ? 2 * at / (size - 1) - 1 : -1) : (2 * at + 1) / size - 1
        }
        for axis in 0..<rank {
          let from = (row * rank + axis) * (rank + 1)
          var sum = 0.0
          for k in 0...rank { sum += theta.double(from + k) * place[k] }
          out.set((row * count + index) * rank + axis, sum)
        }
      }
    }
  }
}
