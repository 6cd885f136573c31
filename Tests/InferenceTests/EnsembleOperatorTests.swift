import Inference
import ModelFixtures
import Testing

/// TreeEnsemble of opset 5, and what files may not make of an ensemble.
@Suite struct EnsembleOperatorTests {
  /// A model of one node over rows of floats.
  static func model(
    _ type: String, width: Int64, opset: Int64 = 5,
    _ attributes: [(String, OnnxWriter.Attribute)]
  ) -> [UInt8] {
    var model = OnnxWriter(opset: 21, machineLearning: opset)
    model.input("X", .float, [nil, width])
    model.node(type, domain: "ai.onnx.ml", name: "ensemble", ["X"], ["Y"], attributes)
    model.output("Y", .float, [nil, nil])
    return model.bytes()
  }

  static func floats(_ values: [Float]) -> OnnxWriter.Attribute {
    .tensor(.init(dims: [Int64(values.count)], .floats(values)))
  }

  static func bytes(_ values: [UInt8]) -> OnnxWriter.Attribute {
    .tensor(.init(dims: [Int64(values.count)], .raw(.uint8, values)))
  }

  /// The backend test of ONNX for set membership, with one attribute exchanged.
  static func membership(
    _ changed: String? = nil, _ value: OnnxWriter.Attribute? = nil
  ) -> [UInt8] {
    var attributes: [(String, OnnxWriter.Attribute)] = [
      ("n_targets", .int(4)), ("aggregate_function", .int(1)), ("post_transform", .int(0)),
      ("membership_values", floats([1.2, 3.7, 8, 9, .nan, 12, 7, .nan])),
      ("tree_roots", .ints([0])), ("nodes_modes", bytes([0, 6, 6])),
      ("nodes_featureids", .ints([0, 0, 0])), ("nodes_splits", floats([11, 232344, .nan])),
      ("nodes_trueleafs", .ints([0, 1, 1])), ("nodes_truenodeids", .ints([1, 0, 1])),
      ("nodes_falseleafs", .ints([1, 0, 1])), ("nodes_falsenodeids", .ints([2, 2, 3])),
      ("leaf_targetids", .ints([0, 1, 2, 3])), ("leaf_weights", floats([1, 10, 1000, 100])),
    ]
    for index in attributes.indices where attributes[index].0 == changed {
      if let value { attributes[index].1 = value }
    }
    return model("TreeEnsemble", width: 1, attributes)
  }

  static func scores(_ bytes: [UInt8], _ columns: [[Float]]) throws -> [[Float]] {
    let model = try Model.load(bytes)
    let result = try model.predict(
      Batch(rowCount: columns[0].count, columns: columns.map { Column(.float32($0)) }),
      workspace: Workspace())
    #expect(result.failures.isEmpty)
    return result.columns.map { column in
      if case .float32(let values) = column.values { values } else { [] }
    }
  }

  @Test("a feature that is read by its members only is read")
  func membersAreRead() throws {
    #expect(try Model.load(Self.membership()).structure.unusedFeatures.isEmpty)
    #expect(try Model.load(Self.chain(falses: [1, 2, 6])).structure.unusedFeatures.isEmpty)
  }

  @Test("a split by members asks for the very values")
  func members() throws {
    let scores = try Self.scores(Self.membership(), [[1.2, 3.4, -0.12, 12, 7, 3.7]])
    #expect(scores[0] == [1, 0, 0, 0, 0, 1])
    #expect(scores[1] == [0, 0, 0, 0, 10, 0])
    #expect(scores[2] == [0, 0, 0, 1000, 0, 0])
    #expect(scores[3] == [0, 100, 100, 0, 0, 0])
  }

