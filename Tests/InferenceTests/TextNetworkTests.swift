import Foundation
import Inference
import ModelFixtures
import Testing

@Suite struct TextNetworkTests {
  private static let tokenizer =
    #"""
    {"model": {"type": "WordPiece", "unk_token": "u", "vocab": {"p": 0, "u": 1, "a": 2, "b": 3, "c": 4}},
     "pre_tokenizer": {"type": "WhitespaceSplit"}, "padding": {"pad_id": 0}}
    """#
  /// A vector for each token: its number, and its square.
  private static let vectors: [Float] = (0..<5).flatMap { [Float($0), Float($0 * $0)] }

  /// A network that answers a vector a token, or the greatest of them.
  private func network(isPooled: Bool = false) -> [UInt8] {
    var file = OnnxWriter(opset: 13)
    file.input("input_ids", .int64, [nil, nil])
    file.input("attention_mask", .int64, [nil, nil])
    file.initializer("table", .init(dims: [5, 2], .floats(Self.vectors)))
    file.node("Gather", ["table", "input_ids"], ["tokens"], [("axis", .int(0))])
    file.node("Cast", ["attention_mask"], ["mask"], [("to", .int(1))])
    file.initializer("last", .init(dims: [1], .ints([2])))
    file.node("Unsqueeze", ["mask", "last"], ["column"])
    file.node("Mul", ["tokens", "column"], ["last_hidden_state"])
    if isPooled {
      file.node(
        "ReduceMax", ["last_hidden_state"], ["logits"],
        [("axes", .ints([1])), ("keepdims", .int(0))])
      file.output("logits", .float, [nil, 2])
    } else {
      file.output("last_hidden_state", .float, [nil, nil, 2])
    }
    return file.bytes()
  }

  private func model(
    _ pooling: TextSetup.Pooling?, normalize: Bool? = nil, labels: [String]? = nil,
    softmax: Bool = false
  ) throws(ModelError) -> Model {
    try Model.load(
      network(isPooled: pooling == nil), labels: labels,
      options: ModelOptions(
        setup: ModelSetup(
          text: TextSetup(tokenizer: Self.tokenizer, pooling: pooling, normalize: normalize),
          softmax: softmax)))
  }

  private func answer(_ model: Model, _ texts: [String]) throws(ModelError) -> Predictions {
    try model.predict(
      Batch(rowCount: texts.count, columns: [Column(.string(texts))]), workspace: Workspace())
  }

  @Test func aTextIsTheOnlyFeature() throws {
    let signature = try model(.mean).signature
    #expect(signature.features == [.init(name: "text", type: .string, missing: .refused)])
    #expect(
      signature.outputs == [.init(name: "embedding", type: .float32, role: .value, shape: [2])])
  }

  @Test(arguments: [
    (TextSetup.Pooling.mean, [Float]([2.5, 6.5, 4, 16, 2, 4])),
    (.cls, [2, 4, 4, 16, 2, 4]), (.max, [3, 9, 4, 16, 2, 4]),
  ])
  func vectorsOfTokensArePooled(pooling: TextSetup.Pooling, expected: [Float]) throws {
    let predictions = try answer(model(pooling), ["a b", "c c c c c c c c c c", "a"])
    #expect(predictions.columns == [Column(.float32(expected), shape: [2])])
    #expect(predictions.failures.isEmpty)
  }

  @Test func vectorsHaveLengthOneWhereThatIsWanted() throws {
    let predictions = try answer(model(.mean, normalize: true), ["c"])
    guard case .float32(let values) = predictions.columns[0].values else {
      Issue.record("no floats")
      return
    }
    #expect(abs(values[0] - 4 / Float(272).squareRoot()) < 1e-6)
    #expect(abs(values[1] - 16 / Float(272).squareRoot()) < 1e-6)
  }

  @Test func aClassifierGivesItsLabels() throws {
    let model = try model(nil, labels: ["small", "great"], softmax: true)
    #expect(
      model.signature.outputs.map(\.name) == ["label", "probability_small", "probability_great"])
    let predictions = try answer(model, ["a", "p"])
    #expect(predictions.columns[0] == Column(.string(["great", "small"])))
    guard case .float32(let great) = predictions.columns[2].values else {
      Issue.record("no floats")
      return
    }
    #expect(abs(great[0] - 1 / (1 + Float(exp(-2.0)))) < 1e-6)
    #expect(great[1] == 0.5)
  }

  @Test func whatNeighboursAreChangesNothing() throws {
    let model = try model(.mean, normalize: true)
    var texts = (0..<200).map { row in
      Array(repeating: ["a", "b", "c", "x"][row % 4], count: 1 + row * 7 % 90).joined(
        separator: " ")
    }
    let all = try answer(model, texts)
    guard case .float32(let together) = all.columns[0].values else { return }
    for row in [0, 17, 199] {
      guard case .float32(let alone) = try answer(model, [texts[row]]).columns[0].values else {
        return
      }
      #expect(alone == Array(together[(row * 2)..<(row * 2 + 2)]))
    }
    texts[3] = ""
    let failures = try answer(model, texts).failures
    #expect(failures.map(\.row) == [3])
    #expect(failures.first?.code == .missing)
  }

  @Test func whatDoesNotFitIsRefused() {
    #expect(throws: ModelError.self) {
      try Model.load(
        network(),
        options: ModelOptions(setup: ModelSetup(text: TextSetup(tokenizer: Self.tokenizer))))
    }
    #expect(throws: ModelError.self) { try model(nil, labels: ["one"]) }
    #expect(throws: ModelError.self) {
      try Model.load(
        network(),
        options: ModelOptions(setup: ModelSetup(text: TextSetup(tokenizer: "{}", pooling: .mean))))
    }
  }
}

/// Runs where `Tests/Training/make_sentence_encoder.py` has written the encoder into the zoo.
@Suite struct SentenceEncoderZooTests {
  static let folder = ZooCase.root.appendingPathComponent("sentence_encoder")
  static let isThere = FileManager.default.fileExists(
    atPath: folder.appendingPathComponent("model.onnx").path)

  private func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: Self.folder.appendingPathComponent(name)))
  }

  @Test(.enabled(if: isThere, "no sentence encoder in the zoo"))
  func embeddingsAreThoseOfSentenceTransformers() throws {
    let setup = TextSetup(
      tokenizer: String(decoding: try bytes("tokenizer.json"), as: UTF8.self), maxLength: 256,
      pooling: .mean, normalize: true)
    let model = try Model.load(
      bytes("model.onnx"), options: ModelOptions(setup: ModelSetup(text: setup)))
    let texts = try JSONDecoder().decode([String].self, from: Data(bytes("sentences.json")))
    let wanted = try bytes("embeddings.f32").withUnsafeBytes { raw in
      (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
    let predictions = try model.predict(
      Batch(rowCount: texts.count, columns: [Column(.string(texts))]),
      workspace: Workspace(threads: 2))
    #expect(predictions.failures.isEmpty)
    guard case .float32(let found) = predictions.columns[0].values else {
      Issue.record("no floats")
      return
    }
    let width = found.count / texts.count
    #expect(found.count == wanted.count)
    var least = 1.0
    for row in texts.indices {
      var (product, a, b) = (0.0, 0.0, 0.0)
      for place in (row * width)..<((row + 1) * width) {
        product += Double(found[place]) * Double(wanted[place])
        a += Double(found[place]) * Double(found[place])
        b += Double(wanted[place]) * Double(wanted[place])
      }
      least = min(least, product / (a * b).squareRoot())
    }
    print("least cosine of \(texts.count) sentences: \(least)")
    #expect(least > 0.9999)
  }
}
