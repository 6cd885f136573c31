/// Scale and zero point of each element: one for all, for each place of an axis, or for each block
/// of places of it.
private struct QuantizationGrid: Sendable {
  private let axis: Int
  private let blockSize: Int

  init(_ node: Node, _ info: ValueInfo, _ scale: ValueInfo) throws(ModelError) {
    let rank = info.shape.rank
    let block = try node.int("block_size", default: 0)
    guard !scale.shape.isBatched, block >= 0 else {
      throw node.error(.unsupported, "a scale of shape \(scale.shape) is not supported")
    }
    if scale.shape.elementCount == 1 && scale.shape.rank <= 1 {
      (axis, blockSize) = (-1, 0)
      return
    }
    axis = try node.axis(node.int("axis", default: 1), rank: rank)
    let size = info.shape.dims[axis]
    guard info.shape.rowAxis != axis else {
      throw node.error(.unsupported, "rows have scales of their own")
    }
    if block == 0 {
      guard scale.shape.dims == [size] else {
        throw node.error(.malformed, "a scale of shape \(scale.shape) for an axis of \(size)")
      }
      blockSize = 0
    } else {
      var dims = info.shape.dims
      dims[axis] = (size + block - 1) / block
      guard !info.shape.isBatched, scale.shape.dims == dims else {
        throw node.error(.malformed, "scales of shape \(scale.shape) for \(info.shape)")
      }
      blockSize = block
    }
  }

  /// Calls `body` with the number of each element and that of its scale.
  func forEach(_ dims: [Int], _ body: (Int, Int) -> Void) {
    let count = dims.reduce(1, *)
    guard axis >= 0 else {
      for element in 0..<count { body(element, 0) }
      return
    }
    let inner = dims[(axis + 1)...].reduce(1, *)
    let size = dims[axis]
    let blocks = blockSize > 0 ? (size + blockSize - 1) / blockSize : 0
    for element in 0..<count {
      let place = element / inner % size
      if blockSize == 0 {
        body(element, place)
      } else {
        let outer = element / (inner * size)
        body(element, (outer * blocks + place / blockSize) * inner + element % inner)
      }
    }
  }
}

/// Bounds of the integers that numbers are quantized to.
private func bounds(_ node: Node, _ type: TensorType) throws(ModelError) -> (Double, Double) {
  switch type {
  case .uint8: return (0, 255)
  case .int8: return (-128, 127)
  case .uint16: return (0, 65535)
  case .int16: return (-32768, 32767)
  default: throw node.error(.unsupported, "type \(type.onnxName) is not supported")
  }
}

/// QuantizeLinear: to small integers, rounded to even and kept within their bounds.
struct Quantize: Operator {
  let outputs: [ValueInfo]
  private let grid: QuantizationGrid
  private let bounds: (Double, Double)

  init(_ node: Node) throws(ModelError) {
    let (info, scale) = (try node.input(0), try node.input(1))
    let type: TensorType
    if let zero = node.optionalInput(2) {
      guard zero.shape == scale.shape else {
        throw node.error(.malformed, "zero points of shape \(zero.shape)")
      }
      type = zero.type
    } else {
      let code = try node.int("output_dtype", default: 0)
      guard let declared = TensorType(rawValue: code == 0 ? TensorType.uint8.rawValue : code) else {
        throw node.error(.unsupported, "type \(OnnxTypes.name(Int64(code))) is not supported")
      }
      type = declared
    }
    bounds = try Inference.bounds(node, type)
    grid = try QuantizationGrid(node, info, scale)
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, scale, out) = (call.input(0), call.input(1), call.output(0))
    let zero = call.inputs.count > 2 ? call.inputs[2] : nil
    let isDouble = input.type == .float64
    grid.forEach(input.dims) { element, place in
      // The quotient as a float, as it is defined.
      let quotient =
        isDouble
        ? input.double(element) / scale.double(place)
        : Double(Float(input.double(element)) / Float(scale.double(place)))
      let rounded = quotient.rounded(.toNearestOrEven) + (zero?.double(place) ?? 0)
      out.set(element, rounded.isNaN ? 0 : min(max(rounded, bounds.0), bounds.1))
    }
  }
}

/// DequantizeLinear: back to numbers.
struct Dequantize: Operator {
  let outputs: [ValueInfo]
  private let grid: QuantizationGrid

  init(_ node: Node) throws(ModelError) {
    let (info, scale) = (try node.input(0), try node.input(1))
    guard info.type.isInteger, scale.type.isFloatingPoint else {
      throw node.error(
        .unsupported, "types \(info.type.onnxName) and \(scale.type.onnxName) are not supported")
    }
    grid = try QuantizationGrid(node, info, scale)
    let code = try node.int("output_dtype", default: 0)
    guard let type = code == 0 ? scale.type : TensorType(rawValue: code) else {
      throw node.error(.unsupported, "type \(OnnxTypes.name(Int64(code))) is not supported")
    }
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, scale, out) = (call.input(0), call.input(1), call.output(0))
    let zero = call.inputs.count > 2 ? call.inputs[2] : nil
    grid.forEach(input.dims) { element, place in
      out.set(element, (input.double(element) - (zero?.double(place) ?? 0)) * scale.double(place))
    }
  }
}

/// DynamicQuantizeLinear: to bytes by the range of the tensor itself.
struct DynamicQuantize: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32)
    guard !info.shape.isBatched else {
      throw node.mixing("rows share one scale")
    }
    outputs = [
      try node.output(.uint8, info.shape), ValueInfo(.float32, Shape([])),
      ValueInfo(.uint8, Shape([])),
    ]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    var (least, greatest) = (Float(0), Float(0))
    for index in 0..<input.count {
      least = min(least, input.floats[index])
      greatest = max(greatest, input.floats[index])
    }
    let scale = (greatest - least) / 255
    let zero = scale == 0 ? 0 : min(max((-least / scale).rounded(.toNearestOrEven), 0), 255)
    for index in 0..<input.count {
      let quotient = scale == 0 ? 0 : (input.floats[index] / scale).rounded(.toNearestOrEven)
      call.output(0).set(index, Double(min(max(quotient + zero, 0), 255)))
    }
    call.output(1).floats[0] = scale
    call.output(2).set(0, Double(zero))
  }
}
