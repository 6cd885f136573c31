internal import CKernels

/// An operator of one input, element by element.
struct UnaryElementwise: Operator {
  typealias Kernel = @Sendable (UnsafeMutableRawPointer, UnsafeMutableRawPointer, Int) -> Void

  let outputs: [ValueInfo]
  private let kernel: Kernel
  /// Whether missing values are what the function asks for.
  private let takesMissing: Bool

  private init(
    _ node: Node, _ info: ValueInfo, _ type: TensorType, takesMissing: Bool = false,
    _ kernel: @escaping Kernel
  ) throws(ModelError) {
    self.kernel = kernel
    self.takesMissing = takesMissing
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    kernel(input.base, call.output(0).base, input.count)
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: takesMissing, count: count)
  }

  @inline(__always)
  static func kernel<T, U>(_ function: @escaping @Sendable (T) -> U) -> Kernel {
    { from, to, count in
      let x = from.assumingMemoryBound(to: T.self)
      let y = to.assumingMemoryBound(to: U.self)
      for i in 0..<count { y[i] = function(x[i]) }
    }
  }

  /// A factory for functions of floating-point numbers.
  static func function(
    _ floats: @escaping Kernel, _ doubles: @escaping Kernel
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let info = try node.input(0, .float32, .float64)
      return try UnaryElementwise(
        node, info, info.type, info.type == .float32 ? floats : doubles)
    }
  }

  /// A factory for functions of any number.
  static func sign<F: SignFunction>(_ function: F.Type) -> OperatorFactory {
    { node throws(ModelError) in
      let info = try node.input(0)
      func integers<T: IntegerElement>(_ type: T.Type) -> Kernel {
        kernel { (x: T) in F.integers(x) }
      }
      let made: Kernel
      switch info.type {
      case .float32: made = kernel { (x: Float) in F.floats(x) }
      case .float64: made = kernel { (x: Double) in F.floats(x) }
      case .int64: made = integers(Int64.self)
      case .int32: made = integers(Int32.self)
      default:
        guard let integer = info.type.integer else {
          throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
        }
        made = integers(integer)
      }
      return try UnaryElementwise(node, info, info.type, made)
    }
  }

  /// BitwiseNot: of integers alone.
  static let bitwiseNot: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    func integers<T: IntegerElement>(_ type: T.Type) -> Kernel { kernel { (x: T) in ~x } }
    guard let integer = info.type.integer else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    return try UnaryElementwise(
      node, info, info.type, integers(integer))
  }

  /// A factory for tests of floating-point numbers.
  static func test(
    _ floats: @escaping @Sendable (Float) -> Bool,
    _ doubles: @escaping @Sendable (Double) -> Bool
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let info = try node.input(0, .float32, .float64)
      return try UnaryElementwise(
        node, info, .bool, takesMissing: true,
        info.type == .float32 ? kernel(floats) : kernel(doubles))
    }
  }

  /// IsInf, of either sign or of one.
  static let isInfinite: OperatorFactory = { node throws(ModelError) in
    let negative = try node.int("detect_negative", default: 1) != 0
    let positive = try node.int("detect_positive", default: 1) != 0
    return try test(
      { $0.isInfinite && ($0 < 0 ? negative : positive) },
      { $0.isInfinite && ($0 < 0 ? negative : positive) })(node)
  }

  static let not: OperatorFactory = { node throws(ModelError) in
    try UnaryElementwise(
      node, node.input(0, .bool), .bool, kernel { (x: Bool) in !x })
  }

  static func floats(
    _ function: @escaping @Sendable (UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  ) -> Kernel {
    { from, to, count in
      function(
        from.assumingMemoryBound(to: Float.self), count, to.assumingMemoryBound(to: Float.self))
    }
  }

  static func doubles(
    _ function:
      @escaping @Sendable (UnsafePointer<Double>, Int, UnsafeMutablePointer<Double>) -> Void
  ) -> Kernel {
    { from, to, count in
      function(
        from.assumingMemoryBound(to: Double.self), count, to.assumingMemoryBound(to: Double.self))
    }
  }

  /// A function of one number, computed in double.
  static func computed(_ function: @escaping @Sendable (Double) -> Double) -> OperatorFactory {
    self.function(kernel { (x: Float) in Float(function(Double(x))) }, kernel(function))
  }

  /// A function with attributes, computed in double.
  static func computed(
    _ make: @escaping @Sendable (Node) throws(ModelError) -> @Sendable (Double) -> Double
  ) -> OperatorFactory {
    { node throws(ModelError) in try computed(make(node))(node) }
  }

  /// Identity, and what else leaves a tensor as it is (Dropout at inference).
  struct Identity: Operator {
    let outputs: [ValueInfo]
    var isView: Bool { true }

    init(_ node: Node) throws(ModelError) {
      let info = try node.input(0)
      outputs = [ValueInfo(info.type, info.shape, extents: info.extents)]
    }

    func run(_ call: Call) {}
  }
}
