/// RoiAlign: regions of images, each pooled to the same number of places.
struct RegionPooling: Operator {
  let outputs: [ValueInfo]
  private let space: [Int]
  private let isMaximum: Bool
  private let isHalfPixel: Bool
  private let ratio: Int
  private let scale: Double

  /// Points of a place along an axis; a region of more is no part of an image.
  private static let mostPoints = 1024
  /// Points of all places of all regions of a run.
  private static let mostWork = 1 << 26

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...3)
    let (info, regions, images) = (
      try node.input(0, .float32, .float64), try node.input(1), try node.input(2, .int64)
    )
    space = try node.space(of: info)
    guard space.count == 2, !space.contains(0), regions.type == info.type, regions.shape.rank == 2,
      regions.shape.dims[1] == 4, images.shape == Shape([regions.shape.dims[0]]),
      !info.shape.isBatched, !regions.shape.isBatched
    else {
      throw node.error(
        .unsupported, "regions of shape \(regions.shape) of images of shape \(info.shape)")
    }
    switch try node.string("mode", default: "avg").lowercased() {
    case "avg": isMaximum = false
    case "max": isMaximum = true
    case let name: throw node.error(.malformed, "mode \"\(name)\" is not known")
    }
    let mode = try node.string(
      "coordinate_transformation_mode",
      default: node.opset < 16 ? "output_half_pixel" : "half_pixel"
    ).lowercased()
    guard mode == "half_pixel" || mode == "output_half_pixel" else {
      throw node.error(.malformed, "coordinates \"\(mode)\" are not known")
    }
    isHalfPixel = mode == "half_pixel"
    ratio = try node.int("sampling_ratio", default: 0)
    guard ratio <= Self.mostPoints else {
      throw node.error(.tooLarge, "\(ratio) points along an axis")
    }
    scale = Double(try node.float("spatial_scale", default: 1))
    outputs = [
      try node.output(
        info.type,
        Shape([
          regions.shape.dims[0], info.shape.dims[1],
          try node.int("output_height", default: 1), try node.int("output_width", default: 1),
        ]))
    ]
    try node.spend(outputs[0].shape.elementCount, max(ratio, 4), max(ratio, 4), 4)
  }

  /// A point of a region: places of the image, and how much each counts.
  private typealias Point = [(place: Int, weight: Double)]

  func run(_ call: Call) {
    let (input, regions, images, out) = (
      call.input(0), call.input(1), call.input(2), call.output(0)
    )
    let (channels, places) = (out.dims[1], out.dims[2] * out.dims[3])
    let plane = space.reduce(1, *)
    var work = 0
    for region in 0..<out.dims[0] {
      let image = Int(images.int64s[region])
      var axes: [(start: Double, size: Double, points: Int)] = []
      for axis in 0..<2 {
        let offset = isHalfPixel ? 0.5 : 0
        let start = regions.double(region * 4 + 1 - axis) * scale - offset
        var length = regions.double(region * 4 + 3 - axis) * scale - offset - start
        if !isHalfPixel { length = max(length, 1) }
        let size = length / Double(max(out.dims[2 + axis], 1))
        let points = ratio > 0 ? Double(ratio) : size.rounded(.up)
        guard start.isFinite, points <= Double(Self.mostPoints), (0..<input.dims[0]).contains(image)
        else {
          call.failures.add(row: 0, .wrongType, "region \(region) is no part of an image")
          break
        }
        axes.append((start, size, max(Int(points), 0)))
      }
      guard axes.count == 2 else { continue }
      work += places * axes[0].points * axes[1].points
      guard work <= Self.mostWork else {
        return call.failures.add(row: 0, .wrongType, "regions take too many points")
      }
      for place in 0..<places {
        let points = points(place / out.dims[3], place % out.dims[3], axes)
        for channel in 0..<channels {
          let base = (image * channels + channel) * plane
          out.set((region * channels + channel) * places + place, pooled(input, base, points))
        }
      }
    }
  }

  private func pooled(_ input: TensorView, _ base: Int, _ points: [Point]) -> Double {
    guard isMaximum else {
      var sum = 0.0
      for point in points {
        for (place, weight) in point { sum += weight * input.double(base + place) }
      }
      return sum / Double(max(points.count, 1))
    }
    var greatest: Double?
    for point in points {
      for (place, weight) in point {
        let value = weight * input.double(base + place)
        greatest = greatest.map { max($0, value) } ?? value
      }
    }
    return greatest ?? 0
  }

  private func points(
    _ row: Int, _ column: Int, _ axes: [(start: Double, size: Double, points: Int)]
  ) -> [Point] {
    func places(_ axis: Int, _ index: Int) -> [[(Int, Double)]] {
      let (start, size, points) = axes[axis]
      return (0..<points).map { point in
        let at = start + (Double(index) + (Double(point) + 0.5) / Double(points)) * size
        guard at >= -1, at <= Double(space[axis]) else { return [(0, 0), (0, 0)] }
        let first = Int(max(at, 0))
        guard first < space[axis] - 1 else { return [(space[axis] - 1, 1), (space[axis] - 1, 0)] }
        let rest = max(at, 0) - Double(first)
        return [(first, 1 - rest), (first + 1, rest)]
      }
    }
    let (rows, columns) = (places(0, row), places(1, column))
    return rows.flatMap { row in
      columns.map { column in
        row.flatMap { y, down in
          column.map { x, across in (place: y * space[1] + x, weight: down * across) }
        }
      }
    }
  }
}
