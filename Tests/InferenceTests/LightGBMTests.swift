import Inference
import TestRandom
import Testing

/// Models written by hand in LightGBM's text, and what becomes of them when they are damaged.
@Suite struct LightGBMTests {
  /// One tree of three leaves over two features.
  ///
  /// - Parameter decision: of both splits; 2 is default left, 4 and 8 are the missing types zero
  ///   and NaN.
  static func model(
    objective: String = "regression", decision: Int = 2, thresholds: String = "0.5 1.5",
    children: (left: String, right: String) = ("1 -1", "-2 -3"),
    header: String = "", tree: String = ""
  ) -> String {
    """
    tree
    version=v4
    num_class=1
    num_tree_per_iteration=1
    label_index=0
    max_feature_idx=1
    \(objective.isEmpty ? "custom=1" : "objective=\(objective)")
    feature_names=age income
    feature_infos=[0:1] [0:9]
    tree_sizes=300
    \(header.isEmpty ? "monotone=0" : header)

    Tree=0
    num_leaves=3
    num_cat=0
    split_feature=0 1
    split_gain=1 1
    threshold=\(thresholds)
    decision_type=\(decision) \(decision)
    left_child=\(children.left)
    right_child=\(children.right)
    leaf_value=10 20 30
    leaf_weight=1 1 1
    leaf_count=1 1 1
    \(tree.isEmpty ? "is_linear=0" : tree)
    shrinkage=1


    end of trees

    feature_importances:
    age=1

    parameters:
    [boosting: gbdt]
    end of parameters

    """
  }

  static func load(_ text: String, labels: [String]? = nil) throws(ModelError) -> Model {
    try Model.load(Array(text.utf8), labels: labels)
  }

  /// The first floating-point output of rows of (age, income).
  static func scores(_ text: String, _ rows: [(Double, Double)]) throws -> [Double] {
    let model = try load(text)
    let batch = Batch(
      rowCount: rows.count,
      columns: [Column(.float64(rows.map(\.0))), Column(.float64(rows.map(\.1)))])
    for column in try model.predict(batch, workspace: Workspace()).columns {
      if case .float64(let values) = column.values { return values }
    }
    return []
  }

  /// Leaf values: 10 where age <= 0.5 and income <= 1.5, 30 where only the first holds, else 20.
  @Test func valuesAtTheThresholdGoLeft() throws {
    let rows = [(0.5, 1.5), (0.5.nextUp, 1.5), (0.5, 1.5.nextUp), (-.infinity, .infinity)]
    #expect(try Self.scores(Self.model(), rows) == [10, 20, 30, 30])
  }

  /// Decision types: bit 1 default left, bits 2 and 3 none, zero or NaN.
  @Test(arguments: [
    // Missing type none: NaN is zero, so both splits go left.
    (2, [10.0, 10, 10]), (0, [10, 10, 10]),
    // Zero: NaN and zero take the default side; 1e-36 is zero, 1e-34 is not.
    (4, [20, 20, 10]), (6, [10, 10, 10]),
    // NaN: only NaN does.
    (8, [20, 10, 10]), (10, [10, 10, 10]),
  ])
  func missingValuesFollowTheDecisionType(decision: Int, wanted: [Double]) throws {
    let rows = [(Double.nan, 1.0), (1e-36, 1.0), (1e-34, 1.0)]
    #expect(try Self.scores(Self.model(decision: decision), rows) == wanted)
  }

