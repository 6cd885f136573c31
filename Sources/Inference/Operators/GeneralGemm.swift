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

/// MatMulInteger and QLinearMatMul: products of small integers less their zero points, summed in 32
/// bits, and in the latter scaled to small integers again.
struct IntegerMatMul: Operator {
  private struct Operand: Sendable {
    let value: Int
    let scale: Int?
    let zero: Int?
  }

  let outputs: [ValueInfo]
  private let inner: GeneralMatMul
  private let a: Operand
  private let b: Operand
  private let result: Operand?
  private let bounds: (Double, Double)
  private let infos: (a: ValueInfo, b: ValueInfo)

  static let integer: OperatorFactory = { node throws(ModelError) in
    try IntegerMatMul(
      node, Operand(value: 0, scale: nil, zero: 2), Operand(value: 1, scale: nil, zero: 3), nil)
  }

  static let scaled: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(8...8)
    return try IntegerMatMul(
      node, Operand(value: 0, scale: 1, zero: 2), Operand(value: 3, scale: 4, zero: 5),
      Operand(value: 0, scale: 6, zero: 7))
  }

  private init(
    _ node: Node, _ a: Operand, _ b: Operand, _ result: Operand?
  ) throws(ModelError) {
    (self.a, self.b, self.result) = (a, b, result)
    for operand in [a, b] {
      let info = try node.input(operand.value, .uint8, .int8)
      for index in [operand.zero, operand.scale] {
        guard let index, let parameter = node.optionalInput(index) else { continue }
        let count = parameter.shape.elementCount
        let rank = info.shape.rank
        let own = rank >= 2 ? info.shape.dims[rank - (operand.value == 0 ? 2 : 1)] : 1
        guard !parameter.shape.isBatched, count == 1 || count == own else {
          throw node.error(.unsupported, "input \(index) of shape \(parameter.shape)")
        }
      }
    }
    infos = (
      ValueInfo(.int32, try node.input(a.value).shape),
      ValueInfo(.int32, try node.input(b.value).shape)
    )
    inner = try GeneralMatMul(node, infos.a, infos.b)
    guard let result else {
      bounds = (0, 0)
      outputs = inner.outputs
      return
    }
    let type = try node.input(result.zero ?? 0, .uint8, .int8).type
    guard let scale = result.scale, try node.input(scale).shape.elementCount == 1,
      let zero = result.zero, try node.input(zero).shape.elementCount == 1
    else { throw node.error(.unsupported, "a result of more than one scale") }
    bounds = type == .uint8 ? (0, 255) : (-128, 127)
    outputs = [try node.output(type, inner.outputs[0].shape)]
  }

  private func sizes(_ rows: Int) -> [Int] {
    [infos.a, infos.b, inner.outputs[0]].map {
      ($0.shape.elementCount(rows: rows) * 4 + 63) & ~63
    }
  }

  func scratchByteCount(rows: Int) -> Int { sizes(rows).reduce(0, +) }

  func run(_ call: Call) {
    let sizes = sizes(call.rowCount)
    let left = TensorView(
      type: .int32, dims: call.input(a.value).dims, base: call.scratch)
    let right = TensorView(
      type: .int32, dims: call.input(b.value).dims, base: call.scratch + sizes[0])
    let sums = TensorView(
      type: .int32, dims: call.output(0).dims, base: call.scratch + sizes[0] + sizes[1])
    let depth = left.dims.last ?? 1
    let columns = right.dims.last ?? 1
    widen(call, a, left) { right.dims.count < 2 ? 0 : $0 / max(depth, 1) }
    widen(call, b, right) { $0 % max(columns, 1) }
    let target = result == nil ? call.output(0) : sums
    inner.run(
      Call(
        rowCount: call.rowCount, inputs: [left, right], outputs: [target], scratch: call.scratch,
        failures: call.failures))
    guard let result, let scale = result.scale, let zero = result.zero else { return }
    let out = call.output(0)
    let rows = max(left.dims.count >= 2 ? left.dims[left.dims.count - 2] : 1, 1)
    for index in 0..<out.count {
      let factor =
        parameter(call, a.scale, index / max(columns, 1) % rows) ?? 1
      let other = parameter(call, b.scale, index % max(columns, 1)) ?? 1
      let value =
        (Double(sums.int32s[index]) * factor * other / (parameter(call, scale, 0) ?? 1))
        .rounded(.toNearestOrEven) + (parameter(call, zero, 0) ?? 0)
      out.set(index, min(max(value, bounds.0), bounds.1))
    }
  }

  private func widen(
    _ call: Call, _ operand: Operand, _ target: TensorView, _ place: (Int) -> Int
  ) {
    let source = call.input(operand.value)
    for index in 0..<source.count {
      let zero = parameter(call, operand.zero, place(index)) ?? 0
      target.int32s[index] = Int32(source.double(index) - zero)
    }
  }

  /// An element of a parameter that is one for all or one for each row or column.
  private func parameter(_ call: Call, _ input: Int?, _ place: Int) -> Double? {
    guard let input, input < call.inputs.count, let view = call.inputs[input] else { return nil }
    return view.double(view.count == 1 ? 0 : place % view.count)
  }
}
