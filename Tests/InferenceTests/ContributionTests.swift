import CKernels
import Foundation
import Inference
import TestRandom
import Testing

/// Contributions against Shapley's own sum over all sets of features, on trees made at random.
@Suite struct ContributionTests {
  @Test("contributions are Shapley values of the path-dependent game", arguments: 0..<40)
  func shapleyValues(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let trees = (0..<3).map { _ in RandomTree(features: 6, leaves: 2 + seed, using: &random) }
    let bytes = Array(RandomTree.text(trees, features: 6).utf8)
    let model = try Model.load(bytes, options: ModelOptions(answer: .contribution))
    #expect(model.signature.outputs.map(\.name).first == "contribution_f0")
    #expect(model.signature.outputs.map(\.name).last == "base")
    let rows = RandomTree.rows(45, features: 6, using: &random)
    let answer = try model.predict(rows.batch, workspace: Workspace())
    let margins = try Model.load(bytes, options: ModelOptions(answer: .margin))
      .predict(rows.batch, workspace: Workspace())
    for (number, row) in rows.values.enumerated() {
      let got = answer.columns.map { $0.number(number)! }
      let want = RandomTree.shapley(trees, row)
      for (g, w) in zip(got, want) { #expect((g - w).magnitude < 1e-12, "row \(number)") }
      #expect((got.reduce(0, +) - margins.columns[0].number(number)!).magnitude < 1e-12)
    }
  }

  @Test("a row's contributions depend on no other row")
  func rowsAreIndependent() throws {
    var random = SplitMix64(seed: 7)
    let trees = (0..<5).map { _ in RandomTree(features: 6, leaves: 40, using: &random) }
    let model = try Model.load(
      Array(RandomTree.text(trees, features: 6).utf8), options: ModelOptions(answer: .contribution))
    let rows = RandomTree.rows(131, features: 6, using: &random)
    let workspace = Workspace()
    let whole = try model.predict(rows.batch, workspace: workspace)
    for row in 0..<131 {
      let single = Batch(
        rowCount: 1, columns: rows.batch.columns.map { $0.slice(row..<(row + 1)) })
      let answer = try model.predict(single, workspace: workspace)
      for (one, all) in zip(answer.columns, whole.columns) {
        #expect(one.exact(0) == all.exact(row))
      }
    }
  }

  /// Splits of every kind, one below the other, twice by the same feature.
  @Test("the kernel equals its scalar twin to the bit", arguments: [4, 8, 32])
  func twins(rows: Int) {
    var nodes: [ck_explain_node] = []
    func add(
      _ test: ck_explain_test, number: Double, depth: Int32, place: Int32, split: Int32,
      before: Int32 = 0, share: Double = 1, pathShare: Double = 1, shareBefore: Double = 1,
      isRight: Bool = false, missing: ck_explain_missing = CK_EXPLAIN_NAN
    ) {
      nodes.append(
        ck_explain_node(
          number: number, share: share, path_share: pathShare, share_before: shareBefore,
          depth: depth, place: place, before: before, split_place: split, set_start: 0,
          set_count: 2, test: UInt8(test.rawValue), missing: UInt8(missing.rawValue),
          missing_left: 1, is_right: isRight ? 1 : 0))
    }
    add(CK_EXPLAIN_AT_MOST, number: 0.1, depth: 0, place: -1, split: 0)
    add(
      CK_EXPLAIN_AMONG, number: 0, depth: 1, place: 0, split: 1, share: 0.3, pathShare: 0.3,
      missing: CK_EXPLAIN_NONE)
    add(
      CK_EXPLAIN_AT_MOST, number: -0.4, depth: 2, place: 1, split: 0, share: 0.6, pathShare: 0.6,
      missing: CK_EXPLAIN_ZERO)
    add(
      CK_EXPLAIN_LEAF, number: 1.7, depth: 3, place: 0, split: -1, before: 1, share: 0.2,
      pathShare: 0.06, shareBefore: 0.3)
    add(
      CK_EXPLAIN_LEAF, number: -0.9, depth: 3, place: 0, split: -1, before: 1, share: 0.8,
      pathShare: 0.24, shareBefore: 0.3, isRight: true)
    add(
      CK_EXPLAIN_LEAF, number: 0.3, depth: 2, place: 1, split: -1, share: 0.4, pathShare: 0.4,
      isRight: true)
    add(
      CK_EXPLAIN_LEAF, number: 3.1, depth: 1, place: 0, split: -1, share: 0.7, pathShare: 0.7,
      isRight: true)
    let rule: [Double] = [0.21132486540518708, 0.78867513459481292]
    let numbers = rule + rule.reversed() + [0.5, 0.5]
    var random = SplitMix64(seed: UInt64(rows))
    let values = (0..<(2 * rows)).map { index in
      index % 11 == 3 ? Double.nan : Double.random(in: -2...4, using: &random)
    }
    let categories: [Int32] = [0, 2]
    var results: [[UInt64]] = []
    for isScalar in [false, true] {
      var scratch = [UInt8](repeating: 0, count: ck_explain_scratch(3, 2, rows))
      var contributions = [Double](repeating: 0.25, count: 2 * rows)
      numbers.withUnsafeBufferPointer { numbers in
        nodes.withUnsafeBufferPointer { nodes in
          let first = numbers.baseAddress!
          var tree = ck_explain_tree(
            nodes: nodes.baseAddress, count: nodes.count, t: first, one_minus_t: first + 2,
            weights: first + 4, order: 2, depth: 3)
          scratch.withUnsafeMutableBytes { scratch in
            (isScalar ? ck_explain_add_scalar : ck_explain_add)(
              &tree, categories, 1, values, rows, rows, scratch.baseAddress, &contributions)
          }
        }
      }
      results.append(contributions.map(\.bitPattern))
    }
    #expect(results[0] == results[1])
    #expect(results[0].contains { $0 != 0.25.bitPattern })
  }
}

/// What comes of contributions beside predictions, and where there are none.
@Suite struct ReasonTests {
  private static func load(_ text: String, _ options: ModelOptions) throws -> Model {
    try Model.load(Array(text.utf8), options: options)
  }

