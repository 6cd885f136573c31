internal import CKernels

/// MatMul and Gemm: products of matrices, sums kept in double in the order of the inner axis.
///
/// The common case, rows times constant weights, runs in blocked kernels; others are rare in
/// models of rows and run plainly.
struct MatrixProduct: WeighsRows {
  let outputs: [ValueInfo]
  private(set) var weights: Panels
  let bias: [Double]?
  let isDouble: Bool

  private init(
    _ node: Node, _ a: ValueInfo, weights: Panels, bias: [Double]?, columns: Int
  ) throws(ModelError) {
    try node.checkWork(a.shape, times: columns)
    self.weights = weights
    self.bias = bias
    isDouble = a.type == .float64
    outputs = [
      try node.output(
        a.type, Shape(Array(a.shape.dims.dropLast()) + [columns], rowAxis: a.shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let (a, out) = (call.input(0), call.output(0))
    let rows = weights.depth > 0 ? a.count / weights.depth : out.count / max(weights.columns, 1)
    bias.withPointer { bias in
      if isDouble {
        ck_gemm_f64(
          a.doubles, rows, weights.depth, weights.pointer, weights.columns, bias, out.doubles)
      } else {
        ck_gemm_f32(
          a.floats, rows, weights.depth, weights.pointer, weights.columns, bias, out.floats)
      }
    }
  }

  var addends: [Double]? { bias }

  var withoutWeights: any WeighsRows {
    var result = self
    result.weights = Panels(depth: 0, columns: weights.columns) { _, _ in 0 }
    return result
  }

  func sums(_ call: Call) -> UnsafeMutablePointer<Float> { call.output(0).floats }
  func finish(_ call: Call) {}

  static let matMul: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...2)
    let (a, b) = (try node.input(0), try node.input(1))
    guard a.type == b.type, a.type.isNumeric else {
      throw node.error(
        .unsupported,
        "inputs of types \(a.type.onnxName) and \(b.type.onnxName) are not supported")
    }
    if let product = try FloatProduct(matMul: node, a, b) { return product }
    guard a.type.isFloatingPoint, let constant = b.constant, constant.dims.count == 2,
      a.shape.rank >= 2,
      a.shape.rowAxis != a.shape.rank - 1, let values = constant.doubles
    else { return try GeneralMatMul(node, a, b) }
    let (depth, columns) = (constant.dims[0], constant.dims[1])
    guard a.shape.dims[a.shape.rank - 1] == depth else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    return try MatrixProduct(
      node, a, weights: Panels(depth: depth, columns: columns) { values[$0 * columns + $1] },
      bias: nil, columns: columns)
  }

  static let gemm: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...3)
    let (a, b) = (try node.input(0), try node.input(1))
    guard a.type == b.type, a.shape.rank == 2, b.shape.rank == 2 else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    let transA = try node.int("transA", default: 0) != 0
    let transB = try node.int("transB", default: 0) != 0
    let alpha = Double(try node.float("alpha", default: 1))
    let beta = Double(try node.float("beta", default: 1))
    if let product = try FloatProduct(gemm: node, a, b, alpha: alpha, beta: beta) {
      return product
    }
    guard !transA, a.shape.rowAxis != 1, a.type.isFloatingPoint,
      let values = b.constant?.doubles
    else { return try GeneralGemm(node) }
    let (first, second) = (b.shape.dims[0], b.shape.dims[1])
    let (depth, columns) = transB ? (second, first) : (first, second)
    guard a.shape.dims[1] == depth else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    // A factor goes into the weights: products by 1, -1, 2 and 0.5 stay exact.
    let weights = Panels(depth: depth, columns: columns) { k, column in
      alpha * (transB ? values[column * second + k] : values[k * second + column])
    }
    guard let c = node.optionalInput(2), beta != 0 else {
      return try MatrixProduct(node, a, weights: weights, bias: nil, columns: columns)
    }
    guard c.type == a.type else { throw node.error(.malformed, "inputs of different types") }
    if let bias = c.constant?.doubles, c.shape.dims.dropLast().allSatisfy({ $0 == 1 }),
      bias.count == columns || bias.count == 1
    {
      let spread = bias.count == columns ? bias : Array(repeating: bias[0], count: columns)
      return try MatrixProduct(
        node, a, weights: weights, bias: spread.map { beta * $0 }, columns: columns)
    }
    let product = try MatrixProduct(node, a, weights: weights, bias: nil, columns: columns)
    return try GemmWithRows(node, product, c, beta)
  }
}

