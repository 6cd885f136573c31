internal import CKernels

extension BinaryElementwise {
  /// Pow: the exponent may be of another type than the base.
  static let power: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...2)
    let (a, b) = (try node.input(0), try node.input(1))
    guard a.type.isNumeric, b.type.isNumeric else {
      throw node.error(
        .unsupported,
        "inputs of types \(a.type.onnxName) and \(b.type.onnxName) are not supported")
    }
    switch (a.type, b.type) {
    case (.float32, .float32):
      return try BinaryElementwise(
        node, a, b, a.type,
        kernel { (x: Float, y: Float) in Float(ck_pow(Double(x), Double(y))) })
    case (.float64, .float64):
      return try BinaryElementwise(
        node, a, b, a.type, kernel { (x: Double, y: Double) in ck_pow(x, y) })
    default: return try MixedPower(node, a, b)
    }
  }

  /// Mod: Python's remainder, or C's where `fmod` is set.
  static let mod: OperatorFactory = { node throws(ModelError) in
    let isC = try node.int("fmod", default: 0) != 0
    return try isC
      ? arithmetic(CRemainder.self)(node) : arithmetic(PythonRemainder.self)(node)
  }

  /// BitShift, to the side that an attribute names.
  static let shift: OperatorFactory = { node throws(ModelError) in
    switch try node.string("direction") {
    case "LEFT": return try integral(ShiftLeft.self)(node)
    case "RIGHT": return try integral(ShiftRight.self)(node)
    default: throw node.error(.malformed, "the direction is neither LEFT nor RIGHT")
    }
  }
}

/// Pow of integers, or with an exponent of another type than the base.
private struct MixedPower: Operator {
  let outputs: [ValueInfo]
  private let isWhole: Bool

  init(_ node: Node, _ base: ValueInfo, _ exponent: ValueInfo) throws(ModelError) {
    guard let shape = base.shape.broadcast(with: exponent.shape) else {
      throw node.error(
        .malformed,
        "inputs of shapes \(base.shape) and \(exponent.shape) do not fit row by row")
    }
    isWhole = base.type.isInteger && exponent.type.isInteger
    outputs = [try node.output(base.type, shape)]
  }

  func run(_ call: Call) {
    let (base, exponent, out) = (call.input(0), call.input(1), call.output(0))
    let walk = BroadcastWalk(output: out.dims, inputs: [base.dims, exponent.dims])
    if isWhole, let type = base.type.integer {
      return powers(type, base, exponent, out, walk)
    }
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        out.set(
          output + i,
          ck_pow(
            base.double(offsets[0] + i * steps[0]), exponent.double(offsets[1] + i * steps[1])))
      }
    }
  }

  private func powers<T: IntegerElement>(
    _ type: T.Type, _ base: TensorView, _ exponent: TensorView, _ out: TensorView,
    _ walk: BroadcastWalk
  ) {
    let from: UnsafeMutablePointer<T> = base.pointer()
    let to: UnsafeMutablePointer<T> = out.pointer()
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        let power = exponent.integer(offsets[1] + i * steps[1])
        to[output + i] = Self.power(from[offsets[0] + i * steps[0]], power)
      }
    }
  }

  /// By squaring, modulo the type's size; a negative exponent leaves only 1 and -1.
  private static func power<T: FixedWidthInteger>(_ base: T, _ exponent: Int) -> T {
    if exponent < 0 {
      if base == 1 { return 1 }
      return T.isSigned && base == 0 &- 1 ? (exponent & 1 == 0 ? 1 : base) : 0
    }
    var (result, square, rest) = (T(1), base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = result &* square }
      square = square &* square
      rest >>= 1
    }
    return result
  }
}
