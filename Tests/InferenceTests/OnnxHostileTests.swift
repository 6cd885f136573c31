import Foundation
import Inference
import ModelFixtures
import TestRandom
import Testing

/// Damaged and hostile files: each throws a `ModelError` or gives a model that scores.
@Suite struct OnnxHostileTests {
  static let sensor = SensorModel(
    mean: [10, -3], scale: [2, 0.5], supportVectors: [0.5, -1, 2, 0.25],
    dualCoefficients: [0.75, 0.5], intercept: -0.4, gamma: 0.3)

  /// Small limits, so that a damaged size is refused and not tried.
  static var limits: ModelLimits {
    var limits = ModelLimits()
    limits.byteCount = 1 << 24
    limits.elementCount = 1 << 20
    limits.features = 1 << 12
    return limits
  }

  /// A model of most kinds of operators.
  static func mixed() -> [UInt8] {
    var model = OnnxWriter(opset: 13, machineLearning: 3)
    model.input("number", .float, [nil, 3])
    model.input("city", .string, [nil, 1])
    model.initializer("shape", .init(dims: [2], .ints([-1, 2])))
    model.initializer("weights", .init(dims: [5, 3], .floats((0..<15).map { Float($0) / 8 })))
    model.initializer("classes", .init(dims: [3], .ints([4, 5, 6])))
    model.initializer("flat", .init(dims: [1], .ints([-1])))
    model.node(
      "Imputer", domain: "ai.onnx.ml", name: "imputer", ["number"], ["full"],
      [("imputed_value_floats", .floats([1, 2, 3])), ("replaced_value_float", .float(.nan))])
    model.node(
      "OneHotEncoder", domain: "ai.onnx.ml", name: "city", ["city"], ["hot"],
      [("cats_strings", .strings(["Bonn", "Ulm"])), ("zeros", .int(0))])
    model.node("Reshape", name: "reshape", ["hot", "shape"], ["hot2"])
    model.node("Concat", name: "concat", ["full", "hot2"], ["all"], [("axis", .int(1))])
    model.node("MatMul", name: "product", ["all", "weights"], ["sums"])
    model.node("Softmax", name: "softmax", ["sums"], ["soft"], [("axis", .int(-1))])
    model.node(
      "ArgMax", name: "argmax", ["soft"], ["best"], [("axis", .int(1)), ("keepdims", .int(1))])
    model.node(
      "ArrayFeatureExtractor", domain: "ai.onnx.ml", name: "class", ["classes", "best"], ["row"])
    model.node("Reshape", name: "reshape2", ["row", "flat"], ["label"])
    model.node(
      "ZipMap", domain: "ai.onnx.ml", name: "zip", ["soft"], ["probabilities"],
      [("classlabels_int64s", .ints([4, 5, 6]))])
    model.output("label", .int64, [nil])
    model.output("probabilities", .float, [nil, 3])
    return model.bytes()
  }

