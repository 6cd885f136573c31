internal import CKernels

/// The nodes of a forest in the order in which they are explained.
struct ForestExplanation {
  /// A path is refused that asks for more features than this: what a row costs grows with them.
  static let mostPathFeatures = 512
  static let mostLevels = 4096

  private(set) var nodes: [ck_explain_node] = []
  private(set) var categories: [Int32] = []
  private let forest: Forest
  private var places: [Int32]
  private let setStarts: [UInt32]
  /// The places of the features that the splits on the path ask for.
  private var parentPlaces: [Int32] = []

  init(_ forest: Forest, features: [Int]) {
    self.forest = forest
    places = Array(repeating: -1, count: forest.featureCount)
    for (place, feature) in features.enumerated() { places[feature] = Int32(place) }
    var starts: [UInt32] = []
    for set in forest.categorySets {
      starts.append(UInt32(categories.count))
      categories += set
    }
    setStarts = starts
    nodes.reserveCapacity(forest.features.count)
  }

  /// A node to come, and how many of those above it are on its path.
  private struct Open {
    var node: Int
    var depth: Int
    var isRight: Bool
    var share: Double
  }

  /// What is known of an edge on the path.
  private struct Edge {
    var place: Int32
    var pathShare: Double
  }

  /// Adds a tree whose leaves hold one value.
  ///
  /// - Returns: the value expected of a row of which nothing is known, steps to the farthest leaf,
  ///   and the most features that a path asks for.
  mutating func add(
    _ tree: Forest.Tree, number: Int
  ) throws(ModelError) -> (expected: Double, depth: Int, pathFeatures: Int) {
    guard tree.maxDepth <= Self.mostLevels else {
      throw ModelError(
        .tooLarge,
        "tree \(number) is \(tree.maxDepth) levels deep, up to \(Self.mostLevels) are explained"
      )
    }
    try checkCovers(tree, number: number)
    var expected = 0.0
    var mostFeatures = 0
    var path: [Edge] = [Edge(place: -1, pathShare: 1)]
    // The product of all shares down to each depth, and how many features were asked for.
    var shares = [1.0]
    var featureCounts = [0]
    var open = [Open(node: tree.root, depth: 0, isRight: false, share: 1)]
    while let next = open.popLast() {
      var node = ck_explain_node()
      node.depth = Int32(next.depth)
      (node.share, node.path_share, node.share_before) = (next.share, next.share, 1)
      node.is_right = next.isRight ? 1 : 0
      (node.place, node.split_place) = (-1, -1)
      path.removeLast(path.count - max(next.depth, 1))
      shares.removeLast(shares.count - max(next.depth, 1))
      featureCounts.removeLast(featureCounts.count - max(next.depth, 1))
      if next.depth > 0 {
        let parent = Int(path.count) - 1
        node.place = parentPlaces[parent]
        var before = parent
        while before > 0, path[before].place != node.place { before -= 1 }
        if before > 0 {
          node.before = Int32(before)
          node.share_before = path[before].pathShare
          node.path_share = node.share_before * next.share
        }
        path.append(Edge(place: node.place, pathShare: node.path_share))
        shares.append(shares[parent] * next.share)
        featureCounts.append(featureCounts[parent] + (before > 0 ? 0 : 1))
      }
      let index = next.node
      if forest.features[index] < 0 {
        node.test = UInt8(CK_EXPLAIN_LEAF.rawValue)
        node.number = forest.values[Int(forest.children[index])]
        expected += shares[next.depth] * node.number
        mostFeatures = max(mostFeatures, featureCounts[next.depth])
      } else {
        describe(index, in: &node)
        parentPlaces.removeLast(parentPlaces.count - next.depth)
        parentPlaces.append(node.split_place)
        let left = Int(forest.children[index])
        for child in [left + 1, left] {
          let all = forest.covers[index]
          open.append(
            Open(
              node: child, depth: next.depth + 1, isRight: child != left,
              share: all > 0 ? forest.covers[child] / all : 0))
        }
      }
      nodes.append(node)
    }
    guard mostFeatures <= Self.mostPathFeatures else {
      throw ModelError(
        .tooLarge,
        "tree \(number) asks for \(mostFeatures) features on one path, up to \(Self.mostPathFeatures) are explained"
      )
    }
    return (expected, tree.maxDepth, mostFeatures)
  }

  private func checkCovers(_ tree: Forest.Tree, number: Int) throws(ModelError) {
    for node in tree.root..<tree.end {
      let cover = forest.covers[node]
      guard cover >= 0, cover.isFinite else {
        throw ModelError(
          .unsupported,
          "tree \(number) has a node with the weight \(cover) of training rows, so that contributions are not defined"
        )
      }
    }
  }

  private func describe(_ index: Int, in node: inout ck_explain_node) {
    node.split_place = places[Int(forest.features[index])]
    switch forest.tests[index] {
    case .atMost(let threshold):
      (node.test, node.number) = (UInt8(CK_EXPLAIN_AT_MOST.rawValue), threshold)
    case .equal(let wanted):
      (node.test, node.number) = (UInt8(CK_EXPLAIN_EQUAL.rawValue), wanted)
    case .among(let set):
      node.test = UInt8(CK_EXPLAIN_AMONG.rawValue)
      node.set_start = setStarts[set]
      node.set_count = UInt32(forest.categorySets[set].count)
    }
    let missing =
      switch forest.missing[index] {
      case .none: CK_EXPLAIN_NONE
      case .nan: CK_EXPLAIN_NAN
      case .zero: CK_EXPLAIN_ZERO
      }
    node.missing = UInt8(missing.rawValue)
    node.missing_left = forest.missingLeft[index] ? 1 : 0
  }
}
