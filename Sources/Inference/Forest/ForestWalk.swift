/// A forest as it is, walked node by node: for leaf numbers, linear leaves, and forests that no
/// plan takes.
///
/// - Complexity: A step for each level of each tree; a category split searches its set.
struct ForestWalk: Sendable {
  let forest: Forest
  /// The features that trees read, in order; a row holds only their values.
  let features: [Int]
  /// For each node the place of its feature's value in a row; 0 at leaves.
  private let places: [Int32]
  /// For each of the model's features its place in a row, or -1.
  private let placeOfFeature: [Int32]

  init(_ forest: Forest) {
    self.forest = forest
    let unread = Set(forest.unreadFeatures)
    features = (0..<forest.featureCount).filter { !unread.contains($0) }
    var placeOfFeature = [Int32](repeating: -1, count: forest.featureCount)
    for (place, feature) in features.enumerated() { placeOfFeature[feature] = Int32(place) }
    self.placeOfFeature = placeOfFeature
    places = forest.features.map { $0 < 0 ? 0 : placeOfFeature[Int($0)] }
  }

  /// Bytes that the forest and its index take.
  var byteCount: Int {
    let nodes = forest.features.count * (4 + 4 + MemoryLayout<Forest.Test>.stride + 2 + 4)
    let sets = forest.categorySets.reduce(0) { $0 + 16 + 4 * $1.count }
    let terms = (forest.linearLeaves?.coefficients.count ?? 0) * 12
    let constants = (forest.linearLeaves?.constants.count ?? 0) * 16
    return nodes + sets + terms + constants + forest.values.count * 8
      + forest.trees.count * MemoryLayout<Forest.Tree>.stride + placeOfFeature.count * 4
  }

  /// The index among the forest's values of the leaf that the row comes to.
  ///
  /// - Parameter row: one value for each of `features`, NaN where it has none.
  @inline(__always)
  func leaf(of tree: Forest.Tree, _ row: UnsafePointer<Double>) -> Int {
    var node = tree.root
    while forest.features[node] >= 0 {
      let goesLeft = isLeft(node, row[Int(places[node])])
      node = Int(forest.children[node]) + (goesLeft ? 0 : 1)
    }
    return Int(forest.children[node])
  }

  private func isLeft(_ node: Int, _ value: Double) -> Bool {
    switch forest.missing[node] {
    case .none: break
    case .nan: if value.isNaN { return forest.missingLeft[node] }
    case .zero:
      if value.isNaN || value.magnitude <= ForestRanking.zeroBound {
        return forest.missingLeft[node]
      }
    }
    switch forest.tests[node] {
    case .atMost(let threshold): return (value.isNaN ? 0 : value) <= threshold
    case .equal(let wanted): return (value.isNaN ? 0 : value) == wanted
    case .among(let set):
      guard value > (forest.cutsCategories ? -1 : (0.0).nextDown), value < 2_147_483_648 else {
        return false
      }
      let category = Int32(value)
      let categories = forest.categorySets[set]
      let index = categories.partitioningIndex { $0 >= category }
      return index < categories.count && categories[index] == category
    }
  }

  /// Adds the leaves of a row to `sums`, one an output, tree by tree.
  func add<Real: ForestReal>(_ row: UnsafePointer<Double>, to sums: UnsafeMutablePointer<Real>) {
    for tree in forest.trees {
      let value = leaf(of: tree, row)
      switch tree.output {
      case .one(let output):
        guard let linear = forest.linearLeaves else {
          sums[output] += Real(forest.values[value])
          continue
        }
        sums[output] += Real(
          linear.value(of: value, plain: forest.values[value]) { row[Int(placeOfFeature[$0])] })
      case .all:
        for output in 0..<forest.outputCount {
          sums[output] += Real(forest.values[value + output])
        }
      }
    }
  }

  /// The number that the row's leaf has in its tree: the place of its values among those given to
  /// `Forest.append`, in steps of a leaf.
  func leafNumber(of tree: Forest.Tree, _ row: UnsafePointer<Double>) -> Int {
    let width = tree.output == .all ? forest.outputCount : 1
    return (leaf(of: tree, row) - tree.firstValue) / width
  }
}