  /// Loads, and scores a few rows where that works; only `ModelError` may come out.
  private static func probe(_ bytes: [UInt8]) throws(ModelError) {
    let model = try Model.load(bytes, format: .onnx, limits: limits)
    let rows = 3
    let columns = model.signature.features.map { feature in
      feature.type == .string
        ? Column(.string(["Bonn", "Ulm", "Rome"])) : Column(.float64([0, .nan, 1e300]))
    }
    let result = try model.predict(
      Batch(rowCount: rows, columns: columns), workspace: Workspace())
    #expect(result.columns.count == model.signature.outputs.count)
    for column in result.columns { #expect(column.count == rows) }
  }

  static let files = [sensor.onnx(), mixed()]

  @Test("whole files load", arguments: [0, 1])
  func whole(file: Int) throws {
    try Self.probe(Self.files[file])
  }

  @Test("a file cut anywhere throws", arguments: [0, 1])
  func cut(file: Int) throws {
    let bytes = Self.files[file]
    var loaded = 0
    for length in 0..<bytes.count {
      do throws(ModelError) {
        try Self.probe(Array(bytes[..<length]))
        loaded += 1
      } catch {
        #expect(!error.message.isEmpty)
      }
    }
    // What follows the graph may be lost, the opsets among it.
    #expect(loaded < 40)
  }

  @Test("a flipped bit throws or gives another model", arguments: [0, 1])
  func flipped(file: Int) {
    let bytes = Self.files[file]
    var refused = 0
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8(bit)
        do throws(ModelError) { try Self.probe(damaged) } catch { refused += 1 }
      }
    }
    #expect(refused > bytes.count)
  }

  @Test("random bytes after a proper start throw or load")
  func noise() {
    var random = SplitMix64(seed: 7)
    let bytes = Self.mixed()
    for _ in 0..<2000 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        damaged[Int.random(in: damaged.indices, using: &random)] = .random(
          in: .min ... .max, using: &random)
      }
      do throws(ModelError) { try Self.probe(damaged) } catch {
        #expect(!error.message.isEmpty)
      }
    }
  }

  /// What a loader says of a file; nil where it loads.
  static func refusal(_ bytes: [UInt8]) -> ModelError? {
    do throws(ModelError) {
      _ = try Model.load(bytes, format: .onnx, limits: limits)
      return nil
    } catch {
      return error
    }
  }

  @Test("nodes in a cycle are named")
  func cycle() {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 2])
    model.node("Add", name: "first", ["x", "b"], ["a"])
    model.node("Neg", name: "second", ["a"], ["b"])
    model.output("b", .float, [nil, 2])
    let error = Self.refusal(model.bytes())
    #expect(error == ModelError(.malformed, "nodes form a cycle (node \"first\")"))
  }

  @Test("a value that nobody makes is named")
  func dangling() {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 2])
    model.node("Add", name: "sum", ["x", "ghost"], ["y"])
    model.output("y", .float, [nil, 2])
    #expect(
      Self.refusal(model.bytes())
        == ModelError(.malformed, "value \"ghost\" is not defined (node \"sum\")"))
  }

  @Test("a value that two nodes make is named")
  func twice() {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 2])
    model.node("Neg", name: "one", ["x"], ["y"])
    model.node("Abs", name: "two", ["x"], ["y"])
    model.output("y", .float, [nil, 2])
    #expect(
      Self.refusal(model.bytes())
        == ModelError(.malformed, "value \"y\" is defined twice (node \"two\")"))
  }

  @Test("an operator that is not there is named with its opset")
  func unsupported() {
    var model = OnnxWriter(opset: 19)
    model.input("x", .float, [nil, 2])
    model.node("Bernoulli", name: "emb", ["x"], ["y"])
    model.output("y", .float, [nil, 2])
    #expect(
      Self.refusal(model.bytes())
        == ModelError(
          .unsupported, "operator \"Bernoulli\" of opset 19 is not supported (node \"emb\")"))
  }

  @Test(
    "a tensor larger than its bytes is refused before it is made",
    arguments: [[1 << 40], [1 << 32, 1 << 32], [0, 1 << 62, 1 << 62], [-1], [5]] as [[Int64]])
  func sizes(dims: [Int64]) {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 2])
    model.initializer("w", .init(dims: dims, .floats([1, 2])))
    model.node("MatMul", name: "m", ["x", "w"], ["y"])
    model.output("y", .float, [nil, 2])
    let error = Self.refusal(model.bytes())
    #expect(error?.message.contains("tensor \"w\"") == true, "\(String(describing: error))")
  }

  @Test("small constants that grow without bound are refused", arguments: ["Expand", "Tile"])
  func growth(type: String) {
    var model = OnnxWriter(opset: 13)
    model.input("x", .float, [nil, 1])
    model.initializer("one", .init(dims: [1, 1], .floats([1])))
    model.initializer("sizes", .init(dims: [2], .ints([1 << 31, 1 << 31])))
    model.node(type, name: "grow", ["one", "sizes"], ["big"])
    model.node("Add", name: "add", ["x", "big"], ["y"])
    model.output("y", .float, [nil, 1])
    #expect(Self.refusal(model.bytes())?.code == .tooLarge)
  }

  @Test("messages that nest too deeply are refused")
  func nesting() {
    var writer = ProtobufWriter()
    writer.string(1, "x")
    for _ in 0..<100_000 {
      var outer = ProtobufWriter()
      outer.bytes(7, writer.bytes.suffix(4096))
      writer = outer
    }
    var model = ProtobufWriter()
    model.int(1, 8)
    model.bytes(7, writer.bytes)
    #expect(Self.refusal(model.bytes) != nil)
  }

  @Test(
    "inputs of a wrong rank or width are refused with the node's name",
    arguments: [[nil], [nil, 5], [nil, 2, 3]] as [[Int64?]])
  func ranks(dims: [Int64?]) {
    var model = OnnxWriter()
    model.input("x", .float, dims)
    model.node(
      "LinearRegressor", domain: "ai.onnx.ml", name: "linear", ["x"], ["y"],
      [("coefficients", .floats([1, 2, 3])), ("intercepts", .floats([1]))])
    model.output("y", .float, [nil, 1])
    #expect(Self.refusal(model.bytes())?.message.contains("\"linear\"") == true)
  }

  @Test(
    "an operator that mixes rows is refused",
    arguments: [
      ("Softmax", [("axis", OnnxWriter.Attribute.int(0))]),
      ("ReduceMax", [("axes", .ints([0]))]), ("ArgMax", [("axis", .int(0))]),
      ("ReduceMean", []),
    ])
  func mixing(type: String, attributes: [(String, OnnxWriter.Attribute)]) {
    var model = OnnxWriter(opset: 13)
    model.input("x", .float, [nil, 3])
    model.node(type, name: "mix", ["x"], ["y"], attributes)
    model.output("y", .float, [nil, 3])
    let error = Self.refusal(model.bytes())
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("rows") == true)
    #expect(error?.message.contains("\"mix\"") == true)
  }
}
