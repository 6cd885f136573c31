#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// ai.onnx.ml TreeEnsembleRegressor and TreeEnsembleClassifier, versions 1 and 3.
///
/// Leaves are added up in double precision, in the order of the trees, and rounded once: nearer to
/// the model that was exported than sums in float, and the same for every batch.
struct TreeEnsemble: Operator {
  private enum Finish: Sendable {
    case regression(divisor: Double)
    case classes(TreeEnsembleClasses)
  }

  let outputs: [ValueInfo]
  private let plan: ForestPlan
  private let width: Int
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

  private init(regressor node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let input = try node.input(0, .float32, .float64, .int64, .int32)
    width = try node.rowWidth(input)
    inputType = input.type
    let targets = try node.int("n_targets", default: 1)
    guard (1...node.limits.features).contains(targets) else {
      throw node.error(.malformed, "n_targets is \(targets)")
    }
    let aggregate: ForestPlan.Aggregate
    let name = try node.string("aggregate_function", default: "SUM")
    switch name {
    case "SUM", "AVERAGE": (aggregate, start) = (.sum, 0)
    case "MIN": (aggregate, start) = (.min, .infinity)
    case "MAX": (aggregate, start) = (.max, -.infinity)
    default: throw node.error(.unsupported, "aggregate_function \"\(name)\" is not known")
    }
    let attributes = try TreeEnsembleAttributes(
      node, width: width, prefix: "target", outputCount: targets, absent: start)
    plan = try ForestPlan(attributes.forest, precision: .double, aggregate: aggregate)
    finish = .regression(
      divisor: name == "AVERAGE" ? Double(max(attributes.forest.trees.count, 1)) : 1)
    baseValues = attributes.baseValues.count == targets ? attributes.baseValues : []
    transform = attributes.postTransform
    tracksMissing = attributes.tracksMissing
    outputs = [try node.output(.float32, .rows(targets))]
  }

  private init(classifier node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let input = try node.input(0, .float32, .float64, .int64, .int32)
    width = try node.rowWidth(input)
    inputType = input.type
    let strings = try node.strings("classlabels_strings") ?? []
    let integers = try node.ints("classlabels_int64s") ?? []
    let count = strings.isEmpty ? integers.count : strings.count
    guard count >= 1, count <= node.limits.features, strings.isEmpty || integers.isEmpty else {
      throw node.error(
        .malformed, "\(strings.count) labels of text and \(integers.count) of integers")
    }
    let attributes = try TreeEnsembleAttributes(
      node, width: width, prefix: "class", outputCount: count, absent: 0)
    plan = try ForestPlan(attributes.forest, precision: .double)
    start = 0
    transform = attributes.postTransform
    tracksMissing = attributes.tracksMissing
    let classes = TreeEnsembleClasses(
      labels: strings.isEmpty ? .integers(integers.map(Int64.init)) : .strings(strings),
      voted: attributes.votedOutputs, hasNegativeVotes: attributes.hasNegativeVotes)
    if classes.singleColumn != nil {
      // One column of votes for two classes: its base value is the only one.
      guard attributes.baseValues.count <= 1 else {
        throw node.error(
          .unsupported, "two base values for one column of votes are not supported")
      }
      guard transform != .probit else {
        throw node.error(.unsupported, "PROBIT for one column of votes is not supported")
      }
      baseValues = attributes.baseValues
    } else {
      guard attributes.baseValues.isEmpty || attributes.baseValues.count == count else {
        throw node.error(
          .malformed, "\(attributes.baseValues.count) base values for \(count) classes")
      }
      baseValues = attributes.baseValues
    }
    finish = .classes(classes)
    outputs = [
      try node.output(strings.isEmpty ? .int64 : .string, .rows),
      try node.output(.float32, .rows(count)),
    ]
  }

