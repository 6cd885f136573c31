internal import CKernels

/// Axes that are reduced, and the elements that come together.
struct ReducedAxes: Sendable {
  let shape: Shape
  let axes: [Int]

  /// The shape with the axes gone, or of size one.
  ///
  /// - Throws: where rows would be reduced with each other.
  init(_ node: Node, _ info: ValueInfo, axes: [Int], keeps: Bool) throws(ModelError) {
    var reduced: Set<Int> = []
    for axis in axes { reduced.insert(try node.axis(axis, rank: info.shape.rank)) }
    if let rowAxis = info.shape.rowAxis, reduced.contains(rowAxis) {
      throw node.mixing("rows are reduced with each other")
    }
    var dims: [Int] = []
    var rowAxis: Int?
    for axis in info.shape.dims.indices {
      if axis == info.shape.rowAxis { rowAxis = dims.count }
      if !reduced.contains(axis) {
        dims.append(info.shape.dims[axis])
      } else if keeps {
        dims.append(1)
      }
    }
    shape = Shape(dims, rowAxis: rowAxis)
    self.axes = reduced.sorted()
  }

  /// Calls `body` for each element of the output with the places of the elements that it is made
  /// of, in order.
  func forEach(_ dims: [Int], _ body: (Int, Int, [Int]) -> Void) {
    let steps = StridedWalk.strides(dims)
    let kept = dims.indices.filter { !axes.contains($0) }
    var offsets: [Int] = []
    StridedWalk.forEach(axes.map { dims[$0] }, axes.map { steps[$0] }) { offsets.append($1) }
    StridedWalk.forEach(kept.map { dims[$0] }, kept.map { steps[$0] }) { element, base in
      body(element, base, offsets)
    }
  }
}

/// ReduceSum and its kin. Floating-point sums are kept in double, in the order of the elements.
struct Reduction: Operator {
  enum Kind: Sendable {
    case sum, mean, max, min, product, sumOfSquares, l1, l2, logSum, logSumExp
  }

  let outputs: [ValueInfo]
  private let axes: ReducedAxes
  private let kind: Kind

  /// - Parameter inputOpset: The opset from which the axes are an input.
  static func factory(_ kind: Kind, axesAreInputSince inputOpset: Int = 18) -> OperatorFactory {
    { node throws(ModelError) in try Reduction(node, kind, inputOpset) }
  }

  private init(_ node: Node, _ kind: Kind, _ inputOpset: Int) throws(ModelError) {
    let info = try node.input(0)
    var given = try node.axesAttributeOrInput(since: inputOpset) ?? []
    if given.isEmpty, try node.int("noop_with_empty_axes", default: 0) == 0 {
      given = Array(info.shape.dims.indices)
    }
    guard info.type.isNumeric || info.type == .bool && (kind == .max || kind == .min) else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    axes = try ReducedAxes(
      node, info, axes: given, keeps: try node.int("keepdims", default: 1) != 0)
    self.kind = kind
    outputs = [try node.output(info.type, axes.shape)]
  }

  /// Whether it is the mean over just these axes.
  func isMean(of axes: [Int]) -> Bool {
    if case .mean = kind { self.axes.axes == axes } else { false }
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    switch input.type {
    case .float32:
      let (from, to) = (input.floats, out.floats)
      axes.forEach(input.dims) { element, base, offsets in
        to[element] = Float(reduce(offsets) { Double(from[base + $0]) })
      }
    case .float64:
      let (from, to) = (input.doubles, out.doubles)
      axes.forEach(input.dims) { element, base, offsets in
        to[element] = reduce(offsets) { from[base + $0] }
      }
    case .int64: reduceIntegers(call, Int64.self)
    // A truth value is a byte of 0 or 1.
    case .bool: reduceIntegers(call, UInt8.self)
    case let type: if let integer = type.integer { reduceIntegers(call, integer) }
    }
  }

  private func reduceIntegers<T: IntegerElement>(_ call: Call, _ type: T.Type) {
    let from = call.input(0).base.assumingMemoryBound(to: T.self)
    let to = call.output(0).base.assumingMemoryBound(to: T.self)
    axes.forEach(call.input(0).dims) { element, base, offsets in
      switch kind {
      case .l2, .logSum, .logSumExp:
        to[element] = T(converting: reduce(offsets) { from[base + $0].double })
      default: to[element] = reduceWhole(offsets) { from[base + $0] }
      }
    }
  }

