/// The attributes that TreeEnsembleRegressor and TreeEnsembleClassifier share, made a forest.
///
/// Nodes come as parallel lists, each with the numbers of its tree and of itself there; a tree's
/// root is its first node. A vote at a leaf names its output (a class or a target).
struct TreeEnsembleAttributes {
  let forest: Forest
  /// Base values; none, one, or one an output.
  let baseValues: [Double]
  let postTransform: PostTransform
  /// Whether some split says where a missing value goes.
  let tracksMissing: Bool
  /// The outputs that some leaf votes for.
  let votedOutputs: Set<Int>
  let hasNegativeVotes: Bool

  /// - Parameters:
  ///   - prefix: `class` or `target`, as the votes' attributes are called.
  ///   - absent: what a leaf has for an output that it does not vote for.
  init(
    _ node: Node, width: Int, prefix: String, outputCount: Int, absent: Double
  ) throws(ModelError) {
    let votes = try Votes(node, prefix: prefix, outputCount: outputCount)
    votedOutputs = Set(votes.outputs)
    hasNegativeVotes = votes.weights.contains { $0 < 0 }
    let splits = try Splits(node, width: width)
    tracksMissing = splits.missingTracksTrue.contains { $0 != 0 }

    var forest = try Forest(featureCount: width, outputCount: outputCount, limits: node.limits)
    do throws(ModelError) {
      for tree in try splits.trees(node) {
        try Self.append(
          tree, of: splits, votes, absent: absent, to: &forest, limits: node.limits)
      }
    } catch {
      throw node.error(error.code, error.message)
    }
    self.forest = forest

    baseValues =
      try node.numbers("base_values")
    guard baseValues.count <= 1 || baseValues.count == outputCount else {
      throw node.error(
        .malformed, "\(baseValues.count) base values for \(outputCount) outputs")
    }
    let name = try node.string("post_transform", default: "NONE")
    guard let transform = PostTransform(rawValue: name) else {
      throw node.error(.unsupported, "post_transform \"\(name)\" is not known")
    }
    postTransform = transform
  }

  private static func append(
    _ tree: Splits.Tree, of splits: Splits, _ votes: Votes, absent: Double,
    to forest: inout Forest, limits: ModelLimits
  ) throws(ModelError) {
    let number = forest.trees.count
    var leaves = 0
    var output: Int?
    var isSingle = true
    for entry in tree.entries where splits.modes[entry] == .leaf {
      leaves += 1
      let ballot = votes.ballot(tree: tree.id, node: splits.nodeIDs[entry])
      isSingle = isSingle && ballot.count == 1
      for vote in ballot {
        isSingle = isSingle && (output ?? votes.outputs[vote]) == votes.outputs[vote]
        output = votes.outputs[vote]
      }
    }
    let width = isSingle ? 1 : forest.outputCount
    let (count, overflow) = leaves.multipliedReportingOverflow(by: width)
    guard !overflow, count <= limits.elementCount / 8 else {
      throw ModelError(
        .tooLarge, "tree \(number): \(leaves) leaves of \(width) values are more than are kept")
    }

    var nodes: [Forest.Node] = []
    var values: [Double] = []
    for entry in tree.entries {
      if splits.modes[entry] == .leaf {
        nodes.append(.leaf(value: values.count))
        let ballot = votes.ballot(tree: tree.id, node: splits.nodeIDs[entry])
        if isSingle {
          values.append(votes.weights[ballot[0]])
          continue
        }
        let first = values.count
        values.append(contentsOf: repeatElement(absent, count: width))
        for vote in ballot {
          let slot = first + votes.outputs[vote]
          values[slot] =
            values[slot].isFinite ? values[slot] + votes.weights[vote] : votes.weights[vote]
        }
        continue
      }
      nodes.append(try splits.node(entry, in: tree, number: number))
    }
    try forest.append(
      nodes, values: values, output: isSingle ? .one(output ?? 0) : .all)
  }
}

extension Node {
  /// A list of floats, or the tensor of doubles that may stand in its place; empty without both.
  fileprivate func numbers(_ name: String) throws(ModelError) -> [Double] {
    if let floats = try floats(name), !floats.isEmpty { return floats.map(Double.init) }
    guard let tensor = try tensor("\(name)_as_tensor") else { return [] }
    guard let doubles = tensor.doubles else {
      throw error(.malformed, "attribute \"\(name)_as_tensor\" does not hold numbers")
    }
    return doubles
  }
}

/// The votes at leaves.
private struct Votes {
  private struct Leaf: Hashable {
    var tree: Int
    var node: Int
  }

  let outputs: [Int]
  let weights: [Double]
  private let ballots: [Leaf: [Int]]

  init(_ node: Node, prefix: String, outputCount: Int) throws(ModelError) {
    let trees = try node.ints("\(prefix)_treeids") ?? []
    let nodes = try node.ints("\(prefix)_nodeids") ?? []
    outputs = try node.ints("\(prefix)_ids") ?? []
    weights =
      try node.numbers("\(prefix)_weights")
    for (name, count) in [
      ("treeids", trees.count), ("nodeids", nodes.count), ("weights", weights.count),
    ] where count != outputs.count {
      throw node.error(
        .malformed, "\(count) entries of \"\(prefix)_\(name)\" for \(outputs.count) votes")
    }
    if let wrong = outputs.first(where: { !(0..<outputCount).contains($0) }) {
      throw node.error(.malformed, "\(prefix)_ids names output \(wrong) of \(outputCount)")
    }
    var ballots: [Leaf: [Int]] = [:]
    for vote in outputs.indices {
      ballots[Leaf(tree: trees[vote], node: nodes[vote]), default: []].append(vote)
    }
    self.ballots = ballots
  }

