/// ai.onnx.ml TreeEnsembleRegressor and TreeEnsembleClassifier (opset 1 and 3) and TreeEnsemble
/// (opset 5).
///
/// Leaves are added up in double precision, in the order of the trees, and rounded once: nearer to
/// the model that was exported than sums in float, and the same for every batch.
struct TreeEnsemble: Operator {
  private enum Finish: Sendable {
    case scores(EnsembleAggregate, treeCount: Int)
    case classes(TreeEnsembleClasses)
  }

  let outputs: [ValueInfo]
  private let rows: FeatureRows
  let plan: ForestPlan
  private let codes: [MemberCodes]
  private let inputType: TensorType
  private let start: Double
  private let baseValues: [Double]
  private let transform: PostTransform
  private let finish: Finish
  private let tracksMissing: Bool

  static let regressor: OperatorFactory = { node throws(ModelError) in
    try TreeEnsemble(regressor: node)
  }

  static let classifier: OperatorFactory = { node throws(ModelError) in
    try TreeEnsemble(classifier: node)
  }

  static let ofTensors: OperatorFactory = { node throws(ModelError) in
    try ReducedPrecision.make(node) { node throws(ModelError) in try TreeEnsemble(tensors: node) }
  }

  private init(regressor node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let input = try node.input(0, .float32, .float64, .int64, .int32)
    rows = try FeatureRows(node, input)
    inputType = input.type
    let targets = try node.int("n_targets", default: 1)
    guard (1...node.limits.features).contains(targets) else {
      throw node.error(.malformed, "n_targets is \(targets)")
    }
    let name = try node.string("aggregate_function", default: "SUM")
    guard let aggregate = EnsembleAggregate(rawValue: name) else {
      throw node.error(.unsupported, "aggregate_function \"\(name)\" is not known")
    }
    let attributes = try TreeEnsembleAttributes(
      node, prefix: "target", width: rows.width, outputCount: targets, absent: aggregate.start)
    let ensemble = attributes.ensemble
    plan = try ForestPlan(
      ensemble.forest, precision: .double, aggregate: aggregate.ofPlan,
      values: input.type == .float64 ? .doubles : .floats)
    codes = ensemble.codes
    start = aggregate.start
    finish = .scores(aggregate, treeCount: ensemble.forest.trees.count)
    baseValues = attributes.baseValues.count == targets ? attributes.baseValues : []
    transform = attributes.postTransform
    tracksMissing = ensemble.tracksMissing
    outputs = [try node.output(.float32, rows.wide(targets))]
  }

  private init(tensors node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let input = try node.input(0, .float32, .float64)
    rows = try FeatureRows(node, input)
    inputType = input.type
    let tensors = try TreeEnsembleTensors(node)
    let ensemble = try EnsembleForest(
      node, trees: tensors.trees, width: rows.width, outputCount: tensors.outputCount,
      absent: tensors.aggregate.start)
    plan = try ForestPlan(
      ensemble.forest, precision: .double, aggregate: tensors.aggregate.ofPlan,
      values: input.type == .float64 ? .doubles : .floats)
    codes = ensemble.codes
    start = tensors.aggregate.start
    finish = .scores(tensors.aggregate, treeCount: tensors.trees.count)
    baseValues = []
    transform = tensors.postTransform
    tracksMissing = ensemble.tracksMissing
    outputs = [try node.output(input.type, rows.wide(tensors.outputCount))]
  }

  private init(classifier node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let input = try node.input(0, .float32, .float64, .int64, .int32)
    rows = try FeatureRows(node, input)
    inputType = input.type
    guard let labels = try ClassLabels(node, intsName: "classlabels_int64s") else {
      throw node.error(.malformed, "no class labels")
    }
    let count = labels.count
    guard count <= node.limits.features else {
      throw node.error(.tooLarge, "\(count) classes, at most \(node.limits.features) are kept")
    }
    let attributes = try TreeEnsembleAttributes(
      node, prefix: "class", width: rows.width, outputCount: count, absent: 0)
    let ensemble = attributes.ensemble
    plan = try ForestPlan(
      ensemble.forest, precision: .double, values: input.type == .float64 ? .doubles : .floats)
    codes = ensemble.codes
    start = 0
    transform = attributes.postTransform
    tracksMissing = ensemble.tracksMissing
    let classes = TreeEnsembleClasses(
      labels: labels, voted: ensemble.votedOutputs, hasNegativeVotes: ensemble.hasNegativeVotes)
    // One base value stands for all classes, where each has votes of its own.
    baseValues =
      !classes.isSingle && attributes.baseValues.count == 1
      ? Array(repeating: attributes.baseValues[0], count: count) : attributes.baseValues
    finish = .classes(classes)
    outputs = [
      try node.output(labels.type, rows.single), try node.output(.float32, rows.wide(count)),
    ]
  }

