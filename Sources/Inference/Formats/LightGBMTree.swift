/// The section of one tree.
struct LightGBMTree {
  let number: Int
  let line: Int
  let text: LightGBMText
  let entries: [String: LightGBMText.Entry]

  func append(to forest: inout Forest, output: Int) throws(ModelError) {
    let leafCount = try integer("num_leaves")
    let leafValues = try text.doubles(try entry("leaf_value")) {
      "tree \(number), leaf \($0): value"
    }
    guard leafCount >= 1, leafValues.count == leafCount else {
      throw ModelError(
        .malformed,
        "tree \(number): \(leafValues.count) values for \(leafCount) leaves (line \(entries["leaf_value"]?.line ?? line))"
      )
    }
    if let bad = leafValues.firstIndex(where: { !$0.isFinite }) {
      throw ModelError(
        .malformed,
        "tree \(number), leaf \(bad): the value is not finite (line \(entries["leaf_value"]?.line ?? line))"
      )
    }
    let nodes = try LightGBMNodes(self, splits: leafCount - 1, forest: &forest)
    let isLinear = entries["is_linear"] == nil ? false : try integer("is_linear") != 0
    try forest.append(
      tree: nodes, values: leafValues, output: .one(output),
      linear: isLinear ? try linearLeaves(count: leafCount) : nil,
      covers: forest.keepsCovers ? try covers(leafCount: leafCount) : nil)
  }

  /// The functions of leaves: their features and coefficients stand end to end, with how many each
  /// leaf has.
  private func linearLeaves(count: Int) throws(ModelError) -> [LinearLeaves.Leaf] {
    let constants = try text.doubles(try entry("leaf_const")) {
      "tree \(number), leaf \($0): constant"
    }
    try check(constants.count, count, "leaf_const", of: "leaves")
    let counts = try text.integers(try entry("num_features")) {
      "tree \(number), leaf \($0): number of features"
    }
    try check(counts.count, count, "num_features", of: "leaves")
    let features = try text.integers(try entry("leaf_features")) {
      "tree \(number): feature \($0) of the leaves"
    }
    let coefficients = try text.doubles(try entry("leaf_coeff")) {
      "tree \(number): coefficient \($0) of the leaves"
    }
    var leaves: [LinearLeaves.Leaf] = []
    var start = 0
    for leaf in 0..<count {
      let left = min(features.count, coefficients.count) - start
      guard (0...left).contains(counts[leaf]) else {
        throw ModelError(
          .malformed,
          "tree \(number), leaf \(leaf): \(counts[leaf]) features of \(left) left (line \(entries["num_features"]?.line ?? line))"
        )
      }
      let terms = start..<(start + counts[leaf])
      leaves.append(
        LinearLeaves.Leaf(
          constant: constants[leaf], features: Array(features[terms]),
          coefficients: Array(coefficients[terms])))
      start = terms.upperBound
    }
    try check(features.count, start, "leaf_features", of: "terms")
    try check(coefficients.count, start, "leaf_coeff", of: "terms")
    return leaves
  }

  /// `cat_boundaries` cuts the words of `cat_threshold` into bit sets of categories.
  fileprivate func categorySets() throws(ModelError) -> [[Int32]] {
    guard entries["num_cat"] != nil else { return [] }
    let count = try integer("num_cat")
    guard count > 0 else { return [] }
    let boundaries = try text.integers(try entry("cat_boundaries")) {
      "tree \(number): category boundary \($0)"
    }
    let words = try text.integers(try entry("cat_threshold")) {
      "tree \(number): category word \($0)"
    }
    let line = entries["cat_boundaries"]?.line ?? line
    guard boundaries.count - 1 == count, boundaries.first == 0, boundaries.last == words.count
    else {
      throw ModelError(
        .malformed,
        "tree \(number): category boundaries do not fit \(words.count) words (line \(line))")
    }
    return try (0..<count).map { set throws(ModelError) in
      guard boundaries[set] <= boundaries[set + 1], boundaries[set + 1] <= words.count else {
        throw ModelError(
          .malformed, "tree \(number): category boundaries do not ascend (line \(line))")
      }
      var categories: [Int32] = []
      for (index, word) in words[boundaries[set]..<boundaries[set + 1]].enumerated() {
        guard let bits = UInt32(exactly: word), index < 1 << 26 else {
          throw ModelError(
            .malformed,
            "tree \(number): category word \(word) is beyond what is read (line \(line))")
        }
        var left = bits
        while left != 0 {
          categories.append(Int32(index * 32 + left.trailingZeroBitCount))
          left &= left - 1
        }
      }
      return categories
    }
  }

  fileprivate func entry(_ key: String) throws(ModelError) -> LightGBMText.Entry {
    guard let entry = entries[key] else {
      throw ModelError(.malformed, "tree \(number) lacks \"\(key)\" (line \(line))")
    }
    return entry
  }

