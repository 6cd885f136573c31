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
  static func arithmetic<F: ArithmeticFunction>(_ function: F.Type) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      return try BinaryElementwise(node, a, b, a.type, arithmeticKernel(function, node, a.type))
    }
  }

  /// - Throws: where the type is not a number.
  static func arithmeticKernel<F: ArithmeticFunction>(
    _ function: F.Type, _ node: Node, _ type: TensorType
  ) throws(ModelError) -> Kernel {
    func integers<T: IntegerElement>(_ type: T.Type) -> Kernel {
      kernel { (a: T, b: T) in F.integers(a, b) }
    }
    // The usual types are compiled each for itself.
    switch type {
    case .float32: return kernel { (a: Float, b: Float) in F.floats(a, b) }
    case .float64: return kernel { (a: Double, b: Double) in F.floats(a, b) }
    case .int64: return integers(Int64.self)
    case .int32: return integers(Int32.self)
    default:
      guard let integer = type.integer else {
        throw node.error(.unsupported, "inputs of type \(type.onnxName) are not supported")
      }
      return integers(integer)
    }
  }

  /// A factory for operators of integers alone.
  static func integral<F: ArithmeticFunction>(_ function: F.Type) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      guard a.type.isInteger else {
        throw node.error(.unsupported, "inputs of type \(a.type.onnxName) are not supported")
      }
      return try BinaryElementwise(node, a, b, a.type, arithmeticKernel(function, node, a.type))
    }
  }

  /// A factory for comparisons over the numeric types.
  static func comparison<F: ComparisonFunction>(_ function: F.Type) -> OperatorFactory {
    { node throws(ModelError) in
      let (a, b) = try inputs(node)
      func compare<T: Comparable & TensorElement>(_ type: T.Type) -> Kernel {
        kernel { (a: T, b: T) in F.compare(a, b) }
      }
      func compareIntegers<T: IntegerElement>(_ type: T.Type) -> Kernel { compare(type) }
      let made: Kernel
      switch a.type {
      case .float32: made = compare(Float.self)
      case .float64: made = compare(Double.self)
      case .int64: made = compare(Int64.self)
      case .int32: made = compare(Int32.self)
      default:
        guard let integer = a.type.integer else {
          throw node.error(.unsupported, "inputs of type \(a.type.onnxName) are not supported")
        }
        made = compareIntegers(integer)
      }
      return try BinaryElementwise(node, a, b, .bool, made)
    }
  }

  /// Equal: of any type.
  static let equal: OperatorFactory = { node throws(ModelError) in
    let (a, b) = try inputs(node)
    switch a.type {
    case .bool:
      return try BinaryElementwise(node, a, b, .bool, kernel { (a: Bool, b: Bool) in a == b })
    case .string:
      return try BinaryElementwise(node, a, b, .bool, kernel { (a: String, b: String) in a == b })
    default: return try comparison(IsEqual.self)(node)
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
    case let type: pick(call, type.element)
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