  /// A forest that says where missing values go takes them for any feature.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: tracksMissing, count: count)
  }

  func scratchByteCount(rows: Int) -> Int {
    plan.scratchByteCount + plan.blockRows * 8 + plan.outputCount * 8
  }

  func run(_ call: Call) {
    let block = plan.blockRows
    let sums = plan.sums(in: call.scratch, as: Double.self)
    let scores = (call.scratch + plan.scratchByteCount + block * 8)
      .assumingMemoryBound(to: Double.self)
    let rowCount = rows.count(call)
    for first in stride(from: 0, to: rowCount, by: block) {
      let count = min(block, rowCount - first)
      encode(call, first: first, count: count)
      sums.update(repeating: start, count: plan.sumStride * count)
      plan.add(call.scratch, count: count, to: sums)
      for row in 0..<count {
        write(sums + row * plan.sumStride, row: first + row, scores: scores, call)
      }
    }
  }

  private func encode(_ call: Call, first: Int, count: Int) {
    let input = call.input(0)
    let offset = first * rows.width
    switch inputType {
    case .float32 where codes.isEmpty:
      plan.encode(rows: input.floats + offset, width: rows.width, count: count, into: call.scratch)
    case .float64 where codes.isEmpty:
      plan.encode(rows: input.doubles + offset, width: rows.width, count: count, into: call.scratch)
    default:
      for (index, feature) in plan.features.enumerated() {
        encode(input, feature: feature, index: index, offset: offset, count: count, call)
      }
    }
  }

  /// The features that a tree reads, themselves or as members.
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    guard count == rows.width else { return Array(repeating: true, count: count) }
    var isRead = Array(repeating: false, count: count)
    for feature in plan.features {
      isRead[feature < count ? feature : codes[feature - count].feature] = true
    }
    return isRead
  }

  /// Encodes one feature: of the input, where integers are compared as floats, as thresholds are; or
  /// the numbers of the members that another feature's values are.
  private func encode(
    _ input: TensorView, feature: Int, index: Int, offset: Int, count: Int, _ call: Call
  ) {
    let width = rows.width
    let floats = (call.scratch + plan.scratchByteCount).assumingMemoryBound(to: Float.self)
    if feature >= width {
      let codes = codes[feature - width]
      for row in 0..<count {
        floats[row] = codes.code(input.double(offset + row * width + codes.feature))
      }
    } else if inputType == .float64 {
      let doubles = (call.scratch + plan.scratchByteCount).assumingMemoryBound(to: Double.self)
      for row in 0..<count { doubles[row] = input.doubles[offset + row * width + feature] }
      plan.encode(doubles, count: count, feature: index, into: call.scratch)
      return
    } else {
      for row in 0..<count { floats[row] = input.float(offset + row * width + feature) }
    }
    plan.encode(floats, count: count, feature: index, into: call.scratch)
  }

  /// One row's sums to the outputs.
  private func write(
    _ sums: UnsafeMutablePointer<Double>, row: Int, scores: UnsafeMutablePointer<Double>,
    _ call: Call
  ) {
    let count = plan.outputCount
    for k in 0..<count { scores[k] = sums[k] }
    switch finish {
    case .scores(let aggregate, let treeCount):
      for k in 0..<count {
        // A target that no leaf voted for.
        if scores[k].isInfinite, scores[k] == start { scores[k] = 0 }
        if aggregate == .average { scores[k] /= Double(treeCount) }
        if !baseValues.isEmpty { scores[k] += baseValues[k] }
      }
      transform.apply(scores, count: count)
      if outputs[0].type == .float64 {
        let target = call.output(0).doubles + row * count
        for k in 0..<count { target[k] = scores[k] }
      } else {
        let target = call.output(0).floats + row * count
        for k in 0..<count { target[k] = Float(scores[k]) }
      }
    case .classes(let classes):
      let best: Int
      if classes.isSingle {
        best = classes.split(scores[0] + (baseValues.first ?? 0), transform, into: scores)
      } else {
        if !baseValues.isEmpty { for k in 0..<count { scores[k] += baseValues[k] } }
        best = classes.best(of: scores, hasBase: !baseValues.isEmpty)
        transform.apply(scores, count: count)
      }
      classes.labels.write(best, to: call.output(0), row: row)
      let target = call.output(1).floats + row * count
      for k in 0..<count { target[k] = Float(scores[k]) }
    }
  }
}

extension TreeEnsemble: KernelReporting {
  var kernelReports: [KernelReport] { plan.kernelReports }
}
