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
  let takesBlocks = true

  /// Leaves that a byte numbers.
  static let mostLeaves = 256

  /// - Parameters:
  ///   - views: with thresholds ranked.
  ///   - codes: bytes, view by view.
  ///   - values: by the leaves' numbers.
  ///   - isPortable: whether to do without this CPU's vectors.
  init(
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, slices: ForestSlices,
    isPortable: Bool = false
  ) {
    self.isPortable = isPortable
    let forest = views.forest
    let trees = slices.order.map { index in
      ck_forest_mask_tree(
        first_slice: UInt32(slices.firstSlice[index]),
        slice_count: UInt32(slices.count(of: index)),
        values: values.firstOfTree[index], output: forest.sum(of: forest.trees[index]))
    }
    let ranges = Concurrently.ranges(slices.entries.count, least: 1 << 13)
    masks = KernelTable(pieces: [0] + ranges.map(\.upperBound)) { part, masks in
      for (number, entry) in slices.entries[ranges[part]].enumerated() {
        let node = Int(entry.node)
        let place = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
        (masks + number).initialize(
          to: ck_forest_mask(
            bound: Int8(place.cut + 1 - 128), keep: entry.keep, view: UInt16(place.view)))
      }
    }
    var sets = CategorySets(width: 16)
    // A split is in several slices.
    var nearOfNode: [Int32: UInt32] = [:]
    let setMasks = slices.setEntries.map { entry in
      let node = Int(entry.node)
      let place = codes.place(view: views.viewOfNode[node], rank: 0)
      let near =
        nearOfNode[entry.node]
        ?? sets.add(
          views.leftCategories(of: node, set: entry.set(in: forest)), complemented: !entry.isLeft)
      nearOfNode[entry.node] = near
      return ck_forest_set_mask(set: near, view: UInt16(place.view), keep: entry.keep)
    }
    self.codes = codes
    self.trees = KernelTable(trees)
    ends = slices.ends
    self.setMasks = KernelTable(setMasks)
    self.sets = KernelTable(sets.bytes)
    self.values = values.table
    tables = ForestForm(
      isPortable ? CK_FOREST_PORTABLE_MASKS : CK_FOREST_MASKS,
      ck_forest_masks(
        trees: self.trees.base, tree_count: trees.count, ends: ends.base,
        masks: masks.base, set_masks: self.setMasks.base, sets: self.sets.base,
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