extension [Double]? {
  /// The elements' address, or nil.
  fileprivate func withPointer(_ body: (UnsafePointer<Double>?) -> Void) {
    guard let self else { return body(nil) }
    self.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}

/// A product to which a matrix is added that each row has its own part of.
private struct GemmWithRows: Operator {
  let outputs: [ValueInfo]
  private let product: MatrixProduct
  private let beta: Double

  init(
    _ node: Node, _ product: MatrixProduct, _ c: ValueInfo, _ beta: Double
  ) throws(ModelError) {
    guard product.outputs[0].shape.broadcast(with: c.shape) == product.outputs[0].shape else {
      throw node.error(
        .malformed, "\(c.shape) does not fit \(product.outputs[0].shape) row by row")
    }
    (self.product, self.beta) = (product, beta)
    outputs = product.outputs
  }

  func run(_ call: Call) {
    product.run(call)
    let (c, out) = (call.input(2), call.output(0))
    let walk = BroadcastWalk(output: out.dims, inputs: [c.dims])
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        let from = offsets[0] + i * steps[0]
        if out.type == .float32 {
          out.floats[output + i] += Float(beta * Double(c.floats[from]))
        } else {
          out.doubles[output + i] += beta * c.doubles[from]
        }
      }
    }
  }
}

/// MatMul of any two tensors, as NumPy's `matmul`.
struct GeneralMatMul: Operator {
  let outputs: [ValueInfo]
  private let depth: Int
  private let dropsRow: Bool
  private let dropsColumn: Bool

  init(_ node: Node, _ a: ValueInfo, _ b: ValueInfo) throws(ModelError) {
    guard a.shape.rank >= 1, b.shape.rank >= 1, a.shape.rank <= 8, b.shape.rank <= 8 else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    (dropsRow, dropsColumn) = (a.shape.rank == 1, b.shape.rank == 1)
    let left =
      dropsRow ? Shape([1] + a.shape.dims, rowAxis: a.shape.rowAxis.map { $0 + 1 }) : a.shape
    let right = dropsColumn ? Shape(b.shape.dims + [1], rowAxis: b.shape.rowAxis) : b.shape
    let (m, n) = (left.rank - 2, right.rank - 1)
    guard left.rowAxis != left.rank - 1, right.rowAxis != right.rank - 2,
      left.dims[left.rank - 1] == right.dims[right.rank - 2],
      let outer = left.leading.broadcast(with: right.leading)
    else {
      throw node.error(
        .unsupported, "inputs of shapes \(a.shape) and \(b.shape) do not fit row by row")
    }
    let rowAxes = [
      outer.rowAxis, left.rowAxis == m ? outer.rank : nil,
      right.rowAxis == n ? outer.rank + 1 : nil,
    ].compactMap { $0 }
    guard rowAxes.count <= 1 else { throw node.error(.unsupported, "rows meet rows") }
    depth = left.dims[left.rank - 1]
    var dims = outer.dims + [left.dims[m], right.dims[n]]
    var rowAxis = rowAxes.first
    if dropsColumn { dims.removeLast() }
    if dropsRow {
      dims.remove(at: outer.rank)
      if let axis = rowAxis, axis > outer.rank { rowAxis = axis - 1 }
    }
    outputs = [try node.output(a.type, Shape(dims, rowAxis: rowAxis))]
    try node.checkWork(outputs[0].shape, times: depth)
  }

