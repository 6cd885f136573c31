/// Scaler: subtracts an offset and multiplies, feature by feature.
///
/// Computed in double and rounded once.
struct Scaler: PassesElements {
  let outputs: [ValueInfo]
  let offset: [Double]
  let scale: [Double]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isNumeric else {
      throw node.error(.unsupported, "input 0 of type \(info.type.onnxName) is not supported")
    }
    let width = node.lastWidth(info)
    func spread(_ name: String, absent: Double) throws(ModelError) -> [Double] {
      let list = try node.floats(name) ?? []
      guard list.count == width || list.count <= 1 else {
        throw node.error(.malformed, "\(list.count) of \(width) numbers in \"\(name)\"")
      }
      return list.count == width
        ? list.map(Double.init)
        : Array(repeating: list.first.map(Double.init) ?? absent, count: width)
    }
    offset = try spread("offset", absent: 0)
    scale = try spread("scale", absent: 1)
    outputs = [try node.output(.float32, info.shape)]
  }

  func run(_ call: Call) {
    let source = call.input(0)
    switch source.type {
    case .float32: scale(source.floats, call)
    case .float64: apply(call) { source.doubles[$0] }
    default: apply(call) { source.double($0) }
    }
  }

  private func scale(_ source: UnsafeMutablePointer<Float>, _ call: Call) {
    apply(call) { Double(source[$0]) }
  }

  @inline(__always)
  private func apply(_ call: Call, _ value: (Int) -> Double) {
    let target = call.output(0).floats
    let width = offset.count
    offset.withUnsafeBufferPointer { offset in
      scale.withUnsafeBufferPointer { scale in
        for start in stride(from: 0, to: call.input(0).count, by: max(width, 1)) {
          for i in 0..<width {
            target[start + i] = Float((value(start + i) - offset[i]) * scale[i])
          }
        }
      }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] { outputs[0] }
}

/// Imputer: puts a value of its own where a feature has a given one, mostly NaN.
struct Imputer: Operator {
  let outputs: [ValueInfo]
  private let width: Int
  private let rule: Rule

  private enum Rule: Sendable {
    case floats(replaced: Float, by: [Float])
    case doubles(replaced: Double, by: [Double])
    case integers(replaced: Int64, by: [Int64])
  }

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int64, .int32)
    let width = node.lastWidth(info)
    func spread<T>(_ list: [T]) throws(ModelError) -> [T] {
      guard list.count == width || list.count == 1 else {
        throw node.error(.malformed, "\(list.count) values for \(width) features")
      }
      return list.count == width ? list : Array(repeating: list[0], count: width)
    }
    switch info.type {
    case .int64, .int32:
      let values = try spread(node.ints("imputed_value_int64s") ?? [])
      if info.type == .int32, let wrong = values.first(where: { Int32(exactly: $0) == nil }) {
        throw node.error(.malformed, "imputed value \(wrong) is no int32")
      }
      rule = .integers(
        replaced: Int64(try node.int("replaced_value_int64", default: 0)),
        by: values.map(Int64.init))
    case .float64:
      rule = .doubles(
        replaced: Double(try node.float("replaced_value_float", default: 0)),
        by: try spread(node.floats("imputed_value_floats") ?? []).map(Double.init))
    default:
      rule = .floats(
        replaced: try node.float("replaced_value_float", default: 0),
        by: try spread(node.floats("imputed_value_floats") ?? []))
    }
    self.width = width
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0))
    switch rule {
    case .floats(let replaced, let values):
      impute(source.floats, target.floats, source.count, values) {
        replaced.isNaN ? $0.isNaN : $0 == replaced
      }
    case .doubles(let replaced, let values):
      impute(source.doubles, target.doubles, source.count, values) {
        replaced.isNaN ? $0.isNaN : $0 == replaced
      }
    case .integers(let replaced, let values):
      if source.type == .int32 {
        impute(source.int32s, target.int32s, source.count, values.map { Int32(clamping: $0) }) {
          Int64($0) == replaced
        }
      } else {
        impute(source.int64s, target.int64s, source.count, values) { $0 == replaced }
      }
    }
  }

  @inline(__always)
  private func impute<T>(
    _ source: UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>, _ count: Int,
    _ values: [T], _ isReplaced: (T) -> Bool
  ) {
    for start in stride(from: 0, to: count, by: max(width, 1)) {
      for i in 0..<width {
        let value = source[start + i]
        target[start + i] = isReplaced(value) ? values[i] : value
      }
    }
  }

  /// For each feature what replaces NaN; nil where it is another value that is replaced.
  var replacementsOfMissing: [Float]? {
    if case .floats(let replaced, let values) = rule, replaced.isNaN { values } else { nil }
  }

  /// A replacement that is NaN itself replaces nothing.
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] { outputs[0] }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    switch rule {
    case .floats(let replaced, let values) where replaced.isNaN:
      outputs[0].enumerated().map { !values[$0.offset % max(width, 1)].isNaN || $0.element }
    case .doubles(let replaced, let values) where replaced.isNaN:
      outputs[0].enumerated().map { !values[$0.offset % max(width, 1)].isNaN || $0.element }
    default: outputs[0]
    }
  }
}

