internal import CKernels

/// An operator of one input, element by element.
struct UnaryElementwise: Operator {
  typealias Kernel = @Sendable (UnsafeMutableRawPointer, UnsafeMutableRawPointer, Int) -> Void

  let outputs: [ValueInfo]
  private let kernel: Kernel
  private let passesMissing: Bool

  private init(
    _ node: Node, _ info: ValueInfo, _ type: TensorType, passesMissing: Bool,
    _ kernel: @escaping Kernel
  ) throws(ModelError) {
    self.kernel = kernel
    self.passesMissing = passesMissing
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    kernel(input.base, call.output(0).base, input.count)
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    passesMissing ? outputs[0] : Array(repeating: false, count: count)
  }

  @inline(__always)
  static func kernel<T, U>(_ function: @escaping @Sendable (T) -> U) -> Kernel {
    { from, to, count in
      let x = from.assumingMemoryBound(to: T.self)
      let y = to.assumingMemoryBound(to: U.self)
      for i in 0..<count { y[i] = function(x[i]) }
    }
  }

  /// A factory for functions that keep the type; nil for integers where they have none.
  static func function(
    _ floats: @escaping Kernel, _ doubles: @escaping Kernel, int64s: Kernel? = nil,
    int32s: Kernel? = nil, passesMissing: Bool = false
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let info = try node.input(0)
      let kernel: Kernel?
      switch info.type {
      case .float32: kernel = floats
      case .float64: kernel = doubles
      case .int64: kernel = int64s
      case .int32: kernel = int32s
      case .bool, .string: kernel = nil
      }
      guard let kernel else {
        throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
      }
      return try UnaryElementwise(
        node, info, info.type, passesMissing: passesMissing, kernel)
    }
  }

  /// A factory for tests of floating-point numbers.
  static func test(
    _ floats: @escaping @Sendable (Float) -> Bool,
    _ doubles: @escaping @Sendable (Double) -> Bool
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let info = try node.input(0, .float32, .float64)
      return try UnaryElementwise(
        node, info, .bool, passesMissing: false,
        info.type == .float32 ? kernel(floats) : kernel(doubles))
    }
  }

  static let not: OperatorFactory = { node throws(ModelError) in
    try UnaryElementwise(
      node, node.input(0, .bool), .bool, passesMissing: false, kernel { (x: Bool) in !x })
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

/// Clip: bounds the elements; the bounds are attributes before opset 11, inputs after.
struct Clip: Operator {
  let outputs: [ValueInfo]
  private let least: Double
  private let greatest: Double

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int32, .int64)
    func bound(_ index: Int, _ name: String, _ otherwise: Double) throws(ModelError) -> Double {
      if node.opset < 11 { return Double(try node.float(name, default: Float(otherwise))) }
      guard let input = node.optionalInput(index) else { return otherwise }
      guard let value = input.constant?.doubles?.first, input.type == info.type else {
        throw node.error(.unsupported, "a bound that is not constant is not supported")
      }
      return value
    }
    least = try bound(1, "min", -.infinity)
    greatest = try bound(2, "max", .infinity)
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    switch input.type {
    case .float32:
      let (low, high) = (Float(least), Float(greatest))
      for i in 0..<input.count {
        let x = input.floats[i]
        out.floats[i] = x.isNaN ? x : min(max(x, low), high)
      }
    case .float64:
      for i in 0..<input.count {
        let x = input.doubles[i]
        out.doubles[i] = x.isNaN ? x : min(max(x, least), greatest)
      }
    case .int64:
      let (low, high) = (Self.bound(least, .min), Self.bound(greatest, .max))
      for i in 0..<input.count { out.int64s[i] = min(max(input.int64s[i], low), high) }
    default:
      let low = Int32(clamping: Self.bound(least, .min))
      let high = Int32(clamping: Self.bound(greatest, .max))
      for i in 0..<input.count { out.int32s[i] = min(max(input.int32s[i], low), high) }
    }
  }

  private static func bound(_ value: Double, _ otherwise: Int64) -> Int64 {
    Int64(exactly: value.rounded(.towardZero)) ?? otherwise
  }
}

/// Cast: the same values in another type.
///
/// A fraction is cut off; a number that an integer type cannot hold becomes its smallest, as the
/// conversion of x86 has it. Text that is no number makes its row a failure.
struct Cast: Operator {
  let outputs: [ValueInfo]
  private let from: TensorType
  private let to: TensorType
  private let width: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard let code = try node.int("to") else { throw node.error(.malformed, "no target type") }
    guard let type = TensorType(rawValue: code) else {
      throw node.error(
        .unsupported, "target type \(OnnxTypes.name(Int64(code))) is not supported")
    }
    guard !(info.type.isFloatingPoint && type == .string) else {
      throw node.error(.unsupported, "casting \(info.type.onnxName) to string is not supported")
    }
    (from, to) = (info.type, type)
    width = info.shape.elementCount
    name = node.name
    var output = try node.output(type, info.shape)
    if type == .int64 || type == .int32 { output.extents = info.extents }
    outputs = [output]
  }

  var isView: Bool { from == to }

  func run(_ call: Call) {
    let input = call.input(0)
    switch from {
    case .float32:
      let source = input.floats
      fill(call) { Double(source[$0]) }
    case .float64:
      let source = input.doubles
      fill(call) { source[$0] }
    case .int64: integers(call, input.int64s)
    case .int32: integers(call, input.int32s)
    case .bool:
      let source = input.bools
      if to == .string {
        for i in 0..<input.count { call.output(0).strings[i] = source[i] ? "1" : "0" }
      } else {
        fill(call) { source[$0] ? 1 : 0 }
      }
    case .string:
      let source = input.strings
      fill(call) { index in
        if let value = Double(source[index]) { return value }
        call.failures.add(
          row: index / max(width, 1), .wrongType, "text is not a number (node \"\(name)\")")
        return 0
      }
    }
  }

  @inline(__always)
  private func fill(_ call: Call, _ value: (Int) -> Double) {
    let out = call.output(0)
    switch to {
    case .float32:
      let target = out.floats
      for i in 0..<out.count { target[i] = Float(value(i)) }
    case .float64:
      let target = out.doubles
      for i in 0..<out.count { target[i] = value(i) }
    case .int64:
      let target = out.int64s
      for i in 0..<out.count { target[i] = BinaryElementwise.integer(value(i)) }
    case .int32:
      let target = out.int32s
      for i in 0..<out.count {
        target[i] = Int32(exactly: value(i).rounded(.towardZero)) ?? .min
      }
    case .bool:
      let target = out.bools
      for i in 0..<out.count { target[i] = value(i) != 0 }
    case .string: break
    }
  }

  private func integers<T: FixedWidthInteger>(
    _ call: Call, _ source: UnsafeMutablePointer<T>
  ) {
    let out = call.output(0)
    switch to {
    case .float32: for i in 0..<out.count { out.floats[i] = Float(source[i]) }
    case .float64: for i in 0..<out.count { out.doubles[i] = Double(source[i]) }
    case .int64: for i in 0..<out.count { out.int64s[i] = Int64(truncatingIfNeeded: source[i]) }
    case .int32: for i in 0..<out.count { out.int32s[i] = Int32(truncatingIfNeeded: source[i]) }
    case .bool: for i in 0..<out.count { out.bools[i] = source[i] != 0 }
    case .string: for i in 0..<out.count { out.strings[i] = "\(source[i])" }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    from.isFloatingPoint && to.isFloatingPoint
      ? outputs[0] : Array(repeating: false, count: count)
  }
}
