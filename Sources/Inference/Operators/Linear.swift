internal import CKernels

/// LinearRegressor: one or more weighted sums of a row's features.
struct LinearRegressor: FusesScaler, WeighsRows {
  let outputs: [ValueInfo]
  private let rows: FeatureRows
  private(set) var weights: Panels
  private var intercepts: [Double]
  private let transform: PostTransform

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try LinearRegressor(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    rows = try FeatureRows(node, node.input(0))
    let targets = try node.int("targets", default: 1)
    let coefficients = try node.floats("coefficients") ?? []
    let intercepts = try node.floats("intercepts") ?? []
    weights = try Panels(node, coefficients, depth: rows.width, columns: targets)
    guard intercepts.isEmpty || intercepts.count == targets else {
      throw node.error(.malformed, "\(intercepts.count) intercepts for \(targets) targets")
    }
    self.intercepts =
      intercepts.isEmpty
      ? Array(repeating: 0, count: targets) : intercepts.map(Double.init)
    transform = try PostTransform(node)
    outputs = [try node.output(.float32, rows.wide(targets))]
  }

  func fusing(offset: [Double], scale: [Double]) -> any Operator {
    var fused = self
    (fused.weights, fused.intercepts) = weights.fusing(
      intercepts, offset: offset, scale: scale)
    return fused
  }

  var addends: [Double]? { intercepts }

  var withoutWeights: any WeighsRows {
    var result = self
    result.weights = Panels(depth: 0, columns: weights.columns) { _, _ in 0 }
    return result
  }

  func run(_ call: Call) {
    ck_gemm_f32(
      call.input(0).floats, rows.count(call), weights.depth, weights.pointer, weights.columns,
      intercepts, sums(call))
    finish(call)
  }

  func sums(_ call: Call) -> UnsafeMutablePointer<Float> { call.output(0).floats }

  func finish(_ call: Call) {
    guard transform != .none else { return }
    let scores = call.output(0).floats
    for row in 0..<rows.count(call) {
      transform.apply(scores + row * weights.columns, count: weights.columns)
    }
  }
}

/// LinearClassifier: a weighted sum for each class, the label of the greatest, and the sums
/// transformed into probabilities.
///
/// One sum for two classes decides by its sign and stands beside its complement; of the transforms
/// only LOGISTIC applies to it, as in ONNX Runtime.
struct LinearClassifier: FusesScaler, WeighsRows {
  let outputs: [ValueInfo]
  private let rows: FeatureRows
  private(set) var weights: Panels
  private var intercepts: [Double]
  private let labels: ClassLabels
  private let transform: PostTransform

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try LinearClassifier(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    rows = try FeatureRows(node, node.input(0))
    guard let labels = try ClassLabels(node) else {
      throw node.error(.malformed, "no class labels")
    }
    let coefficients = try node.floats("coefficients") ?? []
    let intercepts = try node.floats("intercepts") ?? []
    let scores = intercepts.isEmpty ? labels.count : intercepts.count
    guard scores == labels.count || scores == 1 && labels.count == 2 else {
      throw node.error(.malformed, "\(scores) intercepts for \(labels.count) classes")
    }
    weights = try Panels(node, coefficients, depth: rows.width, columns: scores)
    self.intercepts =
      intercepts.isEmpty ? Array(repeating: 0, count: scores) : intercepts.map(Double.init)
    self.labels = labels
    transform = try PostTransform(node)
    outputs = [
      try node.output(labels.type, rows.single),
      try node.output(.float32, rows.wide(labels.count)),
    ]
  }

  var classCount: Int { labels.count }

  private var isBinary: Bool { weights.columns == 1 && labels.count == 2 }

  func scratchByteCount(rows: Int) -> Int { isBinary ? self.rows.count(rows: rows) * 4 : 0 }

  func fusing(offset: [Double], scale: [Double]) -> any Operator {
    var fused = self
    (fused.weights, fused.intercepts) = weights.fusing(
      intercepts, offset: offset, scale: scale)
    return fused
  }

  var addends: [Double]? { intercepts }

  var withoutWeights: any WeighsRows {
    var result = self
    result.weights = Panels(depth: 0, columns: weights.columns) { _, _ in 0 }
    return result
  }

  func run(_ call: Call) {
    ck_gemm_f32(
      call.input(0).floats, rows.count(call), weights.depth, weights.pointer, weights.columns,
      intercepts, sums(call))
    finish(call)
  }

  func sums(_ call: Call) -> UnsafeMutablePointer<Float> {
    isBinary ? call.scratch.assumingMemoryBound(to: Float.self) : call.output(1).floats
  }

  func finish(_ call: Call) {
    let classes = labels.count
    let scores = call.output(1).floats
    let sums = sums(call)
    for row in 0..<rows.count(call) {
      let own = scores + row * classes
      if isBinary {
        labels.write(sums[row] > 0 ? 1 : 0, to: call.output(0), row: row)
        if transform == .logistic { ck_logistic_f32(sums + row, 1, sums + row) }
        own[1] = sums[row]
        own[0] = 1 - sums[row]
        continue
      }
      var best = 0
      for index in 1..<max(classes, 1) where own[index] > own[best] { best = index }
      labels.write(best, to: call.output(0), row: row)
      transform.apply(own, count: classes)
    }
  }
}

extension Panels {
  /// Weights and intercepts that take rows as they were before a scaler.
  fileprivate func fusing(
    _ intercepts: [Double], offset: [Double], scale: [Double]
  ) -> (Panels, [Double]) {
    let moved = intercepts.indices.map { column in
      offset.indices.reduce(intercepts[column]) { sum, k in
        sum - weight(k, column) * scale[k] * offset[k]
      }
    }
    return (Panels(depth: depth, columns: columns) { weight($0, $1) * scale[$0] }, moved)
  }

  /// Packs an attribute of `columns` times `depth` numbers, one column after the other.
  init(
    _ node: Node, _ numbers: [Float], depth: Int, columns: Int
  ) throws(ModelError) {
    let (count, overflow) = depth.multipliedReportingOverflow(by: columns)
    guard columns > 0, !overflow, numbers.count == count else {
      throw node.error(
        .malformed, "\(numbers.count) coefficients for \(columns) sums of \(depth) features")
    }
    self.init(depth: depth, columns: columns) { Double(numbers[$1 * depth + $0]) }
  }
}
