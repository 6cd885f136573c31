/// Gemm of any two matrices, as it is defined; sums of floats are kept in double.
struct GeneralGemm: Operator {
  let outputs: [ValueInfo]
  private let alpha: Double
  private let beta: Double
  private let transposes: (a: Bool, b: Bool)

  init(_ node: Node) throws(ModelError) {
    let (a, b) = (try node.input(0), try node.input(1))
    guard a.type == b.type, a.type.isNumeric, a.shape.rank == 2, b.shape.rank == 2 else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    transposes = (
      try node.int("transA", default: 0) != 0, try node.int("transB", default: 0) != 0
    )
    alpha = Double(try node.float("alpha", default: 1))
    beta = Double(try node.float("beta", default: 1))
    let (rows, depth) = transposes.a ? (1, 0) : (0, 1)
    let (other, columns) = transposes.b ? (1, 0) : (0, 1)
    guard a.shape.dims[depth] == b.shape.dims[other], a.shape.rowAxis != depth,
      !b.shape.isBatched
    else {
      throw node.error(
        .unsupported, "inputs of shapes \(a.shape) and \(b.shape) do not fit row by row")
    }
    let shape = Shape(
      [a.shape.dims[rows], b.shape.dims[columns]], rowAxis: a.shape.isBatched ? 0 : nil)
    if let c = node.optionalInput(2) {
      guard c.type == a.type, shape.broadcast(with: c.shape) == shape else {
        throw node.error(.malformed, "\(c.shape) does not fit \(shape) row by row")
      }
    }
    outputs = [try node.output(a.type, shape)]
    try node.spend(shape.elementCount, a.shape.dims[depth])
  }

  func run(_ call: Call) {
    let (a, b, out) = (call.input(0), call.input(1), call.output(0))
    let (m, n) = (out.dims[0], out.dims[1])
    let depth = transposes.a ? a.dims[0] : a.dims[1]
    let stepsA = transposes.a ? (1, m) : (depth, 1)
    let stepsB = transposes.b ? (1, depth) : (n, 1)
    var sums = Array(repeating: 0.0, count: m * n)
    for i in 0..<m {
      for j in 0..<n {
        var sum = 0.0
        for k in 0..<depth {
          sum += a.double(i * stepsA.0 + k * stepsA.1) * b.double(k * stepsB.0 + j * stepsB.1)
        }
        sums[i * n + j] = alpha * sum
      }
    }
    if call.inputs.count > 2, let c = call.inputs[2] {
      BroadcastWalk(output: out.dims, inputs: [c.dims]).forEachStretch {
        output, offsets, steps, count in
        for i in 0..<count { sums[output + i] += beta * c.double(offsets[0] + i * steps[0]) }
      }
    }
    for i in sums.indices { out.set(i, sums[i]) }
  }
}