  @Test func nullsAreMissingInColumnsOfAnyType() throws {
    let model = try Self.load(Self.model(decision: 8))
    let nulls: [UInt64] = [0b10]
    let columns: [Column.Values] = [
      .int16([0, 0, 3]), .int32([0, 0, 3]), .int64([0, 0, 3]), .float32([0, 0, 3]),
      .float64([0, 0, 3]), .bool([false, false, true]),
    ]
    for values in columns {
      let batch = Batch(
        rowCount: 3, columns: [Column(values, nulls: nulls), Column(.float32([1, 1, 1]))])
      let scores = try model.predict(batch, workspace: Workspace()).columns[0]
      #expect(scores == Column(.float64([10, 20, 20])))
    }
    let text = Batch(
      rowCount: 1, columns: [Column(.string(["x"])), Column(.float64([1]))])
    let error = #expect(throws: ModelError.self) {
      try model.predict(text, workspace: Workspace())
    }
    #expect(error?.message == "feature \"age\" is text, the model wants numbers")
  }

  @Test func categoriesGoLeftByTheirBitSet() throws {
    // Bits 0 and 33: categories 0 and 33. Numbers are cut to integers; NaN and negatives go right.
    let text = Self.model(
      decision: 1, thresholds: "0 1",
      tree: "cat_boundaries=0 2 3\ncat_threshold=1 2 4294967295"
    ).replacingOccurrence(of: "num_cat=0", with: "num_cat=2")
    let ages: [Double] = [0, 0.9, -0.5, 33, 33.9, 1, 32, 34, -1, .nan, 1e12]
    let scores = try Self.scores(text, ages.map { ($0, 5) })
    #expect(scores == [10, 10, 10, 10, 10, 20, 20, 20, 20, 20, 20])
  }

  /// Leaf 0 is 1 + age / 2, leaf 1 is 2, leaf 2 is 3 + 2 income - age.
  @Test func linearLeavesFallBackToTheirValues() throws {
    let text = Self.model(
      tree: """
        is_linear=1
        leaf_const=1 2 3
        num_features=1 0 2
        leaf_features=0  1 0\u{20}
        leaf_coeff=0.5  2 -1\u{20}
        """)
    let rows = [(0.25, 1.0), (1, 1), (0.25, 2), (.nan, 1), (1e-36, 1), (.nan, 2), (1, .nan)]
    #expect(try Self.scores(text, rows) == [1.125, 2, 6.75, 10, 1, 30, 2])
  }

  @Test func numbersWithin1em35OfZeroCompareAsZero() throws {
    let bound = Double(1e-35 as Float)
    // A threshold among them stands for all of them or none.
    for (threshold, wanted) in [("1e-36", [10.0, 10, 10, 20]), ("-1e-36", [10, 20, 20, 20])] {
      let text = Self.model(thresholds: "\(threshold) 1.5")
      let rows = [(-bound.nextUp, 1.0), (-bound, 1), (bound, 1), (bound.nextUp, 1)]
      #expect(try Self.scores(text, rows) == wanted)
    }
  }

  @Test(arguments: [
    (ModelOptions(answer: .margin), ["margin"], [Column(.float64([10, 20]))]),
    (ModelOptions(answer: .leaf), ["leaf_0"], [Column(.int64([0, 1]))]),
    (ModelOptions(iterations: 0..<0), ["score"], [Column(.float64([1, 1]))]),
  ])
  func marginsLeavesAndIterationsAreAskedFor(
    options: ModelOptions, names: [String], wanted: [Column]
  ) throws {
    let model = try Model.load(Array(Self.model(objective: "poisson").utf8), options: options)
    #expect(model.signature.outputs.map(\.name) == names)
    let batch = Batch(rowCount: 2, columns: [Column(.int64([0, 1])), Column(.int64([0, 0]))])
    #expect(try model.predict(batch, workspace: Workspace()).columns == wanted)
  }

  @Test func labelsNameTheClasses() throws {
    let model = try Self.load(Self.model(objective: "binary sigmoid:1"), labels: ["stay", "go"])
    #expect(model.signature.outputs.map(\.name) == ["label", "probability"])
    #expect(model.signature.outputs.map(\.className) == [nil, "go"])
    let batch = Batch(rowCount: 1, columns: [Column(.int64([0])), Column(.int64([0]))])
    let predictions = try model.predict(batch, workspace: Workspace())
    #expect(predictions.columns[0] == Column(.string(["go"])))
    let error = #expect(throws: ModelError.self) {
      try Self.load(Self.model(objective: "binary sigmoid:1"), labels: ["one"])
    }
    #expect(error?.message == "1 labels for 2 classes")
  }

  @Test func theSignatureNamesFeaturesAndScores() throws {
    let model = try Self.load(Self.model())
    #expect(model.format == .lightgbm)
    #expect(model.byteCount > 0)
    #expect(model.signature.features.map(\.name) == ["age", "income"])
    #expect(model.signature.features.allSatisfy { $0.missing == .allowed && $0.type == .float64 })
    #expect(
      model.signature.outputs == [
        Signature.Output(name: "score", type: .float64, role: .score)
      ])
  }

  // MARK: Hostile files

  static let damaged: [(String, String)] = [
    (model(thresholds: "0.5 1.2e"), "tree 0, node 1: threshold \"1.2e\" is not a number (line 18)"),
    (model(thresholds: "0.5 0x1p3"), "node 1: threshold \"0x1p3\" is not a number"),
    (model(thresholds: "0.5"), "1 entries of \"threshold\" for 2 splits (line 18)"),
    (model(thresholds: "0.5 nan"), "node 1: the threshold is not a number"),
    (model(children: ("0 -1", "-2 -3")), "node 0: leads to node 0, which has a parent already"),
    (model(children: ("1 -1", "-1 -3")), "which has a parent already"),
    (model(children: ("1 0", "-2 -3")), "node 1: leads to node 0, which has a parent already"),
    (model(children: ("2 -1", "-2 -3")), "node 0: leads to node 2 of 2 (line 20)"),
    (model(children: ("1 -9", "-2 -3")), "node 1: leads to leaf 8 of 3 (line 20)"),
    (model(children: ("1 -1", "-2 99999999999999999999")), "is not an integer"),
    (model(decision: 14), "decision type 14 is not known"),
    (model(decision: 1), "category set 0.5 of 0"),
    (model(objective: "quantum"), "objective \"quantum\" is not supported (line 7)"),
    (model(objective: "binary sigmoid:-1"), "\"sigmoid:-1\" is not a positive number"),
    (model(tree: "is_linear=1"), "tree 0 lacks \"leaf_const\" (line 13)"),
    (
      model(
        tree: "is_linear=1\nleaf_const=1 2 3\nnum_features=1 0 9\nleaf_features=0\nleaf_coeff=1"),
      "tree 0, leaf 2: 9 features of 0 left"
    ),
    (
      model(
        tree: "is_linear=1\nleaf_const=1 2 3\nnum_features=1 0 -1\nleaf_features=0\nleaf_coeff=1"),
      "tree 0, leaf 2: -1 features of 0 left"
    ),
    (
      model(
        tree: "is_linear=1\nleaf_const=1 2 3\nnum_features=1 0 0\nleaf_features=7\nleaf_coeff=1"),
      "tree 0, leaf 0: feature 7 of 2"
    ),
    (
      model(
        tree: "is_linear=1\nleaf_const=1 2 nan\nnum_features=0 0 0\nleaf_features=\nleaf_coeff="),
      "tree 0, leaf 2: a coefficient is not finite"
    ),
    (model(header: "num_class=2"), "\"num_class\" stands twice (line 11)"),
    (
      model().replacingOccurrence(of: "version=v4", with: "version=v9"),
      "version \"v9\" of LightGBM's text is not supported (line 2)"
    ),
    (
      model().replacingOccurrence(of: "num_leaves=3", with: "num_leaves=1000000000"),
      "3 values for 1000000000 leaves"
    ),
    (
      model().replacingOccurrence(of: "max_feature_idx=1", with: "max_feature_idx=99999999"),
      "max_feature_idx is 99999999"
    ),
    (
      model().replacingOccurrence(of: "feature_names=age income", with: "feature_names=age"),
      "1 feature names for 2 features (line 8)"
    ),
    (
      model().replacingOccurrence(of: "tree_sizes=300", with: "tree_sizes=300 300"),
      "1 trees where \"tree_sizes\" lists 2"
    ),
    (
      model().replacingOccurrence(of: "leaf_value=10 20 30", with: "leaf_value=10 inf 30"),
      "tree 0, leaf 1: the value is not finite"
    ),
    (
      model().replacingOccurrence(of: "split_feature=0 1", with: "split_feature=0 7"),
      "node 1: feature 7 of 2"
    ),
  ]

  @Test(arguments: damaged)
  func damageIsNamedWithTreeNodeAndLine(text: String, reason: String) {
    let error = #expect(throws: ModelError.self) { try Self.load(text) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = Array(Self.model().utf8)
    let end = Self.model().utf8Offset(of: "end of trees")
    for count in 0..<(end + "end of trees".count) {
      #expect(throws: ModelError.self) {
        try Model.load(Array(bytes.prefix(count)), format: .lightgbm)
      }
    }
    #expect(throws: Never.self) { try Model.load(Array(bytes.prefix(end + 12))) }
  }

  /// Whatever a flipped byte makes of a model, it is refused or it scores; it never traps.
  @Test func flippedBytesNeverTrap() throws {
    var random = SplitMix64(seed: 7)
    let original = Array(Self.model(decision: 10).utf8)
    let batch = Batch(
      rowCount: 2, columns: [Column(.float64([0, 1])), Column(.float64([.nan, 2]))])
    for _ in 0..<4_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      guard let model = try? Model.load(bytes, format: .lightgbm),
        model.signature.features.count == 2
      else { continue }
      _ = try model.predict(batch, workspace: Workspace())
    }
  }
}

extension String {
  /// The offset in bytes of the first occurrence.
  func utf8Offset(of part: String) -> Int {
    let bytes = Array(utf8)
    let wanted = Array(part.utf8)
    return (0...(bytes.count - wanted.count)).first {
      bytes[$0..<($0 + wanted.count)].elementsEqual(wanted)
    }!
  }

  /// With the first occurrence of `part`, which must be there, replaced.
  func replacingOccurrence(of part: String, with other: String) -> String {
    let start = utf8Offset(of: part)
    let bytes = Array(utf8)
    return String(
      decoding: bytes[..<start] + Array(other.utf8) + bytes[(start + part.utf8.count)...],
      as: UTF8.self)
  }
}
