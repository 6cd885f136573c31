/// A comparison at a node of an ensemble, in ONNX's words.
struct EnsembleSplit: Sendable {
  enum Mode: Sendable {
    case atMost(Double)
    case below(Double)
    case atLeast(Double)
    case above(Double)
    case equal(Double)
    case notEqual(Double)
    case member([Double])

    /// - Parameter code: TreeEnsemble's number for the mode.
    init?(code: Int, threshold: Double) {
      switch code {
      case 0: self = .atMost(threshold)
      case 1: self = .below(threshold)
      case 2: self = .atLeast(threshold)
      case 3: self = .above(threshold)
      case 4: self = .equal(threshold)
      case 5: self = .notEqual(threshold)
      default: return nil
      }
    }

    /// The name in the lists of opset 1 and 3; also the place of its number.
    static let names = [
      "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
    ]
  }

  var feature: Int
  var mode: Mode
  /// Where NaN goes. By itself no comparison holds for it but "not equal".
  var missingIsTrue: Bool
}

/// A node of one tree; branches are places in the tree's list, whose first node is the root.
enum EnsembleNode: Sendable {
  case split(EnsembleSplit, whenTrue: Int, whenFalse: Int)
  /// Places among the votes of all trees.
  case leaf(Range<Int32>)

  struct Vote: Sendable {
    var output: Int
    var weight: Double
  }
}

/// The trees of an ensemble, in ONNX's words.
struct EnsembleTrees: Sendable {
  /// Tree by tree.
  var nodes: [[EnsembleNode]]
  /// What leaves vote for.
  var votes: [EnsembleNode.Vote]

  var count: Int { nodes.count }

  func votes(_ range: Range<Int32>) -> ArraySlice<EnsembleNode.Vote> {
    votes[Int(range.lowerBound)..<Int(range.upperBound)]
  }
}

/// Numbers for the values that set-membership splits of a feature name.
///
/// A forest's sets hold small integers. So a split that asks whether a number is one of several
/// reads a feature of its own instead: the place of the number among all that are named.
struct MemberCodes: Sendable {
  let feature: Int
  /// Ascending, distinct.
  let values: [Double]

  /// NaN stays NaN; what no set names is -1.
  func code(_ value: Double) -> Float {
    if value.isNaN { return .nan }
    return place(value).map(Float.init) ?? -1
  }

