#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The lists of an ensemble as converters write them, made a forest without steps between.
///
/// Nodes of a tree lie side by side, numbered as they stand; so do their votes; comparisons are of
/// order. Whatever else there is, or is wrong, is left to
/// `EnsembleTrees`, which takes any ensemble and can say what is at fault.
struct PlainEnsemble {
  private let modes: [UInt8]
  /// Of each of the modes' numbers the code of the comparison; -1 of leaves.
  private let codes: [Int8]
  private let nodeIDs: [Int32]
  private let features: [Int32]
  private let thresholds: [Float]
  private let trueIDs: [Int32]
  private let falseIDs: [Int32]
  /// Empty where missing values follow no true branch.
  private let missingTracksTrue: [Int32]
  private let voteNodes: [Int32]
  private let voteOutputs: [Int32]
  private let weights: [Float]
  private let outputCount: Int
  /// Of each tree the places of its nodes and of its votes.
  private let trees: [(nodes: Range<Int>, votes: Range<Int>)]

  /// Nil where the ensemble is another.
  ///
  /// - Parameter prefix: `class` or `target`, as the votes' attributes are called.
  init?(_ node: Node, prefix: String, outputCount: Int) throws(ModelError) {
    guard let modes = node.words("nodes_modes"),
      let treeIDs = try node.int32s("nodes_treeids"),
      let nodeIDs = try node.int32s("nodes_nodeids"),
      let features = try node.int32s("nodes_featureids"),
      let trueIDs = try node.int32s("nodes_truenodeids"),
      let falseIDs = try node.int32s("nodes_falsenodeids"),
      let thresholds = try node.floats("nodes_values"),
      let voteTrees = try node.int32s("\(prefix)_treeids"),
      let voteNodes = try node.int32s("\(prefix)_nodeids"),
      let voteOutputs = try node.int32s("\(prefix)_ids"),
      let weights = try node.floats("\(prefix)_weights")
    else { return nil }
    let tracked = node.attributes["nodes_missing_value_tracks_true"]
    guard
      let missingTracksTrue = tracked == nil
        ? [] : try node.int32s("nodes_missing_value_tracks_true")
    else { return nil }
    let count = modes.numbers.count
    guard [treeIDs, nodeIDs, features, trueIDs, falseIDs].allSatisfy({ $0.count == count }),
      thresholds.count == count, missingTracksTrue.isEmpty || missingTracksTrue.count == count,
      voteTrees.count == weights.count, voteNodes.count == weights.count,
      voteOutputs.count == weights.count
    else { return nil }
    let codes = modes.names.map { name in
      name == "LEAF" ? -1 : EnsembleSplit.Mode.names.prefix(4).firstIndex(of: name).map(Int8.init)
    }
    guard codes.allSatisfy({ $0 != nil }) else { return nil }
    var numbers: [Int32: Int] = [:]
    var trees: [(nodes: Range<Int>, votes: Range<Int>)] = []
    for run in Self.runs(treeIDs) {
      guard numbers.updateValue(trees.count, forKey: treeIDs[run.lowerBound]) == nil else {
        return nil
      }
      trees.append((run, 0..<0))
    }
    for run in Self.runs(voteTrees) {
      guard let number = numbers[voteTrees[run.lowerBound]], trees[number].votes.isEmpty else {
        return nil
      }
      trees[number].votes = run
    }
    (self.modes, self.codes, self.trees) = (modes.numbers, codes.map { $0! }, trees)
    (self.nodeIDs, self.features, self.thresholds) = (nodeIDs, features, thresholds)
    (self.trueIDs, self.falseIDs, self.missingTracksTrue) = (trueIDs, falseIDs, missingTracksTrue)
    (self.voteNodes, self.voteOutputs, self.weights) = (voteNodes, voteOutputs, weights)
    self.outputCount = outputCount
  }

