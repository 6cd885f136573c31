internal import CKernels

/// MatMulInteger and QLinearMatMul: products of bytes less their zeros, summed in 32 bits, and in the
/// latter scaled to bytes again.
struct IntegerMatMul: Operator {
  let outputs: [ValueInfo]
  private let a: IntegerOperand
  private let b: IntegerOperand
  private let result: IntegerOperand?
  private let requantization: Requantization
  private let hasZerosOfRows: Bool
  private let shapes: (a: Shape, b: Shape, product: Shape)
  /// The constant right matrix, column by column, less its zero.
  private let columns: TensorBuffer?

  static let integer: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...4)
    return try IntegerMatMul(
      node, IntegerOperand(input: 0, scale: nil, zero: 2),
      IntegerOperand(input: 1, scale: nil, zero: 3), nil)
  }

  static let scaled: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(8...8)
    return try IntegerMatMul(
      node, IntegerOperand(input: 0, scale: 1, zero: 2),
      IntegerOperand(input: 3, scale: 4, zero: 5), IntegerOperand(input: 0, scale: 6, zero: 7))
  }

  private init(
    _ node: Node, _ a: IntegerOperand, _ b: IntegerOperand, _ result: IntegerOperand?
  ) throws(ModelError) {
    (self.a, self.b, self.result) = (a, b, result)
    let (left, right) = (
      try node.input(a.input, .uint8, .int8), try node.input(b.input, .uint8, .int8)
    )
    let (m, n) = (
      left.shape.rank >= 2 ? left.shape.dims[left.shape.rank - 2] : 1,
      right.shape.rank >= 2 ? right.shape.dims[right.shape.rank - 1] : 1
    )
    hasZerosOfRows = try node.hasZerosOfRows(a, left)
    if !hasZerosOfRows { _ = try node.parameter(a.zero, counts: m, left.type) }
    _ = try node.parameter(b.zero, counts: n, right.type)
    _ = try node.parameter(a.scale, counts: m, .float32)
    _ = try node.parameter(b.scale, counts: n, .float32)
    let product = try GeneralMatMul(
      node, ValueInfo(.int32, left.shape), ValueInfo(.int32, right.shape)
    ).outputs[0]
    shapes = (left.shape, right.shape, product.shape)
    columns = Self.packed(node, b, right)
    guard let result else {
      outputs = [product]
      requantization = Requantization(isSigned: false)
      return
    }
    guard let scale = try node.parameter(result.scale, counts: 1, .float32),
      let zero = try node.parameter(result.zero, counts: 1, .uint8, .int8)
    else { throw node.error(.malformed, "no scale for the result") }
    _ = scale
    requantization = Requantization(isSigned: zero.type == .int8)
    outputs = [try node.output(zero.type, product.shape)]
  }

  private static func packed(
    _ node: Node, _ operand: IntegerOperand, _ info: ValueInfo
  ) -> TensorBuffer? {
    let zero = node.optionalInput(operand.zero ?? -1)
    guard let constant = info.constant, info.shape.rank == 2,
      zero == nil || zero?.constant != nil
    else { return nil }
    let buffer = TensorBuffer(.int16, capacity: constant.count)
    turn(
      constant.view, 0, zeros: zero?.constant?.view, depth: info.shape.dims[0],
      columns: info.shape.dims[1], into: buffer.base.assumingMemoryBound(to: Int16.self))
    return buffer
  }

  /// A matrix column by column, less the zero of each.
  private static func turn(
    _ view: TensorView, _ first: Int, zeros: TensorView?, depth: Int, columns: Int,
    into target: UnsafeMutablePointer<Int16>
  ) {
    for column in 0..<columns {
      let zero = zeros?.integer((zeros?.count ?? 1) == 1 ? 0 : column) ?? 0
      for k in 0..<depth {
        target[column * depth + k] = Int16(
          truncatingIfNeeded: view.integer(first + k * columns + column) - zero)
      }
    }
  }

  var constantByteCount: Int { (columns?.capacity ?? 0) * 2 }

  private func sizes(_ rows: Int) -> [Int] {
    [
      IntegerOperand.byteCount(shapes.a.elementCount(rows: rows), 2),
      columns == nil ? IntegerOperand.byteCount(shapes.b.elementCount(rows: rows), 2) : 0,
      result == nil ? 0 : IntegerOperand.byteCount(shapes.product.elementCount(rows: rows), 4),
    ]
  }

  func scratchByteCount(rows: Int) -> Int { sizes(rows).reduce(0, +) }

  func run(_ call: Call) {
    let sizes = sizes(call.rowCount)
    let (left, right) = (call.input(a.input), call.input(b.input))
    let depth = left.dims.last ?? 1
    let n = right.dims.count >= 2 ? right.dims[right.dims.count - 1] : 1
    let m = left.dims.count >= 2 ? left.dims[left.dims.count - 2] : 1
    let rows = call.scratch.assumingMemoryBound(to: Int16.self)
    let zeros = input(call, a.zero)
    IntegerOperand.widen(
      left, count: left.count, zeros: zeros,
      stretch: hasZerosOfRows ? left.count / max(zeros?.count ?? 1, 1) : depth, into: rows)
    let matrices: UnsafeMutablePointer<Int16>
    if let columns {
      matrices = columns.base.assumingMemoryBound(to: Int16.self)
    } else {
      matrices = (call.scratch + sizes[0]).assumingMemoryBound(to: Int16.self)
      let each = depth * n
      for matrix in 0..<(each > 0 ? right.count / each : 0) {
        Self.turn(
          right, matrix * each, zeros: input(call, b.zero), depth: depth, columns: n,
          into: matrices + matrix * each)
      }
    }
    let sums =
      result == nil
      ? call.output(0).int32s
      : (call.scratch + sizes[0] + sizes[1]).assumingMemoryBound(to: Int32.self)
    let (leftOuter, rightOuter) = (
      Array(left.dims.dropLast(2)), Array(right.dims.dropLast(2))
    )
    BroadcastWalk(
      output: Self.outer(leftOuter, rightOuter), inputs: [leftOuter, rightOuter]
    ).forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        ck_product_i16(
          rows + (offsets[0] + i * steps[0]) * m * depth, m, depth,
          matrices + (offsets[1] + i * steps[1]) * depth * n, n, sums + (output + i) * m * n)
      }
    }
    if let result { requantize(call, result, sums, m: m, n: n) }
  }

  private static func outer(_ a: [Int], _ b: [Int]) -> [Int] {
    let rank = max(a.count, b.count)
    return (0..<rank).map { axis in
      let (x, y) = (axis - (rank - a.count), axis - (rank - b.count))
      let (p, q) = (x < 0 ? 1 : a[x], y < 0 ? 1 : b[y])
      return p == 1 ? q : p
    }
  }

  private func requantize(
    _ call: Call, _ result: IntegerOperand, _ sums: UnsafeMutablePointer<Int32>, m: Int, n: Int
  ) {
    guard let left = input(call, a.scale), let right = input(call, b.scale),
      let scale = input(call, result.scale), let zero = input(call, result.zero)
    else { return }
    let out = call.output(0).base.assumingMemoryBound(to: UInt8.self)
    let shift = zero.integer(0)
    for index in 0..<call.output(0).count {
      let factor =
        left.floats[left.count == 1 ? 0 : index / max(n, 1) % max(m, 1)]
        * right.floats[right.count == 1 ? 0 : index % max(n, 1)] / scale.floats[0]
      out[index] = requantization.byte(sums[index], factor, shift)
    }
  }

  private func input(_ call: Call, _ index: Int?) -> TensorView? {
    index.flatMap { $0 < call.inputs.count ? call.inputs[$0] : nil }
  }
}
