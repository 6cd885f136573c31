/// Scaler: subtracts an offset and multiplies, feature by feature.
///
/// Computed in double and rounded once.
struct Scaler: Operator {
  let outputs: [ValueInfo]
  let offset: [Double]
  let scale: [Double]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int32, .int64)
    let width = try node.rowWidth(info)
    func spread(_ name: String) throws(ModelError) -> [Double] {
      let list = try node.floats(name) ?? []
      guard list.count == width || list.count == 1 else {
        throw node.error(.malformed, "\(list.count) of \(width) numbers in \"\(name)\"")
      }
      return list.count == width
        ? list.map(Double.init) : Array(repeating: Double(list[0]), count: width)
    }
    offset = try spread("offset")
    scale = try spread("scale")
    outputs = [try node.output(.float32, info.shape)]
  }

  func run(_ call: Call) {
    let source = call.input(0)
    switch source.type {
    case .float32: scale(source.floats, call)
    case .float64: scale(source.doubles, call)
    case .int32: scale(source.int32s, call)
    default: scale(source.int64s, call)
    }
  }

  private func scale(_ source: UnsafeMutablePointer<Float>, _ call: Call) {
    apply(call) { Double(source[$0]) }
  }
  private func scale(_ source: UnsafeMutablePointer<Double>, _ call: Call) {
    apply(call) { source[$0] }
  }
  private func scale<T: BinaryInteger>(_ source: UnsafeMutablePointer<T>, _ call: Call) {
    apply(call) { Double(source[$0]) }
  }

  @inline(__always)
  private func apply(_ call: Call, _ value: (Int) -> Double) {
    let target = call.output(0).floats
    let width = offset.count
    offset.withUnsafeBufferPointer { offset in
      scale.withUnsafeBufferPointer { scale in
        for row in 0..<call.rowCount {
          for i in 0..<width {
            target[row * width + i] = Float((value(row * width + i) - offset[i]) * scale[i])
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
    let info = try node.input(0, .float32, .float64, .int64)
    let width = try node.rowWidth(info)
    func spread<T>(_ list: [T]) throws(ModelError) -> [T] {
      guard list.count == width || list.count == 1 else {
        throw node.error(.malformed, "\(list.count) values for \(width) features")
      }
      return list.count == width ? list : Array(repeating: list[0], count: width)
    }
    switch info.type {
    case .int64:
      rule = .integers(
        replaced: Int64(try node.int("replaced_value_int64", default: 0)),
        by: try spread(node.ints("imputed_value_int64s") ?? []).map(Int64.init))
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
    switch rule {
    case .floats(let replaced, let values):
      impute(call.input(0).floats, call.output(0).floats, call.rowCount, values) {
        replaced.isNaN ? $0.isNaN : $0 == replaced
      }
    case .doubles(let replaced, let values):
      impute(call.input(0).doubles, call.output(0).doubles, call.rowCount, values) {
        replaced.isNaN ? $0.isNaN : $0 == replaced
      }
    case .integers(let replaced, let values):
      impute(call.input(0).int64s, call.output(0).int64s, call.rowCount, values) {
        $0 == replaced
      }
    }
  }

  @inline(__always)
  private func impute<T>(
    _ source: UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>, _ rows: Int,
    _ values: [T], _ isReplaced: (T) -> Bool
  ) {
    for row in 0..<rows {
      for i in 0..<width {
        let value = source[row * width + i]
        target[row * width + i] = isReplaced(value) ? values[i] : value
      }
    }
  }

  /// A replacement that is NaN itself replaces nothing.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    switch rule {
    case .floats(let replaced, let values) where replaced.isNaN:
      zip(values, outputs[0]).map { !$0.isNaN || $1 }
    case .doubles(let replaced, let values) where replaced.isNaN:
      zip(values, outputs[0]).map { !$0.isNaN || $1 }
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
  private let norm: Norm

  private enum Norm: String, Sendable {
    case max = "MAX"
    case l1 = "L1"
    case l2 = "L2"
  }

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try Normalizer(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    width = try node.rowWidth(info)
    let name = try node.string("norm", default: "MAX")
    guard let norm = Norm(rawValue: name) else {
      throw node.error(.malformed, "norm \"\(name)\" does not exist")
    }
    self.norm = norm
    outputs = [try node.output(.float32, info.shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0).floats, call.output(0).floats)
    for row in 0..<call.rowCount {
      let (from, to) = (source + row * width, target + row * width)
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

/// Binarizer: 1 where a value is above the threshold, else 0.
struct Binarizer: Operator {
  let outputs: [ValueInfo]
  private let threshold: Float

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try Binarizer(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    threshold = try node.float("threshold", default: 0)
    outputs = [try node.output(.float32, node.input(0).shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0).floats)
    for i in 0..<source.count { target[i] = source.floats[i] > threshold ? 1 : 0 }
  }
}
