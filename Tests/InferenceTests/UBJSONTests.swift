import Inference
import TestRandom
import Testing

/// The same hand-written XGBoost models in UBJSON, and what becomes of them when they are damaged.
@Suite struct UBJSONTests {
  /// Writes UBJSON as XGBoost does, or with one byte wrong.
  struct Writer {
    var bytes: [UInt8] = []

    mutating func byte(_ character: Character) { bytes.append(character.asciiValue!) }

    mutating func number<Value: FixedWidthInteger>(_ value: Value) {
      withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func length(_ count: Int) {
      byte("L")
      number(Int64(count))
    }

    mutating func key(_ text: String) {
      length(text.utf8.count)
      bytes.append(contentsOf: text.utf8)
    }

    mutating func string(_ text: String) {
      byte("S")
      key(text)
    }

    mutating func object(_ members: [(String, (inout Writer) -> Void)]) {
      byte("{")
      for (name, value) in members {
        key(name)
        value(&self)
      }
      byte("}")
    }

    mutating func typed(_ type: Character, count: Int, _ body: (inout Writer) -> Void) {
      for character in ["[", "$", type, "#"] as [Character] { byte(character) }
      length(count)
      body(&self)
    }

    mutating func floats(_ values: [Float]) {
      typed("d", count: values.count) { writer in
        for value in values { writer.number(value.bitPattern) }
      }
    }

    mutating func integers(_ values: [Int32]) {
      typed("l", count: values.count) { writer in
        for value in values { writer.number(value) }
      }
    }

    mutating func small(_ values: [Int8]) {
      typed("U", count: values.count) { writer in
        for value in values { writer.number(value) }
      }
    }
  }

  /// The parts of a model that a test changes.
  struct Parts {
    var left: [Int32] = [1, -1, -1]
    var right: [Int32] = [2, -1, -1]
    var conditions: [Float] = [0.5, 1.25, -0.25]
    var types: [Int8] = [0, 0, 0]
    var categories: [Int32] = []
    var categoryNodes: [Int32] = []
    var categoryStarts: [Int32] = []
    var categorySizes: [Int32] = []
    /// Written in place of the tree's array of features.
    var features: (inout Writer) -> Void = { $0.integers([1, 0, 0]) }
  }

  static func model(_ parts: Parts = Parts()) -> [UInt8] {
    var writer = Writer()
    writer.object([
      (
        "learner",
        { writer in
          writer.object([
            ("attributes", { $0.object([]) }),
            (
              "feature_names",
              { writer in
                writer.byte("[")
                writer.byte("#")
                writer.length(2)
                writer.string("a")
                writer.string("b")
              }
            ),
            (
              "gradient_booster",
              { writer in
                writer.object([
                  ("model", { $0.object([("tree_info", { $0.integers([0]) }), trees(parts)]) }),
                  ("name", { $0.string("gbtree") }),
                ])
              }
            ),
            (
              "learner_model_param",
              { writer in
                writer.object([
                  ("base_score", { $0.string("[5E-1]") }), ("num_class", { $0.string("0") }),
                  ("num_feature", { $0.string("2") }), ("num_target", { $0.string("1") }),
                ])
              }
            ),
            ("objective", { $0.object([("name", { $0.string("reg:squarederror") })]) }),
          ])
        }
      ),
      (
        "version",
        { writer in
          writer.byte("[")
          for part in [3, 2, 0] as [Int8] {
            writer.byte("i")
            writer.number(part)
          }
          writer.byte("]")
        }
      ),
    ])
    return writer.bytes
  }

