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
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, slices: ForestSlices,
    isPortable: Bool = false
  ) {
    self.isPortable = isPortable
    let forest = views.forest
    let order = Self.order(forest)
    var groups: [ck_forest_lane_group] = []
    // Where each group's steps start, and of each slice where they end.
    var starts = [0]
    var ends: [UInt32] = [0]
    var trees = [ck_forest_lane_tree](
      repeating: ck_forest_lane_tree(), count: forest.trees.count)
    for first in stride(from: 0, to: order.count, by: Self.lanes) {
      let members = order[first..<min(first + Self.lanes, order.count)]
      let count = members.map { slices.count(of: $0) }.max() ?? 0
      groups.append(
        ck_forest_lane_group(first_slice: UInt32(ends.count - 1), slice_count: UInt32(count)))
      var longest = [Int](repeating: 0, count: count)
      for (lane, index) in members.enumerated() {
        for slice in 0..<slices.count(of: index) {
          let steps = slices.entries(of: slices.firstSlice[index] + slice).count
          longest[slice] = max(longest[slice], steps)
        }
        trees[index] = ck_forest_lane_tree(
          lane: UInt32(first + lane), values: values.firstOfTree[index],
          output: forest.sum(of: forest.trees[index]))
      }
      for steps in longest { ends.append(ends[ends.count - 1] + UInt32(steps)) }
      starts.append(Int(ends[ends.count - 1]))
    }
    let sliceCount = ends.count - 1
    guard var categories = LaneCategories(views, codes, sliceCount: sliceCount) else { return nil }
    if views.hasCategories {
      for (number, group) in groups.enumerated() {
        for (lane, index) in order.dropFirst(number * Self.lanes).prefix(Self.lanes).enumerated() {
          for slice in 0..<slices.count(of: index) {
            for entry in slices.setEntries(of: slices.firstSlice[index] + slice) {
              let entry = slices.setEntries[entry]
              categories.keep(
                entry.keep, node: Int(entry.node), set: entry.set(in: forest),
                isLeft: entry.isLeft, slice: Int(group.first_slice) + slice, lane: lane)
            }
          }
        }
      }
    }
    steps = KernelTable(pieces: starts) { number, steps in
      let members = order.dropFirst(number * Self.lanes).prefix(Self.lanes)
      Self.fill(
        steps, groups[number], ends: ends, members: members, slices: slices, views, codes)
    }
    self.codes = codes
    self.groups = KernelTable(groups)
    self.ends = KernelTable(ends)
    self.trees = KernelTable(trees)
    self.values = values.table
    left = KernelTable(categories.left)
    categoryViews = KernelTable(categories.views(left.base))
    tables = ForestForm(
      isPortable ? CK_FOREST_PORTABLE_LANES : CK_FOREST_LANES_FORM,
      ck_forest_lanes(
        groups: self.groups.base, group_count: groups.count, slice_count: sliceCount,
        ends: self.ends.base, steps: steps.base, trees: self.trees.base,
        tree_count: trees.count, values: values.table.base, sum_stride: values.sumStride,
        stride: codes.stride, threshold_views: codes.viewCount - codes.categoryViewCount,
        category_views: categoryViews.base, category_view_count: categoryViews.count,
        is_in_order: order.elementsEqual(order.indices) ? 1 : 0),
      codes: codes)
  }

  var byteCount: Int {
    groups.byteCount + ends.byteCount + steps.byteCount + trees.byteCount + left.byteCount
  }

  var scratchByteCount: Int { groups.count * Self.lanes * Int(CK_FOREST_LANE_ROWS) }

  /// The steps of a group: view, flip, bound and keep have a byte a lane each.
  private static func fill(
    _ steps: UnsafeMutablePointer<ck_forest_lane_step>, _ group: ck_forest_lane_group,
    ends: [UInt32], members: ArraySlice<Int>, slices: ForestSlices, _ views: ForestRanking,
    _ codes: ForestCodes
  ) {
    let first = Int(group.first_slice)
    let start = Int(ends[first])
    var none = ck_forest_lane_step()
    withUnsafeMutableBytes(of: &none.keep) { keep in
      for lane in keep.indices { keep[lane] = 0xFF }
    }
    steps.initialize(
      repeating: none, count: Int(ends[first + Int(group.slice_count)]) - start)
    let bytes = UnsafeMutableRawPointer(steps)
    let size = MemoryLayout<ck_forest_lane_step>.stride
    for (lane, index) in members.enumerated() {
      for slice in 0..<slices.count(of: index) {
        var step = bytes + (Int(ends[first + slice]) - start) * size
        for number in slices.entries(of: slices.firstSlice[index] + slice) {
          let entry = slices.entries[number]
          let node = Int(entry.node)
          let place = codes.place(view: views.viewOfNode[node], rank: views.rankOfNode[node])
          let bound = place.cut + 1 - 128
          step.storeBytes(of: UInt8(place.view), toByteOffset: lane, as: UInt8.self)
          step.storeBytes(
            of: entry.isLeft ? 0 : 0xFF, toByteOffset: lanes + lane, as: UInt8.self)
          step.storeBytes(
            of: Int8(entry.isLeft ? bound : -bound), toByteOffset: 2 * lanes + lane, as: Int8.self)
          step.storeBytes(of: entry.keep, toByteOffset: 3 * lanes + lane, as: UInt8.self)
          step += size
        }
      }
    }
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
