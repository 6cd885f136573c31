internal import CKernels

/// The masks of a forest turned round, for rows that come one by one: `ck_forest_lanes_…`.
final class ForestLanes: ForestKernel, @unchecked Sendable {
  let codes: ForestCodes
  private let groups: KernelTable<ck_forest_lane_group>
  private let ends: KernelTable<UInt32>
  private let steps: KernelTable<ck_forest_lane_step>
  private let trees: KernelTable<ck_forest_lane_tree>
  private let values: LeafValues.Table
  private let left: KernelTable<UInt8>
  private let categoryViews: KernelTable<ck_forest_lane_categories>
  private let tables: ForestForm<ck_forest_lanes>

  var form: UnsafePointer<ck_forest_form> { tables.pointer }
  var name: String { isPortable ? "portable lanes" : "lanes" }
  private let isPortable: Bool
  let blockRows = Int(CK_FOREST_ROWS)

  private static let lanes = Int(CK_FOREST_LANES)

  /// Whether a row's codes are few enough.
  static func takes(_ codes: ForestCodes) -> Bool {
    codes.viewCount - codes.categoryViewCount <= Int(CK_FOREST_LANE_VIEWS)
      && codes.categoryViewCount <= Int(CK_FOREST_LANE_CATEGORY_VIEWS)
  }

  /// Nil where what categories leave would take much more than the trees themselves.
  ///
  /// - Parameters:
  ///   - views: with thresholds ranked.
  ///   - codes: bytes, row by row, as `takes` allows.
  ///   - values: by the leaves' numbers.
  ///   - isPortable: whether to do without this CPU's vectors.
  init?(
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, isPortable: Bool = false
  ) {
    self.isPortable = isPortable
    let forest = views.forest
    let order = Self.order(forest)
    let sliceCount = stride(from: 0, to: order.count, by: Self.lanes).reduce(0) { count, first in
      count
        + (order[first..<min(first + Self.lanes, order.count)].map { Self.slices(forest, $0) }.max()
          ?? 0)
    }
    guard var categories = LaneCategories(views, codes, sliceCount: sliceCount) else { return nil }
    var trees = [ck_forest_lane_tree](
      repeating: ck_forest_lane_tree(), count: forest.trees.count)
    var groups: [ck_forest_lane_group] = []
    var ends: [UInt32] = [0]
    var steps: [ck_forest_lane_step] = []
    var numbers = LeafNumbers()
    for first in stride(from: 0, to: order.count, by: Self.lanes) {
      let members = order[first..<min(first + Self.lanes, order.count)]
      let firstSlice = ends.count - 1
      // What each lane does in each slice: entries of its masks that take a step.
      var entries: [[[Int]]] = []
      var lanes: [MaskSlices] = []
      for (lane, index) in members.enumerated() {
        numbers.number(forest, forest.trees[index])
        var slices = MaskSlices()
        slices.collect(forest, forest.trees[index], numbers)
        entries.append(
          (0..<slices.count).map { slice in
            slices.entries(of: slice).filter { entry in
              guard case .categories(let set) = slices.kind(entry) else { return true }
              categories.keep(
                slices.keep(entry), node: slices.node(entry), set: set,
                isLeft: slices.isLeft(entry), slice: firstSlice + slice, lane: lane)
              return false
            }
          })
        lanes.append(slices)
        trees[index] = ck_forest_lane_tree(
          lane: UInt32(first + lane), values: values.firstOfTree[index],
          output: forest.sum(of: forest.trees[index]))
      }
      let count = entries.map(\.count).max() ?? 0
      groups.append(
        ck_forest_lane_group(first_slice: UInt32(firstSlice), slice_count: UInt32(count)))
      for slice in 0..<count {
        let longest = entries.map { slice < $0.count ? $0[slice].count : 0 }.max() ?? 0
        for position in 0..<longest {
          var step = ck_forest_lane_step()
          withUnsafeMutableBytes(of: &step) { bytes in
            // View, flip, bound, keep: a byte a lane each.
            for lane in 0..<Self.lanes { bytes[3 * Self.lanes + lane] = 0xFF }
            for (lane, mine) in entries.enumerated()
            where slice < mine.count && position < mine[slice].count {
              let slices = lanes[lane]
              let entry = mine[slice][position]
              let node = slices.node(entry)
              let place = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
              let bound = place.cut + 1 - 128
              let isLeft = slices.isLeft(entry)
              bytes[lane] = UInt8(place.view)
              bytes[Self.lanes + lane] = isLeft ? 0 : 0xFF
              bytes[2 * Self.lanes + lane] = UInt8(bitPattern: Int8(isLeft ? bound : -bound))
              bytes[3 * Self.lanes + lane] = slices.keep(entry)
            }
          }
          steps.append(step)
        }
        ends.append(UInt32(steps.count))
      }
    }
    self.codes = codes
    self.groups = KernelTable(groups)
    self.ends = KernelTable(ends)
    self.steps = KernelTable(steps)
    self.trees = KernelTable(trees)
    self.values = values.table
    left = KernelTable(categories.left)
    categoryViews = KernelTable(categories.views(left.base))
    tables = ForestForm(
      isPortable ? CK_FOREST_PORTABLE_LANES : CK_FOREST_LANES_FORM,
      ck_forest_lanes(
        groups: self.groups.base, group_count: groups.count, slice_count: sliceCount,
        ends: self.ends.base, steps: self.steps.base, trees: self.trees.base,
        tree_count: trees.count, values: values.table.base, sum_stride: values.sumStride,
        stride: codes.stride, threshold_views: codes.viewCount - codes.categoryViewCount,
        category_views: categoryViews.base, category_view_count: categoryViews.count,
        is_in_order: order.elementsEqual(order.indices) ? 1 : 0),
      codes: codes)
  }

