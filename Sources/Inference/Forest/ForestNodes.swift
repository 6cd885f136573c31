internal import CKernels

/// A forest as small nodes, walked from the root: `ck_forest_walk_…`.
final class ForestNodes: ForestKernel, @unchecked Sendable {
  private enum Nodes {
    case narrow(KernelTable<ck_forest_narrow_node>)
    case float(KernelTable<ck_forest_float_node>)
    case wide(KernelTable<ck_forest_wide_node>)
  }

  let codes: ForestCodes
  private let nodes: Nodes
  private let trees: KernelTable<ck_forest_tree>
  private let leaves: KernelTable<UInt32>
  private let sets: KernelTable<UInt32>
  private let values: LeafValues.Table
  private let tables: ForestForm<ck_forest_walk>

  let name: String
  let blockRows: Int
  var form: UnsafePointer<ck_forest_form> { tables.pointer }

  /// Nil where a tree has more nodes than the kind can number.
  ///
  /// - Parameters:
  ///   - views: with thresholds ranked, but for floats.
  ///   - codes: bytes row by row, words or floats.
  init?(
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, aggregate: ck_forest_aggregate
  ) {
    let forest = views.forest
    switch codes.kind {
    case .bytesByRow: name = "walk of bytes"
    case .floats: name = "walk of floats"
    case .words, .bytesByView: name = "walk"
    }
    // Sets are numbered through, so that equal ones are kept once.
    let ranges =
      views.hasCategories
      ? [forest.trees.indices] : Concurrently.ranges(forest.trees.count, least: 4)
    let found = Concurrently.map(ranges.count) { Part(views, codes, values, trees: ranges[$0]) }
    let parts = found.compactMap { $0 }
    guard parts.count == ranges.count else { return nil }
    var trees: [ck_forest_tree] = []
    var root = 0
    for part in parts {
      trees += part.trees.lazy.map { tree in
        var tree = tree
        tree.root += UInt32(root)
        return tree
      }
      root += part.leaves.count
    }
    let (base, family): (UnsafeRawPointer, ck_forest_family)
    switch codes.kind {
    case .bytesByRow, .bytesByView:
      let table = KernelTable(joining: parts.map(\.narrow))
      (nodes, base, family) = (.narrow(table), UnsafeRawPointer(table.base), CK_FOREST_NARROW_WALK)
    case .floats:
      let table = KernelTable(joining: parts.map(\.floats))
      (nodes, base, family) = (.float(table), UnsafeRawPointer(table.base), CK_FOREST_FLOAT_WALK)
    case .words:
      let table = KernelTable(joining: parts.map(\.wide))
      (nodes, base, family) = (.wide(table), UnsafeRawPointer(table.base), CK_FOREST_WIDE_WALK)
    }
    self.codes = codes
    self.trees = KernelTable(trees)
    leaves = KernelTable(joining: parts.map(\.leaves))
    sets = KernelTable(parts[0].words)
    self.values = values.table
    // A deep tree is read from afar: once for as many rows as possible.
    blockRows = leaves.count > 64 * 1024 ? Int(CK_FOREST_WALK_ROWS) : 256
    tables = ForestForm(
      family,
      ck_forest_walk(
        trees: self.trees.base, tree_count: trees.count, nodes: base, leaves: leaves.base,
        sets: sets.base, values: values.table.base, stride: codes.stride,
        sum_stride: values.sumStride, aggregate: aggregate),
      codes: codes)
  }

  var byteCount: Int {
    let nodeBytes =
      switch nodes {
      case .narrow(let table): table.byteCount
      case .float(let table): table.byteCount
      case .wide(let table): table.byteCount
      }
    return nodeBytes + trees.byteCount + leaves.byteCount + sets.byteCount
  }
}

/// The nodes of some trees, roots counted from the first of them.
private struct Part {
  private(set) var narrow: [ck_forest_narrow_node] = []
  private(set) var floats: [ck_forest_float_node] = []
  private(set) var wide: [ck_forest_wide_node] = []
  private(set) var leaves: [UInt32] = []
  private(set) var trees: [ck_forest_tree] = []
  private(set) var words = [UInt32](repeating: 0, count: Int(CK_FOREST_NO_SET))
  private var sets: [UInt64: UInt32] = [:]

  /// Nil where a tree has more nodes than the kind can number.
  init?(_ views: ForestRanking, _ codes: ForestCodes, _ values: LeafValues, trees: Range<Int>) {
    let forest = views.forest
    switch codes.kind {
    case .bytesByRow, .bytesByView:
      narrow = lay(forest, values, trees, nodesInLine: 16) { node, child in
        guard let node else {
          return ck_forest_narrow_node(cut: .max, view: 0, child: UInt16(child))
        }
        let at = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
        return ck_forest_narrow_node(
          cut: Int8(at.cut - 128), view: UInt8(at.view), child: UInt16(child))
      }
      guard !narrow.isEmpty || trees.isEmpty else { return nil }
    case .floats:
      floats = lay(forest, values, trees, nodesInLine: 8) { node, child in
        guard let node, case .atMost(let threshold) = forest.tests[node] else {
          return ck_forest_float_node(threshold: .infinity, view: 0, child: UInt16(child))
        }
        let at = codes.place(view: views.viewOfNode[node], rank: 0)
        return ck_forest_float_node(
          threshold: ForestCodes.roundedDown(threshold), view: UInt16(at.view),
          child: UInt16(child))
      }
      guard !floats.isEmpty || trees.isEmpty else { return nil }
    case .words:
      var (words, sets) = (words, sets)
      wide = lay(forest, values, trees, nodesInLine: 4, mostNodes: .max) { node, child in
        guard let node else {
          return ck_forest_wide_node(child: UInt32(child), set: 0, view: 0, cut: .max)
        }
        guard case .among(let set) = forest.tests[node], forest.missing[node] != .zero else {
          let at = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
          return ck_forest_wide_node(
            child: UInt32(child), set: 0, view: UInt16(at.view), cut: UInt16(at.cut))
        }
        let at = codes.place(view: views.viewOfNode[node], rank: 0)
        let key = UInt64(set) << 32 | UInt64(views.viewOfNode[node])
        let first = sets[key] ?? UInt32(words.count)
        if sets[key] == nil {
          sets[key] = first
          Self.append(views, node: node, set: set, to: &words)
        }
        return ck_forest_wide_node(
          child: UInt32(child), set: first, view: UInt16(at.view), cut: .max)
      }
      (self.words, self.sets) = (words, sets)
    }
  }

