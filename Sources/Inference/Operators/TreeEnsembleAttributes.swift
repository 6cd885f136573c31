/// The attributes of TreeEnsembleRegressor and TreeEnsembleClassifier, read into trees.
///
/// Nodes come as parallel lists, each with the numbers of its tree and of itself there; a tree's
/// root is its first node. A vote at a leaf names its output (a class or a target).
struct TreeEnsembleAttributes {
  let trees: [[EnsembleNode]]
  /// Base values; none, one, or one an output.
  let baseValues: [Double]
  let postTransform: PostTransform

  /// - Parameter prefix: `class` or `target`, as the votes' attributes are called.
  init(
    _ node: Node, prefix: String, outputCount: Int
  ) throws(ModelError) {
    let votes = try Votes(node, prefix: prefix)
    let lists = try NodeLists(node)
    do throws(ModelError) {
      trees = try lists.trees(votes)
    } catch {
      throw node.error(error.code, error.message)
    }
    baseValues = try node.numbers("base_values")
    guard baseValues.count <= 1 || baseValues.count == outputCount else {
      throw node.error(
        .malformed, "\(baseValues.count) base values for \(outputCount) outputs")
    }
    postTransform = try PostTransform(node)
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

  private var ballots: [Leaf: [EnsembleNode.Vote]] = [:]

  init(_ node: Node, prefix: String) throws(ModelError) {
    let trees = try node.ints("\(prefix)_treeids") ?? []
    let nodes = try node.ints("\(prefix)_nodeids") ?? []
    let outputs = try node.ints("\(prefix)_ids") ?? []
    let weights = try node.numbers("\(prefix)_weights")
    for (name, count) in [
      ("treeids", trees.count), ("nodeids", nodes.count), ("weights", weights.count),
    ] where count != outputs.count {
      throw node.error(
        .malformed, "\(count) entries of \"\(prefix)_\(name)\" for \(outputs.count) votes")
    }
    for vote in outputs.indices {
      ballots[Leaf(tree: trees[vote], node: nodes[vote]), default: []]
        .append(.init(output: outputs[vote], weight: weights[vote]))
    }
  }

  func ballot(tree: Int, node: Int) -> [EnsembleNode.Vote] {
    ballots[Leaf(tree: tree, node: node)] ?? []
  }
}

/// The parallel lists of nodes.
private struct NodeLists {
  private struct Tree {
    /// Places in the lists.
    var entries: [Int] = []
    /// From a node's number to its place in `entries`.
    var places: [Int: Int] = [:]
  }

  /// Codes of the comparisons; -1 at leaves.
  private let modes: [Int]
  private let nodeIDs: [Int]
  private let missingTracksTrue: [Int]
  private let treeIDs: [Int]
  private let features: [Int]
  private let thresholds: [Double]
  private let trueIDs: [Int]
  private let falseIDs: [Int]

  init(_ node: Node) throws(ModelError) {
    treeIDs = try node.ints("nodes_treeids") ?? []
    nodeIDs = try node.ints("nodes_nodeids") ?? []
    features = try node.ints("nodes_featureids") ?? []
    trueIDs = try node.ints("nodes_truenodeids") ?? []
    falseIDs = try node.ints("nodes_falsenodeids") ?? []
    missingTracksTrue = try node.ints("nodes_missing_value_tracks_true") ?? []
    thresholds = try node.numbers("nodes_values")
    var codes = ["LEAF": -1]
    for (code, name) in EnsembleSplit.Mode.names.enumerated() { codes[name] = code }
    let names = try node.strings("nodes_modes") ?? []
    modes = try names.map { name throws(ModelError) in
      guard let code = codes[name] else {
        throw node.error(.unsupported, "node mode \"\(name.prefix(40))\" is not known")
      }
      return code
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
  func trees(_ votes: Votes) throws(ModelError) -> [[EnsembleNode]] {
    var trees: [Tree] = []
    var numbers: [Int: Int] = [:]
    for entry in modes.indices {
      let number: Int
      if let known = numbers[treeIDs[entry]] {
        number = known
      } else {
        number = trees.count
        numbers[treeIDs[entry]] = number
        trees.append(Tree())
      }
      let place = trees[number].entries.count
      trees[number].entries.append(entry)
      guard trees[number].places.updateValue(place, forKey: nodeIDs[entry]) == nil else {
        throw ModelError(.malformed, "tree \(number): node \(nodeIDs[entry]) stands twice")
      }
    }
    return try trees.enumerated().map { number, tree throws(ModelError) in
      try tree.entries.map { entry throws(ModelError) in
        try node(entry, in: tree, number: number, votes)
      }
    }
  }

  private func node(
    _ entry: Int, in tree: Tree, number: Int, _ votes: Votes
  ) throws(ModelError) -> EnsembleNode {
    guard let mode = EnsembleSplit.Mode(code: modes[entry], threshold: thresholds[entry]) else {
      return .leaf(votes.ballot(tree: treeIDs[entry], node: nodeIDs[entry]))
    }
    guard let whenTrue = tree.places[trueIDs[entry]], let whenFalse = tree.places[falseIDs[entry]]
    else {
      throw ModelError(
        .malformed,
        "tree \(number), node \(nodeIDs[entry]): leads to nodes \(trueIDs[entry]) and "
          + "\(falseIDs[entry]), not both are there")
    }
    return .split(
      EnsembleSplit(
        feature: features[entry], mode: mode,
        missingIsTrue: !missingTracksTrue.isEmpty && missingTracksTrue[entry] != 0),
      whenTrue: whenTrue, whenFalse: whenFalse)
  }
}
