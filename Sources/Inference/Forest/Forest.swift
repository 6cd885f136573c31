/// Decision trees as flat arrays, in the words of no particular library.
///
/// A value that exists is valid: `append` lays each tree out anew from its root, level by level,
/// with siblings side by side (the right child follows the left one). So children come after
/// parents, every walk ends, and each node has one parent, whatever the file said.
///
/// Comparisons are stored in one form, `value <= threshold`: the others are brought to it without
/// loss by `Split.init`.
package struct Forest: Sendable {
  /// How a split treats a value before it compares.
  package enum Missing: UInt8, Sendable {
    /// NaN counts as zero.
    case none
    /// NaN takes the default side.
    case nan
    /// NaN and numbers within 1e-35 of zero take the default side.
    case zero
  }

  /// What sends a row to the left child.
  package enum Test: Sendable, Equatable, Hashable {
    case atMost(Double)
    case equal(Double)
    /// The value, cut to an integer, is in `categorySets` at this index.
    case among(Int)
  }

  package struct Split: Sendable {
    package var feature: Int
    package var test: Test
    package var missing: Missing
    /// The default side, for what `missing` names.
    package var missingLeft: Bool

    package init(feature: Int, test: Test, missing: Missing, missingLeft: Bool) {
      self.feature = feature
      self.test = test
      self.missing = missing
      self.missingLeft = missingLeft
    }
  }

  /// A node as a file has it: children are numbers of nodes of the same tree.
  package enum Node: Sendable {
    case split(Split, left: Int, right: Int)
    /// `value` is the leaf's first value among those given to `append`.
    case leaf(value: Int)
  }

  /// Where the leaves of a tree add to.
  package enum Output: Sendable, Equatable {
    case one(Int)
    /// Each leaf holds a value for every output.
    case all
  }

  package struct Tree: Sendable {
    package var root: Int
    package var end: Int
    package var minDepth: Int
    package var maxDepth: Int
    package var output: Output
    /// Where the values given to `append` start.
    package var firstValue: Int
  }

  package let featureCount: Int
  package private(set) var outputCount: Int
  package private(set) var trees: [Tree] = []
  /// -1 at leaves.
  package private(set) var features: [Int32] = []
  /// The left child of a split, its sibling follows; the first of a leaf's values.
  package private(set) var children: [Int32] = []
  package private(set) var tests: [Test] = []
  package private(set) var missing: [Missing] = []
  package private(set) var missingLeft: [Bool] = []
  package private(set) var values: [Double] = []
  /// Categories of a split that sends them left, ascending and distinct.
  package private(set) var categorySets: [[Int32]] = []
  /// Whether a number between -1 and 0 is category 0 (cut to an integer, as LightGBM does), or
  /// none (XGBoost).
  package var cutsCategories = true
  /// What leaves add in place of their values; nil where no tree has linear leaves.
  package private(set) var linearLeaves: LinearLeaves?

  /// Whether trees come with `covers`.
  package var keepsCovers = false
  /// For each node how much of the training data came there, as the trainer measures it (rows, or
  /// weights of rows); empty unless kept.
  package private(set) var covers: [Double] = []

  private let nodeLimit: Int
  /// The number of the first tree, where the forest is a part of another.
  var firstTree = 0

  /// The features that neither a split nor a leaf reads, in order.
  package var unreadFeatures: [Int] {
    var isRead = [Bool](repeating: false, count: featureCount)
    for feature in features where feature >= 0 { isRead[Int(feature)] = true }
    for feature in linearLeaves?.features ?? [] { isRead[Int(feature)] = true }
    return isRead.indices.filter { !isRead[$0] }
  }

  package init(
    featureCount: Int, outputCount: Int, limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    guard featureCount >= 0, featureCount <= limits.features else {
      throw ModelError(.tooLarge, "\(featureCount) features, at most \(limits.features) are read")
    }
    guard outputCount >= 1, outputCount <= limits.features else {
      throw ModelError(.malformed, "\(outputCount) outputs")
    }
    self.featureCount = featureCount
    self.outputCount = outputCount
    nodeLimit = min(limits.elementCount, Int(Int32.max) - 1)
  }

  /// The same trees, each of which adds the number of its leaf to an output of its own: the place
  /// of the leaf's values among those given to `append`, in steps of a leaf.
  package init(numberingLeavesOf forest: Forest) {
    self = forest
    outputCount = max(forest.trees.count, 1)
    (linearLeaves, covers) = (nil, [])
    for index in trees.indices {
      let width = trees[index].output == .all ? forest.outputCount : 1
      let first = trees[index].firstValue
      let end = index + 1 < trees.count ? trees[index + 1].firstValue : values.count
      for value in first..<end { values[value] = Double((value - first) / width) }
      trees[index].output = .one(index)
    }
  }

  /// Drops the splits, and keeps the leaves' values: for what is known by leaf numbers alone.
  package mutating func dropSplits() {
    (features, children, tests) = ([], [], [])
    (missing, missingLeft, categorySets) = ([], [], [])
  }

  package mutating func addCategorySet(_ categories: [Int32]) -> Int {
    categorySets.append(categories)
    return categorySets.count - 1
  }

  /// Adds the tree that hangs on node 0 (or `root`). Nodes that it does not reach are dropped.
  ///
  /// - Parameters:
  ///   - values: one value a leaf, or `outputCount` values a leaf where the output is `.all`.
  ///   - linear: one function a value, for a tree with linear leaves and one output.
  ///   - covers: one a node, where covers are kept.
  /// - Throws: where a child does not exist, a node has two parents or a cycle is closed, a
  ///   feature or a value is out of range, a threshold is not a number.
  package mutating func append(
    _ nodes: [Node], root: Int = 0, values: [Double], output: Output,
    linear: [LinearLeaves.Leaf]? = nil, covers: [Double]? = nil
  ) throws(ModelError) {
    try append(
      tree: nodes, root: root, values: values, output: output, linear: linear, covers: covers)
  }

  /// The same of nodes that are made when they are asked for, each once at most.
  mutating func append(
    tree nodes: some TreeNodes, root: Int = 0, values leafValues: [Double], output: Output,
    linear: [LinearLeaves.Leaf]? = nil, covers: [Double]? = nil
  ) throws(ModelError) {
    let number = firstTree + trees.count
    func malformed(_ node: Int, _ what: String) -> ModelError {
      ModelError(.malformed, "tree \(number), node \(node): \(what)")
    }
    let count = nodes.count
    guard root >= 0, root < count else {
      throw ModelError(.malformed, "tree \(number) has no nodes")
    }
    guard features.count + count <= nodeLimit, values.count <= nodeLimit - leafValues.count
    else {
      throw ModelError(.tooLarge, "tree \(number): more than \(nodeLimit) nodes or leaf values")
    }
    let width: Int
    switch output {
    case .one(let index):
      width = 1
      guard (0..<outputCount).contains(index) else {
        throw ModelError(.malformed, "tree \(number): output \(index) of \(outputCount)")
      }
    case .all: width = outputCount
    }

    let first = features.count
    let valueBase = values.count
    // Nodes in their order, those of a level after those of the level above; each is there once.
    let queue = UnsafeMutablePointer<Int32>.allocate(capacity: count)
    let laid = UnsafeMutablePointer<LaidNode>.allocate(capacity: count)
    let seen = UnsafeMutablePointer<Bool>.allocate(capacity: count)
    seen.initialize(repeating: false, count: count)
    defer {
      queue.deallocate()
      laid.deallocate()
      seen.deallocate()
    }
    queue[0] = Int32(root)
    var found = 1
    seen[root] = true
    var depth = 0
    var minDepth = Int.max
    var levelEnd = 1
    var next = 0
    while next < found {
      if next == levelEnd {
        depth += 1
        levelEnd = found
      }
      let index = Int(queue[next])
      switch try nodes.node(at: index) {
      case .leaf(let value):
        guard value >= 0, value <= leafValues.count - width else {
          throw malformed(index, "leaf value \(value) of \(leafValues.count)")
        }
        for place in value..<(value + width) where leafValues[place].isNaN {
          throw malformed(index, "the value of the leaf is not a number")
        }
        minDepth = min(minDepth, depth)
        laid[next] = LaidNode(feature: -1, child: Int32(valueBase + value))
      case .split(let split, let left, let right):
        guard split.feature >= 0, split.feature < featureCount else {
          throw malformed(index, "feature \(split.feature) of \(featureCount)")
        }
        switch split.test {
        case .atMost(let threshold), .equal(let threshold):
          guard !threshold.isNaN else { throw malformed(index, "the threshold is not a number") }
        case .among(let set):
          guard set >= 0, set < categorySets.count else {
            throw malformed(index, "category set \(set) of \(categorySets.count)")
          }
        }
        laid[next] = LaidNode(
          feature: Int32(split.feature), child: Int32(first + found), test: split.test,
          missing: split.missing, missingLeft: split.missingLeft)
        var child = left
        for _ in 0..<2 {
          guard child >= 0, child < count else {
            throw malformed(index, "leads to node \(child) of \(count)")
          }
          guard !seen[child] else {
            throw malformed(index, "leads to node \(child), which has a parent already")
          }
          seen[child] = true
          queue[found] = Int32(child)
          found += 1
          child = right
        }
      }
      next += 1
    }
    if keepsCovers {
      guard let covers, covers.count == count else {
        throw ModelError(
          .malformed, "tree \(number): \(covers?.count ?? 0) covers for \(count) nodes")
      }
      self.covers += UnsafeBufferPointer(start: queue, count: found).lazy.map { covers[Int($0)] }
    }
    let all = UnsafeBufferPointer(start: laid, count: found)
    features.append(contentsOf: all.lazy.map { $0.feature })
    children.append(contentsOf: all.lazy.map { $0.child })
    tests.append(contentsOf: all.lazy.map { $0.test })
    missing.append(contentsOf: all.lazy.map { $0.missing })
    missingLeft.append(contentsOf: all.lazy.map { $0.missingLeft })
    if let linear {
      if linearLeaves == nil { linearLeaves = LinearLeaves(constants: values) }
      try linearLeaves?.append(linear, tree: number, featureCount: featureCount)
    } else {
      linearLeaves?.append(constants: leafValues)
    }
    values.append(contentsOf: leafValues)
    trees.append(
      Tree(
        root: first, end: features.count, minDepth: minDepth, maxDepth: depth, output: output,
        firstValue: valueBase))
  }
}

