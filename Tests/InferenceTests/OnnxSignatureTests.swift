import Inference
import ModelFixtures
import Testing

/// What a graph's signature promises, and what becomes of rows that break it.
@Suite struct OnnxSignatureTests {
  /// Two wide inputs: one imputed in part, one of text with a strict encoder.
  static func encoder(zeros: Int64) -> [UInt8] {
    var model = OnnxWriter(opset: 13, machineLearning: 1)
    model.input("number", .float, [nil, 2])
    model.input("city", .string, [nil, 1])
    model.initializer("first", .init(dims: [1], .ints([0])))
    model.initializer("second", .init(dims: [1], .ints([1])))
    model.initializer("wide", .init(dims: [2], .ints([-1, 2])))
    model.node("Gather", name: "a", ["number", "first"], ["left"], [("axis", .int(1))])
    model.node("Gather", name: "b", ["number", "second"], ["right"], [("axis", .int(1))])
    model.node(
      "Imputer", domain: "ai.onnx.ml", name: "imputer", ["left"], ["full"],
      [("imputed_value_floats", .floats([7])), ("replaced_value_float", .float(.nan))])
    model.node(
      "OneHotEncoder", domain: "ai.onnx.ml", name: "hot", ["city"], ["cube"],
      [("cats_strings", .strings(["Bonn", "Ulm"])), ("zeros", .int(zeros))])
    model.node("Reshape", name: "flat", ["cube", "wide"], ["square"])
    model.node("Concat", name: "all", ["full", "right", "square"], ["row"], [("axis", .int(1))])
    model.node(
      "LinearRegressor", domain: "ai.onnx.ml", name: "linear", ["row"], ["y"],
      [("coefficients", .floats([1, 10, 100, 1000])), ("intercepts", .floats([0.5]))])
    model.output("y", .float, [nil, 1])
    return model.bytes()
  }

  static func floats(_ column: Column) -> [Float] {
    if case .float32(let values) = column.values { values } else { [] }
  }

