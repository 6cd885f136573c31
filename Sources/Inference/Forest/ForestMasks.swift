internal import CKernels

/// A forest as bit masks over leaves, many rows at a time: `ck_forest_masks_…` says how they work.
final class ForestMasks: ForestKernel, @unchecked Sendable {
  let codes: ForestCodes
  private let trees: KernelTable<ck_forest_mask_tree>
  private let ends: KernelTable<ck_forest_mask_ends>
  private let masks: KernelTable<ck_forest_mask>
  private let setMasks: KernelTable<ck_forest_set_mask>
  private let sets: KernelTable<UInt8>
  private let values: LeafValues.Table
  private let tables: ForestForm<ck_forest_masks>

  var form: UnsafePointer<ck_forest_form> { tables.pointer }
  var name: String { isPortable ? "portable masks" : "masks" }
  private let isPortable: Bool
  let blockRows = Int(CK_FOREST_ROWS)

  /// Leaves that a byte numbers.
  static let mostLeaves = 256

  /// - Parameters:
  ///   - views: with thresholds ranked.
  ///   - codes: bytes, view by view.
  ///   - values: by the leaves' numbers.
  ///   - isPortable: whether to do without this CPU's vectors.
  init(
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, isPortable: Bool = false
  ) {
    self.isPortable = isPortable
    let forest = views.forest
    var trees: [ck_forest_mask_tree] = []
    var ends = [ck_forest_mask_ends()]
    var masks: [ck_forest_mask] = []
    masks.reserveCapacity(forest.features.count)
    var setMasks: [ck_forest_set_mask] = []
    var sets = CategorySets(width: 16)
    var numbers = LeafNumbers()
    var slices = MaskSlices()
    // Trees of one output side by side, so that their leaves are added together; the order among
    // them stays. A tree that adds to all outputs stays where it is, or sums would differ from those
    // of other kernels.
    let addsToAll = forest.trees.contains { forest.sum(of: $0) < 0 }
    let order =
      addsToAll
      ? Array(forest.trees.indices)
      : forest.trees.indices.sorted {
        (forest.sum(of: forest.trees[$0]), $0) < (forest.sum(of: forest.trees[$1]), $1)
      }
    for index in order {
      let tree = forest.trees[index]
      numbers.number(forest, tree)
      slices.collect(forest, tree, numbers)
      trees.append(
        ck_forest_mask_tree(
          first_slice: UInt32(ends.count - 1), slice_count: UInt32(slices.count),
          values: values.firstOfTree[index], output: forest.sum(of: tree)))
      for slice in 0..<slices.count {
        for wantsLeft in [true, false] {
          for entry in slices.entries(of: slice) {
            guard case .atMostOrTest = slices.kind(entry), slices.isLeft(entry) == wantsLeft else {
              continue
            }
            let node = slices.node(entry)
            let place = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
            masks.append(
              ck_forest_mask(
                bound: Int8(place.cut + 1 - 128), keep: slices.keep(entry),
                view: UInt16(place.view)))
          }
          if wantsLeft {
            ends.append(ck_forest_mask_ends(left: UInt32(masks.count), right: 0, sets: 0))
          }
        }
        for entry in slices.entries(of: slice) {
          let node = slices.node(entry)
          guard case .categories(let set) = slices.kind(entry) else { continue }
          let place = codes.place(view: views.viewOfNode[node], rank: 0)
          let near = sets.add(
            views.leftCategories(of: node, set: set), complemented: !slices.isLeft(entry))
          setMasks.append(
            ck_forest_set_mask(
              set: near, view: UInt16(place.view), keep: slices.keep(entry)))
        }
        ends[ends.count - 1].right = UInt32(masks.count)
        ends[ends.count - 1].sets = UInt32(setMasks.count)
      }
    }
    self.codes = codes
    self.trees = KernelTable(trees)
    self.ends = KernelTable(ends)
    self.masks = KernelTable(masks)
    self.setMasks = KernelTable(setMasks)
    self.sets = KernelTable(sets.bytes)
    self.values = values.table
    tables = ForestForm(
      isPortable ? CK_FOREST_PORTABLE_MASKS : CK_FOREST_MASKS,
      ck_forest_masks(
        trees: self.trees.base, tree_count: trees.count, ends: self.ends.base,
        masks: self.masks.base, set_masks: self.setMasks.base, sets: self.sets.base,
        values: values.table.base, sum_stride: values.sumStride),
      codes: codes)
  }

