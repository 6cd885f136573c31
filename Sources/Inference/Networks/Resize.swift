internal import Foundation

/// Resize and Upsample: an image at other places than its own, axis by axis.
///
/// Each place of an output is a sum over some places of the input along the axis, whose weights are
/// found when the node is checked; sums are kept in double.
struct Resize: Operator {
  /// What the places of an output's axis are made of.
  struct Axis: Sendable {
    let axis: Int
    let inputSize: Int
    /// For each place the first of its inputs and their weights; places outside count as the nearest
    /// inside. No weights: the place is beyond the image and has a value of its own.
    let places: [(first: Int, weights: [Double])]
  }

  let outputs: [ValueInfo]
  private let axes: [Axis]
  private let extrapolation: Double

  static let upsample: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    var scales: [Double]
    if node.opset >= 9 {
      guard let list = try node.input(1).constant?.doubles else {
        throw node.error(.unsupported, "scales that are not constant")
      }
      scales = list
    } else {
      guard let list = try node.floats("scales") else { throw node.error(.malformed, "no scales") }
      scales = list.map(Double.init)
    }
    let mode = try node.string("mode", default: "nearest")
    let rules = Rules(
      mode: mode == "bilinear" ? "linear" : mode, coordinates: "asymmetric", nearest: "floor")
    return try Resize(
      node, info, axes: Array(info.shape.dims.indices), scales: scales, sizes: nil, rules)
  }

  static let resize: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    let rank = info.shape.rank
    if node.opset < 11 {
      guard let scales = try node.input(1).constant?.doubles else {
        throw node.error(.unsupported, "scales that are not constant")
      }
      let rules = Rules(
        mode: try node.string("mode", default: "nearest"), coordinates: "asymmetric",
        nearest: "floor")
      return try Resize(
        node, info, axes: Array(0..<rank), scales: scales, sizes: nil, rules)
    }
    var axes: [Int] = []
    for axis in try node.ints("axes") ?? Array(0..<rank) {
      axes.append(try node.axis(axis, rank: rank))
    }
    var rules = Rules(
      mode: try node.string("mode", default: "nearest"),
      coordinates: try node.string(
        "coordinate_transformation_mode", default: "half_pixel"),
      nearest: try node.string("nearest_mode", default: "round_prefer_floor"))
    rules.cubic = Double(try node.float("cubic_coeff_a", default: -0.75))
    rules.excludesOutside = try node.int("exclude_outside", default: 0) != 0
    rules.extrapolation = Double(try node.float("extrapolation_value", default: 0))
    rules.antialiases = try node.int("antialias", default: 0) != 0
    rules.policy = try node.string("keep_aspect_ratio_policy", default: "stretch")
    if rules.coordinates == "tf_crop_and_resize" {
      guard let roi = node.optionalInput(1).flatMap({ $0.constant })?.doubles,
        roi.count == 2 * axes.count
      else { throw node.error(.unsupported, "a region that is not constant") }
      rules.region = roi
    }
    var scales: [Double]?
    if let given = node.optionalInput(2), given.shape.elementCount > 0 {
      guard let list = given.constant?.doubles else {
        throw node.error(.unsupported, "scales that are not constant")
      }
      scales = list
    }
    let sizes = try node.optionalInput(3).map { _ throws(ModelError) in
      try node.knownExtents(input: 3)
    }
    return try Resize(node, info, axes: axes, scales: scales, sizes: sizes, rules)
  }

  /// How places are found and weighed.
  private struct Rules {
    var mode: String
    var coordinates: String
    var nearest: String
    var cubic = -0.75
    var excludesOutside = false
    var extrapolation = 0.0
    var antialiases = false
    var policy = "stretch"
    var region: [Double] = []
  }

  private init(
    _ node: Node, _ info: ValueInfo, axes given: [Int], scales: [Double]?, sizes: [Extent]?,
    _ rules: Rules
  ) throws(ModelError) {
    guard info.type.isNumeric, Set(given).count == given.count else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    guard ["nearest", "linear", "cubic"].contains(rules.mode) else {
      throw node.error(.malformed, "mode \"\(rules.mode)\" is not known")
    }
    extrapolation = rules.extrapolation
    var dims = info.shape.dims
    var factors: [Double] = []
    var lengths: [Int] = []
    for (index, axis) in given.enumerated() {
      if axis == info.shape.rowAxis {
        guard scales.map({ index < $0.count && $0[index] == 1 }) ?? true,
          sizes.map({ index < $0.count && $0[index] == info.shape[axis] || $0[index] == .fixed(1) })
            ?? true
        else { throw node.mixing("rows are resized") }
        factors.append(1)
        lengths.append(dims[axis])
      } else if let sizes {
        guard index < sizes.count, case .fixed(let size) = sizes[index], size > 0 else {
          throw node.error(.unsupported, "sizes that depend on the data")
        }
        lengths.append(size)
        factors.append(Double(size) / Double(max(dims[axis], 1)))
      } else if let scales, index < scales.count, scales[index] > 0, scales[index] < 1e6 {
        factors.append(scales[index])
        lengths.append(Int((Double(dims[axis]) * scales[index]).rounded(.down)))
      } else {
        throw node.error(.malformed, "neither scales nor sizes for each axis")
      }
    }
    if sizes != nil, rules.policy != "stretch" {
      let spatial = given.indices.filter { given[$0] != info.shape.rowAxis }
      let list = spatial.map { factors[$0] }
      let one = (rules.policy == "not_larger" ? list.min() : list.max()) ?? 1
      for index in spatial {
        factors[index] = one
        lengths[index] = Int((one * Double(dims[given[index]]) + 0.5).rounded(.down))
      }
    }
    for (index, axis) in given.enumerated() { dims[axis] = lengths[index] }
    try node.check(dims)
    outputs = [try node.output(info.type, Shape(dims, rowAxis: info.shape.rowAxis))]
    try node.spend(outputs[0].shape.elementCount, 16)
    var made: [Axis] = []
    for (index, axis) in given.enumerated() where axis != info.shape.rowAxis {
      let size = info.shape.dims[axis]
      let isCrop = rules.coordinates == "tf_crop_and_resize"
      guard size > 0 else { throw node.error(.malformed, "an axis of no elements") }
      if factors[index] == 1, lengths[index] == size, !isCrop { continue }
      let region = isCrop ? (rules.region[index], rules.region[given.count + index]) : (0, 1)
      made.append(
        try Self.axis(node, axis, size, lengths[index], factors[index], region, rules))
    }
    axes = made
  }

  private static func axis(
    _ node: Node, _ axis: Int, _ size: Int, _ length: Int, _ scale: Double,
    _ region: (Double, Double), _ rules: Rules
  ) throws(ModelError) -> Axis {
    var places: [(first: Int, weights: [Double])] = []
    let (input, output) = (Double(size), scale * Double(size))
    for place in 0..<length {
      let x = Double(place)
      var at: Double
      switch rules.coordinates {
      case "align_corners": at = output == 1 ? 0 : x * (input - 1) / (output - 1)
      case "asymmetric": at = x / scale
      case "tf_crop_and_resize":
        at =
          output == 1
          ? (region.1 - region.0) * (input - 1) / 2
          : x * (region.1 - region.0) * (input - 1) / (output - 1)
        at += region.0 * (input - 1)
        if at < 0 || at > input - 1 {
          places.append((0, []))
          continue
        }
      case "pytorch_half_pixel": at = output == 1 ? -0.5 : (x + 0.5) / scale - 0.5
      case "half_pixel": at = (x + 0.5) / scale - 0.5
      case "tf_half_pixel_for_nn": at = (x + 0.5) / scale
      case "half_pixel_symmetric":
        at = input / 2 * (1 - Double(length) / output) + (x + 0.5) / scale - 0.5
      case let name: throw node.error(.malformed, "coordinates \"\(name)\" are not known")
      }
      let floor = at.rounded(.down)
      // The place on the left is preferred, so that one between has a ratio above zero.
      let ratio = at == floor ? 1 : at - floor
      var weights = Self.weights(ratio, scale, rules)
      let first = Int(at.rounded(.up)) - weights.count / 2
      if rules.excludesOutside {
        for index in weights.indices where !(0..<size).contains(first + index) {
          weights[index] = 0
        }
        let sum = weights.reduce(0, +)
        if sum != 0 { weights = weights.map { $0 / sum } }
      }
      places.append((first, weights))
    }
    return Axis(axis: axis, inputSize: size, places: places)
  }

  private static func weights(_ ratio: Double, _ scale: Double, _ rules: Rules) -> [Double] {
    let narrow = min(scale, 1)
    switch rules.mode {
    case "nearest":
      if ratio == 1 { return [0, 1] }
      let isRight =
        switch rules.nearest {
        case "floor": false
        case "ceil": true
        case "round_prefer_ceil": ratio >= 0.5
        default: ratio > 0.5
        }
      return isRight ? [0, 1] : [1, 0]
    case "linear":
      guard rules.antialiases else { return [1 - ratio, ratio] }
      let start = Int((-1 / narrow).rounded(.down)) + 1
      let list = (start..<(2 - start)).map { max(0, 1 - abs((Double($0) - ratio) * narrow)) }
      let sum = list.reduce(0, +)
      return list.map { $0 / sum }
    default:
      let a = rules.cubic
      func weight(_ distance: Double) -> Double {
        let x = abs(distance)
        if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
      }
      guard rules.antialiases else { return (-1...2).map { weight(Double($0) - ratio) } }
      let start = Int((-2 / narrow).rounded(.down)) + 1
      let list = (start..<(2 - start)).map { weight((Double($0) - ratio) * narrow) }
      let sum = list.reduce(0, +)
      return list.map { $0 / sum }
    }
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    var dims = input.dims
    var values = (0..<input.count).map { input.double($0) }
    for axis in axes {
      let inner = dims[(axis.axis + 1)...].reduce(1, *)
      let outer = dims[..<axis.axis].reduce(1, *)
      var next = [Double](repeating: 0, count: outer * axis.places.count * inner)
      for block in 0..<outer {
        for (place, (first, weights)) in axis.places.enumerated() {
          let to = (block * axis.places.count + place) * inner
          if weights.isEmpty { for index in 0..<inner { next[to + index] = extrapolation } }
          for (index, weight) in weights.enumerated() where weight != 0 {
            let source = min(max(first + index, 0), axis.inputSize - 1)
            let from = (block * axis.inputSize + source) * inner
            for index in 0..<inner { next[to + index] += weight * values[from + index] }
          }
        }
      }
      values = next
      dims[axis.axis] = axis.places.count
    }
    let isWhole = out.type.isInteger
    let bounds = isWhole ? Self.bounds(out.type) : (0, 0)
    for (index, value) in values.enumerated() {
      out.set(index, isWhole ? min(max(value, bounds.0), bounds.1) : value)
    }
  }

  private static func bounds(_ type: TensorType) -> (Double, Double) {
    switch type {
    case .uint8: (0, 255)
    case .int8: (-128, 127)
    case .uint16: (0, 65535)
    case .int16: (-32768, 32767)
    default: (-0x1p62, 0x1p62)
    }
  }
}
