internal import Foundation

/// HannWindow, HammingWindow and BlackmanWindow: numbers that depend on their length alone.
struct SignalWindow: Operator {
  let outputs: [ValueInfo]

  static let hann: OperatorFactory = { node throws(ModelError) in
    try SignalWindow(node) { pow(sin(Double.pi * $0), 2) }
  }

  static let hamming: OperatorFactory = { node throws(ModelError) in
    let alpha = 25.0 / 46
    return try SignalWindow(node) { alpha - (1 - alpha) * cos(2 * Double.pi * $0) }
  }

  static let blackman: OperatorFactory = { node throws(ModelError) in
    try SignalWindow(node) {
      0.42 - 0.5 * cos(2 * Double.pi * $0) + 0.08 * cos(4 * Double.pi * $0)
    }
  }

  /// - Parameter value: The window at a place, 1 for its whole length.
  private init(_ node: Node, _ value: (Double) -> Double) throws(ModelError) {
    try node.checkInputs(1...1)
    guard let list = try node.constantInts(input: 0), list.count == 1 else {
      throw node.error(.malformed, "a size that is no number")
    }
    try node.check(list)
    guard list[0] <= FourierTransform.mostLength else {
      throw node.error(.tooLarge, "a window of \(list[0]) elements")
    }
    let type = try node.floatingPointType("output_datatype")
    let length = try node.int("periodic", default: 1) != 0 ? list[0] : list[0] - 1
    let tensor = Tensor(dims: [list[0]], buffer: TensorBuffer(type, capacity: list[0]))
    for index in 0..<list[0] {
      tensor.view.set(index, length > 0 ? value(Double(index) / Double(length)) : 1)
    }
    outputs = [ValueInfo(constant: tensor)]
  }

  func run(_ call: Call) {}
}

/// MelWeightMatrix: triangles along the mel scale, by which a spectrum becomes loudness in bands.
struct MelWeights: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(5...5)
    var numbers: [Double] = []
    for index in 0..<5 {
      guard let list = try node.input(index).constant?.doubles, list.count == 1,
        abs(list[0]) < 1e9
      else { throw node.error(.unsupported, "input \(index) is not a constant number") }
      numbers.append(list[0])
    }
    let (bands, rate) = (Int(numbers[0]), numbers[2])
    let bins = Int(numbers[1]) / 2 + 1
    try node.check([bins, bands])
    guard bins * bands <= 1 << 24 else {
      throw node.error(.tooLarge, "\(bands) bands of \(bins) bins")
    }
    guard bands > 0, bins > 0, rate > 0, numbers[3] > -700, numbers[4] > -700 else {
      throw node.error(.malformed, "\(bands) bands of \(bins) bins at \(rate) Hz")
    }
    let type = try node.floatingPointType("output_datatype")
    let (low, high) = (Self.mel(numbers[3]), Self.mel(numbers[4]))
    let step = (high - low) / Double(bands + 2)
    let places = (0..<(bands + 2)).map { band in
      let hertz = 700 * expm1((Double(band) * step + low) / 2595 * log(10))
      return ((numbers[1] + 1) * hertz / rate).rounded(.down)
    }
    guard places.allSatisfy({ $0 >= 0 && $0 < Double(bins) }) else {
      throw node.error(.malformed, "a band beyond the \(bins) bins of the spectrum")
    }
    let tensor = Tensor(
      dims: [bins, bands], buffer: TensorBuffer(type, capacity: bins * bands))
    for band in 0..<bands {
      let (left, center, right) = (
        Int(places[band]), Int(places[band + 1]), Int(places[band + 2])
      )
      if center <= left {
        tensor.view.set(center * bands + band, 1)
      } else {
        for bin in left...center {
          tensor.view.set(bin * bands + band, Double(bin - left) / Double(center - left))
        }
      }
      for bin in center..<max(center, right) {
        tensor.view.set(bin * bands + band, Double(right - bin) / Double(right - center))
      }
    }
    outputs = [ValueInfo(constant: tensor)]
  }

  private static func mel(_ hertz: Double) -> Double { 2595 * log1p(hertz / 700) / log(10) }

  func run(_ call: Call) {}
}

extension Node {
  /// The type of floats that an attribute asks for; float where it does not.
  fileprivate func floatingPointType(_ name: String) throws(ModelError) -> TensorType {
    let code = try int(name, default: TensorType.float32.rawValue)
    guard let type = TensorType(rawValue: code), type.isFloatingPoint else {
      throw error(.unsupported, "an output of type \(OnnxTypes.name(Int64(code))) is not supported")
    }
    return type
  }
}
