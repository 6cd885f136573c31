internal import CKernels

/// An operator of two inputs that broadcast, element by element.
struct BinaryElementwise: Operator {
  /// Computes a stretch: (a, step of a, b, step of b, out, count), addresses in elements.
  typealias Kernel =
    @Sendable (
      UnsafeMutableRawPointer, Int, UnsafeMutableRawPointer, Int, UnsafeMutableRawPointer, Int
    ) -> Void

  let outputs: [ValueInfo]
  private let kernel: Kernel
  private let strides: (input: Int, output: Int)

  init(_ node: Node, _ a: ValueInfo, _ b: ValueInfo, _ type: TensorType, _ kernel: @escaping Kernel)
    throws(ModelError)
  {
    guard let shape = a.shape.broadcast(with: b.shape) else {
      throw node.error(
        .malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit row by row")
    }
    outputs = [try node.output(type, shape)]
    self.kernel = kernel
    strides = (a.type.stride, type.stride)
  }

  func run(_ call: Call) {
    let (a, b, out) = (call.input(0), call.input(1), call.output(0))
    let walk = BroadcastWalk(output: out.dims, inputs: [a.dims, b.dims])
    walk.forEachStretch { output, offsets, steps, count in
      kernel(
        a.base + offsets[0] * strides.input, steps[0], b.base + offsets[1] * strides.input,
        steps[1], out.base + output * strides.output, count)
    }
  }

  /// A kernel from a function of two elements.
  @inline(__always)
  static func kernel<T, U>(_ function: @escaping @Sendable (T, T) -> U) -> Kernel {
    { a, stepA, b, stepB, out, count in
      let x = a.assumingMemoryBound(to: T.self)
      let y = b.assumingMemoryBound(to: T.self)
      let z = out.assumingMemoryBound(to: U.self)
      if stepA == 1 && stepB == 1 {
        for i in 0..<count { z[i] = function(x[i], y[i]) }
      } else if stepA == 1 && stepB == 0 {
        let y = y[0]
        for i in 0..<count { z[i] = function(x[i], y) }
      } else {
        for i in 0..<count { z[i] = function(x[i * stepA], y[i * stepB]) }
      }
    }
  }
}

extension BinaryElementwise {
  /// Both inputs, of one type.
  fileprivate static func inputs(
    _ node: Node
  ) throws(ModelError) -> (ValueInfo, ValueInfo) {
    try node.checkInputs(2...2)
    let (a, b) = (try node.input(0), try node.input(1))
    guard a.type == b.type else {
      throw node.error(
        .malformed, "inputs of types \(a.type.onnxName) and \(b.type.onnxName) do not fit")
    }
    return (a, b)
  }

  /// A factory for arithmetic over the numeric types.
  static func arithmetic(
    _ floats: @escaping @Sendable (Float, Float) -> Float,
    _ doubles: @escaping @Sendable (Double, Double) -> Double,
    _ int64s: @escaping @Sendable (Int64, Int64) -> Int64,
    _ int32s: @escaping @Sendable (Int32, Int32) -> Int32
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      let made: Kernel
      switch a.type {
      case .float32: made = kernel(floats)
      case .float64: made = kernel(doubles)
      case .int64: made = kernel(int64s)
      case .int32: made = kernel(int32s)
      case .bool, .string:
        throw node.error(.unsupported, "inputs of type \(a.type.onnxName) are not supported")
      }
      return try BinaryElementwise(node, a, b, a.type, made)
    }
  }

