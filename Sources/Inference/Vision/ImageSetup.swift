/// What is said of a model's images when it is registered: a preset, and what differs from it.
///
/// What is left out is the preset's; size, layout and the number of channels are then the model's own.
public struct ImageSetup: Sendable, Codable, Equatable {
  /// How the images were prepared that networks of a family were trained with.
  public enum Preset: String, Sendable, Codable, CaseIterable {
    /// Stretched, values from 0 to 1.
    case plain
    /// torchvision's weights: crop of 256/224 of the size, mean and deviation of ImageNet.
    case torchvision
    /// Keras's networks in "caffe" mode (ResNet, VGG): stretched by nearest pixels, blue first, less the
    /// mean of ImageNet, unscaled.
    case keras
    /// Keras's networks in "tf" mode (MobileNet, Inception, Xception): stretched by nearest pixels, -1 to 1.
    case tensorflow
    /// OpenAI's CLIP: crop, bicubic, its own mean and deviation.
    case clip
    /// Bytes as they are, from 0 to 255, for networks that scale by themselves.
    case raw
  }

  public var preset: Preset?
  /// The graph's input that is an image; nil for the one that can be.
  public var input: String?
  public var width: Int?
  public var height: Int?
  public var fit: ImageInput.Fit?
  public var shorterSide: Int?
  public var filter: ImageInput.Filter?
  public var layout: ImageInput.Layout?
  public var channels: ImageInput.Channels?
  public var divisor: Float?
  public var mean: [Float]?
  public var deviation: [Float]?
  public var border: UInt8?
  public var upsampling: ImageInput.Upsampling?

  public init(preset: Preset? = nil, width: Int? = nil, height: Int? = nil) {
    (self.preset, self.width, self.height) = (preset, width, height)
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case preset, input, width, height, fit, filter, layout, channels, divisor, mean, border,
      upsampling
    case shorterSide = "resize"
    case deviation = "std"
  }

  public init(from decoder: any Decoder) throws {
    try AnyCodingKey.refuseOthers(than: CodingKeys.allCases.map(\.rawValue), in: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    preset = try values.decodeIfPresent(Preset.self, forKey: .preset)
    input = try values.decodeIfPresent(String.self, forKey: .input)
    width = try values.decodeIfPresent(Int.self, forKey: .width)
    height = try values.decodeIfPresent(Int.self, forKey: .height)
    fit = try values.decodeIfPresent(ImageInput.Fit.self, forKey: .fit)
    shorterSide = try values.decodeIfPresent(Int.self, forKey: .shorterSide)
    filter = try values.decodeIfPresent(ImageInput.Filter.self, forKey: .filter)
    layout = try values.decodeIfPresent(ImageInput.Layout.self, forKey: .layout)
    channels = try values.decodeIfPresent(ImageInput.Channels.self, forKey: .channels)
    divisor = try values.decodeIfPresent(Float.self, forKey: .divisor)
    mean = try values.decodeIfPresent([Float].self, forKey: .mean)
    deviation = try values.decodeIfPresent([Float].self, forKey: .deviation)
    border = try values.decodeIfPresent(UInt8.self, forKey: .border)
    upsampling = try values.decodeIfPresent(ImageInput.Upsampling.self, forKey: .upsampling)
  }
}

extension ImageSetup {
  /// Sizes of the axes of a graph's input after the one for rows; nil where open.
  typealias Axes = (Int?, Int?, Int?)