  var byteCount: Int {
    trees.byteCount + ends.byteCount + masks.byteCount + setMasks.byteCount + sets.byteCount
  }
}

/// Bit sets of categories, equal ones kept once.
struct CategorySets {
  private(set) var bytes: [UInt8]
  private let width: Int
  private var known: [[UInt8]: UInt32] = [:]

  /// - Parameter width: bytes of a set.
  init(width: Int) {
    self.width = width
    bytes = []
  }

  /// Where the set starts in `bytes`.
  mutating func add(_ numbers: [Int], complemented: Bool) -> UInt32 {
    var set = [UInt8](repeating: 0, count: width)
    for number in numbers { set[number / 8] |= 1 << UInt8(number % 8) }
    if complemented { for index in set.indices { set[index] = ~set[index] } }
    if let place = known[set] { return place }
    let place = UInt32(bytes.count)
    known[set] = place
    bytes.append(contentsOf: set)
    return place
  }
}

/// The splits of a tree by the slices of eight leaves that they rule out some of.
///
/// Memory is kept from tree to tree.
struct MaskSlices {
  enum Kind {
    case atMostOrTest
    case categories(set: Int)
  }

  private struct Entry {
    var node: Int32
    var keep: UInt8
    var isLeft: Bool
    /// Negative where the split is none by categories.
    var set: Int32
  }

  private(set) var count = 0
  private var starts: [Int] = []
  private var filled: [Int] = []
  private var entries: [Entry] = []

  mutating func collect(_ forest: Forest, _ tree: Forest.Tree, _ numbers: LeafNumbers) {
    count = (Int(numbers.count[0]) + 7) / 8
    if starts.count < count + 1 {
      starts = [Int](repeating: 0, count: count + 1)
      filled = starts
    }
    for slice in 0...count { starts[slice] = 0 }
    for node in tree.root..<tree.end where forest.features[node] >= 0 {
      let near = numbers.near(left: Int(forest.children[node]) - tree.root).leaves
      for slice in (near.lowerBound / 8)...((near.upperBound - 1) / 8) { starts[slice + 1] += 1 }
    }
    for slice in 0..<count {
      starts[slice + 1] += starts[slice]
      filled[slice] = starts[slice]
    }
    if entries.count < starts[count] {
      entries = [Entry](
        repeating: Entry(node: 0, keep: 0, isLeft: false, set: -1), count: 2 * starts[count])
    }
    for node in tree.root..<tree.end where forest.features[node] >= 0 {
      let near = numbers.near(left: Int(forest.children[node]) - tree.root)
      var set: Int32 = -1
      if case .among(let index) = forest.tests[node], forest.missing[node] != .zero {
        set = Int32(index)
      }
      for slice in (near.leaves.lowerBound / 8)...((near.leaves.upperBound - 1) / 8) {
        let low = max(near.leaves.lowerBound - slice * 8, 0)
        let high = min(near.leaves.upperBound - slice * 8, 8)
        let gone = (UInt16(1) << UInt16(high)) - (UInt16(1) << UInt16(low))
        entries[filled[slice]] = Entry(
          node: Int32(node), keep: ~UInt8(gone), isLeft: near.isLeft, set: set)
        filled[slice] += 1
      }
    }
  }

  func entries(of slice: Int) -> Range<Int> { starts[slice]..<starts[slice + 1] }
  func node(_ entry: Int) -> Int { Int(entries[entry].node) }
  func keep(_ entry: Int) -> UInt8 { entries[entry].keep }
  func isLeft(_ entry: Int) -> Bool { entries[entry].isLeft }
  func kind(_ entry: Int) -> Kind {
    entries[entry].set < 0 ? .atMostOrTest : .categories(set: Int(entries[entry].set))
  }
}