// MARK: Parts

extension Forest {
  /// A forest of the same features and outputs without trees, whose trees `append` takes over.
  func part() -> Forest {
    var part = self
    (part.trees, part.features, part.children, part.tests) = ([], [], [], [])
    (part.missing, part.missingLeft, part.values) = ([], [], [])
    (part.categorySets, part.linearLeaves, part.covers) = ([], nil, [])
    return part
  }

  /// Adds the trees of forests that `part` began, in order; copies on all cores.
  mutating func append(_ parts: [Forest]) throws(ModelError) {
    let nodes = Self.starts(features.count, parts) { $0.features.count }
    let leaves = Self.starts(values.count, parts) { $0.values.count }
    let sets = Self.starts(categorySets.count, parts) { $0.categorySets.count }
    guard nodes[parts.count] <= nodeLimit, leaves[parts.count] <= nodeLimit else {
      let count = parts.reduce(trees.count) { $0 + $1.trees.count }
      throw ModelError(
        .tooLarge, "tree \(count - 1): more than \(nodeLimit) nodes or leaf values")
    }
    for (number, part) in parts.enumerated() {
      if let linear = part.linearLeaves {
        if linearLeaves == nil {
          linearLeaves = LinearLeaves(
            constants: parts[..<number].reduce(values) { $0 + $1.values })
        }
        linearLeaves?.append(linear)
      } else {
        linearLeaves?.append(constants: part.values)
      }
      categorySets += part.categorySets
      trees += part.trees.lazy.map { tree in
        var tree = tree
        tree.root += nodes[number]
        tree.end += nodes[number]
        tree.firstValue += leaves[number]
        return tree
      }
    }
    join(\.features, parts, nodes)
    join(\.children, parts, nodes) { part, number, target in
      part.features.withUnsafeBufferPointer { features in
        part.children.withUnsafeBufferPointer { children in
          for node in children.indices {
            let shift = features[node] < 0 ? leaves[number] : nodes[number]
            (target + node).initialize(to: children[node] + Int32(shift))
          }
        }
      }
    }
    join(\.tests, parts, nodes) { part, number, target in
      for (node, test) in part.tests.enumerated() {
        if case .among(let set) = test {
          (target + node).initialize(to: .among(set + sets[number]))
        } else {
          (target + node).initialize(to: test)
        }
      }
    }
    join(\.missing, parts, nodes)
    join(\.missingLeft, parts, nodes)
    join(\.values, parts, leaves)
    join(\.covers, parts, Self.starts(covers.count, parts) { $0.covers.count })
  }