  @Test("only what an imputer fills may be missing")
  func missing() throws {
    let model = try Model.load(Self.encoder(zeros: 1))
    #expect(
      model.signature
        == Signature(
          features: [
            .init(name: "number_0", type: .float32, missing: .allowed),
            .init(name: "number_1", type: .float32, missing: .refused),
            .init(name: "city", type: .string, missing: .refused),
          ],
          outputs: [.init(name: "score", type: .float32, role: .score)]))
  }

  @Test("a row that cannot be scored fails alone, with its reason")
  func failures() throws {
    let model = try Model.load(Self.encoder(zeros: 0))
    let result = try model.predict(
      Batch(
        rowCount: 7,
        columns: [
          Column(.float32([1, .nan, 3, 4, .infinity, 6, 7])),
          Column(.float64([1, 2, .nan, 4, 5, 1e300, 7]), nulls: [0]),
          Column(.string(["Ulm", "Bonn", "Ulm", "Rome", "Ulm", "Bonn", ""]), nulls: [0b100_0000]),
        ]), workspace: Workspace())
    #expect(Self.floats(result.columns[0])[..<2] == [1011.5, 127.5])
    #expect(result.failures.map(\.row) == [2, 3, 4, 5, 6])
    #expect(
      result.failures.map(\.code)
        == [.missing, .unseenCategory, .notFinite, .notFinite, .missing])
    #expect(
      result.failures.map(\.reason) == [
        "feature \"number_1\" is missing, and the model has no rule for that",
        "feature \"city\" has a category that was not seen in training",
        "feature \"number_0\" is not a finite number",
        "feature \"number_1\" is not a finite number",
        "feature \"city\" is missing, and the model has no rule for that",
      ])
  }

  @Test("an unseen category is all zeros where the model allows it")
  func unseen() throws {
    let model = try Model.load(Self.encoder(zeros: 1))
    let result = try model.predict(
      Batch(
        rowCount: 2,
        columns: [
          Column(.int32([1, 2])), Column(.bool([true, false])), Column(.string(["Rome", "Bonn"])),
        ]), workspace: Workspace())
    #expect(result.failures.isEmpty)
    #expect(Self.floats(result.columns[0]) == [11.5, 102.5])
  }

  @Test("a column that can never fit is refused")
  func mismatch() throws {
    let model = try Model.load(Self.encoder(zeros: 1))
    let number = Column(.float32([1]))
    #expect(throws: ModelError(.mismatch, "feature \"city\" is string, its column is not text")) {
      try model.predict(
        Batch(rowCount: 1, columns: [number, number, number]), workspace: Workspace())
    }
    #expect(throws: ModelError(.mismatch, "feature \"number_0\" is float, its column is text")) {
      let text = Column(.string(["1"]))
      return try model.predict(
        Batch(rowCount: 1, columns: [text, number, text]), workspace: Workspace())
    }
    #expect(throws: ModelError(.mismatch, "2 columns for 3 features")) {
      try model.predict(Batch(rowCount: 1, columns: [number, number]), workspace: Workspace())
    }
  }

  /// A classifier of three classes, named by a ZipMap or by its own labels.
  static func classifier(zipMap: Bool, names: [String]? = nil) -> [UInt8] {
    var model = OnnxWriter(opset: 13, machineLearning: 1)
    if let names {
      let list = names.map { "\"\($0)\"" }.joined(separator: ", ")
      model.metadata = [("feature_names", "[\(list)]")]
    }
    model.input("x", .float, [nil, 2])
    model.node(
      "LinearClassifier", domain: "ai.onnx.ml", name: "linear", ["x"], ["label", "scores"],
      [
        ("coefficients", .floats([1, 0, 0, 1, -1, -1])), ("intercepts", .floats([0, 0, 0])),
        ("classlabels_ints", .ints([-1, 3, 20])), ("post_transform", .string("SOFTMAX")),
      ])
    model.output("label", .int64, [nil])
    if zipMap {
      model.node(
        "ZipMap", domain: "ai.onnx.ml", name: "zip", ["scores"], ["map"],
        [("classlabels_int64s", .ints([-1, 3, 20]))])
      model.output("map", .float, [nil, 3])
    } else {
      model.output("scores", .float, [nil, 3])
    }
    return model.bytes()
  }

  @Test("a column a class, with or without a ZipMap", arguments: [true, false])
  func classes(zipMap: Bool) throws {
    let model = try Model.load(Self.classifier(zipMap: zipMap, names: ["height", "width"]))
    #expect(model.signature.features.map(\.name) == ["height", "width"])
    #expect(
      model.signature.outputs == [
        .init(name: "label", type: .int64, role: .label),
        .init(name: "probability_minus_1", type: .float32, role: .probability, className: "-1"),
        .init(name: "probability_3", type: .float32, role: .probability, className: "3"),
        .init(name: "probability_20", type: .float32, role: .probability, className: "20"),
      ])
  }

  @Test("given labels name the classes and replace the label")
  func labels() throws {
    let model = try Model.load(
      Self.classifier(zipMap: true), labels: ["calm", "brisk", "storm, heavy"])
    #expect(
      model.signature.outputs.map(\.name) == [
        "label", "probability_calm", "probability_brisk", "probability_storm__heavy",
      ])
    let result = try model.predict(
      Batch(
        rowCount: 3, columns: [Column(.float32([2, 0, -1])), Column(.float32([0, 2, -1]))]),
      workspace: Workspace())
    #expect(result.columns[0] == Column(.string(["calm", "brisk", "storm, heavy"])))
    #expect(throws: ModelError(.mismatch, "2 labels for 3 classes")) {
      try Model.load(Self.classifier(zipMap: true), labels: ["a", "b"])
    }
    #expect(throws: ModelError(.mismatch, "labels were given, but the model has no label output")) {
      try Model.load(Self.encoder(zeros: 1), labels: ["a", "b"])
    }
  }

  @Test("feature names that do not fit are refused")
  func names() {
    #expect(throws: ModelError.self) {
      try Model.load(Self.classifier(zipMap: true, names: ["height"]))
    }
    #expect(throws: ModelError.self) {
      try Model.load(Self.classifier(zipMap: true, names: ["height", "height"]))
    }
  }

  @Test("one workspace serves models in turn, and batches of any size")
  func workspace() throws {
    let models = try [
      Model.load(Self.encoder(zeros: 1)), Model.load(Self.classifier(zipMap: true)),
      Model.load(OnnxHostileTests.mixed()),
    ]
    let shared = Workspace()
    for rows in [1, 3000, 2, 0, 1024, 1025, 7] {
      for model in models {
        let columns = model.signature.features.map { feature in
          feature.type == .string
            ? Column(.string((0..<rows).map { $0 % 3 == 0 ? "Ulm" : "Bonn" }))
            : Column(.float64((0..<rows).map { Double($0 % 13) - 6 }))
        }
        let batch = Batch(rowCount: rows, columns: columns)
        let own = try model.predict(batch, workspace: Workspace())
        let other = try model.predict(batch, workspace: shared)
        #expect(own.columns == other.columns)
        #expect(own.failures == other.failures)
      }
    }
  }

  /// A tree that splits on elements 1 and 3 of a row of four.
  private static func tree(_ model: inout OnnxWriter, _ input: String) {
    model.node(
      "TreeEnsembleRegressor", domain: "ai.onnx.ml", [input], ["y"],
      [
        ("n_targets", .int(1)),
        ("nodes_treeids", .ints([0, 0, 0, 0, 0])), ("nodes_nodeids", .ints([0, 1, 2, 3, 4])),
        ("nodes_featureids", .ints([1, 3, 0, 0, 0])),
        ("nodes_modes", .strings(["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"])),
        ("nodes_values", .floats([0.5, -1, 0, 0, 0])),
        ("nodes_truenodeids", .ints([1, 3, 0, 0, 0])),
        ("nodes_falsenodeids", .ints([2, 4, 0, 0, 0])),
        ("target_treeids", .ints([0, 0, 0])), ("target_nodeids", .ints([2, 3, 4])),
        ("target_ids", .ints([0, 0, 0])), ("target_weights", .floats([1, 2, 3])),
      ])
    model.output("y", .float, [nil, 1])
  }

  @Test(
    "a feature that no tree splits on is not used, whatever passes it on",
    arguments: ["plain", "scaled", "parts", "cast"])
  func unusedFeatures(way: String) throws {
    var model = OnnxWriter(opset: 13, machineLearning: 3)
    switch way {
    case "plain":
      model.input("x", .float, [nil, 4])
      Self.tree(&model, "x")
    case "scaled":
      model.input("x", .float, [nil, 4])
      model.node(
        "Scaler", domain: "ai.onnx.ml", ["x"], ["scaled"],
        [("offset", .floats([1, 0, 2, 0])), ("scale", .floats([2, 1, 2, 1]))])
      Self.tree(&model, "scaled")
    case "cast":
      model.input("x", .double, [nil, 4])
      model.node("Cast", ["x"], ["narrow"], [("to", .int(1))])
      Self.tree(&model, "narrow")
    default:
      model.input("a", .float, [nil, 1])
      model.input("b", .float, [nil, 2])
      model.input("c", .float, [nil, 1])
      model.node("Concat", ["a", "b", "c"], ["x"], [("axis", .int(1))])
      Self.tree(&model, "x")
    }
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let features = loaded.signature.features
    #expect(features.map(\.isUsed) == [false, true, false, true])
    #expect(features[0].missing == .allowed)
    #expect(loaded.structure.unusedFeatures == [features[0].name, features[2].name])
    // What stands there makes no difference, also where it is none.
    func scores(_ idle: Column) throws -> Predictions {
      try loaded.predict(
        Batch(
          rowCount: 3,
          columns: [idle, Column(.float64([0, 0, 1])), idle, Column(.float64([-2, 4, 4]))]),
        workspace: Workspace())
    }
    for idle in [
      Column(.float64([1, 2, 3])), Column(.float64([.nan, .infinity, 1e300])),
      Column(.float64([0, 0, 0]), nulls: [7]),
    ] {
      let found = try scores(idle)
      #expect(found.failures.isEmpty)
      #expect(found.columns == [Column(.float32([2, 3, 1]))])
    }
  }
}
