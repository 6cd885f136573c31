internal import Inference

/// Whether bytes are an image in the same way for each preparation, and give the same values again.
enum ImageCheck {
  private static let inputs: [ImageInput] = [
    ImageInput(width: 7, height: 5, fit: .crop, shorterSide: 9),
    ImageInput(width: 4, height: 6, filter: .nearest, layout: .channelsLast, channels: .bgr),
    ImageInput(width: 6, height: 6, fit: .pad, filter: .lanczos, channels: .grey, border: 114),
    ImageInput(width: 3, height: 3, filter: .box, upsampling: .dct),
  ]

  /// Small enough that what keeps to them takes little time.
  private static var limits: ImageLimits {
    var limits = ImageLimits()
    limits.byteCount = 1 << 20
    limits.pixelCount = 1 << 20
    limits.side = 1 << 13
    return limits
  }

  /// - Returns: Whether the bytes are an image.
  static func run(_ bytes: [UInt8]) throws(FuzzFinding) -> Bool {
    let workspace = ImageWorkspace()
    var isImage: Bool?
    for input in inputs {
      let reader = ImageReader(input, limits: limits)
      let first = read(bytes, reader, workspace)
      let again = read(bytes, reader, workspace)
      switch (first, again) {
      case (.success(let values), .success(let others)):
        guard values.allSatisfy(\.isFinite) else { throw FuzzFinding("a value is not finite") }
        guard values == others else { throw FuzzFinding("the same image gives other values") }
        if isImage == false { throw FuzzFinding("an image for one input is none for another") }
        isImage = true
      case (.failure(let fault), .failure(let other)):
        guard !fault.reason.isEmpty else { throw FuzzFinding("a refusal says nothing") }
        guard fault == other else { throw FuzzFinding("the same image has two reasons") }
        // One of odd proportions is too long for some inputs; colour is read twice for others.
        if fault.reason.contains("brought to size") || input.upsampling == .dct { continue }
        if isImage == true { throw FuzzFinding("an image for one input is none for another") }
        isImage = false
      default: throw FuzzFinding("the same image is refused once")
      }
    }
    return isImage ?? false
  }

  private static func read(
    _ bytes: [UInt8], _ reader: ImageReader, _ workspace: ImageWorkspace
  ) -> Result<[Float], ImageFault> {
    var values = [Float](repeating: .nan, count: reader.input.elementCount)
    let fault = values.withUnsafeMutableBufferPointer { target in
      bytes.withUnsafeBufferPointer { source in
        target.baseAddress.flatMap { reader.read(source, into: $0, workspace: workspace) }
      }
    }
    return fault.map { .failure($0) } ?? .success(values)
  }
}
