internal import CKernels
internal import Foundation

/// MaxPool, AveragePool, LpPool and their global forms: one number for each window of a channel.
struct Pooling: Operator {
  enum Kind: Sendable, Equatable {
    /// With places where a second output is wanted, counted row by row or column by column.
    case max(placesByColumn: Bool)
    case average(countsPadding: Bool)
    case norm(Double)
  }

  let outputs: [ValueInfo]
  let kind: Kind
  let window: Window

  static let max: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64, .int8, .uint8)
    let byColumn = try node.int("storage_order", default: 0) != 0
    return try Pooling(node, info, .max(placesByColumn: byColumn), windowOf(node, info))
  }

  static let average: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64)
    let counts = try node.int("count_include_pad", default: 0) != 0
    return try Pooling(node, info, .average(countsPadding: counts), windowOf(node, info))
  }

  static let norm: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64)
    return try Pooling(node, info, .norm(exponent(node)), windowOf(node, info))
  }

  static let globalMax: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64)
    return try Pooling(node, info, .max(placesByColumn: false), allOf(node, info))
  }

  static let globalAverage: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64)
    return try Pooling(node, info, .average(countsPadding: false), allOf(node, info))
  }

  static let globalNorm: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .float32, .float64)
    return try Pooling(node, info, .norm(exponent(node)), allOf(node, info))
  }

  private static func exponent(_ node: Node) throws(ModelError) -> Double {
    // An integer since opset 2.
    guard case .float(let p)? = node.attributes["p"] else {
      return Double(try node.int("p", default: 2))
    }
    return Double(p)
  }

  private static func windowOf(_ node: Node, _ info: ValueInfo) throws(ModelError) -> Window {
    guard let kernel = try node.ints("kernel_shape") else {
      throw node.error(.malformed, "no kernel_shape")
    }
    return try node.window(
      over: node.space(of: info), kernel: kernel,
      isRoundedUp: node.int("ceil_mode", default: 0) != 0)
  }

  /// All of a channel's image as one window.
  private static func allOf(_ node: Node, _ info: ValueInfo) throws(ModelError) -> Window {
    let shape = info.shape
    guard shape.rank >= 3, shape.rowAxis == nil || shape.rowAxis == 0,
      shape.elementCount > 0
    else { throw node.error(.unsupported, "input of shape \(shape) has no space") }
    let ones = Array(repeating: 1, count: shape.rank - 2)
    let space = Array(shape.dims[2...])
    let zeros = ones.map { _ in 0 }
    return Window(
      input: space, output: ones, kernel: space, strides: ones, dilations: ones, begin: zeros,
      end: zeros)
  }

  private init(
    _ node: Node, _ info: ValueInfo, _ kind: Kind, _ window: Window
  ) throws(ModelError) {
    (self.kind, self.window) = (kind, window)
    let shape = Shape(
      Array(info.shape.dims[..<2]) + window.output, rowAxis: info.shape.rowAxis)
    var outputs = [try node.output(info.type, shape)]
    if case .max = kind, node.wantsOutput.count > 1 {
      guard !info.shape.isBatched else {
        throw node.error(.unsupported, "places of greatest elements count all rows")
      }
      outputs.append(try node.output(.int64, shape))
    }
    self.outputs = outputs
    try node.spend(outputs[0].shape.elementCount, window.tapCount)
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let planes = input.dims[0] * input.dims[1]
    let (from, to) = (window.inputCount, window.outputCount)
    // More axes of space than the kernels have are one, which only a global pool may have.
    var shape = flat.kernelWindow
    let places = call.outputs.count > 1 ? call.output(1).int64s : nil
    for plane in 0..<planes {
      switch kind {
      case .max where input.type == .float32:
        ck_pool_max_f32(
          &shape, input.floats + plane * from, out.floats + plane * to,
          places.map { $0 + plane * to })
      case .average(let counts) where input.type == .float32:
        var end = Array(repeating: Int64(0), count: 3 - flat.rank) + flat.end.map(Int64.init)
        ck_pool_average_f32(
          &shape, input.floats + plane * from, counts ? 1 : 0, &end, out.floats + plane * to)
      default: pool(input, plane * from, out, plane * to, places.map { $0 + plane * to })
      }
      if let places { count(places + plane * to, plane) }
    }
  }

  private var flat: Window {
    guard window.rank > 3 else { return window }
    return Window(
      input: [window.inputCount], output: [1], kernel: [window.inputCount], strides: [1],
      dilations: [1], begin: [0], end: [0])
  }

  /// The definition, for the other types.
  private func pool(
    _ input: TensorView, _ from: Int, _ out: TensorView, _ to: Int,
    _ places: UnsafeMutablePointer<Int64>?
  ) {
    let walk = WindowWalk(window)
    for place in 0..<window.outputCount {
      var (greatest, at, sum, count) = (-Double.infinity, -1, 0.0, 0)
      walk.forEachTap(of: place) { _, offset in
        let value = input.double(from + offset)
        if at < 0 || value > greatest { (greatest, at) = (value, offset) }
        if case .norm(let p) = kind { sum += pow(abs(value), p) } else { sum += value }
        count += 1
      }
      switch kind {
      case .max:
        out.set(to + place, greatest)
        places?[place] = Int64(at)
      case .average(let countsPadding):
        let all = countsPadding ? walk.paddedCount(of: place) : count
        out.set(to + place, all > 0 ? sum / Double(all) : 0)
      case .norm(let p): out.set(to + place, pow(sum, 1 / p))
      }
    }
  }

  /// Places in a plane become places in the tensor, as the node counts them.
  private func count(_ places: UnsafeMutablePointer<Int64>, _ plane: Int) {
    guard case .max(let byColumn) = kind else { return }
    for index in 0..<window.outputCount {
      var place = Int(places[index])
      if byColumn {
        var (rest, step, turned) = (place, window.inputCount, 0)
        for axis in (0..<window.rank).reversed() {
          step /= window.input[axis]
          turned += rest % window.input[axis] * step
          rest /= window.input[axis]
        }
        place = turned
      }
      places[index] = Int64(plane * window.inputCount + place)
    }
  }
}

extension WindowWalk {
  /// Places of a window in the image or its padding.
  func paddedCount(of place: Int) -> Int {
    var (count, rest) = (1, place)
    for axis in (0..<window.rank).reversed() {
      let first = rest % window.output[axis] * window.strides[axis] - window.begin[axis]
      rest /= window.output[axis]
      let bound = window.input[axis] + window.end[axis]
      count *= (0..<window.kernel[axis]).count { first + $0 * window.dilations[axis] < bound }
    }
    return count
  }
}

extension Sequence {
  fileprivate func count(_ matches: (Element) -> Bool) -> Int {
    reduce(0) { $0 + (matches($1) ? 1 : 0) }
  }
}