/// Normalizer: divides a row by its greatest value, its sum of absolutes, or its length.
///
/// A row whose norm is zero stays as it is. MAX is the greatest value, not the greatest absolute
/// one, as in ONNX Runtime. Sums are kept in double, left to right.
struct Normalizer: Operator {
  let outputs: [ValueInfo]
  private let width: Int
  let norm: Norm

  enum Norm: String, Sendable {
    case max = "MAX"
    case l1 = "L1"
    case l2 = "L2"
  }

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try Normalizer(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    width = node.lastWidth(info)
    let name = try node.string("norm", default: "MAX")
    guard let norm = Norm(rawValue: name) else {
      throw node.error(.malformed, "norm \"\(name)\" does not exist")
    }
    self.norm = norm
    outputs = [try node.output(.float32, info.shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0).floats, call.output(0).floats)
    for start in stride(from: 0, to: call.input(0).count, by: max(width, 1)) {
      let (from, to) = (source + start, target + start)
      let size = self.size(of: from)
      for i in 0..<width { to[i] = size == 0 ? from[i] : Float(Double(from[i]) / size) }
    }
  }

  private func size(of row: UnsafeMutablePointer<Float>) -> Double {
    switch norm {
    case .max:
      var greatest = -Double.infinity
      for i in 0..<width { greatest = max(greatest, Double(row[i])) }
      return greatest
    case .l1:
      var sum = 0.0
      for i in 0..<width { sum += abs(Double(row[i])) }
      return sum
    case .l2:
      var sum = 0.0
      // The squares are floats: those of subnormal numbers vanish, as everywhere else.
      for i in 0..<width { sum += Double(row[i] * row[i]) }
      return sum.squareRoot()
    }
  }
}

/// Binarizer: 1 where a value is above the threshold, else 0, in the type of the input.
struct Binarizer: Operator {
  let outputs: [ValueInfo]
  private let threshold: Float

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int64, .int32)
    threshold = try node.float("threshold", default: 0)
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0))
    switch source.type {
    case .float64: binarize(source.doubles, target.doubles, source.count, Double(threshold))
    case .int64:
      for i in 0..<source.count { target.int64s[i] = isAbove(Double(source.int64s[i])) ? 1 : 0 }
    case .int32:
      for i in 0..<source.count { target.int32s[i] = isAbove(Double(source.int32s[i])) ? 1 : 0 }
    default: binarize(source.floats, target.floats, source.count, threshold)
    }
  }

  private func isAbove(_ value: Double) -> Bool { value > Double(threshold) }

  private func binarize<T: BinaryFloatingPoint>(
    _ source: UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>, _ count: Int,
    _ threshold: T
  ) {
    for i in 0..<count { target[i] = source[i] > threshold ? 1 : 0 }
  }
}