  @Test("a tree may be a leaf")
  func leaf() throws {
    let bytes = Self.model(
      "TreeEnsemble", width: 2,
      [
        ("n_targets", .int(1)), ("tree_roots", .ints([0])), ("nodes_modes", Self.bytes([0])),
        ("nodes_featureids", .ints([1])), ("nodes_splits", Self.floats([0])),
        ("nodes_trueleafs", .ints([1])), ("nodes_truenodeids", .ints([0])),
        ("nodes_falseleafs", .ints([1])), ("nodes_falsenodeids", .ints([0])),
        ("leaf_targetids", .ints([0])), ("leaf_weights", Self.floats([2.5])),
      ])
    #expect(try Self.scores(bytes, [[1, -1], [1, -1]]) == [[2.5, 2.5]])
  }

  @Test(
    "an ensemble that contradicts itself is refused",
    arguments: [
      ("nodes_modes", bytes([0, 6, 7])), ("nodes_modes", bytes([0, 6])),
      ("nodes_featureids", .ints([0, 0, 1])), ("tree_roots", .ints([3])),
      ("tree_roots", .ints([0, 0])), ("tree_roots", .ints([])),
      ("nodes_truenodeids", .ints([1, 0, 4])), ("nodes_truenodeids", .ints([0, 0, 1])),
      ("nodes_falsenodeids", .ints([2, 1, 3])), ("leaf_targetids", .ints([0, 1, 2, 4])),
      ("leaf_weights", floats([1])), ("leaf_weights", floats([1, 2, .nan, 4])),
      ("membership_values", floats([1, .nan, 2])), ("membership_values", floats([1, .nan])),
      ("membership_values", floats([1, .nan, 2, .nan, 3, .nan])),
      ("aggregate_function", .int(4)), ("post_transform", .int(-1)), ("n_targets", .int(0)),
      ("nodes_splits", floats([.nan, 0, 0])),
    ] as [(String, OnnxWriter.Attribute)])
  func contradictions(attribute: String, value: OnnxWriter.Attribute) throws {
    let error = #expect(throws: ModelError.self) {
      try Model.load(Self.membership(attribute, value))
    }
    #expect(error?.code == .malformed)
    #expect(error?.message.contains("ensemble") == true)
  }

  /// Nodes 0, 1 and 2 ask one feature for a value each, and go to the same node where it is.
  static func chain(falses: [Int64], trues: [Int64] = [3, 3, 3]) -> [UInt8] {
    model(
      "TreeEnsembleRegressor", width: 2, opset: 3,
      [
        ("n_targets", .int(1)), ("nodes_treeids", .ints([0, 0, 0, 0, 0, 0, 0])),
        ("nodes_nodeids", .ints([0, 1, 2, 3, 4, 5, 6])),
        ("nodes_featureids", .ints([0, 0, 0, 1, 0, 0, 0])),
        ("nodes_values", .floats([2, -1, 3.5, 0.5, 0, 0, 0])),
        (
          "nodes_modes",
          .strings(
            Array(repeating: "BRANCH_EQ", count: 3) + ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"])
        ),
        ("nodes_truenodeids", .ints(trues + [4, 0, 0, 0])),
        ("nodes_falsenodeids", .ints(falses + [5, 0, 0, 0])),
        ("target_treeids", .ints([0, 0, 0])), ("target_nodeids", .ints([4, 5, 6])),
        ("target_ids", .ints([0, 0, 0])), ("target_weights", .floats([1, 2, 3])),
      ])
  }

  @Test("tests for one of several values may meet in one node")
  func meetingBranches() throws {
    let scores = try Self.scores(
      Self.chain(falses: [1, 2, 6]), [[2, -1, 3.5, 3, -1, 0], [0, 0, 1, 0, 1, 1]])
    #expect(scores == [[1, 1, 2, 3, 2, 3]])
  }

  @Test(
    "branches that meet elsewhere, or go in circles, are refused",
    arguments: [([1, 2, 0], [3, 3, 3]), ([1, 2, 4], [3, 3, 3]), ([1, 2, 6], [3, 4, 3])]
      as [([Int64], [Int64])])
  func circles(falses: [Int64], trues: [Int64]) throws {
    let error = #expect(throws: ModelError.self) {
      try Model.load(Self.chain(falses: falses, trues: trues))
    }
    #expect(error?.code == .malformed)
  }
}
