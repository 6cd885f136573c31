/// The attributes of TreeEnsembleRegressor and TreeEnsembleClassifier, read into trees.
///
/// Nodes come as parallel lists, each with the numbers of its tree and of itself there; a tree's
/// root is its first node. A vote at a leaf names its output (a class or a target).
struct TreeEnsembleAttributes {
  let ensemble: EnsembleForest
  /// Base values; none, one, or one an output.
  let baseValues: [Double]
  let postTransform: PostTransform

  /// - Parameters:
  ///   - prefix: `class` or `target`, as the votes' attributes are called.
  ///   - width: the features of a row.
  ///   - absent: what a leaf has for an output that it does not vote for.
  init(
    _ node: Node, prefix: String, width: Int, outputCount: Int, absent: Double
  ) throws(ModelError) {
    if let plain = try PlainEnsemble(node, prefix: prefix, outputCount: outputCount)?
      .forest(node, width: width, absent: absent)
    {
      ensemble = plain
    } else {
      let votes = try Votes(node, prefix: prefix)
      let lists = try NodeLists(node)
      let trees: EnsembleTrees
      do throws(ModelError) {
        let index = try lists.index()
        trees = try lists.trees(index, votes.ballots(index, entryCount: lists.count))
      } catch {
        throw node.error(error.code, error.message)
      }
      ensemble = try EnsembleForest(
        node, trees: trees, width: width, outputCount: outputCount, absent: absent)
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

/// The votes at leaves, in parallel lists.
private struct Votes {
  /// Votes entry by entry of the nodes' lists; those of an entry end where the next one's start.
  struct Ballots {
    var votes: [EnsembleNode.Vote]
    var starts: [Int32]
  }

  private let trees: [Int64]
  private let nodes: [Int64]
  private let outputs: [Int64]
  private let weights: [Double]

  init(_ node: Node, prefix: String) throws(ModelError) {
    trees = try node.int64s("\(prefix)_treeids") ?? []
    nodes = try node.int64s("\(prefix)_nodeids") ?? []
    outputs = try node.int64s("\(prefix)_ids") ?? []
    weights = try node.numbers("\(prefix)_weights")
    for (name, count) in [
      ("treeids", trees.count), ("nodeids", nodes.count), ("weights", weights.count),
    ] where count != outputs.count {
      throw node.error(
        .malformed, "\(count) entries of \"\(prefix)_\(name)\" for \(outputs.count) votes")
    }
  }

  /// The votes of each node, in their order; those for a node that does not exist are dropped.
  func ballots(_ index: NodeIndex, entryCount: Int) -> Ballots {
    let ranges = Concurrently.ranges(outputs.count, least: 4096)
    let entries = Concurrently.map(ranges.count) { part in
      var cursor = index.cursor()
      return ranges[part].map { Int32(cursor.entry(tree: trees[$0], node: nodes[$0]) ?? -1) }
    }
    var starts = [Int32](repeating: 0, count: entryCount + 1)
    var isSorted = true
    var last: Int32 = 0
    for entry in entries.joined() {
      isSorted = isSorted && entry >= last
      last = entry
      if entry >= 0 { starts[Int(entry) + 1] += 1 }
    }
    for entry in 0..<entryCount { starts[entry + 1] += starts[entry] }
    if isSorted {
      let votes = outputs.indices.map {
        EnsembleNode.Vote(output: Int(outputs[$0]), weight: weights[$0])
      }
      return Ballots(votes: votes, starts: starts)
    }
    var places = starts
    var votes = [EnsembleNode.Vote](
      repeating: EnsembleNode.Vote(output: 0, weight: 0), count: Int(starts[entryCount]))
    var vote = 0
    for entry in entries.joined() {
      if entry >= 0 {
        votes[Int(places[Int(entry)])] = EnsembleNode.Vote(
          output: Int(outputs[vote]), weight: weights[vote])
        places[Int(entry)] += 1
      }
      vote += 1
    }
    return Ballots(votes: votes, starts: starts)
  }
}

/// Where each node of each tree stands in the parallel lists.
private struct NodeIndex {
  struct Tree {
    /// Places in the lists: most often side by side.
    var runs: [Range<Int>] = []
    var count = 0
    /// The runs' places, where there is more than one run.
    var entries: [Int] = []
    /// The place in the tree of a node's number; nil where they are the same.
    var places: [Int64: Int]?

    func entry(at place: Int) -> Int {
      runs.count == 1 ? runs[0].lowerBound + place : entries[place]
    }

    @inline(__always)
    func place(of node: Int64) -> Int? {
      if let places { return places[node] }
      return node >= 0 && node < count ? Int(node) : nil
    }
  }

  let trees: [Tree]
  private let numbers: [Int64: Int]

  /// - Throws: where a node stands twice.
  init(treeIDs: [Int64], nodeIDs: [Int64]) throws(ModelError) {
    var trees: [Tree] = []
    var numbers: [Int64: Int] = [:]
    var start = 0
    while start < treeIDs.count {
      let id = treeIDs[start]
      var end = start + 1
      while end < treeIDs.count, treeIDs[end] == id { end += 1 }
      if let number = numbers[id] {
        trees[number].runs.append(start..<end)
      } else {
        numbers[id] = trees.count
        trees.append(Tree(runs: [start..<end]))
      }
      start = end
    }
    let found = trees
    self.trees = try Concurrently.tryMap(ranges: Concurrently.ranges(found.count, least: 1)) {
      range throws(ModelError) in
      try range.map { number throws(ModelError) in
        var tree = found[number]
        tree.count = tree.runs.reduce(0) { $0 + $1.count }
        if tree.runs.count > 1 { tree.entries = Array(tree.runs.joined()) }
        tree.places = try Self.places(tree, number: number, nodeIDs)
        return tree
      }
    }.flatMap { $0 }
    self.numbers = numbers
  }

  private static func places(
    _ tree: Tree, number: Int, _ nodeIDs: [Int64]
  ) throws(ModelError) -> [Int64: Int]? {
    if tree.runs.count == 1 {
      let run = tree.runs[0]
      if run.allSatisfy({ nodeIDs[$0] == $0 - run.lowerBound }) { return nil }
    }
    var places: [Int64: Int] = [:]
    for entry in tree.runs.joined() {
      guard places.updateValue(places.count, forKey: nodeIDs[entry]) == nil else {
        throw ModelError(.malformed, "tree \(number): node \(nodeIDs[entry]) stands twice")
      }
    }
    return places
  }

  func cursor() -> Cursor { Cursor(index: self) }

  /// Finds entries one after the other, most often of the same tree as before.
  struct Cursor {
    private let index: NodeIndex
    private var id: Int64 = 0
    private var tree: Tree?

    init(index: NodeIndex) { self.index = index }

    mutating func entry(tree id: Int64, node: Int64) -> Int? {
      if tree == nil || id != self.id {
        guard let number = index.numbers[id] else { return nil }
        tree = index.trees[number]
        self.id = id
      }
      guard let tree, let place = tree.place(of: node) else { return nil }
      return tree.entry(at: place)
    }
  }
}

/// The parallel lists of nodes.
private struct NodeLists {
  /// Codes of the comparisons; -1 at leaves.
  private let modes: [Int8]
  private let nodeIDs: [Int64]
  private let missingTracksTrue: [Int64]
  private let treeIDs: [Int64]
  private let features: [Int64]
  private let thresholds: [Double]
  private let trueIDs: [Int64]
  private let falseIDs: [Int64]

  var count: Int { modes.count }

  init(_ node: Node) throws(ModelError) {
    treeIDs = try node.int64s("nodes_treeids") ?? []
    nodeIDs = try node.int64s("nodes_nodeids") ?? []
    features = try node.int64s("nodes_featureids") ?? []
    trueIDs = try node.int64s("nodes_truenodeids") ?? []
    falseIDs = try node.int64s("nodes_falsenodeids") ?? []
    missingTracksTrue = try node.int64s("nodes_missing_value_tracks_true") ?? []
    thresholds = try node.numbers("nodes_values")
    modes = try Self.modes(node)
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

  private static func modes(_ node: Node) throws(ModelError) -> [Int8] {
    var codes: [String: Int8] = ["LEAF": -1]
    for (code, name) in EnsembleSplit.Mode.names.enumerated() { codes[name] = Int8(code) }
    let names = try node.strings("nodes_modes") ?? []
    var modes: [Int8] = []
    modes.reserveCapacity(names.count)
    var last: (name: String, code: Int8) = ("LEAF", -1)
    for name in names {
      if name != last.name {
        guard let code = codes[name] else {
          throw node.error(.unsupported, "node mode \"\(name.prefix(40))\" is not known")
        }
        last = (name, code)
      }
      modes.append(last.code)
    }
    return modes
  }

  func index() throws(ModelError) -> NodeIndex {
    try NodeIndex(treeIDs: treeIDs, nodeIDs: nodeIDs)
  }

  /// The trees, in the order of their first nodes.
  func trees(_ index: NodeIndex, _ ballots: Votes.Ballots) throws(ModelError) -> EnsembleTrees {
    let trees = index.trees
    let nodes = try Concurrently.tryMap(ranges: Concurrently.ranges(trees.count, least: 1)) {
      range throws(ModelError) in
      try range.map { number throws(ModelError) in
        var nodes: [EnsembleNode] = []
        nodes.reserveCapacity(trees[number].count)
        for run in trees[number].runs {
          for entry in run {
            nodes.append(try node(entry, in: trees[number], number: number, ballots.starts))
          }
        }
        return nodes
      }
    }
    return EnsembleTrees(nodes: Array(nodes.joined()), votes: ballots.votes)
  }

  private func node(
    _ entry: Int, in tree: NodeIndex.Tree, number: Int, _ starts: [Int32]
  ) throws(ModelError) -> EnsembleNode {
    guard
      let mode = EnsembleSplit.Mode(code: Int(modes[entry]), threshold: thresholds[entry])
    else {
      return .leaf(starts[entry]..<starts[entry + 1])
    }
    guard let whenTrue = tree.place(of: trueIDs[entry]),
      let whenFalse = tree.place(of: falseIDs[entry])
    else {
      throw ModelError(
        .malformed,
        "tree \(number), node \(nodeIDs[entry]): leads to nodes \(trueIDs[entry]) and "
          + "\(falseIDs[entry]), not both are there")
    }
    return .split(
      EnsembleSplit(
        feature: Int(features[entry]), mode: mode,
        missingIsTrue: !missingTracksTrue.isEmpty && missingTracksTrue[entry] != 0),
      whenTrue: whenTrue, whenFalse: whenFalse)
  }
}