  /// The nodes of trees, line by line; none where a tree has more than `mostNodes`.
  ///
  /// - Parameter make: the node at a place of its tree; without a number for a leaf, or for what fills
  ///   up a line, which is no one's child.
  @inline(__always)
  private mutating func lay<Node>(
    _ forest: Forest, _ values: LeafValues, _ range: Range<Int>, nodesInLine: Int,
    mostNodes: Int = 65_536, _ make: (_ node: Int?, _ child: Int) -> Node
  ) -> [Node] {
    var order = LineLayout(nodesInLine: nodesInLine)
    let most = range.reduce(0) {
      $0 + forest.trees[$1].end - forest.trees[$1].root + nodesInLine + 2
    }
    var trees: [ck_forest_tree] = []
    var nodes: [Node] = []
    leaves = Array(unsafeUninitializedCapacity: most) { leaves, leafCount in
      nodes = Array(unsafeUninitializedCapacity: most) { nodes, count in
        for tree in forest.trees[range] {
          order.lay(forest, tree)
          guard order.count <= mostNodes, count + order.count <= most else {
            count = 0
            return
          }
          trees.append(
            ck_forest_tree(
              root: UInt32(count), max_depth: UInt32(tree.maxDepth), output: forest.sum(of: tree)))
          for place in 0..<order.count {
            let node = order.node(at: place)
            let isLeaf = node.map { forest.features[$0] < 0 } ?? true
            let leaf = isLeaf ? values.ofNode[node ?? tree.root] : 0
            (leaves.baseAddress! + count).initialize(to: leaf)
            (nodes.baseAddress! + count).initialize(
              to: isLeaf ? make(nil, place) : make(node, order.left(of: node!)))
            count += 1
          }
        }
      }
      leafCount = nodes.count
    }
    self.trees = trees
    return nodes
  }

  /// The ranks that a split by categories sends right, a bit each.
  private static func append(
    _ views: ForestRanking, node: Int, set: Int, to words: inout [UInt32]
  ) {
    let view = views.views[Int(views.viewOfNode[node])]
    let first = words.count
    words.append(contentsOf: repeatElement(.max, count: view.nanCategory / 32 + 1))
    for number in views.leftCategories(of: node, set: set) {
      words[first + number / 32] &= ~(1 << UInt32(number % 32))
    }
  }
}

/// Where the nodes of a tree lie: siblings side by side, and some levels of descendants in the
/// cache line of their ancestor, so that a walk touches a line for about three levels.
///
/// Memory is kept from tree to tree.
private struct LineLayout {
  private let nodesInLine: Int
  /// For each place the node there; -1 where a line is filled up.
  private var nodes: [Int32] = []
  private var lefts: [Int32] = []
  private var root = 0
  private var open: [Int32] = []
  private(set) var count = 0

  init(nodesInLine: Int) { self.nodesInLine = nodesInLine }

  mutating func lay(_ forest: Forest, _ tree: Forest.Tree) {
    root = tree.root
    nodes.removeAll(keepingCapacity: true)
    open.removeAll(keepingCapacity: true)
    if lefts.count < tree.end - tree.root {
      lefts = [Int32](repeating: 0, count: tree.end - tree.root)
    }
    // The root has no sibling.
    nodes.append(Int32(tree.root))
    nodes.append(-1)
    if forest.features[tree.root] >= 0 { open.append(Int32(tree.root)) }
    // Splits whose children have no place yet.
    var frontier: [Int32] = []
    while let next = open.popLast() {
      // The rest of a line takes as much as it can of what hangs on `next`, level by level.
      frontier.removeAll(keepingCapacity: true)
      frontier.append(next)
      var taken = 0
      let used = nodes.count % nodesInLine
      var room = nodesInLine - used
      while taken < frontier.count, room >= 2 {
        let parent = Int(frontier[taken])
        taken += 1
        room -= 2
        let child = forest.children[parent]
        lefts[parent - root] = Int32(nodes.count)
        for node in [child, child + 1] {
          nodes.append(node)
          if forest.features[Int(node)] >= 0 { frontier.append(node) }
        }
      }
      open.append(contentsOf: frontier[taken...])
    }
    while nodes.count % nodesInLine != 0 { nodes.append(-1) }
    count = nodes.count
  }

  func node(at place: Int) -> Int? { nodes[place] < 0 ? nil : Int(nodes[place]) }
  func left(of node: Int) -> Int { Int(lefts[node - root]) }
}
