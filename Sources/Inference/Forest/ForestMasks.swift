internal import CKernels

/// A forest as bit masks over leaves, for `ck_forest_masks_…` (which says how they work).
struct ForestMasks: Sendable {
  private let trees: [ck_forest_mask_tree]
  private let ends: [UInt32]
  private let masks: [ck_forest_mask]
  private let floatValues: [Float]
  private let doubleValues: [Double]
  private let outputCount: Int
  /// Whether masks take less time than the walk, by counting what each does for 32 rows.
  let isFasterThanWalk: Bool

  /// Nil where the CPU or a tree does not fit.
  ///
  /// - Parameter splits: view and cut of each node, for one-byte ranks.
  init?(
    _ forest: Forest, splits: [ForestRanking.Assigned], precision: ForestPlan.Precision
  ) {
    guard ck_forest_has_masks() != 0,
      forest.trees.allSatisfy({ $0.end - $0.root <= 2 * 256 - 1 })
    else { return nil }

    var trees: [ck_forest_mask_tree] = []
    var ends: [UInt32] = []
    var masks: [ck_forest_mask] = []
    var values: [Double] = []
    var steps = 0.0
    // Trees of one output side by side, so that their leaves are added together; the order among
    // them stays.
    for tree in forest.trees.enumerated().sorted(by: {
      ($0.element.output.order, $0.offset) < ($1.element.output.order, $1.offset)
    }).map(\.element) {
      let leaves = LeafRanges(forest, tree)
      let sliceCount = (leaves.count + 7) / 8
      var slices = [[ck_forest_mask]](repeating: [], count: sliceCount)
      var depthSum = 0
      let width = tree.output == .all ? forest.outputCount : 1
      let valueBase = values.count
      values.append(contentsOf: repeatElement(0, count: leaves.count * width))
      for node in tree.root..<tree.end {
        let child = Int(forest.children[node])
        guard forest.features[node] >= 0 else {
          let target = valueBase + leaves.first(node) * width
          for k in 0..<width { values[target + k] = forest.values[child + k] }
          continue
        }
        let range = leaves.first(child)..<leaves.first(child + 1)
        depthSum += leaves.end(child + 1) - range.lowerBound
        for slice in (range.lowerBound / 8)...((range.upperBound - 1) / 8) {
          var gone: UInt8 = 0
          for bit in 0..<8 where range.contains(slice * 8 + bit) { gone |= 1 << UInt8(bit) }
          slices[slice].append(
            ck_forest_mask(
              bound: Int8(Int(splits[node].cut) + 1 - 128), keep: ~gone, view: splits[node].view))
        }
      }
      trees.append(
        ck_forest_mask_tree(
          first_slice: UInt32(ends.count), slice_count: UInt32(sliceCount),
          values: UInt32(valueBase), output: tree.output.order))
      ends.append(UInt32(masks.count))
      for slice in slices {
        masks.append(contentsOf: slice)
        ends.append(UInt32(masks.count))
      }
      steps += Double(depthSum) / Double(leaves.count)
    }
    self.trees = trees
    self.ends = ends
    self.masks = masks
    outputCount = forest.outputCount
    floatValues = precision == .float ? values.map { Float($0) } : []
    doubleValues = precision == .double ? values : []
    // Measured: an entry costs about 1 cycle and a slice 4 for 32 rows, a step of the walk 2 for
    // each row, and rows that walk together wait for the deepest.
    isFasterThanWalk = Double(masks.count + 4 * ends.count) < 32 * 2 * 1.2 * steps
  }

  var byteCount: Int {
    trees.count * 16 + ends.count * 4 + masks.count * 4 + floatValues.count * 4
      + doubleValues.count * 8
  }

  func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>
  ) {
    withMasks(doubleValues) { masks in
      ck_forest_masks_f64(masks, scratch.assumingMemoryBound(to: UInt8.self), count, sums)
    }
  }

  func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>
  ) {
    withMasks(floatValues) { masks in
      ck_forest_masks_f32(masks, scratch.assumingMemoryBound(to: UInt8.self), count, sums)
    }
  }

  private func withMasks<Value>(
    _ values: [Value], _ body: (UnsafePointer<ck_forest_masks>) -> Void
  ) {
    trees.withUnsafeBufferPointer { trees in
      ends.withUnsafeBufferPointer { ends in
        masks.withUnsafeBufferPointer { masks in
          values.withUnsafeBytes { values in
            var forest = ck_forest_masks(
              trees: trees.baseAddress, tree_count: trees.count, ends: ends.baseAddress,
              masks: masks.baseAddress, values: values.baseAddress, output_count: outputCount)
            body(&forest)
          }
        }
      }
    }
  }
}

/// The leaves below each node of a tree, numbered from left to right.
private struct LeafRanges {
  private let root: Int
  private var starts: [Int]
  private var counts: [Int]

  init(_ forest: Forest, _ tree: Forest.Tree) {
    root = tree.root
    counts = [Int](repeating: 1, count: tree.end - tree.root)
    starts = [Int](repeating: 0, count: tree.end - tree.root)
    // Children come after parents: counts from the bottom up, places from the top down.
    for node in (tree.root..<tree.end).reversed() where forest.features[node] >= 0 {
      let child = Int(forest.children[node]) - root
      counts[node - root] = counts[child] + counts[child + 1]
    }
    for node in tree.root..<tree.end where forest.features[node] >= 0 {
      let child = Int(forest.children[node]) - root
      starts[child] = starts[node - root]
      starts[child + 1] = starts[child] + counts[child]
    }
  }

  var count: Int { counts[0] }
  func first(_ node: Int) -> Int { starts[node - root] }
  func end(_ node: Int) -> Int { starts[node - root] + counts[node - root] }
}

extension Forest.Output {
  /// The kernels' number: the output's own, negative for all of them.
  var order: Int32 {
    switch self {
    case .one(let index): Int32(index)
    case .all: -1
    }
  }
}
