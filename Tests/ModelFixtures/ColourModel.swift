internal import Inference

/// A classifier of pictures: how much red, green and blue there is.
///
/// What is at the lower right counts three times what is at the upper left, so that a picture which is turned
/// is another picture.
package enum ColourModel {
  package static let labels = ["red", "green", "blue"]
  package static let setup = #"{"image": {"preset": "plain"}, "softmax": true}"#

  /// The file: 4 x 4 pixels in, a number for each colour out, at most ten.
  package static let bytes: [UInt8] = {
    let (pixels, colours) = (16, labels.count)
    var weights = [Float](repeating: 0, count: pixels * colours * colours)
    for colour in 0..<colours {
      for pixel in 0..<pixels {
        weights[(colour * pixels + pixel) * colours + colour] =
          10 / Float(pixels) * (0.5 + Float(pixel) / Float(pixels - 1))
      }
    }
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.initializer("weights", .init(dims: [48, 3], .floats(weights)))
    model.node("Flatten", ["picture"], ["flat"])
    model.node("MatMul", ["flat", "weights"], ["logits"])
    model.output("logits", .float, [nil, 3])
    return model.bytes()
  }()

  /// A JPEG of one colour.
  package static func picture(_ colour: (UInt8, UInt8, UInt8), side: Int = 20) -> [UInt8] {
    let pixels = (0..<side * side).flatMap { _ in [colour.0, colour.1, colour.2] }
    guard
      let bytes = JPEGEncoder.encode(
        pixels, width: side, height: side, channels: 3, quality: 95)
    else { preconditionFailure("a picture of \(side) x \(side) pixels") }
    return bytes
  }
}