  func place(_ value: Double) -> Int? {
    var (low, high) = (0, values.count)
    while low < high {
      let middle = (low + high) / 2
      if values[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low < values.count && values[low] == value ? low : nil
  }
}

/// Trees in ONNX's words made a forest.
struct EnsembleForest {
  let forest: Forest
  /// The features that follow the input's own, in order.
  let codes: [MemberCodes]
  let votedOutputs: Set<Int>
  let hasNegativeVotes: Bool
  let tracksMissing: Bool

  init(
    _ forest: Forest, codes: [MemberCodes], votedOutputs: Set<Int>, hasNegativeVotes: Bool,
    tracksMissing: Bool
  ) {
    (self.forest, self.codes, self.votedOutputs) = (forest, codes, votedOutputs)
    (self.hasNegativeVotes, self.tracksMissing) = (hasNegativeVotes, tracksMissing)
  }

  /// - Parameter absent: what a leaf has for an output that it does not vote for.
  init(
    _ node: Node, trees: EnsembleTrees, width: Int, outputCount: Int, absent: Double
  ) throws(ModelError) {
    do throws(ModelError) {
      let parts = try Concurrently.tryMap(ranges: Concurrently.ranges(trees.count, least: 1)) {
        range throws(ModelError) in
        try range.map { number throws(ModelError) in
          try EnsembleTree(trees, number: number, outputCount: outputCount)
        }
      }
      let joined = Array(parts.joined())
      var members: [Int: Set<Double>] = [:]
      for tree in joined {
        for (feature, values) in tree.members { members[feature, default: []].formUnion(values) }
      }
      let codes = members.sorted { $0.key < $1.key }.map {
        MemberCodes(feature: $0.key, values: $0.value.sorted())
      }
      var forest = try Forest(
        featureCount: width + codes.count, outputCount: outputCount, limits: node.limits)
      try forest.append(
        count: joined.count, nodes: joined.reduce(0) { $0 + $1.nodes.count }
      ) { forest, number throws(ModelError) in
        try joined[number].append(
          to: &forest, number: number, trees, codes, width: width, absent: absent, node.limits)
      }
      self.forest = forest
      self.codes = codes
      votedOutputs = joined.reduce(into: []) { $0.formUnion($1.outputs) }
      hasNegativeVotes = joined.contains { $0.hasNegativeVotes }
      tracksMissing = joined.contains { $0.tracksMissing }
    } catch {
      throw node.error(error.code, error.message)
    }
  }
}

/// One tree on its way into a forest, and what there is to know of it before.
private struct EnsembleTree {
  private(set) var nodes: [EnsembleNode]
  /// Values that set-membership splits of features name.
  private(set) var members: [Int: Set<Double>] = [:]
  /// What its leaves vote for.
  private(set) var outputs: Set<Int> = []
  private(set) var hasNegativeVotes = false
  private(set) var tracksMissing = false
  private let outputCount: Int
  private var leafCount = 0
  private var isSingle = true

  init(_ trees: EnsembleTrees, number: Int, outputCount: Int) throws(ModelError) {
    self.outputCount = outputCount
    nodes = trees.nodes[number]
    if nodes.contains(where: \.isTestOfOne) { nodes = try Self.joined(nodes) }
    var last = -1
    for place in nodes.indices {
      switch nodes[place] {
      case .split(let split, _, _):
        tracksMissing = tracksMissing || split.missingIsTrue
        if case .member(let values) = split.mode {
          members[split.feature, default: []].formUnion(values)
        }
      case .leaf(let range):
        // Of several votes for the only output the first counts, as in ONNX Runtime:
        // scikit-learn's converter writes the number of a leaf once for each class.
        var range = range
        if outputCount == 1, range.count > 1 {
          range = range.lowerBound..<(range.lowerBound + 1)
          nodes[place] = .leaf(range)
        }
        leafCount += 1
        isSingle = isSingle && range.count == 1
        for vote in trees.votes(range) {
          hasNegativeVotes = hasNegativeVotes || vote.weight < 0
          guard vote.output != last else { continue }
          last = vote.output
          guard (0..<outputCount).contains(vote.output) else {
            throw ModelError(
              .malformed, "tree \(number): a leaf votes for output \(vote.output) of \(outputCount)"
            )
          }
          // Most trees vote for all outputs or for one.
          if outputs.count < outputCount { outputs.insert(vote.output) }
        }
      }
    }
    isSingle = isSingle && outputs.count == 1
  }

  func append(
    to forest: inout Forest, number: Int, _ trees: EnsembleTrees, _ codes: [MemberCodes],
    width: Int, absent: Double, _ limits: ModelLimits
  ) throws(ModelError) {
    let valueCount = isSingle ? 1 : outputCount
    let (count, overflow) = leafCount.multipliedReportingOverflow(by: valueCount)
    guard !overflow, count <= limits.elementCount / 8 else {
      throw ModelError(
        .tooLarge,
        "tree \(number): \(leafCount) leaves of \(valueCount) values are more than are kept"
      )
    }
    var result: [Forest.Node] = []
    result.reserveCapacity(nodes.count)
    var values: [Double] = []
    values.reserveCapacity(count)
    for (place, node) in nodes.enumerated() {
      switch node {
      case .split(let split, let whenTrue, let whenFalse):
        do throws(ModelError) {
          result.append(
            try Self.node(
              split, whenTrue: whenTrue, whenFalse: whenFalse, in: &forest, codes, width: width))
        } catch {
          throw ModelError(error.code, "tree \(number), node \(place): \(error.message)")
        }
      case .leaf(let range):
        result.append(.leaf(value: values.count))
        if isSingle {
          values.append(trees.votes[Int(range.lowerBound)].weight)
          continue
        }
        let first = values.count
        for _ in 0..<valueCount { values.append(absent) }
        for vote in trees.votes(range) {
          let slot = first + vote.output
          values[slot] = values[slot].isFinite ? values[slot] + vote.weight : vote.weight
        }
      }
    }
    try forest.append(
      result, values: values, output: isSingle ? .one(outputs.first ?? 0) : .all)
  }

  /// The tree with chains of "equal" made one "member of" each: tests of one feature that all lead to
  /// the same node where they hold, as LightGBM's converter writes a categorical split.
  ///
  /// So that node has one parent again; the rest of the chain is reached no more.
  private static func joined(_ tree: [EnsembleNode]) throws(ModelError) -> [EnsembleNode] {
    var isInChain = Array(repeating: false, count: tree.count)
    for node in tree {
      if let next = follower(node, in: tree) { isInChain[next] = true }
    }
    guard isInChain.contains(true) else { return tree }
    var result = tree
    var steps = 0
    for (place, node) in tree.enumerated() where !isInChain[place] {
      guard case .split(var split, let whenTrue, var whenFalse) = node else { continue }
      var values: [Double] = []
      var last = node
      while let next = follower(last, in: tree), case .split(let test, _, _) = last,
        case .equal(let value) = test.mode
      {
        values.append(value)
        last = tree[next]
        steps += 1
        guard steps <= tree.count else {
          throw ModelError(.malformed, "a chain of tests has two heads")
        }
      }
      guard !values.isEmpty, case .split(let test, _, let otherwise) = last,
        case .equal(let value) = test.mode
      else { continue }
      values.append(value)
      (split.mode, whenFalse) = (.member(values), otherwise)
      result[place] = .split(split, whenTrue: whenTrue, whenFalse: whenFalse)
    }
    return result
  }

  /// The next test of a chain that a node stands in.
  private static func follower(_ node: EnsembleNode, in tree: [EnsembleNode]) -> Int? {
    guard case .split(let split, let whenTrue, let whenFalse) = node,
      case .equal(let value) = split.mode, !value.isNaN, tree.indices.contains(whenFalse),
      case .split(let next, whenTrue, _) = tree[whenFalse], case .equal(let other) = next.mode,
      !other.isNaN, next.feature == split.feature, next.missingIsTrue == split.missingIsTrue
    else { return nil }
    return whenFalse
  }

  /// A split in the forest's words, in which true is left unless the comparison is turned round.
  private static func node(
    _ split: EnsembleSplit, whenTrue: Int, whenFalse: Int, in forest: inout Forest,
    _ codes: [MemberCodes], width: Int
  ) throws(ModelError) -> Forest.Node {
    guard (0..<width).contains(split.feature) else {
      throw ModelError(.malformed, "feature \(split.feature) of \(width)")
    }
    var feature = split.feature
    var isTurned = false
    var missingIsTrue = split.missingIsTrue
    let test: Forest.Test
    func number(_ threshold: Double) throws(ModelError) -> Double {
      guard !threshold.isNaN else { throw ModelError(.malformed, "the threshold is not a number") }
      return threshold
    }
    func below(_ threshold: Double) throws(ModelError) -> Double {
      guard threshold > -.infinity else {
        throw ModelError(.malformed, "the threshold is not above -infinity")
      }
      return threshold.nextDown
    }
    switch split.mode {
    case .atMost(let threshold): test = .atMost(try number(threshold))
    case .above(let threshold): (test, isTurned) = (.atMost(try number(threshold)), true)
    case .below(let threshold): test = .atMost(try below(threshold))
    case .atLeast(let threshold): (test, isTurned) = (.atMost(try below(threshold)), true)
    case .equal(let value): test = .equal(try number(value))
    case .notEqual(let value):
      (test, isTurned) = (.equal(try number(value)), true)
      missingIsTrue = true
    case .member(let values):
      let place = codes.firstIndex { $0.feature == split.feature } ?? 0
      feature = width + place
      let places = Set(values.compactMap { codes[place].place($0) }.map { Int32($0) })
      test = .among(forest.addCategorySet(places.sorted()))
    }
    return .split(
      Forest.Split(
        feature: feature, test: test, missing: .nan, missingLeft: missingIsTrue != isTurned),
      left: isTurned ? whenFalse : whenTrue, right: isTurned ? whenTrue : whenFalse)
  }
}

extension EnsembleNode {
  /// Whether it asks for one value, as the members of a chain do.
  fileprivate var isTestOfOne: Bool {
    if case .split(let split, _, _) = self, case .equal = split.mode { true } else { false }
  }
}