  var byteCount: Int {
    groups.byteCount + ends.byteCount + steps.byteCount + trees.byteCount + left.byteCount
  }

  var scratchByteCount: Int { groups.count * Self.lanes }

  private static func slices(_ forest: Forest, _ tree: Int) -> Int {
    ((forest.trees[tree].end - forest.trees[tree].root + 1) / 2 + 7) / 8
  }

  /// Which tree each lane holds: as they come, unless trees of like sizes, side by side, save much
  /// of the lanes' waiting for others.
  private static func order(_ forest: Forest) -> [Int] {
    func cost(_ order: [Int]) -> Int {
      stride(from: 0, to: order.count, by: lanes).reduce(0) { cost, first in
        cost
          + (order[first..<min(first + lanes, order.count)]
            .map { forest.trees[$0].end - forest.trees[$0].root }.max() ?? 0)
      }
    }
    let plain = Array(forest.trees.indices)
    let sorted = plain.sorted {
      let (a, b) = (forest.trees[$0], forest.trees[$1])
      return (b.end - b.root, $0) < (a.end - a.root, $1)
    }
    return cost(sorted) * 10 < cost(plain) * 9 ? sorted : plain
  }
}

/// What the splits by categories of each view leave of each slice, by category.
private struct LaneCategories {
  private(set) var left: [UInt8]
  private let ranking: ForestRanking
  private let sliceCount: Int
  /// Of each view of the ranking where its first category's leaves are in `left`; -1 for others.
  private var starts: [Int]
  private var places: [(view: Int, start: Int)] = []
  /// By node's view and set, which of the view's categories go left.
  private var sides: [UInt64: [Bool]] = [:]

  private static let lanes = Int(CK_FOREST_LANES)
  /// Bytes beside which the trees do not count.
  private static let fewBytes = 1 << 16
  private static let bytesPerNode = 32

  init?(_ views: ForestRanking, _ codes: ForestCodes, sliceCount: Int) {
    ranking = views
    self.sliceCount = sliceCount
    starts = Array(repeating: -1, count: views.views.count)
    var count = 0
    for (index, view) in views.views.enumerated() where view.isCategories {
      starts[index] = count
      places.append((codes.place(view: Int32(index), rank: 0).view, count))
      count += (view.nanCategory + 1) * sliceCount * Self.lanes
    }
    guard count <= max(Self.fewBytes, Self.bytesPerNode * views.forest.features.count) else {
      return nil
    }
    left = Array(repeating: 0xFF, count: count)
  }

  /// Notes what a split leaves of a slice where a row goes to its far child.
  mutating func keep(_ mask: UInt8, node: Int, set: Int, isLeft: Bool, slice: Int, lane: Int) {
    let number = Int(ranking.viewOfNode[node])
    let view = ranking.views[number]
    let key = UInt64(number) << 32 | UInt64(set)
    let goesLeft: [Bool]
    if let known = sides[key] {
      goesLeft = known
    } else {
      var found = [Bool](repeating: false, count: view.nanCategory + 1)
      for category in ranking.leftCategories(of: node, set: set) { found[category] = true }
      sides[key] = found
      goesLeft = found
    }
    for category in goesLeft.indices where goesLeft[category] != isLeft {
      left[starts[number] + (category * sliceCount + slice) * Self.lanes + lane] &= mask
    }
  }

  func views(_ base: UnsafePointer<UInt8>) -> [ck_forest_lane_categories] {
    places.map { ck_forest_lane_categories(view: $0.view, left: base + $0.start) }
  }
}