  private static func trees(_ parts: Parts) -> (String, (inout Writer) -> Void) {
    (
      "trees",
      { writer in
        writer.byte("[")
        writer.object([
          ("categories", { $0.integers(parts.categories) }),
          ("categories_nodes", { $0.integers(parts.categoryNodes) }),
          ("categories_segments", { $0.integers(parts.categoryStarts) }),
          ("categories_sizes", { $0.integers(parts.categorySizes) }),
          ("default_left", { $0.small([1, 0, 0]) }),
          ("left_children", { $0.integers(parts.left) }),
          ("right_children", { $0.integers(parts.right) }),
          ("split_conditions", { $0.floats(parts.conditions) }),
          ("split_indices", parts.features),
          ("split_type", { $0.small(parts.types) }),
          ("tree_param", { $0.object([("size_leaf_vector", { $0.string("1") })]) }),
        ])
        writer.byte("]")
      }
    )
  }

  private static func scores(_ model: Model, _ values: [Float]) throws -> [Column] {
    let other = [Float](repeating: 0, count: values.count)
    return try model.predict(
      Batch(
        rowCount: values.count, columns: [Column(.float32(other)), Column(.float32(values))]),
      workspace: Workspace()
    ).columns
  }

  @Test func aModelScoresAsInJSON() throws {
    let model = try Model.load(Self.model())
    #expect(model.format == .xgboost)
    #expect(model.signature.features.map(\.name) == ["a", "b"])
    let values: [Float] = [0.5, (0.5 as Float).nextDown, -3, .nan]
    #expect(try Self.scores(model, values) == [Column(.float32([0.25, 1.75, 1.75, 1.75]))])
  }

  /// Categories 0 and 5 go right; all others, negatives and unseen ones left; missing left too.
  @Test func categoriesOfTheSetGoRight() throws {
    var parts = Parts()
    parts.types = [1, 0, 0]
    (parts.categories, parts.categoryNodes) = ([5, 0], [0])
    (parts.categoryStarts, parts.categorySizes) = ([0], [2])
    let model = try Model.load(Self.model(parts))
    let values: [Float] = [0, 5, 5.9, -0.0, 0.5, 1, 6, -0.5, -1, 1e30, 16_777_216, .nan]
    let right: Set<Int> = [0, 1, 2, 3, 4]
    let wanted = values.indices.map { right.contains($0) ? Float(0.25) : 1.75 }
    #expect(try Self.scores(model, values) == [Column(.float32(wanted))])
  }

  @Test func marginsAndLeavesAreAskedFor() throws {
    let leaves = try Model.load(Self.model(), options: ModelOptions(answer: .leaf))
    #expect(leaves.signature.outputs.map(\.name) == ["leaf_0"])
    #expect(try Self.scores(leaves, [0, 1]) == [Column(.int64([1, 2]))])
    let margins = try Model.load(Self.model(), options: ModelOptions(answer: .margin))
    #expect(margins.signature.outputs.map(\.name) == ["margin"])
    let none = try Model.load(Self.model(), options: ModelOptions(iterations: 0..<0))
    #expect(try Self.scores(none, [0, 1]) == [Column(.float32([0.5, 0.5]))])
    let error = #expect(throws: ModelError.self) {
      try Model.load(Self.model(), options: ModelOptions(iterations: 0..<2))
    }
    #expect(error?.message == "iterations up to 2 are wanted, the model has 1")
  }

  // MARK: Hostile files

  private static func parts(_ change: (inout Parts) -> Void) -> [UInt8] {
    var parts = Parts()
    change(&parts)
    return model(parts)
  }

