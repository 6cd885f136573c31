/// GridSample: an image at places that another input gives, of -1 to 1 along each axis.
struct GridSample: Operator {
  private enum Mode { case nearest, linear, cubic }
  private enum Padding { case zeros, border, reflection }

  let outputs: [ValueInfo]
  private let space: [Int]
  private let mode: Mode
  private let padding: Padding
  private let alignsCorners: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let (info, grid) = (try node.input(0, .float32, .float64), try node.input(1))
    space = try node.space(of: info)
    guard grid.type == info.type, grid.shape.rank == info.shape.rank,
      grid.shape.rowAxis == info.shape.rowAxis, grid.shape.dims.last == space.count,
      grid.shape.dims[0] == info.shape.dims[0]
    else { throw node.error(.malformed, "a grid of shape \(grid.shape) for \(info.shape)") }
    switch try node.string("mode", default: "linear") {
    case "nearest": mode = .nearest
    case "linear", "bilinear": mode = .linear
    case "cubic", "bicubic": mode = .cubic
    case let name: throw node.error(.malformed, "mode \"\(name)\" is not known")
    }
    switch try node.string("padding_mode", default: "zeros") {
    case "zeros": padding = .zeros
    case "border": padding = .border
    case "reflection": padding = .reflection
    case let name: throw node.error(.malformed, "padding \"\(name)\" is not known")
    }
    alignsCorners = try node.int("align_corners", default: 0) != 0
    outputs = [
      try node.output(
        info.type,
        Shape(
          Array(info.shape.dims[..<2]) + grid.shape.dims[1..<(grid.shape.rank - 1)],
          rowAxis: info.shape.rowAxis))
    ]
    try node.spend(outputs[0].shape.elementCount, 64)
  }

  func run(_ call: Call) {
    let (input, grid, out) = (call.input(0), call.input(1), call.output(0))
    let plane = space.reduce(1, *)
    let places = grid.count / max(grid.dims[0] * space.count, 1)
    let channels = input.dims[1]
    for image in 0..<input.dims[0] {
      for place in 0..<places {
        let from = (image * places + place) * space.count
        // The grid has the last axis first.
        let taps = space.indices.map { axis in
          self.taps(grid.double(from + space.count - 1 - axis), space[axis])
        }
        for channel in 0..<channels {
          let base = (image * channels + channel) * plane
          out.set(
            (image * channels + channel) * places + place, sum(input, base, taps, axis: 0, at: 0))
        }
      }
    }
  }

  private func sum(
    _ input: TensorView, _ base: Int, _ taps: [[(place: Int?, weight: Double)]], axis: Int, at: Int
  ) -> Double {
    var result = 0.0
    for tap in taps[axis] {
      guard let place = tap.place, tap.weight != 0 else { continue }
      let next = at * space[axis] + place
      result +=
        tap.weight
        * (axis == space.count - 1
          ? input.double(base + next) : sum(input, base, taps, axis: axis + 1, at: next))
    }
    return result
  }

  /// Places along an axis and their weights; nil is a zero beyond the image.
  private func taps(_ place: Double, _ size: Int) -> [(place: Int?, weight: Double)] {
    let length = Double(size)
    // As floats, so that halves fall where they do elsewhere.
    var x = Double(
      Float(alignsCorners ? (place + 1) / 2 * (length - 1) : ((place + 1) * length - 1) / 2))
    if case .nearest = mode { x.round(.toNearestOrEven) }
    let (least, most) = alignsCorners ? (0, length - 1) : (-0.5, length - 0.5)
    if x < least || x > most {
      switch padding {
      case .zeros: break
      case .border: x = min(max(x, 0), length - 1)
      case .reflection: x = Double(Float(reflected(x, least, most)))
      }
    }
    guard x.isFinite, abs(x) < 0x1p40 else { return [] }
    let first = Int(x.rounded(.down))
    let t = x - x.rounded(.down)
    switch mode {
    case .nearest: return [(inside(Int(x), size, least, most), 1)]
    case .linear:
      return [
        (inside(first, size, least, most), 1 - t), (inside(first + 1, size, least, most), t),
      ]
    case .cubic:
      let a = -0.75
      func weight(_ x: Double) -> Double {
        x <= 1
          ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
      }
      return (-1...2).map { (inside(first + $0, size, least, most), weight(abs(t - Double($0)))) }
    }
  }

  private func inside(_ place: Int, _ size: Int, _ least: Double, _ most: Double) -> Int? {
    if (0..<size).contains(place) { return place }
    switch padding {
    case .zeros: return nil
    case .border: return min(max(place, 0), size - 1)
    case .reflection:
      return min(max(Int(reflected(Double(place), least, most)), 0), size - 1)
    }
  }

  /// Mirrored at the borders until it is between them.
  private func reflected(_ x: Double, _ least: Double, _ most: Double) -> Double {
    let range = most - least
    guard range > 0, x < least || x > most else { return min(max(x, least), most) }
    let beyond = x < least ? least - x : x - most
    let turns = (beyond / range).rounded(.down)
    let rest = beyond - turns * range
    let isEven = turns.truncatingRemainder(dividingBy: 2) == 0
    return (x < least) == isEven ? least + rest : most - rest
  }
}
