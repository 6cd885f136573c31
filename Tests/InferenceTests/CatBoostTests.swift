import Inference
import TestRandom
import Testing

/// Models written by hand in CatBoost's JSON, and what becomes of them when they are damaged.
@Suite struct CatBoostTests {
  static let border = """
    {"border": 0.5, "float_feature_index": 0, "split_index": 0, "split_type": "FloatFeature"}
    """
  /// The category "red".
  static let category = """
    {"cat_feature_index": 0, "split_index": 1, "split_type": "OneHotFeature", "value": -1242798403}
    """

  static func oblivious(
    splits: String = "[\(border), \(category)]", values: String = "[1, 2, 4, 8]"
  ) -> String {
    "\"oblivious_trees\": [{\"leaf_values\": \(values), \"splits\": \(splits)}]"
  }

  static func model(
    trees: String = oblivious(), missing: String = "AsIs", bias: String = "[2, [0.5]]",
    information: String = "{}", ctrs: String = "", flat: Int = 1
  ) -> String {
    """
    {"features_info": {"categorical_features": [
       {"feature_id": "colour", "feature_index": 0, "flat_feature_index": \(flat), "values": []}],
       \(ctrs)
       "float_features": [{"borders": [0.5], "feature_id": "", "feature_index": 0,
         "flat_feature_index": 0, "has_nans": false, "nan_value_treatment": "\(missing)"}]},
     "model_info": \(information), \(trees), "scale_and_bias": \(bias)}
    """
  }

  static func load(_ text: String, labels: [String]? = nil) throws(ModelError) -> Model {
    try Model.load(Array(text.utf8), labels: labels)
  }

  static func predict(_ model: Model, _ values: Column.Values, _ words: [String]) throws
    -> Predictions
  {
    try model.predict(
      Batch(rowCount: words.count, columns: [Column(values), Column(.string(words))]),
      workspace: Workspace())
  }

