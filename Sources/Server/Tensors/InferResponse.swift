internal import HTTPTypes
internal import Inference
internal import Scoring

/// How inference requests of the same words are answered: in JSON, with binary data behind it where outputs are
/// wanted so.
///
/// What answers have in common is written once.
struct InferResponse: Sendable {
  private struct Part {
    let output: TensorPlan.Output
    let isBinary: Bool
    /// How many of the highest classes are wanted; nil for the values.
    let classes: Int?
    /// Its members before the elements; nil where they are not the same in each answer.
    let opening: [UInt8]?
  }

  private let opening: [UInt8]
  private let parts: [Part]
  private let rowCount: Int

  /// - Parameter outputs: Those that the request wants, in its order.
  init(
    to request: InferRequest, of target: Catalog.Target, outputs: [TensorPlan.Output],
    rowCount: Int
  ) {
    self.rowCount = rowCount
    var opening: [UInt8] = []
    JSONText.open("{", &opening)
    JSONText.member("model_name", string: target.name, &opening)
    JSONText.member("model_version", string: String(target.id.version), &opening)
    if let id = request.id { JSONText.member("id", string: id, &opening) }
    JSONText.key("outputs", &opening)
    JSONText.open("[", &opening)
    self.opening = opening
    parts = outputs.enumerated().map { index, output in
      let wanted = request.outputs?[index]
      let isBinary = wanted?.isBinary ?? request.isBinary
      let classes = wanted?.classes.flatMap { $0 > 0 ? $0 : nil }
      let isFixed = !isBinary && classes == nil && output.shape.allSatisfy { $0 >= 0 }
      let opening = Self.opening(
        name: output.name, type: output.type, shape: [rowCount] + output.shape)
      return Part(
        output: output, isBinary: isBinary, classes: classes, opening: isFixed ? opening : nil)
    }
  }

  /// - Throws: 422 where a row could not be scored, 400 where classes are wanted of what has none.
  func answer(_ predictions: Predictions) throws(Problem) -> Answer {
    if let failure = predictions.failures.first {
      throw Problem(
        .unprocessableContent, failure.code.rawValue, "row \(failure.row): \(failure.reason)")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    bytes += opening
    var binary: [UInt8] = []
    var hasBinary = false
    for part in parts {
      var tensor = OutputTensor(part.output, predictions.columns, rowCount: rowCount)
      if let classes = part.classes { try tensor.classify(classes) }
      JSONText.open("{", &bytes)
      bytes +=
        part.opening ?? Self.opening(name: tensor.name, type: tensor.type, shape: tensor.shape)
      if part.isBinary {
        hasBinary = true
        let start = binary.count
        tensor.appendBinary(to: &binary)
        JSONText.key("parameters", &bytes)
        bytes += "{\"binary_data_size\":\(binary.count - start)}".utf8
      } else {
        JSONText.key("data", &bytes)
        tensor.appendJSON(to: &bytes)
      }
      JSONText.close("}", &bytes)
    }
    JSONText.close("]", &bytes)
    JSONText.close("}", &bytes)
    guard hasBinary else { return .json(bytes) }
    let length = HTTPField(name: .inferenceHeaderContentLength, value: String(bytes.count))
    return Answer(type: "application/octet-stream", fields: [length], bytes: bytes + binary)
  }

  /// The members of an output before its elements, without the bracket.
  private static func opening(name: String, type: TensorType, shape: [Int]) -> [UInt8] {
    var bytes = [UInt8(ascii: "{")]
    JSONText.member("name", string: name, &bytes)
    JSONText.member("datatype", string: type.rawValue, &bytes)
    JSONText.key("shape", &bytes)
    bytes.append(UInt8(ascii: "["))
    for (place, size) in shape.enumerated() {
      if place > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(number: size, to: &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
    return Array(bytes.dropFirst())
  }
}
