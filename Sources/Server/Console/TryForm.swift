internal import Foundation
internal import Inference
internal import Scoring

/// A form made of a model's signature, and the record that was written into it.
struct TryForm: Sendable {
  struct Field: Sendable {
    /// As the form sends it: names of features may be anything, and equal to one another's.
    var id: String
    var feature: Signature.Feature
    /// Where training's are known: there are no others.
    var categories: [String]?

    var isFile: Bool { feature.type == .bytes }
  }

  /// More features than this are written as a record of JSON, as are tensors.
  static let most = 300
  /// Categories that a list offers; more are typed.
  private static let mostCategories = 500

  let fields: [Field]

  /// - Returns: nil where there are too many features for a form.
  init?(_ model: Model) {
    guard model.signature.features.count <= Self.most else { return nil }
    fields = model.signature.features.enumerated().map { index, feature in
      // Nothing is what is missing.
      let categories =
        feature.type == .bool
        ? nil : model.categories(ofFeature: index)?.filter { !$0.isEmpty }
      return Field(
        id: "f\(index)", feature: feature,
        categories: categories.flatMap { $0.count <= Self.mostCategories && !$0.isEmpty ? $0 : nil }
      )
    }
  }

  var hasFiles: Bool { fields.contains { $0.isFile } }

  /// One record of JSON.
  ///
  /// - Parameter values: What was written in the fields, by their ids.
  /// - Throws: 400 that names the first field that is not of its feature's type.
  func record(_ values: [String: ArraySlice<UInt8>]) throws(Problem) -> [UInt8] {
    var record: [UInt8] = []
    JSONText.open("{", &record)
    for field in fields where field.feature.isUsed {
      if record.count > 1 { record.append(UInt8(ascii: ",")) }
      JSONText.append(field.feature.name, to: &record)
      record.append(UInt8(ascii: ":"))
      record += try field.json(values[field.id] ?? [])
    }
    JSONText.close("}", &record)
    record.append(0x0A)
    return record
  }
}

extension TryForm.Field {
  /// What was written, as JSON.
  fileprivate func json(_ bytes: ArraySlice<UInt8>) throws(Problem) -> [UInt8] {
    if isFile {
      guard !bytes.isEmpty else { throw .badRequest("feature \"\(feature.name)\" has no image") }
      return Array("\"\(Data(bytes).base64EncodedString())\"".utf8)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .badRequest("feature \"\(feature.name)\" is not text")
    }
    if feature.shape != nil { return try list(text) }
    if feature.type == .string {
      if text.isEmpty, feature.missing == .allowed { return Array("null".utf8) }
      var json: [UInt8] = []
      JSONText.append(text, to: &json)
      return json
    }
    let value = text.trimmingCharacters(in: .whitespacesAndNewlines)
    if value.isEmpty {
      guard feature.missing == .allowed else {
        throw .badRequest(
          "feature \"\(feature.name)\" is missing", hint: "The model has no rule for that.")
      }
      return Array("null".utf8)
    }
    let digits = value.hasPrefix("+") ? String(value.dropFirst()) : value
    switch feature.type {
    case .bool where value == "true" || value == "false": return Array(value.utf8)
    case .int64: if let number = Int64(digits) { return Array(String(number).utf8) }
    case .float32, .float64:
      if let number = Double(digits), number.isFinite { return Array("\(number)".utf8) }
    case .bool, .string, .bytes: break
    }
    throw .badRequest("feature \"\(feature.name)\" is not \(kind): \"\(value.excerpt(40))\"")
  }

  private func list(_ text: String) throws(Problem) -> [UInt8] {
    let bytes = Array(text.utf8)
    do throws(ModelError) {
      var reader = JSONReader(bytes, limits: ModelLimits())
      guard try reader.nextKind() == .array else { throw ModelError(.mismatch, "it is no array") }
      try reader.skip()
      try reader.end()
    } catch {
      throw .badRequest("feature \"\(feature.name)\" is not an array of JSON: \(error.message)")
    }
    return bytes.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
  }

  /// What is asked for, in a word.
  var kind: String {
    if let shape = feature.shape {
      return "a list of " + shape.map { $0 < 0 ? "any" : String($0) }.joined(separator: " × ")
        + " numbers"
    }
    return switch feature.type {
    case .bool: "true or false"
    case .int64: "a whole number"
    case .float32, .float64: "a number"
    case .string: "a text"
    case .bytes: "an image"
    }
  }
}

/// What a model said of one record.
struct TryAnswer: Sendable {
  struct Value: Sendable {
    var name: String
    var role: Signature.Role
    var className: String?
    /// As JSON has it.
    var text: String
    /// nil for texts and tensors.
    var number: Double?
  }

  struct Reason: Sendable {
    var feature: String
    var contribution: Double
  }

  var version: Int32
  var duration: Duration
  var values: [Value] = []
  /// The largest first.
  var reasons: [Reason] = []
  /// Whether the model can give some.
  var givesReasons: Bool

  /// Characters of a value that are shown.
  private static let mostText = 2000

  init(
    version: Int32, duration: Duration, givesReasons: Bool, outputs: [Signature.Output],
    _ predictions: Predictions
  ) {
    self.version = version
    self.duration = duration
    self.givesReasons = givesReasons
    var names: [String] = []
    for (output, column) in zip(outputs, predictions.columns) where !column.isNull(0) {
      var bytes: [UInt8] = []
      JSONText.append(column, 0, to: &bytes)
      var text = String(decoding: bytes, as: UTF8.self)
      if case .string(let texts) = column.values, column.shape.isEmpty { text = texts[0] }
      var number = column.shape.isEmpty ? column.number(0) : nil
      // A truth is told in words.
      if case .bool = column.values { number = nil }
      switch output.role {
      case .reason: names.append(text)
      case .contribution:
        if let number, reasons.count < names.count {
          reasons.append(Reason(feature: names[reasons.count], contribution: number))
        }
      default:
        values.append(
          Value(
            name: output.name, role: output.role, className: output.className,
            text: text.count > Self.mostText ? text.prefix(Self.mostText) + " …" : text,
            number: number))
      }
    }
  }
}
