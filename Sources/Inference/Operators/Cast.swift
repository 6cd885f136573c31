/// Cast and CastLike: the same values in another type.
///
/// A fraction is cut off; a number that an integer type cannot hold becomes its smallest, or what is
/// left of 64 bits in types of 8 and 16, as the conversions of x86 have it. Text that is no number
/// makes its row a failure. Numbers become text as Python writes them.
struct Cast: Operator {
  let outputs: [ValueInfo]
  private let from: TensorType
  private let to: TensorType
  private let width: Int
  private let name: String
  private let saturates: Bool
  private let rounding: StoredScale.Rounding

  init(_ node: Node) throws(ModelError) {
    guard let code = try node.int("to") else { throw node.error(.malformed, "no target type") }
    guard let type = TensorType(rawValue: code) else {
      throw node.error(
        .unsupported, "target type \(OnnxTypes.name(Int64(code))) is not supported")
    }
    try self.init(node, type)
  }

  static let like: OperatorFactory = { node throws(ModelError) in
    try Cast(node, node.input(1).type)
  }

  private init(_ node: Node, _ type: TensorType) throws(ModelError) {
    let info = try node.input(0)
    (from, to) = (info.type, type)
    width = info.shape.elementCount
    name = node.name
    saturates = try node.int("saturate", default: 1) != 0
    let mode = try node.string("round_mode", default: "up")
    guard let rounding = StoredScale.Rounding(rawValue: mode) else {
      throw node.error(.malformed, "round_mode \"\(mode)\" is not known")
    }
    self.rounding = rounding
    var output = try node.output(type, info.shape)
    if type == .int64 || type == .int32 { output.extents = info.extents }
    outputs = [output]
  }

  var isView: Bool { from == to }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    switch from {
    case .float32:
      let source = input.floats
      fill(call) { Double(source[$0]) }
    case .float64:
      let source = input.doubles
      fill(call) { source[$0] }
    case .int64: integers(call, Int64.self)
    case .int32: integers(call, Int32.self)
    case .bool:
      let source = input.bools
      if to == .string {
        for i in 0..<input.count { out.strings[i] = source[i] ? "1" : "0" }
      } else {
        fill(call) { source[$0] ? 1 : 0 }
      }
    case .string: readText(call, input.strings)
    case .float16, .bfloat16: fill(call) { input.double($0) }
    default:
      if let type = from.integer { integers(call, type) } else { fill(call) { input.double($0) } }
    }
  }

  private func readText(_ call: Call, _ source: UnsafeMutablePointer<String>) {
    fill(call) { index in
      if let value = Double(source[index]) { return value }
      call.failures.add(
        row: index / max(width, 1), .wrongType, "text is not a number (node \"\(name)\")")
      return 0
    }
    // Whole numbers beyond 2^53 are exact in text.
    guard to == .int64 else { return }
    for i in 0..<call.output(0).count {
      if let whole = Int64(source[i]) { call.output(0).int64s[i] = whole }
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
      for i in 0..<out.count { target[i] = Int64(converting: value(i)) }
    case .int32:
      let target = out.int32s
      for i in 0..<out.count { target[i] = Int32(converting: value(i)) }
    case .bool:
      let target = out.bools
      for i in 0..<out.count { target[i] = value(i) != 0 }
    case .string:
      let target = out.strings
      for i in 0..<out.count { target[i] = NumberText.python(value(i), from) }
    case .float8e8m0:
      let target = out.pointer(as: StoredScale.self)
      for i in 0..<out.count {
        target[i] = StoredScale(converting: value(i), saturates: saturates, rounding)
      }
    default:
      if to.isStored {
        for i in 0..<out.count { out.setStored(i, value(i), saturates: saturates) }
      } else {
        for i in 0..<out.count { out.set(i, value(i)) }
      }
    }
  }

  private func integers<T: IntegerElement>(_ call: Call, _ type: T.Type) {
    let source: UnsafeMutablePointer<T> = call.input(0).pointer()
    let out = call.output(0)
    switch to {
    case .float32: for i in 0..<out.count { out.floats[i] = Float(source[i]) }
    case .float64: for i in 0..<out.count { out.doubles[i] = Double(source[i]) }
    case .int64: for i in 0..<out.count { out.int64s[i] = Int64(truncatingIfNeeded: source[i]) }
    case .int32: for i in 0..<out.count { out.int32s[i] = Int32(truncatingIfNeeded: source[i]) }
    case .bool: for i in 0..<out.count { out.bools[i] = source[i] != 0 }
    case .string: for i in 0..<out.count { out.strings[i] = "\(source[i])" }
    case .float16, .bfloat16: for i in 0..<out.count { out.set(i, Double(source[i])) }
    default:
      if let type = to.integer {
        truncate(source, out, type)
      } else {
        fill(call) { Double(source[$0]) }
      }
    }
  }

  private func truncate<T: IntegerElement, U: IntegerElement>(
    _ source: UnsafeMutablePointer<T>, _ out: TensorView, _ type: U.Type
  ) {
    let target: UnsafeMutablePointer<U> = out.pointer()
    for i in 0..<out.count { target[i] = U(truncatingIfNeeded: source[i]) }
  }

  /// Elements are converted one by one; text may turn out to be no number.
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    input == 0 && from != .string ? outputs[0] : Array(repeating: true, count: count)
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    input == 0 && from.isFloatingPoint && to.isFloatingPoint
      ? outputs[0] : Array(repeating: false, count: count)
  }
}

/// BitCast: the same bits as another type of the same size.
struct BitCast: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard let code = try node.int("to"), let type = TensorType(rawValue: code) else {
      throw node.error(.unsupported, "the target type is not supported")
    }
    guard type != .string, type != .bool, info.type != .string, type.stride == info.type.stride,
      type.stored?.bitCount ?? 8 == info.type.stored?.bitCount ?? 8
    else {
      throw node.error(
        .unsupported, "bits of \(info.type.onnxName) as \(type.onnxName) are not supported")
    }
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    out.base.copyMemory(from: input.base, byteCount: input.count * input.type.stride)
  }
}
