internal import CKernels

/// Exact contributions of features to a forest's sums: Shapley values of the path-dependent game of
/// TreeSHAP (Lundberg et al., "From local explanations to global understanding with explainable AI
/// for trees", 2020), which is what LightGBM's and XGBoost's `pred_contrib` give.
///
/// `ck_explain_add` says how they are computed.
///
/// - Complexity: For each row and tree, nodes times half of the features on its longest path.
struct ForestExplainer<Real: ForestReal>: Explainer {
  let features: [Int]
  let outputCount: Int
  let bases: [Double]
  let blockRows: Int
  let scratchByteCount: Int

  private struct Tree: Sendable {
    var output: Int
    var firstNode: Int
    var count: Int
    var depth: Int
    /// An index of `quadratures`.
    var quadrature: Int
  }

  private struct Quadrature: Sendable {
    var order: Int
    /// Nodes, their complements, weights.
    var numbers: KernelTable<Double>
  }

  private let trees: [Tree]
  private let nodes: KernelTable<ck_explain_node>
  private let categories: KernelTable<Int32>
  private let cutsCategories: Bool
  private let quadratures: [Quadrature]
  /// What contributions are multiplied by.
  private let scale: Double

  /// Bytes of the tables.
  var byteCount: Int {
    nodes.byteCount + categories.byteCount + trees.count * MemoryLayout<Tree>.stride
  }

  /// - Parameters:
  ///   - forest: with covers.
  ///   - type: what values are read as.
  ///   - base: what each sum starts from.
  ///   - scale: what sums are multiplied by.
  ///   - addends: what is added to them then.
  /// - Throws: where a cover is no weight, a leaf has a function, or a tree is too deep.
  init(
    _ forest: Forest, as type: Real.Type, base: [Double], scale: Double = 1,
    addends: [Double]? = nil
  ) throws(ModelError) {
    guard forest.isExplained else {
      throw ModelError(
        .unsupported,
        forest.linearLeaves == nil
          ? "trees with a value for every output at their leaves cannot be explained"
          : "trees with linear functions at their leaves cannot be explained",
        detail: "Nor does the library that trained them explain them.")
    }
    let unread = Set(forest.unreadFeatures)
    features = (0..<forest.featureCount).filter { !unread.contains($0) }
    outputCount = forest.outputCount
    var builder = ForestExplanation(forest, features: features)
    var trees: [Tree] = []
    var orders: [Int: Int] = [:]
    var quadratures: [Quadrature] = []
    var bases = base
    for (number, tree) in forest.trees.enumerated() {
      guard case .one(let output) = tree.output else { continue }
      let first = builder.nodes.count
      let found = try builder.add(tree, number: number)
      bases[output] += found.expected
      let count = builder.nodes.count - first
      guard count > 1 else { continue }
      let order = GaussLegendre.order(factors: max(found.pathFeatures - 1, 0))
      if orders[order] == nil {
        let rule = GaussLegendre(order: order)
        orders[order] = quadratures.count
        quadratures.append(
          Quadrature(
            order: order, numbers: KernelTable(rule.nodes + rule.complements + rule.weights)))
      }
      trees.append(
        Tree(
          output: output, firstNode: first, count: count, depth: found.depth,
          quadrature: orders[order]!))
    }
    let most = trees.map { ($0.depth + 1) * quadratures[$0.quadrature].order }.max() ?? 0
    // What a block works on should stay in the caches.
    blockRows = most > 2048 ? 4 : most > 1024 ? 8 : most > 512 ? 16 : Int(CK_EXPLAIN_ROWS)
    let rows = blockRows
    let kernelBytes =
      trees.map { ck_explain_scratch($0.depth, quadratures[$0.quadrature].order, rows) }.max() ?? 0
    let block = BlockValues.byteCount(rows: rows)
    scratchByteCount = kernelBytes + block + features.count * rows * 8
    self.trees = trees
    nodes = KernelTable(builder.nodes)
    categories = KernelTable(builder.categories)
    cutsCategories = forest.cutsCategories
    self.quadratures = quadratures
    self.scale = scale
    self.bases = bases.indices.map { bases[$0] * scale + (addends?[$0] ?? 0) }
  }

  func explain(
    _ batch: Batch, _ rows: Range<Int>, scratch: UnsafeMutableRawPointer,
    into target: UnsafeMutablePointer<Double>
  ) {
    let stride = blockRows
    let count = features.count * stride
    let values = scratch.assumingMemoryBound(to: Double.self)
    let block = BlockValues(scratch + count * 8)
    let work = scratch + count * 8 + BlockValues.byteCount(rows: stride)
    for (place, feature) in features.enumerated() {
      let row = values + place * stride
      block.withBlock(of: batch.columns[feature], rows: rows, as: Real.self) { read in
        switch read {
        case .float(let floats): for r in 0..<rows.count { row[r] = Double(floats[r]) }
        case .double(let doubles): for r in 0..<rows.count { row[r] = doubles[r] }
        }
      }
      for r in rows.count..<stride { row[r] = 0 }
    }
    target.update(repeating: 0, count: count * outputCount)
    // Whole fours: what is beyond the rows is computed and dropped.
    let padded = (rows.count + 3) & ~3
    for tree in trees {
      let quadrature = quadratures[tree.quadrature]
      let numbers = quadrature.numbers.base
      var call = ck_explain_tree(
        nodes: nodes.base + tree.firstNode, count: tree.count, t: numbers,
        one_minus_t: numbers + quadrature.order, weights: numbers + 2 * quadrature.order,
        order: quadrature.order, depth: tree.depth)
      ck_explain_add(
        &call, categories.base, cutsCategories ? 1 : 0, values, padded, stride, work,
        target + tree.output * count)
    }
    if scale != 1 { for index in 0..<(count * outputCount) { target[index] *= scale } }
  }
}

extension Forest {
  /// Whether contributions are defined: each leaf adds one number to one output.
  var isExplained: Bool {
    linearLeaves == nil && (outputCount == 1 || trees.allSatisfy { $0.output != .all })
  }
}
