internal import Inference

/// Networks of tensors: with the engine's own kernels, where a row's bits depend on nothing else, and
/// as they are run where oneDNN is.
enum NetworkCheck {
  private static let rows = 4
  /// Numbers of a row; larger inputs are loaded, not scored.
  private static let mostElements = 1 << 13

  /// - Returns: Whether the bytes are a model.
  static func run(_ bytes: [UInt8], limits: ModelLimits) throws(FuzzFinding) -> Bool {
    var isModel = false
    for isPlain in [true, false] {
      // The two may differ in what they take, as where memory for packed weights is counted.
      let result = NetworkKernels.$isPlain.withValue(isPlain) {
        Result { () throws(FuzzFinding) in try check(bytes, limits, comparesRows: isPlain) }
      }
      let own = try result.get()
      isModel = own || isModel
    }
    return isModel
  }

  private static func check(
    _ bytes: [UInt8], _ limits: ModelLimits, comparesRows: Bool
  ) throws(FuzzFinding) -> Bool {
    let model: Model
    do throws(ModelError) {
      model = try Model.load(bytes, format: .onnx, limits: limits)
    } catch {
      guard !error.message.isEmpty else { throw FuzzFinding("a refusal says nothing") }
      return false
    }
    var elements = 0
    for feature in model.signature.features {
      let own = (feature.shape ?? []).reduce(1) { product, size in
        min(product * (size < 0 ? 16 : size), mostElements + 1)
      }
      elements += own
    }
    guard elements <= mostElements else { return true }
    let batch = HostileRows.tensors(for: model, count: rows)
    if comparesRows {
      try BatchCheck(model).run(batch)
    } else {
      _ = try? model.predict(batch, workspace: Workspace())
      _ = try? model.predict(batch, workspace: Workspace(threads: 2))
    }
    return true
  }
}
