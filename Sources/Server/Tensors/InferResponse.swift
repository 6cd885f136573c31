internal import HTTPTypes
internal import Inference
internal import Scoring

/// The answer to an inference request: JSON, with binary data behind it where outputs are wanted so.
struct InferResponse {
  private(set) var bytes: [UInt8] = []
  /// Bytes of JSON before binary data; nil where all is JSON.
  private(set) var headerByteCount: Int?
  private var binary: [UInt8] = []

  /// - Parameter outputs: Those that the request wants, in its order.
  /// - Throws: 422 where a row could not be scored, 400 where classes are wanted of what has none.
  init(
    to request: InferRequest, of target: Catalog.Target, outputs: [TensorPlan.Output],
    predictions: Predictions, rowCount: Int
  ) throws(Problem) {
    if let failure = predictions.failures.first {
      throw Problem(
        .unprocessableContent, failure.code.rawValue, "row \(failure.row): \(failure.reason)")
    }
    bytes.reserveCapacity(512)
    JSONText.open("{", &bytes)
    JSONText.member("model_name", string: target.name, &bytes)
    JSONText.member("model_version", string: String(target.id.version), &bytes)
    if let id = request.id { JSONText.member("id", string: id, &bytes) }
    JSONText.key("outputs", &bytes)
    JSONText.open("[", &bytes)
    var hasBinary = false
    for (index, output) in outputs.enumerated() {
      let wanted = request.outputs?[index]
      let isBinary = wanted?.isBinary ?? request.isBinary
      hasBinary = hasBinary || isBinary
      var tensor = OutputTensor(output, predictions.columns, rowCount: rowCount)
      if let classes = wanted?.classes, classes > 0 { try tensor.classify(classes) }
      append(tensor, isBinary: isBinary)
    }
    JSONText.close("]", &bytes)
    JSONText.close("}", &bytes)
    if hasBinary {
      headerByteCount = bytes.count
      bytes += binary
    }
  }

  private mutating func append(_ tensor: OutputTensor, isBinary: Bool) {
    JSONText.open("{", &bytes)
    JSONText.member("name", string: tensor.name, &bytes)
    JSONText.member("datatype", string: tensor.type.rawValue, &bytes)
    JSONText.key("shape", &bytes)
    bytes.append(UInt8(ascii: "["))
    for (place, size) in tensor.shape.enumerated() {
      if place > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(number: size, to: &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
    if isBinary {
      let start = binary.count
      tensor.appendBinary(to: &binary)
      JSONText.key("parameters", &bytes)
      bytes += Array("{\"binary_data_size\":\(binary.count - start)}".utf8)
    } else {
      JSONText.key("data", &bytes)
      tensor.appendJSON(to: &bytes)
    }
    JSONText.close("}", &bytes)
  }
}
