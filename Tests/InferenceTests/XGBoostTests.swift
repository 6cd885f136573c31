import Foundation
import Inference
import TestRandom
import Testing

/// Models written by hand in XGBoost's JSON, and what becomes of them when they are damaged.
@Suite struct XGBoostTests {
  static func tree(
    left: String = "[1, -1, -1]", right: String = "[2, -1, -1]",
    conditions: String = "[5E-1, 1.25E0, -2.5E-1]", features: String = "[1, 0, 0]",
    defaultLeft: String = "[1, 0, 0]", types: String = "[0, 0, 0]", vector: String = "1"
  ) -> String {
    """
    {"base_weights": [0, NaN, -Infinity], "categories": [], "default_left": \(defaultLeft),
     "id": 0, "left_children": \(left), "loss_changes": [1, 0, 0], "parents": [2147483647, 0, 0],
     "right_children": \(right), "split_conditions": \(conditions), "split_indices": \(features),
     "split_type": \(types), "sum_hessian": [2, 1, 1],
     "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3",
                    "size_leaf_vector": "\(vector)"}}
    """
  }

  static func model(
    trees: [String] = [tree()], info: String = "[0]", objective: String = "reg:squarederror",
    base: String = "[5E-1]", classes: Int = 0, names: String = "[\"f\\u00e9e\", \"b\"]",
    booster: String = "gbtree", version: String = "[3, 2, 0]"
  ) -> String {
    """
    {"learner": {"attributes": {"note": "a \\"quoted\\" \\\\ word"}, "feature_names": \(names),
      "feature_types": ["float", "float"],
      "gradient_booster": {"model": {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "\(trees.count)"},
        "tree_info": \(info), "trees": [\(trees.joined(separator: ","))]}, "name": "\(booster)"},
      "learner_model_param": {"base_score": "\(base)", "boost_from_average": "1",
        "num_class": "\(classes)", "num_feature": "2", "num_target": "1"},
      "objective": {"name": "\(objective)"}}, "version": \(version)}

    """
  }

  static func load(_ text: String, labels: [String]? = nil) throws(ModelError) -> Model {
    try Model.load(Array(text.utf8), labels: labels)
  }

  static func predict(_ model: Model, _ a: Column.Values, _ b: Column.Values) throws -> Predictions
  {
    let a = Column(a)
    return try model.predict(
      Batch(rowCount: a.count, columns: [a, Column(b)]), workspace: Workspace())
  }

  /// The tree asks whether feature 1 is below 0.5; missing goes left.
  @Test func valuesAtTheThresholdGoRight() throws {
    let model = try Self.load(Self.model())
    let values: [Float] = [0.5, (0.5 as Float).nextDown, -3, .nan]
    let scores = try Self.predict(model, .float32([0, 0, 0, 0]), .float32(values)).columns
    #expect(scores == [Column(.float32([0.25, 1.75, 1.75, 1.75]))])
  }

  @Test(arguments: ["5E-1", "[5E-1]", "0.5", "5.0e-01"])
  func theBaseScoreIsReadInEachForm(base: String) throws {
    let model = try Self.load(Self.model(base: base))
    let scores = try Self.predict(model, .int16([0]), .int16([1])).columns
    #expect(scores == [Column(.float32([0.25]))])
  }

  @Test func infiniteValuesAreFailuresOfTheirRows() throws {
    let model = try Self.load(Self.model())
    let predictions = try Self.predict(
      model, .float64([.infinity, 0, 0, 0]), .float64([0, -.infinity, 1e300, 1]))
    // Feature 0 is read by no tree, so what it holds decides nothing.
    #expect(predictions.failures.map(\.row) == [1, 2])
    #expect(predictions.failures.allSatisfy { $0.code == .notFinite })
    #expect(predictions.failures[0].reason == "feature \"b\" is infinite or too large")
    guard case .float32(let scores) = predictions.columns[0].values else { return }
    #expect([scores[0], scores[3]] == [1.75, 0.25])
  }