  private func integer(_ key: String) throws(ModelError) -> Int {
    let entry = try entry(key)
    let values = try text.integers(entry) { _ in "tree \(number): \(key)" }
    guard values.count == 1 else {
      throw ModelError(
        .malformed, "tree \(number): \(key) is not one integer (line \(entry.line))")
    }
    return values[0]
  }

  fileprivate func integers(
    _ key: String, _ count: Int, _ what: String
  ) throws(ModelError) -> [Int] {
    let values = try text.integers(try entry(key)) { "tree \(number), node \($0): \(what)" }
    try check(values.count, count, key)
    return values
  }

  fileprivate func check(
    _ found: Int, _ count: Int, _ key: String, of things: String = "splits"
  ) throws(ModelError) {
    guard found == count else {
      throw ModelError(
        .malformed,
        "tree \(number): \(found) entries of \"\(key)\" for \(count) \(things) (line \(entries[key]?.line ?? line))"
      )
    }
  }

  fileprivate func malformed(_ node: Int, _ what: String, _ key: String) -> ModelError {
    ModelError(
      .malformed, "tree \(number), node \(node): \(what) (line \(entries[key]?.line ?? line))")
  }
}

extension Forest.Missing {
  /// By LightGBM's numbers.
  fileprivate init?(lightGBM number: Int) {
    switch number {
    case 0: self = .none
    case 1: self = .zero
    case 2: self = .nan
    default: return nil
    }
  }
}

/// The nodes of a tree: its splits, then its leaves.
private struct LightGBMNodes: TreeNodes {
  private let tree: LightGBMTree
  private let splitCount: Int
  private var features: [Int] = []
  private var left: [Int] = []
  private var right: [Int] = []
  /// Empty where all are 0.
  private var decisions: [Int] = []
  private var thresholds: [Double] = []
  /// Places of the tree's sets among those of the forest.
  private var sets = 0..<0

  /// Bits of `decision_type`.
  private enum Decision {
    static let categorical = 1
    static let defaultLeft = 2
    static func missing(_ type: Int) -> Forest.Missing? {
      Forest.Missing(lightGBM: (type >> 2) & 3)
    }
  }

  var count: Int { 2 * splitCount + 1 }

  init(_ tree: LightGBMTree, splits count: Int, forest: inout Forest) throws(ModelError) {
    self.tree = tree
    splitCount = count
    guard count > 0 else { return }
    features = try tree.integers("split_feature", count, "feature")
    left = try tree.integers("left_child", count, "left child")
    right = try tree.integers("right_child", count, "right child")
    // Files of the first releases have no such line where all of them are 0.
    if tree.entries["decision_type"] != nil {
      decisions = try tree.integers("decision_type", count, "decision type")
    }
    thresholds = try tree.text.doubles(try tree.entry("threshold")) {
      "tree \(tree.number), node \($0): threshold"
    }
    try tree.check(thresholds.count, count, "threshold")
    let found = try tree.categorySets()
    for set in found { _ = forest.addCategorySet(set) }
    sets = (forest.categorySets.count - found.count)..<forest.categorySets.count
  }

  @inline(__always)
  func node(at node: Int) throws(ModelError) -> Forest.Node {
    guard node < splitCount else { return .leaf(value: node - splitCount) }
    let decision = decisions.isEmpty ? 0 : decisions[node]
    guard (0..<256).contains(decision), let missing = Decision.missing(decision) else {
      throw tree.malformed(node, "decision type \(decision) is not known", "decision_type")
    }
    var split = Forest.Split(
      feature: features[node], test: .atMost(Self.comparable(thresholds[node])),
      missing: missing, missingLeft: decision & Decision.defaultLeft != 0)
    if decision & Decision.categorical != 0 {
      // A category split keeps the number of its set in place of a threshold.
      guard let index = Int(exactly: thresholds[node]), (0..<sets.count).contains(index) else {
        throw tree.malformed(
          node, "category set \(thresholds[node]) of \(sets.count)", "threshold")
      }
      split.test = .among(sets.lowerBound + index)
      (split.missing, split.missingLeft) = (.none, false)
    }
    return .split(
      split, left: try child(left[node], of: node, "left_child"),
      right: try child(right[node], of: node, "right_child"))
  }

  /// LightGBM drops numbers within 1e-35 of zero from a row before it scores it, so that they
  /// compare as zero: a threshold among them stands for all or none.
  private static func comparable(_ threshold: Double) -> Double {
    let bound = ForestRanking.zeroBound
    guard threshold.magnitude <= bound else { return threshold }
    return threshold < 0 ? (-bound).nextDown : bound
  }

  /// Leaves are written as the complement of their number; here they come after the splits.
  @inline(__always)
  private func child(_ child: Int, of node: Int, _ key: String) throws(ModelError) -> Int {
    if child < 0, ~child <= splitCount { return splitCount + ~child }
    guard (0..<splitCount).contains(child) else {
      throw tree.malformed(
        node,
        child < 0
          ? "leads to leaf \(~child) of \(splitCount + 1)"
          : "leads to node \(child) of \(splitCount)",
        key)
    }
    return child
  }
}
