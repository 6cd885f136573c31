/// ImageDecoder: the pixels of an encoded image, as far as the engine reads its format.
///
/// The image's sides are in its bytes, so these must be known when the operator is made.
struct EncodedImage: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(1...1)
    let info = try node.input(0, .uint8)
    guard let constant = info.constant, constant.dims.count == 1 else {
      throw node.error(.unsupported, "an image of sides that are not known")
    }
    let format = try node.string("pixel_format", default: "RGB")
    let bytes = UnsafeBufferPointer(
      start: constant.view.pointer(as: UInt8.self), count: constant.count)
    let pixels: ImageDecoder.Pixels
    let decoder = ImageDecoder()
    switch decoder.decode(bytes, limits: ImageLimits()) {
    case .success(let found): pixels = found
    case .failure(let fault):
      throw node.error(.unsupported, "an image cannot be decoded: \(fault.reason)")
    }
    let isGrey = format == "Grayscale"
    guard isGrey || format == "RGB" || format == "BGR" else {
      throw node.error(.malformed, "pixel_format \"\(format)\" is not known")
    }
    let count = pixels.width * pixels.height
    let channels = isGrey ? 1 : 3
    try node.check([pixels.height, pixels.width, channels])
    let tensor = Tensor(
      dims: [pixels.height, pixels.width, channels],
      buffer: TensorBuffer(.uint8, capacity: count * channels))
    let out = tensor.view.pointer(as: UInt8.self)
    for pixel in 0..<count {
      let (r, g, b) = (
        Int(pixels.base[3 * pixel]), Int(pixels.base[3 * pixel + 1]),
        Int(pixels.base[3 * pixel + 2])
      )
      switch format {
      case "RGB":
        (out[3 * pixel], out[3 * pixel + 1], out[3 * pixel + 2]) = (UInt8(r), UInt8(g), UInt8(b))
      case "BGR":
        (out[3 * pixel], out[3 * pixel + 1], out[3 * pixel + 2]) = (UInt8(b), UInt8(g), UInt8(r))
      // ITU-R 601, in the whole numbers that Pillow takes.
      default: out[pixel] = UInt8((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16)
      }
    }
    outputs = [ValueInfo(constant: tensor)]
    withExtendedLifetime(decoder) {}
  }

  func run(_ call: Call) {}
}