  @Test func namesAreUnescapedAndFilledIn() throws {
    #expect(try Self.load(Self.model()).signature.features.map(\.name) == ["fée", "b"])
    #expect(
      try Self.load(Self.model(names: "[]")).signature.features.map(\.name) == ["f0", "f1"])
  }

  @Test func classesHaveLabelsAndProbabilities() throws {
    let text = Self.model(
      trees: [Self.tree(), Self.tree(), Self.tree(conditions: "[5E-1, 3, 9]")],
      info: "[0, 1, 2]", objective: "multi:softprob", classes: 3)
    let model = try Self.load(text, labels: ["Red", "light green", "light-green"])
    #expect(
      model.signature.outputs.map(\.name) == [
        "label", "probability_red", "probability_light_green", "probability_light_green_2",
      ])
    let predictions = try Self.predict(model, .int32([0]), .int32([0]))
    #expect(predictions.columns[0] == Column(.string(["light-green"])))
  }

  @Test func dartWeighsItsTrees() throws {
    let inner = Self.model(trees: [Self.tree(), Self.tree()], info: "[0, 0]")
    let dart =
      inner
      .replacingOccurrence(of: "{\"model\":", with: "{\"gbtree\": {\"model\":")
      .replacingOccurrence(
        of: "\"name\": \"gbtree\"}",
        with: "\"name\": \"gbtree\"}, \"name\": \"dart\", \"weight_drop\": [5E-1, 2E0]}")
    let scores = try Self.predict(try Self.load(dart), .int64([0]), .int64([0])).columns
    #expect(scores == [Column(.float32([0.5 + 0.625 + 2.5]))])
  }

  @Test func aLinearBoosterSkipsWhatIsMissing() throws {
    let text = Self.linear(weights: "[2, -1, 0.25]")
    let model = try Self.load(text)
    let scores = try Self.predict(
      model, .float32([1, .nan, 0, .infinity]), .float32([4, 4, .nan, 0]))
    #expect(scores.failures.map(\.row) == [3])
    guard case .float32(let values) = scores.columns[0].values else { return }
    let wanted: [Float] = [-1.25, -3.25, 0.75]
    #expect(Array(values[..<3]) == wanted)
    for answer in [ModelOptions(answer: .leaf), ModelOptions(iterations: 0..<1)] {
      #expect(throws: ModelError.self) { try Model.load(Array(text.utf8), options: answer) }
    }
  }

  static func linear(weights: String) -> String {
    model(trees: [], info: "[]", booster: "gblinear")
      .replacingOccurrence(of: "{\"model\": {", with: "{\"model\": {\"weights\": \(weights),")
  }

  /// Three outputs; the leaves' vectors are numbered by their right children, or before
  /// XGBoost 3.1 by their nodes.
  @Test(arguments: [
    ("\"leaf_weights\": [1, 2, 3, 4, 5, 6]", "[2, 0, 1]"),
    ("\"base_weights\": [0, 0, 0, 1, 2, 3, 4, 5, 6]", "[2, -1, -1]"),
  ])
  func vectorsAtLeavesAddToEveryOutput(weights: String, right: String) throws {
    let tree = Self.tree(right: right, vector: "3").replacingOccurrence(
      of: "\"base_weights\": [0, NaN, -Infinity]", with: weights)
    let text = Self.model(trees: [tree], base: "[1,2,3]")
      .replacingOccurrence(of: "\"num_target\": \"1\"", with: "\"num_target\": \"3\"")
    let model = try Self.load(text)
    #expect(model.signature.outputs.map(\.name) == ["score_0", "score_1", "score_2"])
    let columns = try Self.predict(model, .float32([0, 0]), .float32([0, 1])).columns
    #expect(
      columns == [
        Column(.float32([2, 5])), Column(.float32([4, 7])), Column(.float32([6, 9])),
      ])
  }

  /// A base score is written as an output; sums start from its margin.
  @Test(arguments: [
    ("binary:logistic", "5E-1", [3, 2, 0], Float(0)),
    ("binary:logistic", "1", [3, 2, 0], 13.74516),
    ("count:poisson", "2", [3, 2, 0], logf(2)), ("survival:cox", "1", [3, 2, 0], 0),
    ("survival:aft", "2", [3, 2, 0], logf(2)), ("binary:logitraw", "5E-1", [3, 2, 0], 0.5),
    ("binary:logitraw", "5E-1", [1, 3, 0], 0), ("reg:expectileerror", "2", [3, 3, 0], 2),
  ])
  func baseScoresBecomeMargins(
    objective: String, base: String, version: [Int], margin: Float
  ) throws {
    let text = Self.model(
      trees: [], info: "[]", objective: objective, base: base, version: "\(version)")
    let model = try Model.load(Array(text.utf8), options: ModelOptions(answer: .margin))
    #expect(model.signature.outputs[0].name == "margin")
    let columns = try Self.predict(model, .float32([0]), .float32([0])).columns
    #expect(columns == [Column(.float32([margin]))])
  }

  /// The second is a softplus above the first; base scores that do not ascend are moved apart.
  @Test func expectilesAscend() throws {
    let text = Self.model(
      trees: [], info: "[]", objective: "reg:expectileerror", base: "[1,1.5]"
    ).replacingOccurrence(of: "\"num_target\": \"1\"", with: "\"num_target\": \"2\"")
    let columns = try Self.predict(try Self.load(text), .float32([0]), .float32([0])).columns
    guard case .float32(let first) = columns[0].values,
      case .float32(let second) = columns[1].values
    else { return }
    #expect(first == [1])
    #expect(abs(second[0] - 1.5) < 1e-6)
  }

  // MARK: Hostile files

  static let damaged: [(String, String)] = [
    (model(trees: [tree(left: "[1, -1]")]), "3 entries of \"right_children\" for 2 nodes"),
    (model(trees: [tree(left: "[0, -1, -1]")]), "leads to node 0, which has a parent already"),
    (model(trees: [tree(left: "[2, -1, -1]")]), "leads to node 2, which has a parent already"),
    (model(trees: [tree(left: "[7, -1, -1]")]), "tree 0, node 0: leads to node 7 of 3"),
    (model(trees: [tree(left: "[-2, -1, -1]")]), "tree 0, node 0: leads to node -2 of 3"),
    (model(trees: [tree(features: "[2, 0, 0]")]), "tree 0, node 0: feature 2 of 2"),
    (model(trees: [tree(conditions: "[NaN, 1, 1]")]), "tree 0, node 0: the threshold is not"),
    (model(trees: [tree(conditions: "[1e, 1, 1]")]), "\"1e\" is not a number (byte"),
    (model(trees: [tree(left: "[1.5, -1, -1]")]), "\"1.5\" is not a integer (byte"),
    (model(trees: [tree(types: "[1, 0, 0]")]), "tree 0, node 0: a categorical split without"),
    (model(trees: [tree(vector: "3")]), "tree 0: 3 weights for 3 nodes of 3"),
    (model(info: "[0, 0]"), "2 entries of \"tree_info\" for 1 trees"),
    (model(info: "[4]"), "tree 0: output 4 of 1"),
    (model(objective: "reg:quantum"), "objective \"reg:quantum\" is not supported"),
    (model(objective: "binary:logistic", base: "2"), "out of range"),
    (model(objective: "count:poisson", base: "0"), "out of range"),
    (model(base: "x"), "base_score \"x\" is not a number"),
    (model(base: "[1,2]"), "2 base scores for 1 outputs"),
    (model(booster: "gblinear"), "0 weights for 2 features and 1 outputs"),
    (linear(weights: "[1, 2, 3, 4]"), "4 weights for 2 features and 1 outputs"),
    (linear(weights: "[1, NaN, 3]"), "a weight is not finite"),
    (
      model(trees: [tree(right: "[2, 0, 0]", vector: "3")], base: "[1,2,3]")
        .replacingOccurrence(of: "\"num_target\": \"1\"", with: "\"num_target\": \"3\""),
      "tree 0: 3 weights for 3 nodes of 3"
    ),
    (model(version: "[9, 0, 0]"), "version 9.0.0 of XGBoost's format is not supported"),
    (model(names: "[\"a\"]"), "1 feature names for 2 features"),
    (model(classes: 99_999_999), "99999999 outputs"),
    (model() + "x", "more bytes after the end of the document"),
    (model(names: "[\"f\\u12\", \"b\"]"), "an escape is cut short"),
    (
      model().replacingOccurrence(
        of: "\"attributes\": {",
        with: "\"attributes\": {\"deep\": \(String(repeating: "[", count: 100_000)),"),
      "nested deeper than 64 levels"
    ),
    ("{}", "has a member \"learner\""),
    ("{\"learner\": {}}", "the learner lacks"),
  ]

  @Test(arguments: damaged)
  func damageIsNamed(text: String, reason: String) {
    let error = #expect(throws: ModelError.self) { try Self.load(text) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Array(Self.model().utf8)
    for count in 1..<(bytes.count - 2) {
      let error = #expect(throws: ModelError.self) {
        try Model.load(Array(bytes.prefix(count)), format: .xgboost)
      }
      // A number or a word that is cut is another one; all else is known to be short.
      #expect(error?.code == .truncated || error?.code == .malformed)
    }
  }

  @Test func flippedBytesNeverTrap() throws {
    var random = SplitMix64(seed: 21)
    let original = Array(Self.model().utf8)
    for _ in 0..<4_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      guard let model = try? Model.load(bytes, format: .xgboost),
        model.signature.features.count == 2
      else { continue }
      _ = try Self.predict(model, .float32([0, .nan]), .float32([.infinity, 2]))
    }
  }
}