  static let damaged: [([UInt8], String)] = [
    (parts { $0.left = [0, -1, -1] }, "leads to node 0, which has a parent already"),
    (parts { $0.left = [7, -1, -1] }, "tree 0, node 0: leads to node 7 of 3"),
    (parts { $0.right = [1, -1, -1] }, "leads to node 1, which has a parent already"),
    (parts { $0.conditions = [.nan, 1, 1] }, "tree 0, node 0: the threshold is not a number"),
    (parts { $0.conditions = [0, .nan, 1] }, "the value of the leaf is not a number"),
    (parts { $0.types = [1, 0, 0] }, "tree 0, node 0: a categorical split without categories"),
    (parts { $0.types = [9, 0, 0] }, "tree 0, node 0: split type 9 is not known"),
    (
      parts { parts in
        parts.types = [1, 0, 0]
        (parts.categories, parts.categoryNodes) = ([1], [0])
        (parts.categoryStarts, parts.categorySizes) = ([0], [2_000_000_000])
      }, "categories 0, 2000000000 of them, among 1"
    ),
    (
      parts { parts in
        parts.types = [1, 0, 0]
        (parts.categories, parts.categoryNodes) = ([-1], [0])
        (parts.categoryStarts, parts.categorySizes) = ([0], [1])
      }, "a category is not from 0 to 16777215"
    ),
    (
      parts { parts in
        (parts.categories, parts.categoryNodes) = ([1], [0, 0])
        (parts.categoryStarts, parts.categorySizes) = ([0, 0], [1, 1])
      }, "has two sets of categories"
    ),
    // A length beyond the file, a negative one, one that overflows in bytes.
    (parts { $0.features = { $0.typed("l", count: 1 << 40) { _ in } } }, "a length of"),
    (parts { $0.features = { $0.typed("l", count: -1) { _ in } } }, "a length of -1"),
    (parts { $0.features = { $0.typed("l", count: .max) { _ in } } }, "a length of"),
    (parts { $0.features = { $0.typed("L", count: 100) { _ in } } }, "100 numbers of 8 bytes"),
    // Values without bytes: a count would cost nothing to claim.
    (parts { $0.features = { $0.typed("Z", count: 100) { _ in } } }, "marker \"Z\" is not known"),
    (parts { $0.features = { $0.typed("T", count: 100) { _ in } } }, "marker \"T\" is not known"),
    (parts { $0.features = { $0.floats([1, 0, 0]) } }, "an array of integers is due"),
    (parts { $0.features = { $0.string("1") } }, "an array is due"),
    (
      parts { parts in
        parts.features = { writer in
          writer.typed("L", count: 3) { writer in
            for value in [1 << 40, 0, 0] as [Int64] { writer.number(value) }
          }
        }
      }, "1099511627776 is beyond its range"
    ),
    (parts { $0.features = { $0.byte("H") } }, "an array is due"),
    (
      parts { parts in
        parts.features = { writer in
          for _ in 0..<100_000 { writer.byte("[") }
        }
      }, "a value of marker \"[\" where an integer is due"
    ),
    (model() + [0], "more bytes after the end of the document"),
  ]

  // Not arguments: the log would hold the bytes.
  @Test func damageIsNamed() {
    for (bytes, reason) in Self.damaged {
      let error = #expect(throws: ModelError.self) { try Model.load(bytes) }
      #expect(error?.message.contains(reason) == true, "\(reason): \(error?.message ?? "")")
    }
  }

  @Test func nestingIsBounded() {
    var writer = Writer()
    writer.byte("{")
    writer.key("attributes")
    for _ in 0..<100_000 { writer.byte("[") }
    let error = #expect(throws: ModelError.self) { try Model.load(writer.bytes) }
    #expect(error?.message.contains("nested deeper than 64 levels") == true)
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Self.model()
    for count in 1..<bytes.count {
      #expect(throws: ModelError.self) {
        try Model.load(Array(bytes.prefix(count)), format: .xgboost)
      }
    }
  }

  @Test func flippedBytesNeverTrap() throws {
    var random = SplitMix64(seed: 31)
    var parts = Parts()
    parts.types = [1, 0, 0]
    (parts.categories, parts.categoryNodes) = ([5, 0], [0])
    (parts.categoryStarts, parts.categorySizes) = ([0], [2])
    let original = Self.model(parts)
    for _ in 0..<6_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      for answer in ModelOptions.Answer.allCases {
        guard
          let model = try? Model.load(
            bytes, format: .xgboost, options: ModelOptions(answer: answer)),
          model.signature.features.count == 2
        else { continue }
        _ = try Self.scores(model, [0, .nan, 1e30, -2])
      }
    }
  }
}
