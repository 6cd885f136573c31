internal import CKernels

/// The masks of a forest turned round, for rows that come one by one: `ck_forest_lanes_…`.
final class ForestLanes: ForestKernel, @unchecked Sendable {
  let codes: ForestCodes
  private let groups: KernelTable<ck_forest_lane_group>
  private let ends: KernelTable<UInt32>
  private let steps: KernelTable<ck_forest_lane_step>
  private let trees: KernelTable<ck_forest_lane_tree>
  private let values: LeafValues.Table
  private let forest: ck_forest_lanes

  var name: String { isPortable ? "portable lanes" : "lanes" }
  private let isPortable: Bool
  let blockRows = Int(CK_FOREST_ROWS)

  static let mostViews = Int(CK_FOREST_LANE_VIEWS)
  private static let lanes = Int(CK_FOREST_LANES)

  /// - Parameters:
  ///   - views: with thresholds ranked, none of them of categories.
  ///   - codes: bytes, row by row.
  ///   - values: by the leaves' numbers.
  ///   - isPortable: whether to do without this CPU's vectors.
  init(
    _ views: ForestRanking, codes: ForestCodes, values: LeafValues, isPortable: Bool = false
  ) {
    self.isPortable = isPortable
    let forest = views.forest
    // Trees of like sizes share a group, so that few lanes wait for others.
    let order = forest.trees.indices.sorted {
      let (a, b) = (forest.trees[$0], forest.trees[$1])
      return (b.end - b.root, $0) < (a.end - a.root, $1)
    }
    var trees = [ck_forest_lane_tree](
      repeating: ck_forest_lane_tree(), count: forest.trees.count)
    var groups: [ck_forest_lane_group] = []
    var ends: [UInt32] = [0]
    var steps: [ck_forest_lane_step] = []
    var numbers = LeafNumbers()
    for first in stride(from: 0, to: order.count, by: Self.lanes) {
      let members = order[first..<min(first + Self.lanes, order.count)]
      let lanes = members.map { index in
        numbers.number(forest, forest.trees[index])
        var slices = MaskSlices()
        slices.collect(forest, forest.trees[index], numbers)
        return slices
      }
      let sliceCount = lanes.map(\.count).max() ?? 0
      groups.append(
        ck_forest_lane_group(
          first_slice: UInt32(ends.count - 1), slice_count: UInt32(sliceCount)))
      for (lane, index) in members.enumerated() {
        trees[index] = ck_forest_lane_tree(
          lane: UInt32(first + lane), values: values.firstOfTree[index],
          output: forest.sum(of: forest.trees[index]))
      }
      for slice in 0..<sliceCount {
        let longest = lanes.map { slice < $0.count ? $0.entries(of: slice).count : 0 }.max() ?? 0
        for position in 0..<longest {
          var step = ck_forest_lane_step()
          withUnsafeMutableBytes(of: &step) { bytes in
            // View, flip, bound, keep: a byte a lane each.
            for lane in 0..<Self.lanes { bytes[3 * Self.lanes + lane] = 0xFF }
            for (lane, slices) in lanes.enumerated() where slice < slices.count {
              let entries = slices.entries(of: slice)
              guard position < entries.count else { continue }
              let entry = entries.lowerBound + position
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
    self.forest = ck_forest_lanes(
      groups: self.groups.base, group_count: groups.count, ends: self.ends.base,
      steps: self.steps.base, trees: self.trees.base, tree_count: trees.count,
      values: values.table.base, sum_stride: values.sumStride, stride: codes.stride)
  }

  var byteCount: Int {
    groups.byteCount + ends.byteCount + steps.byteCount + trees.byteCount
  }

  var scratchByteCount: Int { groups.count * Self.lanes }

  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutableRawPointer
  ) {
    withUnsafePointer(to: forest) {
      (isPortable ? ck_forest_lanes_f32_portable : ck_forest_lanes_f32)(
        $0, codes.assumingMemoryBound(to: UInt8.self), count,
        scratch.assumingMemoryBound(to: UInt8.self), sums)
    }
  }

  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>,
    scratch: UnsafeMutableRawPointer
  ) {
    withUnsafePointer(to: forest) {
      (isPortable ? ck_forest_lanes_f64_portable : ck_forest_lanes_f64)(
        $0, codes.assumingMemoryBound(to: UInt8.self), count,
        scratch.assumingMemoryBound(to: UInt8.self), sums)
    }
  }
}