  /// A forest that says where missing values go takes them for any feature.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: tracksMissing, count: count)
  }

  func scratchByteCount(rows: Int) -> Int {
    plan.scratchByteCount + ForestPlan.blockRows * 8 + plan.outputCount * 8
  }

  func run(_ call: Call) {
    let block = ForestPlan.blockRows
    let sums = plan.sums(in: call.scratch, as: Double.self)
    let scores = (call.scratch + plan.scratchByteCount + block * 8)
      .assumingMemoryBound(to: Double.self)
    for first in stride(from: 0, to: call.rowCount, by: block) {
      let count = min(block, call.rowCount - first)
      rank(call, first: first, count: count)
      sums.update(repeating: start, count: plan.outputCount * block)
      plan.add(call.scratch, count: count, to: sums)
      for row in 0..<count {
        write(sums + row, row: first + row, scores: scores, call)
      }
    }
  }

  private func rank(_ call: Call, first: Int, count: Int) {
    let input = call.input(0)
    let offset = first * width
    switch inputType {
    case .float32:
      plan.rank(rows: input.floats + offset, width: width, count: count, into: call.scratch)
    case .float64:
      plan.rank(rows: input.doubles + offset, width: width, count: count, into: call.scratch)
    default:
      // Integers are compared as floats, as thresholds are.
      let floats = (call.scratch + plan.scratchByteCount).assumingMemoryBound(to: Float.self)
      for (index, feature) in plan.features.enumerated() {
        for row in 0..<count {
          let place = offset + row * width + feature.feature
          floats[row] =
            inputType == .int64 ? Float(input.int64s[place]) : Float(input.int32s[place])
        }
        plan.rank(floats, count: count, feature: index, into: call.scratch)
      }
    }
  }

  /// One row's sums, `blockRows` apart, to the outputs.
  private func write(
    _ sums: UnsafeMutablePointer<Double>, row: Int, scores: UnsafeMutablePointer<Double>,
    _ call: Call
  ) {
    let count = plan.outputCount
    for k in 0..<count { scores[k] = sums[k * ForestPlan.blockRows] }
    switch finish {
    case .regression(let divisor):
      for k in 0..<count {
        // A target that no leaf voted for.
        if scores[k].isInfinite, scores[k] == start { scores[k] = 0 }
        scores[k] /= divisor
        if !baseValues.isEmpty { scores[k] += baseValues[k] }
      }
      transform.apply(scores, count: count)
      let target = call.output(0).floats + row * count
      for k in 0..<count { target[k] = Float(scores[k]) }
    case .classes(let classes):
      let best: Int
      if let column = classes.singleColumn {
        let margin = scores[column] + (baseValues.first ?? 0)
        best = classes.split(margin, transform, into: scores)
      } else {
        if !baseValues.isEmpty { for k in 0..<count { scores[k] += baseValues[k] } }
        best = classes.best(of: scores, hasBase: !baseValues.isEmpty)
        transform.apply(scores, count: count)
      }
      switch classes.labels {
      case .integers(let labels): call.output(0).int64s[row] = labels[best]
      case .strings(let labels): call.output(0).strings[row] = labels[best]
      }
      let target = call.output(1).floats + row * count
      for k in 0..<count { target[k] = Float(scores[k]) }
    }
  }
}

/// How a classifier's sums become a label and scores.
struct TreeEnsembleClasses: Sendable {
  enum Labels: Sendable {
    case integers([Int64])
    case strings([String])

    var count: Int {
      switch self {
      case .integers(let labels): labels.count
      case .strings(let labels): labels.count
      }
    }
  }

  let labels: Labels
  /// Where two classes have one column of votes: that column; the second class's by convention.
  let singleColumn: Int?
  private let isVoted: [Bool]
  private let hasNegativeVotes: Bool

  init(labels: Labels, voted: Set<Int>, hasNegativeVotes: Bool) {
    self.labels = labels
    self.hasNegativeVotes = hasNegativeVotes
    isVoted = (0..<labels.count).map(voted.contains)
    singleColumn = labels.count == 2 && voted.count == 1 ? voted.first : nil
  }

  /// The class of the largest sum, the first of equals. One that no leaf votes for has no sum.
  func best(of scores: UnsafeMutablePointer<Double>, hasBase: Bool) -> Int {
    var best: Int?
    for k in 0..<labels.count where hasBase || isVoted[k] {
      if best.map({ scores[k] > scores[$0] }) ?? true { best = k }
    }
    return best ?? 0
  }

  /// Two scores from one: a probability and its complement where no vote is negative, else a
  /// margin and its opposite.
  func split(
    _ margin: Double, _ transform: PostTransform, into scores: UnsafeMutablePointer<Double>
  ) -> Int {
    if transform == .logistic {
      scores[0] = PostTransform.logistic(-margin)
      scores[1] = PostTransform.logistic(margin)
      return margin > 0 ? 1 : 0
    }
    if hasNegativeVotes {
      (scores[0], scores[1]) = (-margin, margin)
      return margin > 0 ? 1 : 0
    }
    (scores[0], scores[1]) = (1 - margin, margin)
    return margin > 0.5 ? 1 : 0
  }
}

extension PostTransform {
  static func logistic(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// In place. A single score has nothing to be weighed against: softmax leaves it.
  func apply(_ scores: UnsafeMutablePointer<Double>, count: Int) {
    switch self {
    case .none: break
    case .logistic: for k in 0..<count { scores[k] = Self.logistic(scores[k]) }
    case .probit: for k in 0..<count { scores[k] = Self.probit(scores[k]) }
    case .softmax, .softmaxZero:
      guard count > 1 else { return }
      var largest = scores[0]
      for k in 1..<count { largest = max(largest, scores[k]) }
      var sum = 0.0
      for k in 0..<count {
        // SOFTMAX_ZERO keeps what is (almost) zero out of the sum.
        if self == .softmaxZero, scores[k].magnitude <= 1e-7 {
          scores[k] *= exp(-largest)
        } else {
          scores[k] = exp(scores[k] - largest)
          sum += scores[k]
        }
      }
      guard sum > 0 else { return }
      for k in 0..<count { scores[k] /= sum }
    }
  }

  /// The normal quantile by Winitzki's approximation, constants as in ONNX Runtime.
  private static func probit(_ probability: Double) -> Double {
    let x = 2 * probability - 1
    let log = log((1 - x) * (1 + x))
    let v = 2 / (3.14159 * 0.147) + 0.5 * log
    let root = (v * v - log / 0.147).squareRoot() - v
    return 1.41421356 * (x < 0 ? -1 : 1) * root.squareRoot()
  }
}
