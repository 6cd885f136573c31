internal import CKernels

/// A forest made ready to be scored: ranks for thresholds, small nodes for kernels.
///
/// Every value is first replaced by its rank among the forest's thresholds for that feature, which
/// is exact for any comparison: `x <= t` means that x's rank is at most t's. A *view* is what a
/// kind of split sees of a rank; it holds the missing rule and the category sets, so that kernels
/// know none of them. Splits of one feature that treat missing values alike share a view; one that
/// has more thresholds than its integers can count is cut into several.
///
/// - Complexity: Scoring a row costs a binary search for each feature that the trees read and a
///   step for each level of each tree. Memory: 12 bytes a node, 4 or 8 a leaf value.
package final class ForestPlan: Sendable {
  /// The type in which leaves are added up, which decides the last digits of a score.
  package enum Precision: Sendable {
    case float, double
  }

  package enum Aggregate: Sendable {
    case sum, min, max
  }

  /// How rows find their leaves; the sums are the same to the bit.
  ///
  /// Measured on one core of a Zen 3 at batch 4,096, 28 float features, best of 60, ranks and
  /// links included, in ns a row: LightGBM, 100 trees of 31 leaves, masks 165 and walk 1,090;
  /// XGBoost, 100 trees of depth 6, masks 197 and walk 623. Ranks are about 60 of these (a binary
  /// search in their place took 1,700, a scalar count in blocks of sixteen 163).
  package enum Kernel: Sendable {
    /// From node to node, for any forest.
    case walk
    /// All splits at once, by bit masks: needs AVX2, trees of at most 256 leaves and sums.
    case masks
  }

  package static let blockRows = Int(CK_FOREST_ROWS)

  package let precision: Precision
  package let outputCount: Int
  package let byteCount: Int
  package let statistics: ForestStatistics
  let features: [RankedFeature]
  /// Whether ranks take two bytes instead of one.
  let isWide: Bool
  let viewCount: Int
  /// The kernel for blocks of more than a few rows.
  package let kernel: Kernel
  private let aggregate: ck_forest_aggregate
  private let masks: ForestMasks?
  private let kernelIsForced: Bool
  /// Up to here a walk costs less than masks, which score 32 rows at least.
  private static let fewRows = 4
  private let trees: [ck_forest_tree]
  private let nodes: [ck_forest_node]
  private let leaves: [UInt32]
  private let floatValues: [Float]
  private let doubleValues: [Double]

  /// - Parameter kernel: the faster one by an estimate where nil; the walk where masks cannot be.
  package init(
    _ forest: Forest, precision: Precision, aggregate: Aggregate = .sum, kernel: Kernel? = nil
  ) throws(ModelError) {
    self.precision = precision
    kernelIsForced = kernel != nil
    outputCount = forest.outputCount
    statistics = ForestStatistics(forest)
    self.aggregate =
      switch aggregate {
      case .sum: CK_FOREST_SUM
      case .min: CK_FOREST_MIN
      case .max: CK_FOREST_MAX
      }

    var ranking = ForestRanking(forest)
    let narrow = ranking.viewCount(ranksPerView: 255)
    let least = ranking.viewCount(ranksPerView: 65_535)
    // One-byte ranks while cutting views into pieces does not cost much more table look-ups.
    isWide = narrow > max(2 * least, 64)
    let splits = ranking.assignViews(ranksPerView: isWide ? 65_535 : 255)
    guard ranking.viewCount <= 65_536 else {
      throw ModelError(
        .tooLarge,
        "the trees need \(ranking.viewCount) views of \(forest.featureCount) features, at most 65536 are kept",
        hint: "Train with fewer features, or with fewer categorical splits.")
    }
    features = ranking.rankedFeatures(wide: isWide)
    viewCount = ranking.viewCount

    let nodeCount = forest.features.count
    var nodes = [ck_forest_node](repeating: ck_forest_node(), count: nodeCount)
    var leaves = [UInt32](repeating: 0, count: nodeCount)
    for index in 0..<nodeCount {
      let child = UInt32(forest.children[index])
      if forest.features[index] < 0 {
        nodes[index] = ck_forest_node(
          child: UInt32(index), view: 0, cut: isWide ? .max : UInt16(Int16.max))
        leaves[index] = child
      } else {
        nodes[index] = ck_forest_node(
          child: child, view: splits[index].view,
          cut: isWide
            ? splits[index].cut : UInt16(bitPattern: Int16(splits[index].cut) - 128))
      }
    }
    let masks =
      isWide || aggregate != .sum || kernel == .walk
      ? nil : ForestMasks(forest, splits: splits, precision: precision)
    self.masks = kernel == .masks || masks?.isFasterThanWalk == true ? masks : nil
    self.kernel = self.masks == nil ? .walk : .masks
    self.nodes = nodes
    self.leaves = leaves
    trees = forest.trees.map { tree in
      ck_forest_tree(
        root: UInt32(tree.root), min_depth: UInt32(tree.minDepth),
        max_depth: UInt32(tree.maxDepth), output: tree.output.order)
    }
    floatValues = precision == .float ? forest.values.map { Float($0) } : []
    doubleValues = precision == .double ? forest.values : []
    let rankBytes = features.reduce(0) { $0 + $1.byteCount }
    let valueBytes = floatValues.count * 4 + doubleValues.count * 8
    let maskBytes = self.masks?.byteCount ?? 0
    byteCount = nodeCount * 12 + trees.count * 16 + valueBytes + rankBytes + maskBytes
  }

  /// Memory that one thread needs to score a block: ranks and sums.
  package var scratchByteCount: Int {
    rankByteCount + Self.blockRows * 4 + outputCount * Self.blockRows * 8
  }

  private var rankByteCount: Int { max(viewCount, 1) * Self.blockRows * (isWide ? 2 : 1) }

  /// Where the sums of a block lie in `scratch`: `outputCount` x `blockRows`, output by output.
  package func sums<Real>(
    in scratch: UnsafeMutableRawPointer, as type: Real.Type
  ) -> UnsafeMutablePointer<Real> {
    (scratch + rankByteCount + Self.blockRows * 4).assumingMemoryBound(to: type)
  }

  private func featureRanks(_ scratch: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt32> {
    (scratch + rankByteCount).assumingMemoryBound(to: UInt32.self)
  }

  /// Ranks one block of values of the feature at `index` of `features`.
  func rank(
    _ values: UnsafePointer<Float>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    let feature = features[index]
    if feature.isGrid, !isWide {
      let (target, nanRank) = byteRanks(of: feature, scratch)
      ck_forest_rank8_f32(
        values, stride, count, feature.floats.cuts, nanRank, feature.isDirect ? 0x80 : 0, target)
      writeByteViews(of: feature, count: count, into: scratch)
      return
    }
    ck_forest_rank_f32(
      values, stride, count, feature.floats.cuts, feature.floats.levels,
      UInt32(feature.floats.levels.count), UInt32(feature.cutCount + 1), featureRanks(scratch))
    writeViews(of: feature, count: count, into: scratch)
  }

  func rank(
    _ values: UnsafePointer<Double>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    let feature = features[index]
    if feature.isGrid, !isWide {
      let (target, nanRank) = byteRanks(of: feature, scratch)
      ck_forest_rank8_f64(
        values, stride, count, feature.doubles.cuts, nanRank, feature.isDirect ? 0x80 : 0, target)
      writeByteViews(of: feature, count: count, into: scratch)
      return
    }
    ck_forest_rank_f64(
      values, stride, count, feature.doubles.cuts, feature.doubles.levels,
      UInt32(feature.doubles.levels.count), UInt32(feature.cutCount + 1), featureRanks(scratch))
    writeViews(of: feature, count: count, into: scratch)
  }

  /// Ranks one block of rows that lie row by row, `width` values each.
  package func rank(
    rows: UnsafePointer<Float>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    for (index, feature) in features.enumerated() {
      rank(rows + feature.feature, stride: width, count: count, feature: index, into: scratch)
    }
  }

  package func rank(
    rows: UnsafePointer<Double>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    for (index, feature) in features.enumerated() {
      rank(rows + feature.feature, stride: width, count: count, feature: index, into: scratch)
    }
  }

  /// Where one-byte ranks go, and what NaN becomes there: straight into the view, or aside for
  /// `writeByteViews`.
  private func byteRanks(
    of feature: RankedFeature, _ scratch: UnsafeMutableRawPointer
  ) -> (UnsafeMutablePointer<UInt8>, nanRank: UInt8) {
    if feature.isDirect, case .narrow(let table) = feature.tables[0] {
      let view = scratch.assumingMemoryBound(to: UInt8.self) + feature.firstView * Self.blockRows
      return (view, table[table.count - 1] ^ 0x80)
    }
    let aside = UnsafeMutableRawPointer(featureRanks(scratch)).assumingMemoryBound(to: UInt8.self)
    return (aside, UInt8(feature.cutCount + 1))
  }

  private func writeByteViews(
    of feature: RankedFeature, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    guard !feature.isDirect else { return }
    let ranks = UnsafeMutableRawPointer(featureRanks(scratch)).assumingMemoryBound(to: UInt8.self)
    for (offset, table) in feature.tables.enumerated() {
      guard case .narrow(let table) = table else { continue }
      ck_forest_view8(
        ranks, count, table,
        scratch.assumingMemoryBound(to: UInt8.self)
          + (feature.firstView + offset) * Self.blockRows)
    }
  }

  private func writeViews(
    of feature: RankedFeature, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    let ranks = featureRanks(scratch)
    for (offset, table) in feature.tables.enumerated() {
      let start = (feature.firstView + offset) * Self.blockRows
      switch table {
      case .narrow(let table):
        ck_forest_view_u8(
          ranks, count, table,
          scratch.assumingMemoryBound(to: UInt8.self) + start)
      case .wide(let table):
        ck_forest_view_u16(
          ranks, count, table,
          scratch.assumingMemoryBound(to: UInt16.self) + start)
      }
    }
  }

  /// Adds the leaves of the ranked block to `sums` (`outputCount` x `blockRows`, output by
  /// output). Rows past `count` are scratch.
  package func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>
  ) {
    precondition(precision == .double)
    if let masks, count > Self.fewRows || kernelIsForced {
      masks.add(scratch, count: count, to: sums)
      return
    }
    withWalk(doubleValues) { walk in
      if isWide {
        ck_forest_walk_u16_f64(
          walk, scratch.assumingMemoryBound(to: UInt16.self), count, sums)
      } else {
        ck_forest_walk_u8_f64(
          walk, scratch.assumingMemoryBound(to: UInt8.self), count, sums)
      }
    }
  }

  package func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>
  ) {
    precondition(precision == .float)
    if let masks, count > Self.fewRows || kernelIsForced {
      masks.add(scratch, count: count, to: sums)
      return
    }
    withWalk(floatValues) { walk in
      if isWide {
        ck_forest_walk_u16_f32(
          walk, scratch.assumingMemoryBound(to: UInt16.self), count, sums)
      } else {
        ck_forest_walk_u8_f32(
          walk, scratch.assumingMemoryBound(to: UInt8.self), count, sums)
      }
    }
  }

  private func withWalk<Value>(
    _ values: [Value], _ body: (UnsafePointer<ck_forest_walk>) -> Void
  ) {
    trees.withUnsafeBufferPointer { trees in
      nodes.withUnsafeBufferPointer { nodes in
        leaves.withUnsafeBufferPointer { leaves in
          values.withUnsafeBytes { values in
            var walk = ck_forest_walk(
              trees: trees.baseAddress, tree_count: trees.count, nodes: nodes.baseAddress,
              leaves: leaves.baseAddress, values: values.baseAddress, output_count: outputCount,
              aggregate: aggregate)
            body(&walk)
          }
        }
      }
    }
  }
}