  @inline(__always)
  private func reduce(_ offsets: [Int], _ value: (Int) -> Double) -> Double {
    var result = 0.0
    switch kind {
    case .sum, .mean, .logSum: for offset in offsets { result += value(offset) }
    case .sumOfSquares, .l2: for offset in offsets { result += value(offset) * value(offset) }
    case .l1: for offset in offsets { result += abs(value(offset)) }
    case .product:
      result = 1
      for offset in offsets { result *= value(offset) }
    case .max, .logSumExp:
      result = -.infinity
      for offset in offsets { result = Maximum.floats(result, value(offset)) }
    case .min:
      result = .infinity
      for offset in offsets { result = Minimum.floats(result, value(offset)) }
    }
    switch kind {
    case .mean: return result / Double(offsets.count)
    case .l2: return result.squareRoot()
    case .logSum: return ck_log(result)
    case .logSumExp:
      guard result.isFinite else { return result }
      var sum = 0.0
      for offset in offsets { sum += ck_exp(value(offset) - result) }
      return result + ck_log(sum)
    default: return result
    }
  }

  /// The greatest of none is the type's least, the mean of none 0.
  @inline(__always)
  private func reduceWhole<T: FixedWidthInteger>(_ offsets: [Int], _ value: (Int) -> T) -> T {
    switch kind {
    case .max: return offsets.reduce(T.min) { Swift.max($0, value($1)) }
    case .min: return offsets.reduce(T.max) { Swift.min($0, value($1)) }
    case .product: return offsets.reduce(1) { $0 &* value($1) }
    case .l1: return offsets.reduce(0) { $0 &+ (value($1) < 0 ? 0 &- value($1) : value($1)) }
    case .sumOfSquares: return offsets.reduce(0) { $0 &+ value($1) &* value($1) }
    default:
      let sum = offsets.reduce(T.zero) { $0 &+ value($1) }
      guard kind == .mean else { return sum }
      return Division.integers(sum, T(truncatingIfNeeded: offsets.count))
    }
  }
}

/// LpNormalization: the elements of an axis over their sum of absolutes or their length.
struct LpNormalization: Operator {
  let outputs: [ValueInfo]
  private let axes: ReducedAxes
  private let isLength: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    let axis = try node.axis(node.int("axis", default: -1), rank: info.shape.rank)
    let p = try node.int("p", default: 2)
    guard p == 1 || p == 2 else { throw node.error(.malformed, "p is \(p)") }
    isLength = p == 2
    axes = try ReducedAxes(node, info, axes: [axis], keeps: true)
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    if input.type == .float32 {
      normalize(input.dims, { Double(input.floats[$0]) }) { out.floats[$0] = Float($1) }
    } else {
      normalize(input.dims, { input.doubles[$0] }) { out.doubles[$0] = $1 }
    }
  }

  /// A norm of zero leaves zeros.
  private func normalize(
    _ dims: [Int], _ value: (Int) -> Double, _ write: (Int, Double) -> Void
  ) {
    axes.forEach(dims) { _, base, offsets in
      var sum = 0.0
      for offset in offsets {
        let x = value(base + offset)
        sum += isLength ? x * x : abs(x)
      }
      let norm = isLength ? sum.squareRoot() : sum
      for offset in offsets {
        write(base + offset, norm == 0 ? 0 : value(base + offset) / norm)
      }
    }
  }
}

/// ArgMax and ArgMin: the place of the greatest or least element of an axis, the first of several.
struct ArgExtreme: Operator {
  let outputs: [ValueInfo]
  private let axes: ReducedAxes
  private let isMax: Bool
  private let takesLast: Bool

  static func factory(isMax: Bool) -> OperatorFactory {
    { node throws(ModelError) in try ArgExtreme(node, isMax: isMax) }
  }

  private init(_ node: Node, isMax: Bool) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isNumeric else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    let axis = try node.axis(node.int("axis", default: 0), rank: info.shape.rank)
    guard info.shape.dims[axis] > 0 else { throw node.error(.malformed, "the axis is empty") }
    axes = try ReducedAxes(
      node, info, axes: [axis], keeps: try node.int("keepdims", default: 1) != 0)
    self.isMax = isMax
    takesLast = try node.int("select_last_index", default: 0) != 0
    outputs = [try node.output(.int64, axes.shape)]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    switch input.type {
    case .float32: find(call, input.floats)
    case .float64: find(call, input.doubles)
    case .int64: find(call, input.int64s)
    case let type: if let integer = type.integer { findInteger(call, integer) }
    }
  }

  private func findInteger<T: IntegerElement>(_ call: Call, _ type: T.Type) {
    find(call, call.input(0).pointer(as: type))
  }

  private func find<T: Comparable>(_ call: Call, _ source: UnsafeMutablePointer<T>) {
    let out = call.output(0).int64s
    axes.forEach(call.input(0).dims) { element, base, offsets in
      var best = 0
      for place in 1..<max(offsets.count, 1) {
        let (value, current) = (source[base + offsets[place]], source[base + offsets[best]])
        if isMax ? value > current : value < current { best = place }
        if takesLast && value == current { best = place }
      }
      out[element] = Int64(best)
    }
  }
}
