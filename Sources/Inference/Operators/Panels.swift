internal import CKernels

/// A matrix of weights, packed for the dense kernels.
struct Panels: Sendable {
  /// Elements that a sum goes over.
  let depth: Int
  let columns: Int
  private let buffer: TensorBuffer

  /// Packs `columns` columns of `depth` weights; `weight` is asked for (k, column).
  init(depth: Int, columns: Int, _ weight: (Int, Int) -> Double) {
    (self.depth, self.columns) = (depth, columns)
    buffer = TensorBuffer(.float64, capacity: ck_panel_size(depth, columns))
    Panels.pack(
      depth: depth, columns: columns, into: buffer.base.assumingMemoryBound(to: Double.self),
      weight)
  }

  /// The weight of element k in a column.
  func weight(_ k: Int, _ column: Int) -> Double {
    let width = CK_PANEL
    return pointer[(column / width) * width * depth + k * width + column % width]
  }

  static func pack(
    depth: Int, columns: Int, into target: UnsafeMutablePointer<Double>,
    _ weight: (Int, Int) -> Double
  ) {
    let width = CK_PANEL
    for column in 0..<columns {
      let panel = target + (column / width) * width * depth + column % width
      for k in 0..<depth { panel[k * width] = weight(k, column) }
    }
  }

  var pointer: UnsafeMutablePointer<Double> { buffer.base.assumingMemoryBound(to: Double.self) }
}

/// Runs an operator that computes with floats on an input of another numeric type.
struct WithFloatInput: Operator {
  let inner: any Operator
  let width: Int

  /// The operator that `make` makes, wrapped if input 0 is not of floats.
  static func wrap(
    _ node: Node, _ make: (Node) throws(ModelError) -> any Operator
  ) throws(ModelError) -> any Operator {
    let info = try node.input(0, .float32, .float64, .int32, .int64)
    if info.type == .float32 { return try make(node) }
    var inputs = node.inputs
    inputs[0] = ValueInfo(.float32, info.shape)
    let inner = try make(node.with(inputs: inputs))
    return WithFloatInput(inner: inner, width: info.shape.elementCount)
  }

  var outputs: [ValueInfo] { inner.outputs }

  private func floatByteCount(rows: Int) -> Int { (rows * width * 4 + 63) & ~63 }

  func scratchByteCount(rows: Int) -> Int {
    floatByteCount(rows: rows) + inner.scratchByteCount(rows: rows)
  }

  func run(_ call: Call) {
    let source = call.input(0)
    let floats = call.scratch.assumingMemoryBound(to: Float.self)
    switch source.type {
    case .float64: for i in 0..<source.count { floats[i] = Float(source.doubles[i]) }
    case .int32: for i in 0..<source.count { floats[i] = Float(source.int32s[i]) }
    default: for i in 0..<source.count { floats[i] = Float(source.int64s[i]) }
    }
    var inputs = call.inputs
    inputs[0] = TensorView(type: .float32, dims: source.dims, base: call.scratch)
    inner.run(
      Call(
        rowCount: call.rowCount, inputs: inputs, outputs: call.outputs,
        scratch: call.scratch + floatByteCount(rows: call.rowCount), failures: call.failures))
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    inner.mayBeMissing(input: input, count: count, outputs: outputs)
  }

  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    inner.readElements(input: input, count: count, outputs: outputs)
  }
}
