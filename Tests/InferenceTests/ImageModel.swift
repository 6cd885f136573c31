import Inference
import ModelFixtures

/// A model that answers the values that an image becomes, so that tests see them.
struct ImageModel {
  let model: Model

  /// - Parameter shape: The input's axes after the one for rows; nil where open.
  init(
    _ shape: [Int64?], setup: String, type: OnnxWriter.ElementType = .float
  ) throws {
    var writer = OnnxWriter(opset: 17)
    writer.input("image", type, [nil] + shape)
    if type == .float {
      writer.node("Flatten", ["image"], ["values"], [("axis", .int(1))])
    } else {
      writer.node("Cast", ["image"], ["numbers"], [("to", .int(1))])
      writer.node("Flatten", ["numbers"], ["values"], [("axis", .int(1))])
    }
    writer.output("values", .float, [nil, nil])
    model = try Model.load(
      writer.bytes(), options: ModelOptions(setup: ModelSetup.read(json: "{\"image\": \(setup)}")))
  }

  func predict(_ images: [[UInt8]], nulls: [UInt64]? = nil) throws -> Predictions {
    try model.predict(
      Batch(rowCount: images.count, columns: [Column(.bytes(images), nulls: nulls)]),
      workspace: Workspace())
  }

  /// The values of one image; the reason where it is refused.
  func values(_ image: [UInt8]) throws -> Result<[Float], Refusal> {
    let predictions = try predict([image])
    if let failure = predictions.failures.first {
      return .failure(Refusal(code: failure.code, reason: failure.reason))
    }
    return .success(Self.row(0, of: predictions))
  }

  static func row(_ row: Int, of predictions: Predictions) -> [Float] {
    predictions.columns.flatMap { column -> ArraySlice<Float> in
      guard case .float32(let values) = column.values else { return [.nan] }
      return values[(row * column.width)..<((row + 1) * column.width)]
    }
  }

  struct Refusal: Error, Equatable {
    var code: Predictions.Failure.Code
    var reason: String
  }
}