  /// Two features, of which the first splits.
  static let text = LightGBMTests.model(tree: "is_linear=0\ninternal_count=3 2")

  @Test("the largest contributions come first, and none where none is left")
  func order() throws {
    let model = try Self.load(Self.text, ModelOptions(reasons: 3))
    #expect(
      model.signature.outputs.map(\.name) == [
        "score", "reason_1", "contribution_1", "reason_2", "contribution_2", "reason_3",
        "contribution_3",
      ])
    let all = try Self.load(Self.text, ModelOptions(answer: .contribution))
    let batch = Batch(
      rowCount: 3,
      columns: [Column(.float64([0, 1, 0])), Column(.float64([0, 1, 2]))])
    let answer = try model.predict(batch, workspace: Workspace())
    let contributions = try all.predict(batch, workspace: Workspace())
    #expect(answer.columns[0] == Column(.float64([10, 20, 30])))
    for row in 0..<3 {
      let known = zip(["age", "income"], contributions.columns)
        .map { ($0, $1.number(row)!) }.sorted { $0.1.magnitude > $1.1.magnitude }
        .filter { $0.1 != 0 }
      for rank in 0..<3 {
        let (name, value) = (answer.columns[1 + 2 * rank], answer.columns[2 + 2 * rank])
        #expect(name.isNull(row) == (rank >= known.count))
        #expect(value.isNull(row) == (rank >= known.count))
        guard rank < known.count else { continue }
        #expect(name.exact(row) == known[rank].0)
        #expect(value.number(row) == known[rank].1)
      }
    }
  }

  @Test("a file without counts, and linear leaves, are refused with the reason")
  func refused() throws {
    let bare = LightGBMTests.model()
    #expect(throws: ModelError.self) { try Self.load(bare, ModelOptions(reasons: 1)) }
    do {
      _ = try Self.load(bare, ModelOptions(reasons: 1))
    } catch let error as ModelError {
      #expect(error.code == .unsupported)
      #expect(
        error.message
          == "tree 0 lacks \"internal_count\" (line 13), without which the model cannot be explained"
      )
    }
    let plain = try Self.load(bare, ModelOptions())
    #expect(plain.givesReasons)
  }

  @Test("counts that are no weights are refused", arguments: ["-1 2", "nan 2", "1e999 2", "3"])
  func hostileCounts(counts: String) {
    let text = LightGBMTests.model(tree: "is_linear=0\ninternal_count=\(counts)")
    #expect(throws: ModelError.self) { try Self.load(text, ModelOptions(reasons: 1)) }
  }

  @Test("the count of reasons is bounded", arguments: [-1, 21])
  func bounds(count: Int) {
    #expect(throws: ModelError.self) { try Self.load(Self.text, ModelOptions(reasons: count)) }
  }
}

/// A tree of LightGBM's, with its own slow evaluation.
private struct RandomTree {
  indirect enum Node {
    case split(feature: Int, threshold: Double, left: Node, right: Node, count: Int)
    case leaf(value: Double, count: Int)

    var count: Int {
      switch self {
      case .split(_, _, _, _, let count), .leaf(_, let count): count
      }
    }
  }