  /// Where what parts have many of starts, and where the last ends.
  private static func starts(_ own: Int, _ parts: [Forest], _ count: (Forest) -> Int) -> [Int] {
    var starts = [own]
    for part in parts { starts.append(starts[starts.count - 1] + count(part)) }
    return starts
  }

  private mutating func join<Element>(
    _ list: WritableKeyPath<Forest, [Element]>, _ parts: [Forest], _ starts: [Int]
  ) {
    join(list, parts, starts) { part, _, target in
      part[keyPath: list].withUnsafeBufferPointer {
        if let first = $0.baseAddress { target.initialize(from: first, count: $0.count) }
      }
    }
  }

  /// - Parameter copy: writes the list of a part, given with its number, to where it belongs.
  private mutating func join<Element>(
    _ list: WritableKeyPath<Forest, [Element]>, _ parts: [Forest], _ starts: [Int],
    _ copy: (Forest, Int, UnsafeMutablePointer<Element>) -> Void
  ) {
    let own = self[keyPath: list]
    self[keyPath: list] = Concurrently.array(starts: [0] + starts) { number, target in
      if number > 0 {
        copy(parts[number - 1], number - 1, target)
      } else {
        own.withUnsafeBufferPointer {
          if let first = $0.baseAddress { target.initialize(from: first, count: $0.count) }
        }
      }
    }
  }
}

/// The nodes of one tree, by their numbers.
protocol TreeNodes {
  var count: Int { get }

  /// - Parameter place: below `count`.
  func node(at place: Int) throws(ModelError) -> Forest.Node
}

extension [Forest.Node]: TreeNodes {
  @inline(__always)
  func node(at place: Int) -> Forest.Node { self[place] }
}

/// A node where it lies in the forest.
private struct LaidNode {
  var feature: Int32
  var child: Int32
  var test = Forest.Test.atMost(0)
  var missing = Forest.Missing.none
  var missingLeft = false
}
