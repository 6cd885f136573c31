internal import CKernels

/// Makes encoded images into a model's input: decodes, resizes, scales and lays out.
package final class ImageReader: Sendable {
  package let input: ImageInput
  let limits: ImageLimits
  /// What each of the 256 values of a channel becomes, channel by channel.
  private let tables: [Float]

  /// - Parameter input: Validated.
  package init(_ input: ImageInput, limits: ImageLimits = ImageLimits()) {
    (self.input, self.limits) = (input, limits)
    tables = (0..<input.channels.count).flatMap { channel in
      (0..<256).map { value in
        (Float(value) / input.divisor - input.mean[channel]) / input.deviation[channel]
      }
    }
  }

  /// Writes one image's values, `input.elementCount` of them.
  ///
  /// - Returns: nil, or why the bytes are no image; the values are then unspecified.
  package func read(
    _ bytes: UnsafeBufferPointer<UInt8>, into target: UnsafeMutablePointer<Float>,
    workspace: ImageWorkspace
  ) -> ImageFault? {
    let pixels: ImageDecoder.Pixels
    switch workspace.decoder.decode(bytes, limits: limits, upsampling: input.upsampling) {
    case .success(let decoded): pixels = decoded
    case .failure(let fault): return fault
    }
    defer { workspace.shrink() }
    let stored = input.channels == .grey ? 1 : 3
    if stored == 1 { ck_grey(pixels.base, pixels.width * pixels.height, pixels.base) }
    guard let place = placement(width: pixels.width, height: pixels.height) else {
      return ImageFault(
        reason:
          "image of \(pixels.width) x \(pixels.height) pixels is too long to be brought to size")
    }
    guard
      let resized = workspace.resizer.resize(
        pixels.base, channels: stored, place.across, place.down, filter: input.filter)
    else {
      return ImageFault(
        reason: "image of \(pixels.width) x \(pixels.height) pixels takes too much memory to resize"
      )
    }
    if place.isWhole {
      scale(
        resized, stored, 0..<input.width, 0..<input.height, into: target)
    } else {
      fillBorder(target)
      scale(
        resized, stored, place.left..<place.left + place.across.wanted.count,
        place.top..<place.top + place.down.wanted.count, into: target)
    }
    workspace.place = ImagePlace(
      width: Float(pixels.width), height: Float(pixels.height),
      scaleX: Float(place.across.outputs) / Float(pixels.width),
      scaleY: Float(place.down.outputs) / Float(pixels.height),
      left: Float(place.left - place.across.wanted.lowerBound),
      top: Float(place.top - place.down.wanted.lowerBound))
    return nil
  }

  // MARK: Where the image goes

  /// What is computed of a resized image, and where it lies in the input.
  private struct Placement {
    var across: ImageResizer.Span
    var down: ImageResizer.Span
    var left = 0
    var top = 0
    /// Whether it covers the whole input.
    var isWhole = true
  }

  /// The longest side that an image of odd proportions is stretched to.
  private static let mostResized = 1 << 20

  private func placement(width: Int, height: Int) -> Placement? {
    func span(_ inputs: Int, _ outputs: Int, _ wanted: Range<Int>) -> ImageResizer.Span {
      ImageResizer.Span(inputs: inputs, outputs: outputs, wanted: wanted)
    }
    switch input.fit {
    case .stretch:
      return Placement(
        across: span(width, input.width, 0..<input.width),
        down: span(height, input.height, 0..<input.height))
    case .crop:
      // As torchvision's Resize and CenterCrop: the longer side is cut to a whole number, the corner
      // rounded to the even one.
      let short = input.shorterSide
      let long = Int(Double(short * max(width, height)) / Double(min(width, height)))
      guard long <= Self.mostResized else { return nil }
      let (newWidth, newHeight) = width <= height ? (short, long) : (long, short)
      func middle(_ size: Int, _ wanted: Int) -> Range<Int> {
        let start = Int((Double(size - wanted) / 2).rounded(.toNearestOrEven))
        return start..<start + wanted
      }
      return Placement(
        across: span(width, newWidth, middle(newWidth, input.width)),
        down: span(height, newHeight, middle(newHeight, input.height)))
    case .pad:
      // As Pillow's ImageOps.pad: the side that is too long decides.
      var (newWidth, newHeight) = (input.width, input.height)
      let own = Double(width) / Double(height)
      let wanted = Double(input.width) / Double(input.height)
      if own > wanted {
        newHeight = Int(
          (Double(height) / Double(width) * Double(input.width)).rounded(.toNearestOrEven))
      } else if own < wanted {
        newWidth = Int(
          (Double(width) / Double(height) * Double(input.height)).rounded(.toNearestOrEven))
      }
      newWidth = max(newWidth, 1)
      newHeight = max(newHeight, 1)
      return Placement(
        across: span(width, newWidth, 0..<newWidth), down: span(height, newHeight, 0..<newHeight),
        left: Int((Double(input.width - newWidth) * 0.5).rounded(.toNearestOrEven)),
        top: Int((Double(input.height - newHeight) * 0.5).rounded(.toNearestOrEven)),
        isWhole: newWidth == input.width && newHeight == input.height)
    }
  }

  // MARK: Values

  private func fillBorder(_ target: UnsafeMutablePointer<Float>) {
    let channels = input.channels.count
    let area = input.width * input.height
    for channel in 0..<channels {
      let value = tables[channel * 256 + Int(input.border)]
      switch input.layout {
      case .channelsFirst: (target + channel * area).update(repeating: value, count: area)
      case .channelsLast:
        for pixel in 0..<area { target[pixel * channels + channel] = value }
      }
    }
  }

  /// Looks each value up and puts it where the layout wants it.
  private func scale(
    _ pixels: UnsafeMutablePointer<UInt8>, _ stored: Int, _ columns: Range<Int>,
    _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) {
    let channels = input.channels.count
    let area = input.width * input.height
    tables.withUnsafeBufferPointer { tables in
      for channel in 0..<channels {
        let table = tables.baseAddress! + channel * 256
        // Stored are red, green and blue.
        var source = pixels + (input.channels == .bgr ? 2 - channel : channel)
        for row in rows {
          switch input.layout {
          case .channelsFirst:
            let out = target + channel * area + row * input.width + columns.lowerBound
            for column in 0..<columns.count { out[column] = table[Int(source[column * stored])] }
          case .channelsLast:
            let out = target + (row * input.width + columns.lowerBound) * channels + channel
            for column in 0..<columns.count {
              out[column * channels] = table[Int(source[column * stored])]
            }
          }
          source += columns.count * stored
        }
      }
    }
  }
}

/// Memory for images that a thread reuses from row to row.
package final class ImageWorkspace {
  let decoder = ImageDecoder()
  let resizer = ImageResizer()
  /// Values of an input that is not of floats.
  var values: [Float] = []
  /// Of the image that was read last.
  var place: ImagePlace?
  /// Of the images of the last block of rows; nil for those that could not be read.
  var places: [ImagePlace?] = []

  package init() {}

  /// Lets go of what only a very large image needed.
  func shrink() {
    decoder.shrink()
    resizer.shrink()
  }
}
