import Inference
import ModelFixtures
import Testing

/// Operators that look values up or take maps apart.
@Suite struct EncoderOperatorTests {
  private static func predict(
    _ type: String, _ input: OnnxWriter.ElementType, _ column: Column.Values, rows: Int,
    opset: Int64 = 4, _ attributes: [(String, OnnxWriter.Attribute)]
  ) throws -> Predictions {
    var writer = OnnxWriter(opset: 18, machineLearning: opset)
    writer.input("X", input, [nil, 1])
    writer.node(type, domain: "ai.onnx.ml", name: "table", ["X"], ["Y"], attributes)
    writer.output("Y", .float, [nil, 1])
    let model = try Model.load(writer.bytes())
    return try model.predict(
      Batch(rowCount: rows, columns: [Column(column)]), workspace: Workspace())
  }

  @Test("NaN is a key, zeros of both signs are one, and the last of equal keys counts")
  func labelEncoder() throws {
    let result = try Self.predict(
      "LabelEncoder", .double, .float64([.nan, -0.0, 0, 1.5, 9]), rows: 5,
      [
        ("keys_tensor", .tensor(.init(dims: [4], .doubles([.nan, 0, 1.5, 1.5])))),
        ("values_tensor", .tensor(.init(dims: [4], .raw(.int16, [1, 0, 2, 0, 3, 0, 4, 0])))),
        ("default_tensor", .tensor(.init(dims: [1], .raw(.int16, [9, 0])))),
      ])
    #expect(result.failures.isEmpty)
    #expect(result.columns[0].values == .int64([1, 2, 2, 4, 9]))
  }

  @Test("a missing value is refused where NaN is no key")
  func missing() throws {
    let result = try Self.predict(
      "LabelEncoder", .float, .float32([.nan, 1]), rows: 2,
      [("keys_floats", .floats([1])), ("values_strings", .strings(["one"]))])
    #expect(result.failures.map(\.row) == [0])
    guard case .string(let names) = result.columns[0].values else {
      Issue.record("the column holds no text")
      return
    }
    #expect(names[1] == "one")
  }

  @Test("tables with keys and values of different number are refused")
  func uneven() {
    let error = #expect(throws: ModelError.self) {
      try Self.predict(
        "LabelEncoder", .string, .string([]), rows: 0,
        [("keys_strings", .strings(["a", "b"])), ("values_int64s", .ints([1]))])
    }
    #expect(error?.code == .malformed)
  }

  @Test("categories go to numbers and back")
  func categoryMapper() throws {
    let map: [(String, OnnxWriter.Attribute)] = [
      ("cats_strings", .strings(["Bonn", "Ulm"])), ("cats_int64s", .ints([7, -2])),
    ]
    let there = try Self.predict(
      "CategoryMapper", .string, .string(["Ulm", "Bonn", "Rome"]), rows: 3,
      map + [("default_int64", .int(5))])
    #expect(there.columns[0].values == .int64([-2, 7, 5]))
    let back = try Self.predict(
      "CategoryMapper", .int64, .int64([-2, 7, 0]), rows: 3,
      map + [("default_string", .string("nowhere"))])
    #expect(back.columns[0].values == .string(["Ulm", "Bonn", "nowhere"]))
  }

  @Test("a map is a feature for each word of the vocabulary, and what it lacks is zero")
  func dictVectorizer() throws {
    var writer = OnnxWriter(opset: 18, machineLearning: 1)
    writer.mapInput("facts", key: .string, value: .float)
    writer.node(
      "DictVectorizer", domain: "ai.onnx.ml", name: "vector", ["facts"], ["Y"],
      [("string_vocabulary", .strings(["size", "price"]))])
    writer.output("Y", .float, [nil, 2])
    let model = try Model.load(writer.bytes())
    #expect(model.signature.features.map(\.name) == ["facts_size", "facts_price"])
    #expect(model.signature.features.allSatisfy { $0.missing == .allowed })
    let result = try model.predict(
      Batch(
        rowCount: 2,
        columns: [Column(.float32([1, 2]), nulls: [0b10]), Column(.float32([.nan, 4]))]),
      workspace: Workspace())
    #expect(result.failures.isEmpty)
    #expect(result.columns.map(\.values) == [.float32([1, 0]), .float32([0, 4])])
  }

  private static func castMap(_ attributes: [(String, OnnxWriter.Attribute)]) throws -> Model {
    var writer = OnnxWriter(opset: 18, machineLearning: 1)
    writer.mapInput("counts", key: .int64, value: .float)
    writer.node(
      "CastMap", domain: "ai.onnx.ml", name: "cast", ["counts"], ["Y"], attributes)
    writer.output("Y", .int64, [nil, 2])
    return try Model.load(writer.bytes())
  }

  @Test("a sparse map is a feature for each number below its size")
  func castMap() throws {
    let model = try Self.castMap([
      ("map_form", .string("SPARSE")), ("max_map", .int(2)), ("cast_to", .string("TO_INT64")),
    ])
    #expect(model.signature.features.map(\.name) == ["counts_0", "counts_1"])
    let result = try model.predict(
      Batch(
        rowCount: 2, columns: [Column(.float32([1.75, .nan])), Column(.float32([-2.5, 3]))]),
      workspace: Workspace())
    #expect(result.columns.map(\.values) == [.int64([1, 0]), .int64([-2, 3])])
  }

  @Test("a dense map has no fixed number of values")
  func denseMap() {
    let error = #expect(throws: ModelError.self) { try Self.castMap([]) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("CastMap") == true)
  }
}
