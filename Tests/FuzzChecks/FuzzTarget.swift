package import Inference

/// What is fuzzed: a reader by its format, the executor with whatever format its bytes speak of,
/// networks of tensors, tokenizers, or images.
package enum FuzzTarget: String, CaseIterable, Sendable {
  case onnx, lightgbm, xgboost, ubjson, catboost, executor, image, network, tokenizer

  /// nil: told from the bytes.
  package var format: ModelFormat? {
    switch self {
    case .onnx, .network: .onnx
    case .lightgbm: .lightgbm
    case .xgboost, .ubjson: .xgboost
    case .catboost: .catboost
    case .executor, .image, .tokenizer: nil
    }
  }

  /// Loads the bytes; where they are a model, scores rows on it in several ways.
  ///
  /// - Returns: Whether the bytes are a model, or an image.
  /// - Throws: `FuzzFinding` where the engine breaks a promise. A trap or a hang is one too, which
  ///   only the caller's process shows.
  @discardableResult
  package func check(_ bytes: [UInt8]) throws(FuzzFinding) -> Bool {
    switch self {
    case .image: return try ImageCheck.run(bytes)
    case .network: return try NetworkCheck.run(bytes, limits: Self.limits)
    case .tokenizer: return try TokenizerCheck.run(bytes, limits: Self.limits)
    default: break
    }
    let model: Model
    do throws(ModelError) {
      model = try Model.load(bytes, format: format, limits: Self.limits)
    } catch {
      guard !error.message.isEmpty else { throw FuzzFinding("a refusal says nothing") }
      return false
    }
    try BatchCheck(model).run()
    return true
  }

  /// Small enough that what keeps to them takes neither much memory nor much time.
  private static var limits: ModelLimits {
    var limits = ModelLimits()
    limits.byteCount = 64 << 20
    limits.nodeCount = 10_000
    limits.elementCount = 1 << 22
    limits.features = 1 << 12
    limits.stepCount = 1 << 24
    return limits
  }
}

/// A promise that the engine did not keep.
package struct FuzzFinding: Error, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}