  func ballot(tree: Int, node: Int) -> [Int] { ballots[Leaf(tree: tree, node: node)] ?? [] }
}

/// The parallel lists of nodes.
private struct Splits {
  enum Mode: String {
    case atMost = "BRANCH_LEQ"
    case below = "BRANCH_LT"
    case atLeast = "BRANCH_GTE"
    case above = "BRANCH_GT"
    case equal = "BRANCH_EQ"
    case notEqual = "BRANCH_NEQ"
    case leaf = "LEAF"
  }

  struct Tree {
    var id: Int
    /// Places in the lists.
    var entries: [Int] = []
    /// From a node's number to its place in `entries`.
    var places: [Int: Int] = [:]
  }

  let modes: [Mode]
  let nodeIDs: [Int]
  let missingTracksTrue: [Int]
  private let treeIDs: [Int]
  private let features: [Int]
  private let thresholds: [Double]
  private let trueIDs: [Int]
  private let falseIDs: [Int]
  private let width: Int

  init(_ node: Node, width: Int) throws(ModelError) {
    self.width = width
    treeIDs = try node.ints("nodes_treeids") ?? []
    nodeIDs = try node.ints("nodes_nodeids") ?? []
    features = try node.ints("nodes_featureids") ?? []
    trueIDs = try node.ints("nodes_truenodeids") ?? []
    falseIDs = try node.ints("nodes_falsenodeids") ?? []
    missingTracksTrue = try node.ints("nodes_missing_value_tracks_true") ?? []
    thresholds =
      try node.numbers("nodes_values")
    let names = try node.strings("nodes_modes") ?? []
    modes = try names.map { name throws(ModelError) in
      guard let mode = Mode(rawValue: name) else {
        throw node.error(.unsupported, "node mode \"\(name.prefix(40))\" is not known")
      }
      return mode
    }
    guard !modes.isEmpty else { throw node.error(.malformed, "the ensemble has no nodes") }
    for (name, count) in [
      ("treeids", treeIDs.count), ("nodeids", nodeIDs.count), ("featureids", features.count),
      ("truenodeids", trueIDs.count), ("falsenodeids", falseIDs.count),
      ("values", thresholds.count),
    ] where count != modes.count {
      throw node.error(
        .malformed, "\(count) entries of \"nodes_\(name)\" for \(modes.count) nodes")
    }
    guard missingTracksTrue.isEmpty || missingTracksTrue.count == modes.count else {
      throw node.error(
        .malformed,
        "\(missingTracksTrue.count) entries of \"nodes_missing_value_tracks_true\" for \(modes.count) nodes"
      )
    }
  }

  /// The trees, in the order of their first nodes.
  func trees(_ node: Node) throws(ModelError) -> [Tree] {
    var trees: [Tree] = []
    var numbers: [Int: Int] = [:]
    for entry in modes.indices {
      let id = treeIDs[entry]
      let number: Int
      if let known = numbers[id] {
        number = known
      } else {
        number = trees.count
        numbers[id] = number
        trees.append(Tree(id: id))
      }
      let place = trees[number].entries.count
      trees[number].entries.append(entry)
      guard trees[number].places.updateValue(place, forKey: nodeIDs[entry]) == nil else {
        throw ModelError(.malformed, "tree \(number): node \(nodeIDs[entry]) stands twice")
      }
    }
    return trees
  }

  /// A split in the forest's words. NaN takes the false branch of each comparison but that of
  /// "not equal", or the true one where it is tracked so.
  func node(_ entry: Int, in tree: Tree, number: Int) throws(ModelError) -> Forest.Node {
    func malformed(_ what: String) -> ModelError {
      ModelError(.malformed, "tree \(number), node \(nodeIDs[entry]): \(what)")
    }
    guard let whenTrue = tree.places[trueIDs[entry]], let whenFalse = tree.places[falseIDs[entry]]
    else {
      throw malformed(
        "leads to nodes \(trueIDs[entry]) and \(falseIDs[entry]), not both are there")
    }
    guard (0..<width).contains(features[entry]) else {
      throw malformed("feature \(features[entry]) of \(width)")
    }
    let threshold = thresholds[entry]
    guard !threshold.isNaN else { throw malformed("the threshold is not a number") }
    var test = Forest.Test.atMost(threshold)
    var isSwapped = false
    switch modes[entry] {
    case .atMost, .leaf: break
    case .above: isSwapped = true
    case .below, .atLeast:
      guard threshold > -.infinity else { throw malformed("compares with -infinity") }
      test = .atMost(threshold.nextDown)
      isSwapped = modes[entry] == .atLeast
    case .equal: test = .equal(threshold)
    case .notEqual:
      test = .equal(threshold)
      isSwapped = true
    }
    let tracksTrue = !missingTracksTrue.isEmpty && missingTracksTrue[entry] != 0
    let missingTrue = tracksTrue || modes[entry] == .notEqual
    return .split(
      Forest.Split(
        feature: features[entry], test: test, missing: .nan, missingLeft: missingTrue != isSwapped),
      left: isSwapped ? whenFalse : whenTrue, right: isSwapped ? whenTrue : whenFalse)
  }
}