  /// A factory for comparisons over the numeric types.
  static func comparison(
    _ floats: @escaping @Sendable (Float, Float) -> Bool,
    _ doubles: @escaping @Sendable (Double, Double) -> Bool,
    _ int64s: @escaping @Sendable (Int64, Int64) -> Bool,
    _ int32s: @escaping @Sendable (Int32, Int32) -> Bool,
    bools: (@Sendable (Bool, Bool) -> Bool)? = nil,
    strings: (@Sendable (String, String) -> Bool)? = nil
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      let made: Kernel?
      switch a.type {
      case .float32: made = kernel(floats)
      case .float64: made = kernel(doubles)
      case .int64: made = kernel(int64s)
      case .int32: made = kernel(int32s)
      case .bool: made = bools.map { kernel($0) }
      case .string: made = strings.map { kernel($0) }
      }
      guard let made else {
        throw node.error(.unsupported, "inputs of type \(a.type.onnxName) are not supported")
      }
      return try BinaryElementwise(node, a, b, .bool, made)
    }
  }

  /// A factory for operators of truth values.
  static func logical(_ function: @escaping @Sendable (Bool, Bool) -> Bool) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      guard a.type == .bool else {
        throw node.error(.unsupported, "inputs of type \(a.type.onnxName) are not supported")
      }
      return try BinaryElementwise(node, a, b, .bool, kernel(function))
    }
  }

  /// Pow: the exponent may be of another type than the base.
  static let power: OperatorFactory = { node throws(ModelError) in
    try node.checkInputs(2...2)
    let a = try node.input(0, .float32, .float64, .int64, .int32)
    let b = try node.input(1, .float32, .float64, .int64, .int32)
    if a.type == b.type {
      return try arithmetic(
        { Float(ck_pow(Double($0), Double($1))) }, { ck_pow($0, $1) },
        { integer(ck_pow(Double($0), Double($1))) },
        { Int32(clamping: integer(ck_pow(Double($0), Double($1)))) })(node)
    }
    guard let exponent = b.constant?.doubles else {
      throw node.error(
        .unsupported,
        "inputs of types \(a.type.onnxName) and \(b.type.onnxName) are not supported")
    }
    return try PowerByConstant(node, a, b, exponent)
  }

  /// A whole number from a double; the smallest where it does not fit, as x86 has it.
  static func integer(_ value: Double) -> Int64 {
    Int64(exactly: value.rounded(.towardZero)) ?? .min
  }

  static func divide<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    // Nothing to divide by gives zero, and the one quotient that is too large stays.
    b == 0 ? 0 : a.dividedReportingOverflow(by: b).partialValue
  }

  /// The remainder with the divisor's sign, as Python's `%`.
  static func modulo<T: FixedWidthInteger & SignedInteger>(_ a: T, _ b: T) -> T {
    guard b != 0 else { return 0 }
    let remainder = a.remainderReportingOverflow(dividingBy: b).partialValue
    return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
  }

  static func remainder<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    b == 0 ? 0 : a.remainderReportingOverflow(dividingBy: b).partialValue
  }

  /// Mod: Python's remainder of integers, or C's of any number where `fmod` is set.
  static let mod: OperatorFactory = { node throws(ModelError) in
    let isC = try node.int("fmod", default: 0) != 0
    let type = try node.input(0).type
    guard isC || !type.isFloatingPoint else {
      throw node.error(.malformed, "input of type \(type.onnxName) without fmod")
    }
    return try arithmetic(
      { $0.truncatingRemainder(dividingBy: $1) }, { $0.truncatingRemainder(dividingBy: $1) },
      { isC ? remainder($0, $1) : modulo($0, $1) }, { isC ? remainder($0, $1) : modulo($0, $1) })(
        node)
  }
}

/// Pow with a constant exponent of another type than the base.
private struct PowerByConstant: Operator {
  let outputs: [ValueInfo]
  private let exponents: [Double]
  private let exponentDims: [Int]

  init(
    _ node: Node, _ base: ValueInfo, _ exponent: ValueInfo, _ values: [Double]
  ) throws(ModelError) {
    guard let shape = base.shape.broadcast(with: exponent.shape) else {
      throw node.error(
        .malformed,
        "inputs of shapes \(base.shape) and \(exponent.shape) do not fit row by row")
    }
    outputs = [try node.output(base.type, shape)]
    (exponents, exponentDims) = (values, exponent.shape.dims)
  }

  func run(_ call: Call) {
    let (base, out) = (call.input(0), call.output(0))
    let walk = BroadcastWalk(output: out.dims, inputs: [base.dims, exponentDims])
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        let exponent = exponents[offsets[1] + i * steps[1]]
        let from = offsets[0] + i * steps[0]
        switch base.type {
        case .float32: out.floats[output + i] = Float(ck_pow(Double(base.floats[from]), exponent))
        case .float64: out.doubles[output + i] = ck_pow(base.doubles[from], exponent)
        case .int64:
          out.int64s[output + i] = BinaryElementwise.integer(
            ck_pow(Double(base.int64s[from]), exponent))
        default:
          out.int32s[output + i] = Int32(
            clamping: BinaryElementwise.integer(ck_pow(Double(base.int32s[from]), exponent)))
        }
      }
    }
  }
}

/// Sum, Mean, Max, Min: any number of inputs that broadcast, taken from left to right.
struct VariadicElementwise: Operator {
  let outputs: [ValueInfo]
  private let combine: BinaryElementwise.Kernel
  private let divisor: Int?