  @Test func questionsAreBitsOfTheLeaf() throws {
    let model = try Self.load(Self.model())
    #expect(model.format == .catboost)
    #expect(
      model.signature.features == [
        Signature.Feature(name: "0", type: .float32, missing: .allowed),
        Signature.Feature(name: "colour", type: .string, missing: .refused),
      ])
    let values: [Float] = [0.5, (0.5 as Float).nextUp, 0, 1, .nan]
    let words = ["blue", "blue", "red", "red", "red"]
    let scores = try Self.predict(model, .float32(values), words).columns
    #expect(scores == [Column(.float64([2.5, 4.5, 8.5, 16.5, 8.5]))])
  }

  @Test func missingValuesAreHighWhereTheModelSaysSo() throws {
    let model = try Self.load(Self.model(missing: "AsTrue"))
    let scores = try Self.predict(model, .float32([.nan, 0]), ["blue", "blue"]).columns
    #expect(scores == [Column(.float64([4.5, 2.5]))])
  }

  /// CatBoost rounds to floats before it compares.
  @Test func doublesAreComparedAsFloats() throws {
    let model = try Self.load(Self.model())
    let above = Double((0.5 as Float).nextUp)
    let middle = (0.5 + above) / 2
    let values: [Double] = [(0.5).nextUp, middle, middle.nextUp, above]
    let scores = try Self.predict(
      model, .float64(values), Array(repeating: "x", count: 4)
    ).columns
    #expect(scores == [Column(.float64([2.5, 2.5, 4.5, 4.5]))])
  }

  @Test func categoriesAreTextOrIntegers() throws {
    let model = try Self.load(Self.model())
    let batch = Batch(
      rowCount: 2, columns: [Column(.float32([0, 0])), Column(.int64([3, 4]), nulls: [0b10])])
    let predictions = try model.predict(batch, workspace: Workspace())
    #expect(predictions.failures.map(\.row) == [1])
    #expect(predictions.failures[0].code == .missing)
    let numbers = Batch(rowCount: 1, columns: [Column(.float32([0])), Column(.float32([3]))])
    let error = #expect(throws: ModelError.self) {
      try model.predict(numbers, workspace: Workspace())
    }
    #expect(
      error?.message
        == "feature \"colour\" is neither text nor an integer, the model's categories are")
  }

  @Test func classesHaveTheirOwnNames() throws {
    let text = Self.model(
      information: """
        {"class_params": {"class_names": ["no", "yes"]},
         "params": "{\\"loss_function\\": {\\"type\\": \\"Logloss\\"}}"}
        """)
    let model = try Self.load(text)
    #expect(model.signature.outputs.map(\.name) == ["label", "probability"])
    #expect(model.signature.outputs[1].className == "yes")
    let columns = try Self.predict(model, .float32([1]), ["red"]).columns
    #expect(columns[0] == Column(.string(["yes"])))
    #expect(try Self.load(text, labels: ["a", "b"]).signature.outputs[1].className == "b")
  }

  @Test func treesOfOtherShapesAreRead() throws {
    let tree = """
      "trees": [{"split": \(Self.border), "left": {"value": 1},
        "right": {"split": \(Self.category), "left": {"value": 2}, "right": {"value": 4}}}]
      """
    let model = try Self.load(Self.model(trees: tree))
    let scores = try Self.predict(model, .float32([0, 1, 1]), ["red", "blue", "red"]).columns
    #expect(scores == [Column(.float64([2.5, 4.5, 8.5]))])
  }

  // MARK: Hostile files

  static let damaged: [(String, String)] = [
    (model(trees: oblivious(values: "[1, 2]")), "2 leaf values for 2 levels and 1 outputs"),
    (model(trees: oblivious(values: "[1, 2, NaN, 4]")), "the value of the leaf is not a number"),
    (
      model(trees: oblivious(splits: "[" + String(repeating: border + ",", count: 40) + "]")),
      "byte"
    ),
    (
      model(
        trees: oblivious(
          splits: "[" + Array(repeating: border, count: 40).joined(separator: ",") + "]")),
      "4 leaf values for 40 levels"
    ),
    (
      model(
        trees: oblivious(
          splits: "[\(border.replacing("index\": 0,", with: "index\": 3,"))]", values: "[1, 2]")),
      "tree 0, level 0: float feature 3 of 1"
    ),
    (
      model(
        trees: oblivious(
          splits: "[{\"split_type\": \"OnlineCtr\", \"border\": 1}]", values: "[1, 2]")),
      "tree 0, level 0: the split is by a statistic of categories (OnlineCtr)"
    ),
    (
      model(trees: oblivious(splits: "[{\"split_type\": \"FloatFeature\"}]", values: "[1, 2]")),
      "tree 0, level 0: the split has no feature or no border"
    ),
    (
      model(
        trees: oblivious(
          splits: "[\(category.replacing("-1242798403", with: "99999999999"))]",
          values: "[1, 2]")), "the split has no feature or no category"
    ),
    (model(trees: "\"trees\": [{\"split\": \(border)}]"), "tree 0, node 0: neither a value nor"),
    (
      model(trees: "\"trees\": [{\"value\": [1, 2]}]"), "1 biases for 2 values a leaf"
    ),
    (
      model(
        trees: "\"trees\": [" + String(repeating: "{\"left\":", count: 10_000) + "1"),
      "nested deeper than 64 levels"
    ),
    (model(bias: "[1, []]"), "no \"scale_and_bias\""),
    (model(bias: "[1, [1, 2]]"), "2 biases for 1 values a leaf"),
    (model(bias: "[NaN, [1]]"), "\"scale_and_bias\" is not finite"),
    (model(flat: 5), "the flat indices of 2 features"),
    (model(flat: 0), "the flat indices of 2 features"),
    (model(missing: "AsEver"), "nan_value_treatment \"AsEver\""),
    (
      model(ctrs: "\"text_features\": [{}],"), "text features are not supported"
    ),
    (model(information: "{\"params\": \"{\"}"), "the file ends"),
  ]

  @Test(arguments: damaged)
  func damageIsNamed(text: String, reason: String) {
    let error = #expect(throws: ModelError.self) {
      try Model.load(Array(text.utf8), format: .catboost)
    }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test func otherFormatsOfTheLibraryAreNamed() {
    let error = #expect(throws: ModelError.self) { try Model.load(Array("CBM1\u{1}".utf8)) }
    #expect(error?.message == "model is in CatBoost's binary format, which is not supported")
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Array(Self.model().utf8)
    for count in 1..<(bytes.count - 1) {
      #expect(throws: ModelError.self) {
        try Model.load(Array(bytes.prefix(count)), format: .catboost)
      }
    }
  }

  @Test func flippedBytesNeverTrap() throws {
    var random = SplitMix64(seed: 41)
    let original = Array(Self.model().utf8)
    for _ in 0..<4_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      guard let model = try? Model.load(bytes, format: .catboost),
        model.signature.features.map(\.type) == [.float32, .string]
      else { continue }
      _ = try Self.predict(model, .float32([0, .nan]), ["red", "x"])
    }
  }
}
