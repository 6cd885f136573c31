/// How an encoded image becomes a model's input: size, colours, scale and layout.
///
/// Steps, in this order: decode to 8-bit RGB, turn as EXIF says, make grey where one channel is wanted, bring
/// to size, scale each value as (value / divisor - mean) / deviation of its channel, lay out.
///
/// This is part of a model's signature, and the JSON that the registry stores.
public struct ImageInput: Sendable, Codable, Equatable {
  /// What becomes of an image whose sides are in another proportion than the input's.
  public enum Fit: String, Sendable, Codable, CaseIterable {
    /// The shorter side is brought to `shorterSide`, then the middle is cut out.
    case crop
    /// Both sides are brought to the input's, whatever this does to the proportion.
    case stretch
    /// The whole image is kept, and borders of the value `border` fill the rest.
    case pad
  }

  /// Filters of Pillow's `Image.resize`, which are as wide as an image is made smaller (but for nearest).
  public enum Filter: String, Sendable, Codable, CaseIterable {
    case nearest, box, bilinear, hamming, bicubic, lanczos
  }

  public enum Layout: String, Sendable, Codable, CaseIterable {
    /// Channel by channel, as PyTorch has it.
    case channelsFirst = "nchw"
    /// Pixel by pixel, as TensorFlow has it.
    case channelsLast = "nhwc"
  }

  public enum Channels: String, Sendable, Codable, CaseIterable {
    case rgb, bgr, grey

    public var count: Int { self == .grey ? 1 : 3 }
  }

  /// How the colour of a JPEG is enlarged that has half the lightness's width and height.
  public enum Upsampling: String, Sendable, Codable, CaseIterable {
    /// As libjpeg-turbo does, and Pillow, OpenCV and torchvision with it.
    case triangle
    /// In the cosine transform, as IJG's libjpeg does from version 7 on.
    case dct
  }

  public var width: Int
  public var height: Int
  public var fit: Fit
  /// For `crop` alone.
  public var shorterSide: Int
  public var filter: Filter
  public var layout: Layout
  public var channels: Channels
  public var divisor: Float
  /// One a channel, in the order of `channels`.
  public var mean: [Float]
  /// One a channel, in the order of `channels`.
  public var deviation: [Float]
  /// For `pad` alone: a value of 0 to 255, before it is scaled.
  public var border: UInt8
  public var upsampling: Upsampling

  private enum CodingKeys: String, CodingKey {
    case width, height, fit, filter, layout, channels, divisor, mean, border, upsampling
    case shorterSide = "resize"
    case deviation = "std"
  }

  public init(
    width: Int, height: Int, fit: Fit = .stretch, shorterSide: Int? = nil,
    filter: Filter = .bilinear, layout: Layout = .channelsFirst, channels: Channels = .rgb,
    divisor: Float = 255, mean: [Float]? = nil, deviation: [Float]? = nil, border: UInt8 = 0,
    upsampling: Upsampling = .triangle
  ) {
    self.width = width
    self.height = height
    self.fit = fit
    self.shorterSide = shorterSide ?? min(width, height)
    self.filter = filter
    self.layout = layout
    self.channels = channels
    self.divisor = divisor
    self.mean = mean ?? Array(repeating: 0, count: channels.count)
    self.deviation = deviation ?? Array(repeating: 1, count: channels.count)
    self.border = border
    self.upsampling = upsampling
  }

  /// Values that an image becomes.
  public var elementCount: Int { width * height * channels.count }

  /// An input's sides are no longer.
  static let mostSide = 8192

  /// - Throws: `.mismatch` that names what makes no sense.
  func validate() throws(ModelError) {
    func refuse(_ message: String) -> ModelError { ModelError(.mismatch, message) }
    for (name, size) in [("width", width), ("height", height), ("resize", shorterSide)]
    where !(1...Self.mostSide).contains(size) {
      throw refuse("image: \(name) is \(size), 1 to \(Self.mostSide) is allowed")
    }
    if fit == .crop, shorterSide < max(width, height) {
      throw ModelError(
        .mismatch,
        "image: a shorter side of \(shorterSide) pixels leaves no \(width) x \(height) to cut out")
    }
    guard divisor.isFinite, divisor != 0 else { throw refuse("image: divisor is \(divisor)") }
    for (name, values) in [("mean", mean), ("std", deviation)] {
      guard values.count == channels.count else {
        throw refuse("image: \(name) has \(values.count) values for \(channels.count) channels")
      }
      guard values.allSatisfy(\.isFinite) else { throw refuse("image: \(name) is not finite") }
    }
    guard !deviation.contains(0) else { throw refuse("image: a std is 0") }
    for channel in mean.indices {
      for value in [Float(0), 255] {
        guard ((value / divisor - mean[channel]) / deviation[channel]).isFinite else {
          throw refuse(
            "image: \(divisor), \(mean[channel]) and \(deviation[channel]) scale beyond all numbers"
          )
        }
      }
    }
  }
}

extension ImageInput: CustomStringConvertible {
  /// As `224 x 224 rgb, nchw, crop of 256 (bilinear), (value / 255 - mean) / std`.
  public var description: String {
    var scale = "value / \(Self.text(divisor))"
    if mean.contains(where: { $0 != 0 }) {
      scale = "\(scale) - (\(mean.map(Self.text).joined(separator: ", ")))"
    }
    if deviation.contains(where: { $0 != 1 }) {
      scale = "(\(scale)) / (\(deviation.map(Self.text).joined(separator: ", ")))"
    }
    let how = fit == .crop ? "crop of \(shorterSide)" : fit.rawValue
    return
      "\(width) x \(height) \(channels.rawValue), \(layout.rawValue), \(how), \(filter.rawValue), \(scale)"
  }

  private static func text(_ value: Float) -> String {
    value == value.rounded() && abs(value) < 1e6 ? "\(Int(value))" : "\(value)"
  }
}
