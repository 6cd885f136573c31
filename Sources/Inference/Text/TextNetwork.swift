/// Makes a model that reads a text of a network that reads tokens.
enum TextNetwork {
  /// The name of the only feature.
  static let feature = "text"
  /// Tokens of a text where neither the tokenizer nor the setup says how many.
  private static let usualLength = 512

  /// - Parameters:
  ///   - labels: Names for the classes, in the order of the network's output.
  ///   - softmax: Whether the output is a number a class before the softmax.
  /// - Throws: `ModelError` that names the input, output or member of the setup at fault.
  static func model(
    _ network: Model, setup: TextSetup, labels: [String]?, softmax: Bool, limits: ModelLimits
  ) throws(ModelError) -> Model {
    let tokenizer = try SubwordTokenizer(json: Array(setup.tokenizer.utf8), limits: limits)
    let inputs = try TextInputs(network.signature.features)
    var most = setup.maxLength ?? tokenizer.mostTokens ?? inputs.fixedLength ?? usualLength
    if let fixed = inputs.fixedLength { most = min(most, fixed) }
    guard most > tokenizer.addedCount, most <= 1 << 16 else {
      throw ModelError(
        .mismatch, "text: max_length is \(most)",
        detail: "The tokenizer adds \(tokenizer.addedCount) tokens of its own.",
        hint: "Give a length of up to 65536.")
    }
    let (answer, outputs) = try answer(
      network.signature.outputs, setup, labels: labels, softmax: softmax, limits: limits)
    return Model(
      format: network.format,
      signature: Signature(
        features: [Signature.Feature(name: feature, type: .string, missing: .refused)],
        outputs: outputs),
      byteCount: network.byteCount + tokenizer.byteCount, device: network.device,
      predictor: TextPredictor(
        tokenizer, inputs: inputs, mostTokens: most, answer: answer, network: network.predictor))
  }

  private static func answer(
    _ outputs: [Signature.Output], _ setup: TextSetup, labels: [String]?, softmax: Bool,
    limits: ModelLimits
  ) throws(ModelError) -> (TextAnswer, [Signature.Output]) {
    let place = try place(outputs, setup)
    let output = outputs[place]
    guard output.type != .string else {
      throw ModelError(.mismatch, "text: output \"\(output.name)\" is text")
    }
    let shape = output.shape ?? []
    guard (shape.count == 2) == (setup.pooling != nil), shape.count <= 2, (shape.last ?? 1) > 0
    else {
      throw ModelError(
        .mismatch,
        setup.pooling == nil
          ? "text: output \"\(output.name)\" is of shape \(shape) a text"
          : "text: output \"\(output.name)\" has no vector a token, so there is nothing to pool",
        hint: setup.pooling == nil
          ? "Say how it becomes one vector: {\"text\": {\"pooling\": \"mean\"}}." : nil)
    }
    let width = shape.last ?? 1
    guard width <= limits.features else {
      throw ModelError(.tooLarge, "text: output \"\(output.name)\" has \(width) numbers a text")
    }
    let isTensor = !shape.isEmpty
    var form = TextAnswer.Form.vector
    var columns = [
      Signature.Output(
        name: setup.pooling != nil || setup.normalize == true ? "embedding" : output.name,
        type: .float32, role: isTensor ? .value : .score, shape: isTensor ? [width] : nil)
    ]
    if labels != nil || softmax {
      let classes = labels ?? (0..<width).map(String.init)
      guard classes.count == width, width > 1 else {
        throw ModelError(
          .mismatch, "\(classes.count) labels for \(width) numbers of output \"\(output.name)\"")
      }
      form = .classes(classes, softmax: softmax)
      columns = try self.columns(classes, softmax || output.role == .probability)
    }
    return (
      TextAnswer(
        output: place, width: width, pooling: setup.pooling,
        normalizes: setup.normalize ?? false, form: form, isTensor: isTensor), columns
    )
  }

  /// The output that is meant: the one that is named, the only one, or the one by a usual name.
  private static func place(
    _ outputs: [Signature.Output], _ setup: TextSetup
  ) throws(ModelError) -> Int {
    if let name = setup.output {
      guard let place = outputs.firstIndex(where: { $0.name == name }) else {
        throw ModelError(
          .mismatch, "text: the model has no output \"\(name)\"",
          detail: "It has \(outputs.map { "\"\($0.name)\"" }.joined(separator: ", ")).")
      }
      return place
    }
    let usual =
      setup.pooling == nil
      ? ["sentence_embedding", "logits"] : ["last_hidden_state", "token_embeddings"]
    for name in usual {
      if let place = outputs.firstIndex(where: { $0.name == name }) { return place }
    }
    guard outputs.count == 1 else {
      throw ModelError(
        .mismatch, "text: the model has \(outputs.count) outputs",
        hint: "Name one: {\"text\": {\"output\": \"\(outputs[0].name)\"}}.")
    }
    return 0
  }

  private static func columns(
    _ classes: [String], _ areProbabilities: Bool
  ) throws(ModelError) -> [Signature.Output] {
    var names: Set<String> = ["label"]
    var columns = [Signature.Output(name: "label", type: .string, role: .label)]
    for name in classes {
      let base = (areProbabilities ? "probability_" : "decision_") + OnnxOutputs.identifier(name)
      var (own, number) = (base, 2)
      while !names.insert(own).inserted {
        own = "\(base)_\(number)"
        number += 1
      }
      columns.append(
        Signature.Output(
          name: own, type: .float32, role: areProbabilities ? .probability : .decision,
          className: name))
    }
    return columns
  }
}
