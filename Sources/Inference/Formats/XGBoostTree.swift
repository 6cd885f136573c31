/// One tree's parallel arrays.
struct XGBoostTree {
  private let number: Int
  private var left: [Int32] = []
  private var right: [Int32] = []
  private var features: [Int32] = []
  /// Thresholds of splits, values of leaves.
  private var conditions: [Float] = []
  private var defaultLeft: [UInt8] = []
  private var types: [UInt8] = []
  private var sets = CategorySets()
  private var leafWidth = 1
  /// Vectors of leaves, `leafWidth` long; which leaf has which is said by `right`, or by the number
  /// of the node where each node has one.
  private var vectors: [Float] = []
  private var vectorsAreOfNodes = false

  var nodeCount: Int { left.count }

  /// Whether leaves hold a value for every output.
  var hasVectors: Bool { leafWidth > 1 }

  /// Categories of nodes that split by them, end to end.
  private struct CategorySets {
    var nodes: [Int32] = []
    var starts: [Int] = []
    var counts: [Int] = []
    var categories: [Int32] = []
  }

  init<Reader: DocumentReader>(_ reader: inout Reader, number: Int) throws(ModelError) {
    self.number = number
    var baseWeights: Reader?
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "left_children": left = try reader.integers(as: Int32.self)
      case "right_children": right = try reader.integers(as: Int32.self)
      case "split_indices": features = try reader.integers(as: Int32.self)
      case "split_conditions": conditions = try reader.floats()
      case "default_left": defaultLeft = try reader.integers(as: UInt8.self)
      case "split_type": types = try reader.integers(as: UInt8.self)
      case "categories": sets.categories = try reader.integers(as: Int32.self)
      case "categories_nodes": sets.nodes = try reader.integers(as: Int32.self)
      case "categories_segments": sets.starts = try reader.integers(as: Int.self)
      case "categories_sizes": sets.counts = try reader.integers(as: Int.self)
      case "leaf_weights": vectors = try reader.floats()
      case "base_weights":
        // Only vectors of leaves before XGBoost 3.1 are here, and the width comes later.
        baseWeights = reader
        try reader.skip()
      case "tree_param":
        try reader.object { reader, key throws(ModelError) in
          guard key == "size_leaf_vector" else { return try reader.skip() }
          leafWidth = max(try XGBoostDocument.integer(try reader.string(), key), 1)
        }
      default: try reader.skip()
      }
    }
    if leafWidth > 1, vectors.isEmpty, var baseWeights {
      vectors = try baseWeights.floats()
      vectorsAreOfNodes = true
    }
    try check()
  }

  private func check() throws(ModelError) {
    let count = left.count
    for (name, found) in [
      ("right_children", right.count), ("split_indices", features.count),
      ("split_conditions", conditions.count), ("default_left", defaultLeft.count),
    ] where found != count {
      throw ModelError(
        .malformed, "tree \(number): \(found) entries of \"\(name)\" for \(count) nodes")
    }
    guard types.isEmpty || types.count == count else {
      throw ModelError(
        .malformed, "tree \(number): \(types.count) entries of \"split_type\" for \(count) nodes")
    }
    guard sets.nodes.count == sets.starts.count, sets.nodes.count == sets.counts.count else {
      throw ModelError(
        .malformed,
        "tree \(number): \(sets.starts.count) starts and \(sets.counts.count) sizes of categories for \(sets.nodes.count) nodes"
      )
    }
    guard !vectorsAreOfNodes || vectors.count / leafWidth == count else {
      throw ModelError(
        .malformed, "tree \(number): \(vectors.count) weights for \(count) nodes of \(leafWidth)")
    }
  }

  /// - Parameters:
  ///   - output: what a tree without vectors at its leaves adds to.
  ///   - weight: multiplies the leaves as floats, as dart does when it scores.
  ///   - covers: one a node, where the forest keeps them.
  func append(
    to forest: inout Forest, output: Int, weight: Float, covers: [Double]? = nil
  ) throws(ModelError) {
    guard leafWidth == 1 || leafWidth == forest.outputCount else {
      throw ModelError(
        .malformed,
        "tree \(number): leaves of \(leafWidth) values for \(forest.outputCount) outputs")
    }
    let leafCount = left.reduce(0) { $0 + ($1 == -1 ? 1 : 0) }
    guard leafWidth == 1 || leafCount <= vectors.count / leafWidth else {
      throw ModelError(
        .malformed,
        "tree \(number): \(vectors.count) weights for \(leafCount) leaves of \(leafWidth)")
    }
    var values: [Double] = []
    values.reserveCapacity(leafCount * leafWidth)
    var places = [Int32](repeating: 0, count: left.count)
    for node in left.indices where left[node] == -1 {
      places[node] = Int32(truncatingIfNeeded: values.count)
      for value in try leafValues(node) { values.append(Double(value * weight)) }
    }
    try forest.append(
      tree: Nodes(tree: self, setOfNode: try categorySets(forest: &forest), places: places),
      values: values, output: leafWidth == 1 ? .one(output) : .all, covers: covers)
  }

  /// Adds the tree with the numbers of nodes as leaf numbers (`ForestWalk.leafNumber`), without
  /// values.
  func appendNumbered(to forest: inout Forest) throws(ModelError) {
    try forest.append(
      tree: Nodes(
        tree: self, setOfNode: try categorySets(forest: &forest),
        places: left.indices.map { Int32(truncatingIfNeeded: $0) }),
      values: Array(repeating: 0, count: left.count), output: .one(0))
  }

  private struct Nodes: TreeNodes {
    let tree: XGBoostTree
    let setOfNode: [Int32: Int]
    /// Of leaves' values.
    let places: [Int32]

    var count: Int { tree.left.count }

    /// Nodes that were pruned away keep whatever they had.
    @inline(__always)
    func node(at node: Int) throws(ModelError) -> Forest.Node {
      if tree.left[node] == -1 { return .leaf(value: Int(places[node])) }
      return try tree.split(
        node, set: setOfNode.isEmpty ? nil : setOfNode[Int32(truncatingIfNeeded: node)])
    }
  }

  private func leafValues(_ node: Int) throws(ModelError) -> ArraySlice<Float> {
    if leafWidth == 1 { return conditions[node...node] }
    let index = vectorsAreOfNodes ? node : Int(right[node])
    guard index >= 0, index < vectors.count / leafWidth else {
      throw malformed(node, "leaf \(index) of \(vectors.count / leafWidth)")
    }
    return vectors[(index * leafWidth)..<((index + 1) * leafWidth)]
  }

  private func split(_ node: Int, set: Int?) throws(ModelError) -> Forest.Node {
    let (left, right) = (Int(left[node]), Int(right[node]))
    let missingLeft = defaultLeft[node] != 0
    let isCategorical = !types.isEmpty && types[node] != 0
    guard isCategorical else {
      let threshold = conditions[node]
      guard !threshold.isNaN else { throw malformed(node, "the threshold is not a number") }
      // `x < t` is `x <= t'` for the float t' before t.
      return .split(
        Forest.Split(
          feature: Int(features[node]), test: .atMost(Double(threshold.nextDown)), missing: .nan,
          missingLeft: missingLeft),
        left: left, right: right)
    }
    guard types[node] == 1 else { throw malformed(node, "split type \(types[node]) is not known") }
    guard let set else { throw malformed(node, "a categorical split without categories") }
    // Categories of the set go right, all others left; ours has them the other way round.
    return .split(
      Forest.Split(
        feature: Int(features[node]), test: .among(set), missing: .nan, missingLeft: !missingLeft),
      left: right, right: left)
  }

  /// The number of each node's set in the forest.
  private func categorySets(forest: inout Forest) throws(ModelError) -> [Int32: Int] {
    var numbers: [Int32: Int] = [:]
    for (index, node) in sets.nodes.enumerated() {
      let (start, count) = (sets.starts[index], sets.counts[index])
      guard start >= 0, count > 0, start <= sets.categories.count,
        count <= sets.categories.count - start
      else {
        throw malformed(
          Int(node), "categories \(start), \(count) of them, among \(sets.categories.count)")
      }
      let categories = Set(sets.categories[start..<(start + count)]).sorted()
      // Floats hold integers exactly up to here; XGBoost takes no larger category.
      guard categories[0] >= 0, categories[categories.count - 1] < 1 << 24 else {
        throw malformed(Int(node), "a category is not from 0 to 16777215")
      }
      guard numbers.updateValue(forest.addCategorySet(categories), forKey: node) == nil else {
        throw malformed(Int(node), "has two sets of categories")
      }
    }
    return numbers
  }

  private func malformed(_ node: Int, _ what: String) -> ModelError {
    ModelError(.malformed, "tree \(number), node \(node): \(what)")
  }
}
