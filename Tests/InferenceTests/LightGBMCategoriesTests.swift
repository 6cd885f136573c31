import Inference
import Testing

/// The categories of a data frame in LightGBM's text: which features they are of, and what a value
/// that training had not becomes.
@Suite struct LightGBMCategoriesTests {
  /// One tree, whose left leaf (1) has category 1 of its first feature, the right one (2) the rest.
  ///
  /// - Parameters:
  ///   - infos: what training saw of each feature.
  ///   - declared: numbers of the categorical features; nil where the file has no parameters.
  static func model(infos: String, declared: String?, lists: String) -> [UInt8] {
    let count = infos.split(separator: " ").count
    return Array(
      """
      tree
      version=v4
      num_class=1
      num_tree_per_iteration=1
      label_index=0
      max_feature_idx=\(count - 1)
      objective=regression
      feature_names=\((0..<count).map { "f\($0)" }.joined(separator: " "))
      feature_infos=\(infos)

      Tree=0
      num_leaves=2
      num_cat=1
      split_feature=0
      threshold=0
      decision_type=1
      left_child=-1
      right_child=-2
      leaf_value=1 2
      cat_boundaries=0 1
      cat_threshold=2


      end of trees

      parameters:
      \(declared.map { "[categorical_feature: \($0)]" } ?? "[boosting: gbdt]")
      end of parameters

      pandas_categorical:\(lists)

      """.utf8)
  }

  static func types(_ bytes: [UInt8]) throws(ModelError) -> [ElementType] {
    try Model.load(bytes).signature.features.map(\.type)
  }

  static func scores(_ bytes: [UInt8], _ columns: [Column]) throws -> [Double] {
    let found = try Model.load(bytes).predict(
      Batch(rowCount: columns[0].count, columns: columns), workspace: Workspace())
    #expect(found.failures.isEmpty)
    guard case .float64(let scores) = found.columns[0].values else { return [] }
    return scores
  }

  @Test func valuesAreTheirPlacesAndOthersAreMissing() throws {
    let words = Self.model(infos: "0:1:2", declared: "0", lists: #"[["a", "b\u00e9", ""]]"#)
    #expect(
      try Self.scores(
        words, [Column(.string(["a", "bé", "", "B", "bé"]), nulls: [0b10000])]) == [2, 1, 2, 2, 2])
    let numbers = Self.model(infos: "0:1:2", declared: "0", lists: "[[5, -3, 9007199254740993]]")
    #expect(
      try Self.scores(numbers, [Column(.int64([5, -3, 9_007_199_254_740_992, 1]))]) == [2, 1, 2, 2])
    #expect(
      try Self.scores(numbers, [Column(.float64([-3, -3.5, .nan, .infinity]))]) == [1, 2, 2, 2])
    let reals = Self.model(infos: "0:1", declared: "0", lists: "[[0.5, 1.5]]")
    #expect(try Self.scores(reals, [Column(.float64([0.5, 1.5, .nan]))]) == [2, 1, 2])
    let bools = Self.model(infos: "0:1", declared: "0", lists: "[[false, true]]")
    #expect(try Self.types(bools) == [.bool])
    #expect(try Self.scores(bools, [Column(.bool([false, true]))]) == [2, 1])
  }

  @Test func textForNumbersAndNumbersForTextAreRefused() throws {
    let words = Self.model(infos: "0:1", declared: "0", lists: #"[["a", "b"]]"#)
    let error = #expect(throws: ModelError.self) {
      try Self.scores(words, [Column(.int64([1]))])
    }
    #expect(error?.message == "feature \"f0\" is not text, the model's categories are")
    let numbers = Self.model(infos: "0:1", declared: "0", lists: "[[1, 2]]")
    #expect(throws: ModelError.self) { try Self.scores(numbers, [Column(.string(["1"]))]) }
  }

  @Test(
    arguments: [
      // All lists are of categorical features, also where training could not use one of them.
      ("0:1 [0.5:2] none", "0,2", #"[["a", "b"], ["c"]]"#, [.string, .float64, .string]),
      ("0:1 [0.5:2] 0:3:1", nil, #"[["a", "b"], [4, 5, 6, 7]]"#, [.string, .float64, .int64]),
      // An ordered one is a number whose range are its codes.
      ("0:1 [0.5:2] [0:2]", "0", #"[["a", "b"], ["x", "y", "z"]]"#, [.string, .float64, .string]),
      // A column of numbers was named as categorical too: its codes are beyond the list.
      ("0:1 0:77", "0,1", #"[["a", "b"]]"#, [.string, .float64]),
      ("0:1 [0:1]", "0", "null", [.float64, .float64]),
      ("0:1 [0:1]", "0", "[]", [.float64, .float64]),
    ] as [(String, String?, String, [ElementType])])
  func listsFindTheirFeatures(
    infos: String, declared: String?, lists: String, wanted: [ElementType]
  ) throws {
    #expect(try Self.types(Self.model(infos: infos, declared: declared, lists: lists)) == wanted)
  }

  @Test(arguments: [
    // Either of two columns of small numbers may be the ordered one.
    ("0:1 [0:2] [0:2]", #"[["a", "b"], ["x", "y", "z"]]"#, "the file leaves open which"),
    ("0:1 [0:5]", #"[["a", "b"], ["x", "y", "z"]]"#, "the file leaves open which"),
    ("0:1 [0:2]", #"[["a", 3]]"#, "of several kinds"),
    ("0:1 [0:2]", #"[["a", "a"]]"#, "twice"),
    ("0:1 [0:2]", #"[["a", "b"]"#, "pandas_categorical: the file ends"),
  ])
  func whatCannotBeToldIsRefused(infos: String, lists: String, message: String) throws {
    let error = #expect(throws: ModelError.self) {
      try Self.types(Self.model(infos: infos, declared: "0", lists: lists))
    }
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }
}