  /// Completes what was said with the shape of the input that images become.
  ///
  /// - Throws: `.mismatch` where they contradict each other, or a size is said nowhere.
  func resolved(axes: Axes, inputName: String) throws(ModelError) -> ImageInput {
    let layout = try resolvedLayout(axes, inputName)
    let (count, ownHeight, ownWidth) =
      layout == .channelsFirst ? (axes.0, axes.1, axes.2) : (axes.2, axes.0, axes.1)
    func side(_ name: String, _ wanted: Int?, _ own: Int?) throws(ModelError) -> Int {
      if let wanted, let own, wanted != own {
        throw ModelError(
          .mismatch, "image: \(name) \(wanted) is given, input \"\(inputName)\" has \(own)")
      }
      guard let size = wanted ?? own else {
        throw ModelError(
          .mismatch, "image: input \"\(inputName)\" leaves the \(name) open, and none is given",
          hint: "Give the size, as in --image 224x224.")
      }
      return size
    }
    let preset = preset ?? .plain
    let channels =
      self.channels ?? (count == 1 ? .grey : preset == .keras ? .bgr : ImageInput.Channels.rgb)
    if let count, count != channels.count {
      throw ModelError(
        .mismatch,
        "image: \(channels.rawValue) has \(channels.count) channels, input \"\(inputName)\" has \(count)"
      )
    }
    let (width, height) = (
      try side("width", width, ownWidth), try side("height", height, ownHeight)
    )
    var image = preset.input(width: width, height: height, channels: channels)
    image.layout = layout
    if let fit { image.fit = fit }
    if let shorterSide { image.shorterSide = shorterSide }
    if let filter { image.filter = filter }
    if let divisor { image.divisor = divisor }
    if let mean { image.mean = Self.each(mean, channels) }
    if let deviation { image.deviation = Self.each(deviation, channels) }
    if let border { image.border = border }
    if let upsampling { image.upsampling = upsampling }
    try image.validate()
    return image
  }

  /// One value for all channels may be given alone.
  private static func each(_ values: [Float], _ channels: ImageInput.Channels) -> [Float] {
    values.count == 1 ? Array(repeating: values[0], count: channels.count) : values
  }

  private func resolvedLayout(_ axes: Axes, _ name: String) throws(ModelError) -> ImageInput.Layout
  {
    if let layout { return layout }
    func isChannels(_ size: Int?) -> Bool { size == 1 || size == 3 }
    for count in [3, 1] {
      if axes.0 == count { return .channelsFirst }
      if axes.2 == count { return .channelsLast }
    }
    if axes.0 == nil && axes.2 == nil {
      throw ModelError(
        .mismatch, "image: the shape of input \"\(name)\" does not tell which axis is the channels",
        hint: "Give the layout: {\"image\": {\"layout\": \"nchw\"}}.")
    }
    if axes.0 == nil, !isChannels(axes.2) { return .channelsFirst }
    if axes.2 == nil, !isChannels(axes.0) { return .channelsLast }
    throw ModelError(
      .mismatch, "image: input \"\(name)\" has neither 1 nor 3 channels in its first or last axis")
  }
}

extension ImageSetup.Preset {
  fileprivate func input(width: Int, height: Int, channels: ImageInput.Channels) -> ImageInput {
    var image = ImageInput(width: width, height: height, channels: channels)
    // What is known of three channels says nothing of one.
    let isColour = channels != .grey
    switch self {
    case .plain: break
    case .raw: image.divisor = 1
    case .torchvision:
      image.fit = .crop
      image.shorterSide = (max(width, height) * 256 + 112) / 224
      if isColour {
        image.mean = Self.ordered([0.485, 0.456, 0.406], channels)
        image.deviation = Self.ordered([0.229, 0.224, 0.225], channels)
      }
    case .clip:
      image.fit = .crop
      image.shorterSide = max(width, height)
      image.filter = .bicubic
      if isColour {
        image.mean = Self.ordered([0.481_454_66, 0.457_827_5, 0.408_210_73], channels)
        image.deviation = Self.ordered([0.268_629_54, 0.261_302_58, 0.275_777_11], channels)
      }
    case .keras:
      image.filter = .nearest
      image.divisor = 1
      if isColour { image.mean = Self.ordered([123.68, 116.779, 103.939], channels) }
    case .tensorflow:
      image.filter = .nearest
      image.divisor = 127.5
      image.mean = Array(repeating: 1, count: channels.count)
    }
    return image
  }

  private static func ordered(_ rgb: [Float], _ channels: ImageInput.Channels) -> [Float] {
    channels == .bgr ? rgb.reversed() : rgb
  }
}