  func run(_ call: Call) {
    let (a, b, out) = (call.input(0), call.input(1), call.output(0))
    let left = dropsRow ? [1] + a.dims : a.dims
    let right = dropsColumn ? b.dims + [1] : b.dims
    let (m, n) = (left[left.count - 2], right[right.count - 1])
    let (leftOuter, rightOuter) = (Array(left.dropLast(2)), Array(right.dropLast(2)))
    let rank = max(leftOuter.count, rightOuter.count)
    let outer = (0..<rank).map { axis in
      let x = axis - (rank - leftOuter.count)
      let y = axis - (rank - rightOuter.count)
      let (p, q) = (x < 0 ? 1 : leftOuter[x], y < 0 ? 1 : rightOuter[y])
      return p == 1 ? q : p
    }
    let walk = BroadcastWalk(output: outer, inputs: [leftOuter, rightOuter])
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        multiplied(
          a, (offsets[0] + i * steps[0]) * m * depth, b, (offsets[1] + i * steps[1]) * depth * n,
          out, (output + i) * m * n, m, n)
      }
    }
  }

  private func multiplied(
    _ a: TensorView, _ aBase: Int, _ b: TensorView, _ bBase: Int, _ out: TensorView,
    _ outBase: Int, _ m: Int, _ n: Int
  ) {
    if let integer = out.type.integer {
      multiplyIntegers(a, aBase, b, bBase, out, outBase, m, n, integer)
    } else {
      multiply(a, aBase, b, bBase, out, outBase, m, n)
    }
  }

  /// Sums of integers are taken modulo the type's size.
  private func multiplyIntegers<T: IntegerElement>(
    _ a: TensorView, _ aBase: Int, _ b: TensorView, _ bBase: Int, _ out: TensorView,
    _ outBase: Int, _ m: Int, _ n: Int, _ type: T.Type
  ) {
    let x = a.pointer(as: type) + aBase
    let y = b.pointer(as: type) + bBase
    let z = out.pointer(as: type) + outBase
    for i in 0..<m {
      for j in 0..<n {
        var sum = T.zero
        for k in 0..<depth { sum = sum &+ x[i * depth + k] &* y[k * n + j] }
        z[i * n + j] = sum
      }
    }
  }

  private func multiply(
    _ a: TensorView, _ aBase: Int, _ b: TensorView, _ bBase: Int, _ out: TensorView,
    _ outBase: Int, _ m: Int, _ n: Int
  ) {
    for i in 0..<m {
      for j in 0..<n {
        var sum = 0.0
        if out.type == .float32 {
          for k in 0..<depth {
            sum +=
              Double(a.floats[aBase + i * depth + k]) * Double(b.floats[bBase + k * n + j])
          }
          out.floats[outBase + i * n + j] = Float(sum)
        } else {
          for k in 0..<depth {
            sum += a.doubles[aBase + i * depth + k] * b.doubles[bBase + k * n + j]
          }
          out.doubles[outBase + i * n + j] = sum
        }
      }
    }
  }
}

extension Shape {
  /// All axes but the last two.
  fileprivate var leading: Shape {
    Shape(Array(dims.dropLast(2)), rowAxis: rowAxis.flatMap { $0 < rank - 2 ? $0 : nil })
  }
}

extension Node {
  /// Refuses a product of constants that would take minutes.
  fileprivate func checkWork(_ shape: Shape, times count: Int) throws(ModelError) {
    try meter?.spend(shape.elementCount.multipliedReportingOverflow(by: count).partialValue)
    guard !shape.isBatched else { return }
    let (work, overflow) = shape.elementCount.multipliedReportingOverflow(by: count)
    guard !overflow, work <= 1 << 34 else {
      throw error(.tooLarge, "a product of constants of \(shape.elementCount) elements")
    }
  }
}

/// Softmax and LogSoftmax over an axis; before opset 13 over all axes from one on.
struct Softmax: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let flattens: Bool
  private let isLog: Bool

  static func factory(isLog: Bool) -> OperatorFactory {
    { node throws(ModelError) in try Softmax(node, isLog: isLog) }
  }

  private init(_ node: Node, isLog: Bool) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    flattens = node.opset < 13
    axis = try node.axis(node.int("axis", default: flattens ? 1 : -1), rank: info.shape.rank)
    self.isLog = isLog
    if let rowAxis = info.shape.rowAxis, rowAxis == axis || flattens && rowAxis > axis {
      throw node.mixing("rows are normalised against each other")
    }
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let inner = flattens ? 1 : input.dims[(axis + 1)...].reduce(1, *)
    let width = flattens ? input.dims[axis...].reduce(1, *) : input.dims[axis]
    let outer = input.dims[..<axis].reduce(1, *)
    if inner == 1 {
      switch (input.type, isLog) {
      case (.float32, false): ck_softmax_f32(input.floats, outer, width, out.floats)
      case (.float32, true): ck_log_softmax_f32(input.floats, outer, width, out.floats)
      case (_, false): ck_softmax_f64(input.doubles, outer, width, out.doubles)
      case (_, true): ck_log_softmax_f64(input.doubles, outer, width, out.doubles)
      }
    } else if input.type == .float32 {
      strided(input.floats, out.floats, outer, width, inner)
    } else {
      strided(input.doubles, out.doubles, outer, width, inner)
    }
  }

  private func strided<T: BinaryFloatingPoint>(
    _ from: UnsafeMutablePointer<T>, _ to: UnsafeMutablePointer<T>, _ outer: Int, _ width: Int,
    _ inner: Int
  ) {
    for i in 0..<outer {
      for j in 0..<inner {
        let base = i * width * inner + j
        var greatest = -Double.infinity
        for k in 0..<width { greatest = max(greatest, Double(from[base + k * inner])) }
        var sum = 0.0
        for k in 0..<width { sum += ck_exp(Double(from[base + k * inner]) - greatest) }
        let log = ck_log(sum)
        for k in 0..<width {
          let difference = Double(from[base + k * inner]) - greatest
          to[base + k * inner] = T(isLog ? difference - log : ck_exp(difference) / sum)
        }
      }
    }
  }
}
