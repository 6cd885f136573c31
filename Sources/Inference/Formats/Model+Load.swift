extension Model {
  /// Reads a model from the bytes of its file.
  ///
  /// Whatever the bytes are, this returns a model that scores, or throws; sizes are checked
  /// against `limits` before memory is taken.
  ///
  /// - Parameters:
  ///   - format: The file's format; told from its first bytes when nil.
  ///   - labels: Names for the classes, in the model's order; nil keeps the model's own.
  ///   - options: What is asked for beside predictions; boosted models alone have more.
  ///   - directory: The folder of the file, where tensors keep their data in files beside it.
  /// - Throws: `ModelError`, which names the operator, tree or line at fault.
  /// - Complexity: Linear in the bytes.
  public static func load(
    _ bytes: [UInt8], format: ModelFormat? = nil, labels: [String]? = nil,
    limits: ModelLimits = ModelLimits(), options: ModelOptions = ModelOptions(),
    directory: String? = nil
  ) throws(ModelError) -> Model {
    guard bytes.count <= limits.byteCount else {
      throw ModelError(
        .tooLarge, "model has \(bytes.count) bytes, the limit is \(limits.byteCount)")
    }
    guard (0...ModelOptions.mostReasons).contains(options.reasons) else {
      throw ModelError(
        .mismatch,
        "\(options.reasons) reasons are wanted, a row has up to \(ModelOptions.mostReasons)")
    }
    let found: ModelFormat
    if let format { found = format } else { found = try ModelFormat(sniffing: bytes) }
    let read = { () throws(ModelError) -> Model in
      try Self.read(
        bytes, as: found, labels: labels, limits: limits, options: options, directory: directory)
    }
    return bytes.count < Concurrently.leastFile ? try Concurrently.serially(read) : try read()
  }

  private static func read(
    _ bytes: [UInt8], as format: ModelFormat, labels: [String]?, limits: ModelLimits,
    options: ModelOptions, directory: String?
  ) throws(ModelError) -> Model {
    guard format == .onnx || options.setup.isEmpty else {
      throw ModelError(
        .mismatch, "a setup is given for a model of \(format.rawValue): ONNX models alone have one")
    }
    if format != .onnx {
      _ = try ExecutionBackends.backend(for: options.device, isNetwork: false)
    }
    switch format {
    case .onnx:
      guard options.answer == .prediction, options.iterations == nil else {
        throw ModelError(
          .mismatch,
          "an ONNX model answers its outputs, not margins, leaves, contributions or some rounds")
      }
      return try OnnxImporter.load(
        bytes, labels: labels, limits: limits, reasons: options.reasons, setup: options.setup,
        device: options.device, directory: directory)
    case .lightgbm:
      return try LightGBMImporter.load(bytes, labels: labels, options: options, limits: limits)
    case .xgboost:
      return try XGBoostImporter.load(bytes, labels: labels, options: options, limits: limits)
    case .catboost:
      return try CatBoostImporter.load(bytes, labels: labels, options: options, limits: limits)
    }
  }
}

extension ModelFormat {
  /// The format that the first bytes speak of; of JSON, the members.
  init(sniffing bytes: [UInt8]) throws(ModelError) {
    guard let first = bytes.first else { throw ModelError(.truncated, "model is empty") }
    // LightGBM's text starts with "tree", JSON and UBJSON with a brace (JSON perhaps after white
    // space). No field tag of ONNX's ModelProto is any of these bytes.
    let text = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if bytes.starts(with: "tree".utf8) {
      self = .lightgbm
    } else if text == UInt8(ascii: "{") {
      self = Self.isUBJSON(bytes) || !Self.isCatBoost(bytes) ? .xgboost : .catboost
    } else if first == 0x80 {
      throw ModelError(
        .unsupported, "model is a Python pickle",
        detail: "Reading a pickle runs whatever program it holds.",
        hint: "Export the model to ONNX, or save it in its library's own format.")
    } else if bytes.starts(with: "CBM1".utf8) {
      throw ModelError(
        .unsupported, "model is in CatBoost's binary format, which is not supported",
        hint: "Save it with save_model(…, format=\"json\").")
    } else if let reason = Self.whyNotONNX(bytes) {
      throw reason
    } else {
      self = .onnx
    }
  }

  /// What keeps bytes from being one message of protobuf's wire format, seen from outside.
  private static func whyNotONNX(_ bytes: [UInt8]) -> ModelError? {
    var reader = ProtobufReader(bytes, nestingDepth: 1)
    do throws(ModelError) {
      // ModelProto has field numbers up to 25, and a graph.
      var hasGraph = false
      while let (number, _) = try reader.next() {
        guard number <= 100 else { throw ModelError(.malformed, "field \(number)") }
        hasGraph = hasGraph || number == 7
      }
      return hasGraph ? nil : ModelError(.malformed, noModel, detail: "It holds no graph.")
    } catch {
      return ModelError(
        error.code, noModel, detail: "As ONNX, which has no mark of its own: \(error.message).",
        hint: "A file that was cut off looks so too.")
    }
  }

  private static let noModel = "file is no model of ONNX, LightGBM, XGBoost or CatBoost"

  /// Whether a document that starts with a brace goes on as UBJSON does: with the marker of a
  /// length, a type, a count or an end, where JSON has a quotation mark or white space.
  static func isUBJSON(_ bytes: [UInt8]) -> Bool {
    guard bytes.count > 1, bytes[0] == UInt8(ascii: "{") else { return false }
    return "iUIlL$#N".utf8.contains(bytes[1])
  }

  /// Whether the members of a JSON document are CatBoost's.
  private static func isCatBoost(_ bytes: [UInt8]) -> Bool {
    var reader = JSONReader(bytes, limits: ModelLimits())
    var answer: Bool?
    // Stops by an error of its own once it knows.
    try? reader.object { reader, key throws(ModelError) in
      switch key {
      case "oblivious_trees", "trees", "features_info", "scale_and_bias", "ctr_data": answer = true
      case "learner", "version": answer = false
      default: return try reader.skip()
      }
      throw ModelError(.malformed, "known")
    }
    return answer ?? false
  }
}
