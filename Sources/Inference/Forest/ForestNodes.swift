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
  private(set) var words = noSet
  private var sets: [UInt64: UInt32] = [:]

  static let noSet = [UInt32](repeating: 0, count: Int(CK_FOREST_NO_SET))

  /// Nil where a tree has more nodes than the kind can number.
  init?(_ views: ForestRanking, _ codes: ForestCodes, _ values: LeafValues, trees: Range<Int>) {
    let forest = views.forest
    let nodesInLine =
      switch codes.kind {
      case .bytesByRow: 16
      case .floats: 8
      case .words, .bytesByView: 4
      }
    var order = LineLayout(nodesInLine: nodesInLine)
    let most =
      trees.reduce(0) { $0 + forest.trees[$1].end - forest.trees[$1].root + nodesInLine + 2 }
    leaves.reserveCapacity(most)
    switch codes.kind {
    case .bytesByRow, .bytesByView: narrow.reserveCapacity(most)
    case .floats: floats.reserveCapacity(most)
    case .words: wide.reserveCapacity(most)
    }
    for tree in forest.trees[trees] {
      order.lay(forest, tree)
      guard codes.kind == .words || order.count <= 65_536 else { return nil }
      let root = leaves.count
      self.trees.append(
        ck_forest_tree(
          root: UInt32(root), max_depth: UInt32(tree.maxDepth), output: forest.sum(of: tree)))
      for place in 0..<order.count {
        // What fills up a line is no one's child.
        let node = order.node(at: place) ?? tree.root
        let isLeaf = forest.features[node] < 0 || order.node(at: place) == nil
        leaves.append(isLeaf ? values.ofNode[node] : 0)
        let child = isLeaf ? place : order.left(of: node)
        switch codes.kind {
        case .bytesByRow, .bytesByView:
          guard !isLeaf else {
            narrow.append(ck_forest_narrow_node(cut: .max, view: 0, child: UInt16(child)))
            continue
          }
          let at = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
          narrow.append(
            ck_forest_narrow_node(
              cut: Int8(at.cut - 128), view: UInt8(at.view), child: UInt16(child)))
        case .floats:
          guard !isLeaf, case .atMost(let threshold) = forest.tests[node] else {
            floats.append(
              ck_forest_float_node(threshold: .infinity, view: 0, child: UInt16(child)))
            continue
          }
          let at = codes.place(view: views.viewOfNode[node], rank: 0)
          floats.append(
            ck_forest_float_node(
              threshold: ForestCodes.roundedDown(threshold), view: UInt16(at.view),
              child: UInt16(child)))
        case .words:
          guard !isLeaf else {
            wide.append(ck_forest_wide_node(child: UInt32(child), set: 0, view: 0, cut: .max))
            continue
          }
          if case .among(let set) = forest.tests[node], forest.missing[node] != .zero {
            let at = codes.place(view: views.viewOfNode[node], rank: 0)
            let key = UInt64(set) << 32 | UInt64(views.viewOfNode[node])
            let first = sets[key] ?? UInt32(words.count)
            if sets[key] == nil {
              sets[key] = first
              append(views, node: node, set: set)
            }
            wide.append(
              ck_forest_wide_node(
                child: UInt32(child), set: first, view: UInt16(at.view), cut: .max))
            continue
          }
          let at = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
          wide.append(
            ck_forest_wide_node(
              child: UInt32(child), set: 0, view: UInt16(at.view), cut: UInt16(at.cut)))
        }
      }
    }
  }

  /// The ranks that a split by categories sends right, a bit each.
  private mutating func append(_ views: ForestRanking, node: Int, set: Int) {
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