  /// Ranges of equal elements.
  private static func runs(_ list: [Int32]) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    list.withUnsafeBufferPointer { list in
      let step = 256
      var start = 0
      while start < list.count {
        let base = list.baseAddress!
        var end = start + 1
        // A stretch equal to itself one further is all the same.
        while end + step < list.count,
          memcmp(base + end - 1, base + end, step * MemoryLayout<Int32>.size) == 0
        {
          end += step
        }
        while end < list.count, list[end] == list[start] { end += 1 }
        runs.append(start..<end)
        start = end
      }
    }
    return runs
  }

  // MARK: Trees

  /// Some trees on their way into a forest, and what there is to know of them.
  private struct Part {
    var forest: Forest
    var votedOutputs: Set<Int> = []
    var hasNegativeVotes = false
    var tracksMissing = false
  }

  /// Nil where only the general way can tell.
  ///
  /// - Parameter absent: what a leaf has for an output that it does not vote for.
  func forest(_ node: Node, width: Int, absent: Double) throws(ModelError) -> EnsembleForest? {
    var forest: Forest
    let parts: [Part]
    do throws(ModelError) {
      forest = try Forest(featureCount: width, outputCount: outputCount, limits: node.limits)
      let empty = forest.part()
      let ranges = Concurrently.ranges(trees.count, least: 1)
      parts = try Concurrently.tryMap(ranges: ranges) { range throws(ModelError) in
        var part = Part(forest: empty)
        for number in range { try add(trees[number], absent: absent, node.limits, to: &part) }
        return part
      }
      try forest.append(parts.map(\.forest))
    } catch {
      return nil
    }
    return EnsembleForest(
      forest, codes: [], votedOutputs: parts.reduce(into: []) { $0.formUnion($1.votedOutputs) },
      hasNegativeVotes: parts.contains(where: \.hasNegativeVotes),
      tracksMissing: parts.contains(where: \.tracksMissing))
  }

  /// What is not as it has to be.
  private static let unfit = ModelError(.malformed, "tree is not plain")

  /// - Throws: where only the general way can tell what to do.
  private func add(
    _ tree: (nodes: Range<Int>, votes: Range<Int>), absent: Double, _ limits: ModelLimits,
    to part: inout Part
  ) throws(ModelError) {
    let count = tree.nodes.count
    // Of each node where its votes start in the tree's, then of each leaf where its values are.
    let places = UnsafeMutablePointer<Int32>.allocate(capacity: count + 1)
    // The tree's votes node by node.
    let order = UnsafeMutablePointer<Int32>.allocate(capacity: max(tree.votes.count, 1))
    defer {
      places.deallocate()
      order.deallocate()
    }
    try findVotes(tree, places, order)
    let firstVote = tree.votes.lowerBound

    // Of several votes for the only output the first counts, as in ONNX Runtime: scikit-learn's
    // converter writes the number of a leaf once for each class.
    let mostVotes = outputCount == 1 ? 1 : Int.max
    var leafCount = 0
    var isSingle = true
    var output: Int32?
    for place in 0..<count {
      let entry = tree.nodes.lowerBound + place
      if codes[Int(modes[entry])] >= 0 {
        if !missingTracksTrue.isEmpty, missingTracksTrue[entry] != 0 { part.tracksMissing = true }
        continue
      }
      leafCount += 1
      let first = Int(places[place])
      let votes = min(Int(places[place + 1]) - first, mostVotes)
      isSingle = isSingle && votes == 1
      for next in first..<(first + votes) {
        let vote = firstVote + Int(order[next])
        if weights[vote] < 0 { part.hasNegativeVotes = true }
        let voted = voteOutputs[vote]
        if voted == output { continue }
        isSingle = isSingle && output == nil
        guard voted >= 0, voted < outputCount else { throw Self.unfit }
        output = voted
        if part.votedOutputs.count < outputCount { part.votedOutputs.insert(Int(voted)) }
      }
    }
    let width = isSingle ? 1 : outputCount
    let (valueCount, overflow) = leafCount.multipliedReportingOverflow(by: width)
    guard leafCount > 0, !overflow, valueCount <= limits.elementCount / 8 else { throw Self.unfit }

    var values = [Double](repeating: absent, count: valueCount)
    var next = 0
    for place in 0..<count where codes[Int(modes[tree.nodes.lowerBound + place])] < 0 {
      let first = Int(places[place])
      let votes = min(Int(places[place + 1]) - first, mostVotes)
      places[place] = Int32(next)
      if isSingle {
        values[next] = Double(weights[firstVote + Int(order[first])])
      } else {
        for voted in first..<(first + votes) {
          let vote = firstVote + Int(order[voted])
          let slot = next + Int(voteOutputs[vote])
          let weight = Double(weights[vote])
          values[slot] = values[slot].isFinite ? values[slot] + weight : weight
        }
      }
      next += width
    }
    let before = part.forest.features.count
    try withNodes(tree.nodes, values: places) { nodes throws(ModelError) in
      try part.forest.append(
        tree: nodes, values: values, output: isSingle ? .one(Int(output ?? 0)) : .all)
    }
    // What is wrong with nodes that nothing leads to is to be said.
    guard part.forest.features.count - before == count else { throw Self.unfit }
  }

  /// Finds where the votes of each node start in `order`, `starts[count]` where the last ones end;
  /// those of a node stay in their order.
  private func findVotes(
    _ tree: (nodes: Range<Int>, votes: Range<Int>), _ starts: UnsafeMutablePointer<Int32>,
    _ order: UnsafeMutablePointer<Int32>
  ) throws(ModelError) {
    let count = tree.nodes.count
    var isPlain = tree.votes.count < Int(Int32.max)
    nodeIDs.withUnsafeBufferPointer { ids in
      for place in 0..<count where ids[tree.nodes.lowerBound + place] != Int32(place) {
        isPlain = false
      }
    }
    guard isPlain else { throw Self.unfit }
    starts.initialize(repeating: 0, count: count + 1)
    for vote in tree.votes {
      let place = Int(voteNodes[vote])
      guard place >= 0, place < count else { throw Self.unfit }
      starts[place + 1] += 1
    }
    for place in 0..<count { starts[place + 1] += starts[place] }
    for vote in tree.votes {
      let place = Int(voteNodes[vote])
      order[Int(starts[place])] = Int32(vote - tree.votes.lowerBound)
      starts[place] += 1
    }
    // Each start went on to where the next one's was.
    for place in stride(from: count, to: 0, by: -1) { starts[place] = starts[place - 1] }
    starts[0] = 0
  }

  /// - Parameter values: where each leaf's values are.
  private func withNodes(
    _ range: Range<Int>, values: UnsafePointer<Int32>,
    _ body: (Nodes) throws(ModelError) -> Void
  ) throws(ModelError) {
    try body(
      Nodes(
        count: range.count, values: values, modes: modes[range], codes: codes,
        features: features[range], thresholds: thresholds[range], trueIDs: trueIDs[range],
        falseIDs: falseIDs[range],
        missingTracksTrue: missingTracksTrue.isEmpty ? nil : missingTracksTrue[range]))
  }

  private struct Nodes: TreeNodes {
    let count: Int
    let values: UnsafePointer<Int32>
    let modes: ArraySlice<UInt8>
    let codes: [Int8]
    let features: ArraySlice<Int32>
    let thresholds: ArraySlice<Float>
    let trueIDs: ArraySlice<Int32>
    let falseIDs: ArraySlice<Int32>
    let missingTracksTrue: ArraySlice<Int32>?

    @inline(__always)
    func node(at place: Int) throws(ModelError) -> Forest.Node {
      let entry = modes.startIndex + place
      let code = codes[Int(modes[entry])]
      if code < 0 { return .leaf(value: Int(values[place])) }
      var threshold = Double(thresholds[entry])
      // By code: at most, below, at least, above; true is left unless the comparison is turned.
      if code == 1 || code == 2 {
        guard threshold > -.infinity else { throw PlainEnsemble.unfit }
        threshold = threshold.nextDown
      }
      let isTurned = code >= 2
      let missingIsTrue = missingTracksTrue.map { $0[entry] != 0 } ?? false
      let whenTrue = Int(trueIDs[entry])
      let whenFalse = Int(falseIDs[entry])
      return .split(
        Forest.Split(
          feature: Int(features[entry]), test: .atMost(threshold), missing: .nan,
          missingLeft: missingIsTrue != isTurned),
        left: isTurned ? whenFalse : whenTrue, right: isTurned ? whenTrue : whenFalse)
    }
  }
}
