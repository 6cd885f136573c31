internal import CKernels

/// The splits of trees by the slices of eight leaves that they rule out some of, as masks and lanes
/// are made of them.
struct ForestSlices: Sendable {
  /// What a split leaves of a slice when a row goes to its far child.
  struct Entry {
    var node: Int32
    var keep: UInt8
    /// Whether the near child is the left one.
    var isLeft: Bool

    /// The number of a split's categories.
    func set(in forest: Forest) -> Int {
      guard case .among(let set) = forest.tests[Int(node)] else {
        preconditionFailure("node \(node) is no split by categories")
      }
      return set
    }
  }

  /// The trees as their slices come.
  ///
  /// Trees of one output side by side, so that their leaves are added together; the order among them
  /// stays. A tree that adds to all outputs stays where it is, or sums would differ from those of other
  /// kernels.
  let order: [Int]
  /// By tree; what follows the last tree in `order` is the number of slices.
  let firstSlice: [Int]
  /// Of slice s at s + 1.
  let ends: KernelTable<ck_forest_mask_ends>
  /// Splits by thresholds and tests: of each slice those whose near child is the left one, then the
  /// others.
  let entries: [Entry]
  /// Splits by categories.
  let setEntries: [Entry]
  private let counts: [Int]

  func count(of tree: Int) -> Int { counts[tree] }

  func entries(of slice: Int) -> Range<Int> {
    Int(ends.base[slice].right)..<Int(ends.base[slice + 1].right)
  }

  func setEntries(of slice: Int) -> Range<Int> {
    Int(ends.base[slice].sets)..<Int(ends.base[slice + 1].sets)
  }

  /// - Parameter forest: of trees that have 256 leaves at most.
  init(_ forest: Forest) {
    let addsToAll = forest.trees.contains { forest.sum(of: $0) < 0 }
    let order =
      addsToAll || forest.outputCount == 1
      ? Array(forest.trees.indices)
      : forest.trees.indices.sorted {
        (forest.sum(of: forest.trees[$0]), $0) < (forest.sum(of: forest.trees[$1]), $1)
      }
    let counts = forest.trees.map { (($0.end - $0.root + 1) / 2 + 7) / 8 }
    var firstSlice = counts
    var first = 0
    for index in order {
      firstSlice[index] = first
      first += counts[index]
    }
    let ranges = Concurrently.ranges(order.count, least: 8)
    let parts = Concurrently.map(ranges.count) { part in
      var slices = Part()
      for index in ranges[part] { slices.append(forest, forest.trees[order[index]]) }
      return slices
    }
    var ends = [ck_forest_mask_ends()]
    ends.reserveCapacity(first + 1)
    var starts = [0]
    var setStarts = [0]
    for part in parts {
      let (start, setStart) = (starts[starts.count - 1], setStarts[setStarts.count - 1])
      for end in part.ends {
        ends.append(
          ck_forest_mask_ends(
            left: end.left + UInt32(start), right: end.right + UInt32(start),
            sets: end.sets + UInt32(setStart)))
      }
      starts.append(start + part.entries.count)
      setStarts.append(setStart + part.setEntries.count)
    }
    entries = Concurrently.array(starts: starts) { part, target in
      parts[part].entries.withUnsafeBufferPointer {
        if let first = $0.baseAddress { target.initialize(from: first, count: $0.count) }
      }
    }
    setEntries = parts.flatMap(\.setEntries)
    self.ends = KernelTable(ends)
    (self.order, self.firstSlice, self.counts) = (order, firstSlice, counts)
  }
}

/// Slices of some trees.
private struct Part {
  private(set) var entries: [ForestSlices.Entry] = []
  private(set) var setEntries: [ForestSlices.Entry] = []
  private(set) var ends: [ck_forest_mask_ends] = []
  private var numbers = LeafNumbers()
  /// For each list of a slice (left, right, sets) how many splits it has, then where the next goes.
  private var places: [Int] = []

  mutating func append(_ forest: Forest, _ tree: Forest.Tree) {
    numbers.number(forest, tree)
    let count = (Int(numbers.count[0]) + 7) / 8
    if places.count < 3 * count { places = [Int](repeating: 0, count: 3 * count) }
    for place in 0..<(3 * count) { places[place] = 0 }
    Self.forEachSplit(forest, tree, numbers) { _, near, list in
      for slice in (near.leaves.lowerBound / 8)...((near.leaves.upperBound - 1) / 8) {
        places[3 * slice + list] += 1
      }
    }
    var (entry, setEntry) = (entries.count, setEntries.count)
    for slice in 0..<count {
      let found = (places[3 * slice], places[3 * slice + 1], places[3 * slice + 2])
      places[3 * slice] = entry
      places[3 * slice + 1] = entry + found.0
      places[3 * slice + 2] = setEntry
      entry += found.0 + found.1
      setEntry += found.2
      ends.append(
        ck_forest_mask_ends(
          left: UInt32(places[3 * slice + 1]), right: UInt32(entry), sets: UInt32(setEntry)))
    }
    let none = ForestSlices.Entry(node: 0, keep: 0, isLeft: false)
    entries.append(contentsOf: repeatElement(none, count: entry - entries.count))
    setEntries.append(contentsOf: repeatElement(none, count: setEntry - setEntries.count))
    Self.forEachSplit(forest, tree, numbers) { node, near, list in
      for slice in (near.leaves.lowerBound / 8)...((near.leaves.upperBound - 1) / 8) {
        let low = max(near.leaves.lowerBound - slice * 8, 0)
        let high = min(near.leaves.upperBound - slice * 8, 8)
        let gone = (UInt16(1) << UInt16(high)) - (UInt16(1) << UInt16(low))
        let entry = ForestSlices.Entry(
          node: Int32(node), keep: ~UInt8(truncatingIfNeeded: gone), isLeft: near.isLeft)
        let place = places[3 * slice + list]
        places[3 * slice + list] = place + 1
        if list < 2 { entries[place] = entry } else { setEntries[place] = entry }
      }
    }
  }

  /// Calls `body` with each split, the leaves below its near child, and the list that it is in.
  @inline(__always)
  private static func forEachSplit(
    _ forest: Forest, _ tree: Forest.Tree, _ numbers: LeafNumbers,
    _ body: (Int, (leaves: Range<Int>, isLeft: Bool), Int) -> Void
  ) {
    let (features, children, tests) = (forest.features, forest.children, forest.tests)
    for node in tree.root..<tree.end where features[node] >= 0 {
      let near = numbers.near(left: Int(children[node]) - tree.root)
      var list = near.isLeft ? 0 : 1
      if case .among = tests[node], forest.missing[node] != .zero { list = 2 }
      body(node, near, list)
    }
  }
}