  private init(
    _ node: Node, combine: @escaping BinaryElementwise.Kernel, divides: Bool
  ) throws(ModelError) {
    let first = try node.input(0)
    var shape = first.shape
    for index in node.inputs.indices.dropFirst() {
      let info = try node.input(index)
      guard info.type == first.type, let wider = shape.broadcast(with: info.shape) else {
        throw node.error(
          .malformed,
          "input \(index) of shape \(info.shape) does not fit \(shape) row by row")
      }
      shape = wider
    }
    self.combine = combine
    divisor = divides ? node.inputs.count : nil
    outputs = [try node.output(first.type, shape)]
  }

  func run(_ call: Call) {
    let out = call.output(0)
    let stride = out.type.stride
    let first = BroadcastWalk(output: out.dims, inputs: [call.input(0).dims])
    first.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        (out.base + (output + i) * stride).copyMemory(
          from: call.input(0).base + (offsets[0] + i * steps[0]) * stride, byteCount: stride)
      }
    }
    for index in call.inputs.indices.dropFirst() {
      let next = call.input(index)
      let walk = BroadcastWalk(output: out.dims, inputs: [out.dims, next.dims])
      walk.forEachStretch { output, offsets, steps, count in
        combine(
          out.base + output * stride, 1, next.base + offsets[1] * stride, steps[1],
          out.base + output * stride, count)
      }
    }
    guard let divisor else { return }
    if out.type == .float32 {
      for i in 0..<out.count { out.floats[i] /= Float(divisor) }
    } else {
      for i in 0..<out.count { out.doubles[i] /= Double(divisor) }
    }
  }

  static func factory(
    _ floats: @escaping @Sendable (Float, Float) -> Float,
    _ doubles: @escaping @Sendable (Double, Double) -> Double,
    integers: (
      @Sendable (Int64, Int64) -> Int64, @Sendable (Int32, Int32) -> Int32
    )? = nil, divides: Bool = false
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let type = try node.input(0).type
      let kernel: BinaryElementwise.Kernel
      switch (type, integers) {
      case (.float32, _): kernel = BinaryElementwise.kernel(floats)
      case (.float64, _): kernel = BinaryElementwise.kernel(doubles)
      case (.int64, let integers?): kernel = BinaryElementwise.kernel(integers.0)
      case (.int32, let integers?): kernel = BinaryElementwise.kernel(integers.1)
      default: throw node.error(.unsupported, "inputs of type \(type.onnxName) are not supported")
      }
      return try VariadicElementwise(node, combine: kernel, divides: divides)
    }
  }

  /// The greater number; NaN where one is.
  static func greater<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    a.isNaN || b.isNaN ? .nan : (a > b ? a : b)
  }

  static func less<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    a.isNaN || b.isNaN ? .nan : (a < b ? a : b)
  }
}

/// Where: picks from one of two inputs by the truth of a third.
struct Where: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let condition = try node.input(0, .bool)
    let (a, b) = (try node.input(1), try node.input(2))
    guard a.type == b.type, let both = a.shape.broadcast(with: b.shape),
      let shape = both.broadcast(with: condition.shape)
    else {
      throw node.error(
        .malformed,
        "inputs of shapes \(condition.shape), \(a.shape) and \(b.shape) do not fit row by row")
    }
    outputs = [try node.output(a.type, shape)]
  }

  func run(_ call: Call) {
    switch call.output(0).type {
    case .float32: pick(call, Float.self)
    case .float64: pick(call, Double.self)
    case .int64: pick(call, Int64.self)
    case .int32: pick(call, Int32.self)
    case .bool: pick(call, Bool.self)
    case .string: pick(call, String.self)
    }
  }

  private func pick<T: TensorElement>(_ call: Call, _ type: T.Type) {
    let condition = call.input(0).bools
    let a: UnsafeMutablePointer<T> = call.input(1).pointer()
    let b: UnsafeMutablePointer<T> = call.input(2).pointer()
    let out: UnsafeMutablePointer<T> = call.output(0).pointer()
    let walk = BroadcastWalk(
      output: call.output(0).dims,
      inputs: [call.input(0).dims, call.input(1).dims, call.input(2).dims])
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        out[output + i] =
          condition[offsets[0] + i * steps[0]]
          ? a[offsets[1] + i * steps[1]] : b[offsets[2] + i * steps[2]]
      }
    }
  }
}
