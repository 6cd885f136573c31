internal import CKernels

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

  /// Calls `body` with stretches of elements that have a scale in common: where one begins, its
  /// length and the number of its scale.
  func forEach(_ dims: [Int], _ body: (Int, Int, Int) -> Void) {
    let count = dims.reduce(1, *)
    guard axis >= 0 else { return body(0, count, 0) }
    let inner = dims[(axis + 1)...].reduce(1, *)
    let size = dims[axis]
    guard inner > 0, size > 0 else { return }
    let blocks = blockSize > 0 ? (size + blockSize - 1) / blockSize : 0
    for stretch in 0..<(count / inner) {
      let place = stretch % size
      if blockSize == 0 {
        body(stretch * inner, inner, place)
      } else {
        let first = (stretch / size * blocks + place / blockSize) * inner
        for i in 0..<inner { body(stretch * inner + i, 1, first + i) }
      }
    }
  }
}

/// Bounds of the integers that numbers are quantized to; none for floats, which have their own.
private func bounds(_ node: Node, _ type: TensorType) throws(ModelError) -> (Double, Double)? {
  switch type {
  case .uint8: return (0, 255)
  case .int8: return (-128, 127)
  case .uint16: return (0, 65535)
  case .int16: return (-32768, 32767)
  case .uint4: return StoredInteger<U4>.range
  case .int4: return StoredInteger<S4>.range
  case .uint2: return StoredInteger<U2>.range
  case .int2: return StoredInteger<S2>.range
  case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float4e2m1: return nil
  default: throw node.error(.unsupported, "type \(type.onnxName) is not supported")
  }
}

/// QuantizeLinear: to small numbers, rounded to even and kept within their bounds.
struct Quantize: Operator {
  let outputs: [ValueInfo]
  private let grid: QuantizationGrid
  private let bounds: (Double, Double)?
  private let saturates: Bool

  init(_ node: Node) throws(ModelError) {
    let (info, scale) = (try node.input(0), try node.input(1))
    guard info.type.isNumeric, scale.type.isFloatingPoint else {
      throw node.error(
        .unsupported, "types \(info.type.onnxName) and \(scale.type.onnxName) are not supported")
    }
    let type: TensorType
    if let zero = node.optionalInput(2) {
      guard !zero.shape.isBatched,
        zero.shape == scale.shape
          || zero.shape.elementCount == 1 && scale.shape.elementCount == 1
      else { throw node.error(.malformed, "zero points of shape \(zero.shape)") }
      type = zero.type
    } else {
      let code = try node.int("output_dtype", default: 0)
      guard let declared = TensorType(rawValue: code == 0 ? TensorType.uint8.rawValue : code) else {
        throw node.error(.unsupported, "type \(OnnxTypes.name(Int64(code))) is not supported")
      }
      type = declared
    }
    bounds = try Inference.bounds(node, type)
    saturates = try node.int("saturate", default: 1) != 0
    grid = try QuantizationGrid(node, info, scale)
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, scale, out) = (call.input(0), call.input(1), call.output(0))
    let zero = call.inputs.count > 2 ? call.inputs[2] : nil
    let isDouble = input.type == .float64
    let isPlain = input.type == .float32 && (out.type == .uint8 || out.type == .int8)
    grid.forEach(input.dims) { first, count, place in
      let (factor, shift) = (scale.double(place), zero?.double(place) ?? 0)
      if isPlain, let bounds {
        return ck_quantize_u8(
          input.floats + first, count, Float(factor), Float(shift), Float(bounds.0),
          Float(bounds.1), out.base.assumingMemoryBound(to: UInt8.self) + first)
      }
      for element in first..<(first + count) {
        // The quotient as a float, as it is defined.
        let quotient =
          isDouble
          ? input.double(element) / factor
          : Double(Float(input.double(element)) / Float(factor))
        guard let bounds else {
          out.setStored(element, quotient, saturates: saturates)
          continue
        }
        let rounded = quotient.rounded(.toNearestOrEven) + shift
        out.set(element, rounded.isNaN ? 0 : min(max(rounded, bounds.0), bounds.1))
      }
    }
  }
}

/// DequantizeLinear: back to numbers.
struct Dequantize: Operator {
  let outputs: [ValueInfo]
  private let grid: QuantizationGrid

  init(_ node: Node) throws(ModelError) {
    let (info, scale) = (try node.input(0), try node.input(1))
    guard info.type.isInteger || info.type.isStored, info.type != .float8e8m0,
      scale.type.isFloatingPoint || scale.type == .float8e8m0
    else {
      throw node.error(
        .unsupported, "types \(info.type.onnxName) and \(scale.type.onnxName) are not supported")
    }
    if let zero = node.optionalInput(2) {
      guard zero.type == info.type, !zero.shape.isBatched,
        zero.shape.elementCount == scale.shape.elementCount
      else {
        throw node.error(
          .malformed, "zero points of type \(zero.type.onnxName) and shape \(zero.shape)")
      }
    }
    grid = try QuantizationGrid(node, info, scale)
    let code = try node.int("output_dtype", default: 0)
    guard let type = code == 0 ? scale.type : TensorType(rawValue: code), type.isFloatingPoint
    else {
      throw node.error(.unsupported, "an output of type \(code) is not supported")
    }
    outputs = [try node.output(type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, scale, out) = (call.input(0), call.input(1), call.output(0))
    let zero = call.inputs.count > 2 ? call.inputs[2] : nil
    grid.forEach(input.dims) { first, count, place in
      let (factor, shift) = (scale.double(place), zero?.double(place) ?? 0)
      switch (input.type, out.type) {
      case (.uint8, .float32) where scale.type == .float32:
        ck_dequantize_u8(
          input.pointer(as: UInt8.self) + first, count, Float(factor), Int32(shift),
          out.floats + first)
      case (.int8, .float32) where scale.type == .float32:
        ck_dequantize_i8(
          input.pointer(as: Int8.self) + first, count, Float(factor), Int32(shift),
          out.floats + first)
      default:
        for element in first..<(first + count) {
          out.set(element, (input.double(element) - shift) * factor)
        }
      }
    }
  }
}

/// DynamicQuantizeLinear: to bytes by the range of the tensor itself.
///
/// Where the tensor has rows, each row is a tensor of its own: its scale and zero point have the
/// tensor's axes, of one element each.
struct DynamicQuantize: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32)
    guard !info.shape.isBatched || info.shape.rowAxis == 0 && info.shape.dims[0] == 1 else {
      throw node.mixing("rows share one scale")
    }
    let one =
      info.shape.isBatched ? Shape(info.shape.dims.map { _ in 1 }, rowAxis: 0) : Shape([])
    outputs = [
      try node.output(.uint8, info.shape), ValueInfo(.float32, one), ValueInfo(.uint8, one),
    ]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    let parts = call.output(1).count
    let width = parts > 0 ? input.count / parts : 0
    for part in 0..<parts {
      let floats = input.floats + part * width
      var (least, greatest) = (Float(0), Float(0))
      for index in 0..<width {
        least = min(least, floats[index])
        greatest = max(greatest, floats[index])
      }
      let scale = (greatest - least) / 255
      let zero = scale == 0 ? 0 : min(max((-least / scale).rounded(.toNearestOrEven), 0), 255)
      let target = call.output(0).pointer(as: UInt8.self) + part * width
      if scale == 0 || !scale.isFinite {
        target.update(repeating: 0, count: width)
      } else {
        ck_quantize_u8(floats, width, scale, zero, 0, 255, target)
      }
      call.output(1).floats[part] = scale
      call.output(2).set(part, Double(zero))
    }
  }
}
