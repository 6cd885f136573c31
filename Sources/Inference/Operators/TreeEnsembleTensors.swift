/// The attributes of TreeEnsemble (opset 5), read into trees.
///
/// Splits and leaves stand in lists of their own; a tree is what hangs on its root. A node belongs
/// to one tree and has one parent.
struct TreeEnsembleTensors {
  let trees: EnsembleTrees
  let outputCount: Int
  let aggregate: EnsembleAggregate
  let postTransform: PostTransform

  private struct Nodes {
    var splits: [EnsembleSplit]
    var whenTrue: [(place: Int, isLeaf: Bool)]
    var whenFalse: [(place: Int, isLeaf: Bool)]
    var leaves: [EnsembleNode.Vote]
  }

  init(_ node: Node) throws(ModelError) {
    outputCount = try node.int("n_targets", default: 1)
    guard (1...node.limits.features).contains(outputCount) else {
      throw node.error(.malformed, "n_targets is \(outputCount)")
    }
    let code = try node.int("aggregate_function", default: 1)
    guard let aggregate = EnsembleAggregate(code: code) else {
      throw node.error(.malformed, "aggregate_function \(code) does not exist")
    }
    self.aggregate = aggregate
    let transform = try node.int("post_transform", default: 0)
    guard PostTransform.allCases.indices.contains(transform) else {
      throw node.error(.malformed, "post_transform \(transform) does not exist")
    }
    postTransform = PostTransform.allCases[transform]
    let nodes = try Self.nodes(node)
    guard let roots = try node.ints("tree_roots"), !roots.isEmpty else {
      throw node.error(.malformed, "the ensemble has no trees")
    }
    var isTaken = Array(repeating: false, count: nodes.splits.count)
    do throws(ModelError) {
      trees = EnsembleTrees(
        nodes: try roots.map { root throws(ModelError) in
          try Self.tree(root, nodes, &isTaken)
        }, votes: nodes.leaves)
    } catch {
      throw node.error(error.code, error.message)
    }
  }

  /// The nodes that hang on a root, level by level.
  private static func tree(
    _ root: Int, _ nodes: Nodes, _ isTaken: inout [Bool]
  ) throws(ModelError) -> [EnsembleNode] {
    var wanted: [(place: Int, isLeaf: Bool)] = [(root, false)]
    if nodes.splits.indices.contains(root), nodes.whenTrue[root].isLeaf,
      nodes.whenFalse[root].isLeaf, nodes.whenTrue[root].place == nodes.whenFalse[root].place
    {
      wanted = [nodes.whenTrue[root]]  // A tree that is a leaf.
    }
    var tree: [EnsembleNode] = []
    while tree.count < wanted.count {
      let (place, isLeaf) = wanted[tree.count]
      if isLeaf {
        guard nodes.leaves.indices.contains(place) else {
          throw ModelError(.malformed, "leaf \(place) of \(nodes.leaves.count)")
        }
        tree.append(.leaf(Int32(place)..<Int32(place + 1)))
        continue
      }
      guard nodes.splits.indices.contains(place) else {
        throw ModelError(.malformed, "node \(place) of \(nodes.splits.count)")
      }
      guard !isTaken[place] else {
        throw ModelError(.malformed, "node \(place) has two parents")
      }
      isTaken[place] = true
      tree.append(
        .split(nodes.splits[place], whenTrue: wanted.count, whenFalse: wanted.count + 1))
      wanted.append(nodes.whenTrue[place])
      wanted.append(nodes.whenFalse[place])
    }
    return tree
  }

  private static func nodes(_ node: Node) throws(ModelError) -> Nodes {
    let features = try node.ints("nodes_featureids") ?? []
    let modes = try node.tensor("nodes_modes")?.integers ?? []
    let thresholds = try node.tensor("nodes_splits")?.doubles ?? []
    let trues = try node.ints("nodes_truenodeids") ?? []
    let falses = try node.ints("nodes_falsenodeids") ?? []
    let trueLeafs = try node.ints("nodes_trueleafs") ?? []
    let falseLeafs = try node.ints("nodes_falseleafs") ?? []
    let tracked = try node.ints("nodes_missing_value_tracks_true") ?? []
    for (name, count) in [
      ("modes", modes.count), ("splits", thresholds.count), ("truenodeids", trues.count),
      ("falsenodeids", falses.count), ("trueleafs", trueLeafs.count),
      ("falseleafs", falseLeafs.count),
      ("missing_value_tracks_true", tracked.isEmpty ? features.count : tracked.count),
    ] where count != features.count {
      throw node.error(
        .malformed, "\(count) entries of \"nodes_\(name)\" for \(features.count) nodes")
    }
    let targets = try node.ints("leaf_targetids") ?? []
    let weights = try node.tensor("leaf_weights")?.doubles ?? []
    guard targets.count == weights.count else {
      throw node.error(.malformed, "\(weights.count) leaf_weights for \(targets.count) leaves")
    }
    var sets = try memberSets(node)[...]
    let splits = try features.indices.map { place throws(ModelError) in
      let mode: EnsembleSplit.Mode
      if modes[place] == 6 {
        guard let set = sets.popFirst() else {
          throw node.error(.malformed, "fewer sets of members than nodes that ask for one")
        }
        mode = .member(set)
      } else if let comparison = EnsembleSplit.Mode(
        code: modes[place], threshold: thresholds[place])
      {
        mode = comparison
      } else {
        throw node.error(.malformed, "node \(place): mode \(modes[place]) does not exist")
      }
      return EnsembleSplit(
        feature: features[place], mode: mode,
        missingIsTrue: !tracked.isEmpty && tracked[place] != 0)
    }
    guard sets.isEmpty else {
      throw node.error(.malformed, "more sets of members than nodes that ask for one")
    }
    return Nodes(
      splits: splits, whenTrue: zip(trues, trueLeafs).map { ($0, $1 != 0) },
      whenFalse: zip(falses, falseLeafs).map { ($0, $1 != 0) },
      leaves: zip(targets, weights).map { .init(output: $0, weight: $1) })
  }

  /// The sets of `membership_values`, each ended by NaN.
  private static func memberSets(_ node: Node) throws(ModelError) -> [[Double]] {
    guard let values = try node.tensor("membership_values")?.doubles else { return [] }
    var sets: [[Double]] = []
    var open: [Double] = []
    for value in values {
      if value.isNaN {
        sets.append(open)
        open = []
      } else {
        open.append(value)
      }
    }
    guard open.isEmpty else {
      throw node.error(.malformed, "membership_values do not end with NaN")
    }
    return sets
  }
}

/// How the leaves of an ensemble's trees become one value.
enum EnsembleAggregate: String, Sendable, CaseIterable {
  // In the order of TreeEnsemble's numbers.
  case average = "AVERAGE"
  case sum = "SUM"
  case min = "MIN"
  case max = "MAX"

  init?(code: Int) {
    guard Self.allCases.indices.contains(code) else { return nil }
    self = Self.allCases[code]
  }

  /// What an output has before any leaf; it counts as zero where none follows.
  var start: Double {
    switch self {
    case .average, .sum: 0
    case .min: .infinity
    case .max: -.infinity
    }
  }

  var ofPlan: ForestPlan.Aggregate {
    switch self {
    case .average, .sum: .sum
    case .min: .min
    case .max: .max
    }
  }
}
