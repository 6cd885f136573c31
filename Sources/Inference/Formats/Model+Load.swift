extension Model {
  /// Reads a model from the bytes of its file.
  ///
  /// Whatever the bytes are, this returns a model that scores, or throws; sizes are checked
  /// against `limits` before memory is taken.
  ///
  /// - Parameters:
  ///   - format: The file's format; told from its first bytes when nil.
  ///   - labels: Names for the classes, in the model's order; nil keeps the model's own.
  /// - Throws: `ModelError`, which names the operator, tree or line at fault.
  /// - Complexity: Linear in the bytes.
  public static func load(
    _ bytes: [UInt8], format: ModelFormat? = nil, labels: [String]? = nil,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) -> Model {
    guard bytes.count <= limits.byteCount else {
      throw ModelError(
        .tooLarge, "model has \(bytes.count) bytes, the limit is \(limits.byteCount)")
    }
    let found: ModelFormat
    if let format { found = format } else { found = try ModelFormat(sniffing: bytes) }
    switch found {
    case .onnx: return try OnnxImporter.load(bytes, labels: labels, limits: limits)
    case .lightgbm: return try LightGBMImporter.load(bytes, labels: labels, limits: limits)
    case .xgboost: return try XGBoostImporter.load(bytes, labels: labels, limits: limits)
    }
  }
}

extension ModelFormat {
  /// The format that the first bytes speak of.
  init(sniffing bytes: [UInt8]) throws(ModelError) {
    guard let first = bytes.first else { throw ModelError(.truncated, "model is empty") }
    // LightGBM's text starts with "tree", JSON and UBJSON with a brace (JSON perhaps after white
    // space). No field tag of ONNX's ModelProto is any of these bytes.
    let text = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if bytes.starts(with: "tree".utf8) {
      self = .lightgbm
    } else if text == UInt8(ascii: "{") {
      self = .xgboost
    } else if first == 0x80 {
      throw ModelError(
        .unsupported, "model is a Python pickle",
        detail: "Reading a pickle runs whatever program it holds.",
        hint: "Export the model to ONNX, or save it in its library's own format.")
    } else {
      self = .onnx
    }
  }
}