  let root: Node

  init(features: Int, leaves: Int, using random: inout SplitMix64) {
    root = Self.grow(features: features, leaves: max(leaves, 2), using: &random)
  }

  private static func grow(features: Int, leaves: Int, using random: inout SplitMix64) -> Node {
    guard leaves > 1 else {
      return .leaf(
        value: Double.random(in: -1...1, using: &random),
        count: Int.random(in: 1...50, using: &random))
    }
    let leftLeaves = Int.random(in: 1..<leaves, using: &random)
    let left = grow(features: features, leaves: leftLeaves, using: &random)
    let right = grow(features: features, leaves: leaves - leftLeaves, using: &random)
    return .split(
      feature: Int.random(in: 0..<features, using: &random),
      threshold: Double.random(in: -1...1, using: &random), left: left, right: right,
      count: left.count + right.count)
  }

  /// Rows with values on both sides of thresholds, some missing, which goes left here.
  static func rows(
    _ count: Int, features: Int, using random: inout SplitMix64
  ) -> (values: [[Double]], batch: Batch) {
    let values = (0..<count).map { _ in
      (0..<features).map { _ in
        random.unit() < 0.1 ? Double.nan : Double.random(in: -1.5...1.5, using: &random)
      }
    }
    let columns = (0..<features).map { feature in
      Column(.float64(values.map { $0[feature] }))
    }
    return (values, Batch(rowCount: count, columns: columns))
  }

  /// The value expected where the features of a set are known.
  private static func expected(_ node: Node, _ row: [Double], known: Int) -> Double {
    switch node {
    case .leaf(let value, _): return value
    case .split(let feature, let threshold, let left, let right, let count):
      if known & (1 << feature) != 0 {
        let goesLeft = row[feature].isNaN || row[feature] <= threshold
        return expected(goesLeft ? left : right, row, known: known)
      }
      return
        (expected(left, row, known: known) * Double(left.count)
        + expected(right, row, known: known) * Double(right.count)) / Double(count)
    }
  }

  /// Shapley's sum, feature by feature, and the value of the empty set.
  static func shapley(_ trees: [RandomTree], _ row: [Double]) -> [Double] {
    let count = row.count
    let values = (0..<(1 << count)).map { known in
      trees.reduce(0) { $0 + expected($1.root, row, known: known) }
    }
    func factorial(_ n: Int) -> Double { n < 2 ? 1 : Double(n) * factorial(n - 1) }
    let contributions = (0..<count).map { feature in
      (0..<(1 << count)).reduce(0.0) { sum, known in
        guard known & (1 << feature) == 0 else { return sum }
        let size = known.nonzeroBitCount
        let weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        return sum + weight * (values[known | (1 << feature)] - values[known])
      }
    }
    return contributions + [values[0]]
  }

  /// LightGBM's text.
  static func text(_ trees: [RandomTree], features: Int) -> String {
    let header = """
      tree
      version=v4
      num_class=1
      num_tree_per_iteration=1
      label_index=0
      max_feature_idx=\(features - 1)
      objective=regression
      feature_names=\((0..<features).map { "f\($0)" }.joined(separator: " "))

      """
    let sections = trees.enumerated().map { "\nTree=\($0)\n\($1.section)\n" }
    return header + sections.joined() + "\nend of trees\n"
  }

  private var section: String {
    var splits: [(feature: Int, threshold: Double, left: Int, right: Int, count: Int)] = []
    var leaves: [(value: Double, count: Int)] = []
    func number(_ node: Node) -> Int {
      switch node {
      case .leaf(let value, let count):
        leaves.append((value, count))
        return -leaves.count
      case .split(let feature, let threshold, let left, let right, let count):
        let place = splits.count
        splits.append((feature, threshold, 0, 0, count))
        splits[place].left = number(left)
        splits[place].right = number(right)
        return place
      }
    }
    _ = number(root)
    func list<Value>(_ values: [Value]) -> String {
      values.map { "\($0)" }.joined(separator: " ")
    }
    return """
      num_leaves=\(leaves.count)
      num_cat=0
      split_feature=\(list(splits.map(\.feature)))
      threshold=\(list(splits.map(\.threshold)))
      decision_type=\(list(splits.map { _ in 10 }))
      left_child=\(list(splits.map(\.left)))
      right_child=\(list(splits.map(\.right)))
      leaf_value=\(list(leaves.map(\.value)))
      leaf_count=\(list(leaves.map(\.count)))
      internal_count=\(list(splits.map(\.count)))
      shrinkage=1
      """
  }
}
