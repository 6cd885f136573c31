internal import CKernels

/// Axes that are reduced, and the elements that come together.
struct ReducedAxes: Sendable {
  let shape: Shape
  private let axes: [Int]

  /// The shape with the axes gone, or of size one.
  ///
  /// - Throws: where rows would be reduced with each other.
  init(_ node: Node, _ info: ValueInfo, axes: [Int], keeps: Bool) throws(ModelError) {
    var reduced: Set<Int> = []
    for axis in axes { reduced.insert(try node.axis(axis, rank: info.shape.rank)) }
    if let rowAxis = info.shape.rowAxis, reduced.contains(rowAxis) {
      throw node.error(.unsupported, "rows are reduced with each other")
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
    let info = try node.input(0, .float32, .float64, .int64, .int32)
    var given = try node.axesAttributeOrInput(since: inputOpset) ?? []
    if given.isEmpty, try node.int("noop_with_empty_axes", default: 0) == 0 {
      given = Array(info.shape.dims.indices)
    }
    switch kind {
    case .sum, .max, .min, .product: break
    case .mean, .sumOfSquares, .l1, .l2, .logSum, .logSumExp:
      guard info.type.isFloatingPoint else {
        throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
      }
    }
    axes = try ReducedAxes(
      node, info, axes: given, keeps: try node.int("keepdims", default: 1) != 0)
    self.kind = kind
    outputs = [try node.output(info.type, axes.shape)]
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
    case .int64:
      let (from, to) = (input.int64s, out.int64s)
      axes.forEach(input.dims) { element, base, offsets in
        to[element] = reduceIntegers(offsets) { from[base + $0] }
      }
    default:
      let (from, to) = (input.int32s, out.int32s)
      axes.forEach(input.dims) { element, base, offsets in
        to[element] = reduceIntegers(offsets) { from[base + $0] }
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
      for offset in offsets { result = VariadicElementwise.greater(result, value(offset)) }
    case .min:
      result = .infinity
      for offset in offsets { result = VariadicElementwise.less(result, value(offset)) }
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

  @inline(__always)
  private func reduceIntegers<T: FixedWidthInteger>(
    _ offsets: [Int], _ value: (Int) -> T
  ) -> T {
    guard let first = offsets.first else { return kind == .product ? 1 : 0 }
    return offsets.dropFirst().reduce(value(first)) { result, offset in
      switch kind {
      case .max: Swift.max(result, value(offset))
      case .min: Swift.min(result, value(offset))
      case .product: result &* value(offset)
      default: result &+ value(offset)
      }
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
    let info = try node.input(0, .float32, .float64, .int64, .int32)
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
    default: find(call, input.int32s)
    }
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

/// TopK: the greatest or least elements of an axis and their places; of equals the first comes
/// first.
struct TopK: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let count: Int
  private let isLargest: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int64, .int32)
    axis = try node.axis(node.int("axis", default: -1), rank: info.shape.rank)
    guard info.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows are sorted against each other")
    }
    let given = try node.opset < 10 ? node.int("k") : node.constantInts(input: 1)?.first
    guard let given, (0...info.shape.dims[axis]).contains(given) else {
      throw node.error(.malformed, "k is not within the axis")
    }
    count = given
    isLargest = try node.int("largest", default: 1) != 0
    var dims = info.shape.dims
    dims[axis] = given
    let shape = Shape(dims, rowAxis: info.shape.rowAxis)
    outputs = [try node.output(info.type, shape), try node.output(.int64, shape)]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    switch input.type {
    case .float32: sort(call, input.floats, call.output(0).floats)
    case .float64: sort(call, input.doubles, call.output(0).doubles)
    case .int64: sort(call, input.int64s, call.output(0).int64s)
    default: sort(call, input.int32s, call.output(0).int32s)
    }
  }

  private func sort<T: Comparable>(
    _ call: Call, _ source: UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>
  ) {
    let dims = call.input(0).dims
    let places = call.output(1).int64s
    let size = dims[axis]
    let inner = dims[(axis + 1)...].reduce(1, *)
    for outer in 0..<dims[..<axis].reduce(1, *) {
      for i in 0..<inner {
        let base = outer * size * inner + i
        let order = (0..<size).sorted { a, b in
          let (x, y) = (source[base + a * inner], source[base + b * inner])
          if x == y { return a < b }
          return isLargest ? x > y : x < y
        }
        for (rank, place) in order.prefix(count).enumerated() {
          let to = (outer * count + rank) * inner + i
          target[to] = source[base + place * inner]
          places[to] = Int64(place)
        }
      }
    }
  }
}

/// CumSum: sums up to each place of an axis; floating-point ones are kept in double.
struct CumulativeSum: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let isExclusive: Bool
  private let isReversed: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int64, .int32)
    guard let given = try node.constantInts(input: 1)?.first else {
      throw node.error(.malformed, "no axis")
    }
    axis = try node.axis(given, rank: info.shape.rank)
    guard info.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows are added to each other")
    }
    isExclusive = try node.int("exclusive", default: 0) != 0
    isReversed = try node.int("reverse", default: 0) != 0
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    switch input.type {
    case .float32:
      add(input.dims, 0.0, { $0 += Double(input.floats[$1]) }) { out.floats[$0] = Float($1) }
    case .float64: add(input.dims, 0.0, { $0 += input.doubles[$1] }) { out.doubles[$0] = $1 }
    case .int64:
      add(input.dims, Int64(0), { $0 &+= input.int64s[$1] }) { out.int64s[$0] = $1 }
    default: add(input.dims, Int32(0), { $0 &+= input.int32s[$1] }) { out.int32s[$0] = $1 }
    }
  }

  private func add<Sum>(
    _ dims: [Int], _ zero: Sum, _ add: (inout Sum, Int) -> Void, _ write: (Int, Sum) -> Void
  ) {
    let size = dims[axis]
    let inner = dims[(axis + 1)...].reduce(1, *)
    for outer in 0..<dims[..<axis].reduce(1, *) {
      for i in 0..<inner {
        var sum = zero
        for step in 0..<size {
          let at = (outer * size + (isReversed ? size - 1 - step : step)) * inner + i
          if isExclusive { write(at, sum) }
          add(&sum, at)
          if !isExclusive { write(at, sum) }
        }
      }
    }
  }
}
