internal import CKernels

/// A tensor of bytes that stand for numbers, with the inputs that say which: the scale and the byte
/// that stands for zero, one for all or one for each place of an axis.
struct IntegerOperand: Sendable {
  let input: Int
  let scale: Int?
  let zero: Int?

  /// Bytes as whole numbers less their zero.
  ///
  /// - Parameter zeros: The zero of each stretch of `stretch` elements in turn; one for all.
  static func widen(
    _ source: TensorView, from first: Int = 0, count: Int, zeros: TensorView?, stretch: Int,
    into target: UnsafeMutablePointer<Int16>
  ) {
    let zeroCount = zeros?.count ?? 1
    let each = zeroCount > 1 ? max(stretch, 1) : max(count, 1)
    for start in stride(from: 0, to: count, by: each) {
      let length = min(each, count - start)
      let zero = Int32(zeros?.integer((start / each) % max(zeroCount, 1)) ?? 0)
      if source.type == .uint8 {
        ck_widen_u8(
          source.pointer(as: UInt8.self) + first + start, length, zero, target + start)
      } else {
        ck_widen_i8(source.pointer(as: Int8.self) + first + start, length, zero, target + start)
      }
    }
  }

  /// Bytes that the whole numbers of a tensor take, in steps of 64.
  static func byteCount(_ count: Int, _ stride: Int) -> Int { (count * stride + 63) & ~63 }
}

extension Node {
  /// An optional input that has an operand's zero or scale.
  ///
  /// - Parameter counts: How many elements it may have, beside one.
  func parameter(
    _ index: Int?, counts: Int, _ types: TensorType...
  ) throws(ModelError) -> ValueInfo? {
    guard let index, let info = optionalInput(index) else { return nil }
    let count = info.shape.elementCount
    guard types.contains(info.type), !info.shape.isBatched, count == 1 || count == counts else {
      throw error(
        .unsupported, "input \(index) of type \(info.type.onnxName) and shape \(info.shape)")
    }
    return info
  }
}

extension Node {
  /// Whether each row of an operand has a zero of its own, as those have that were quantized alone.
  func hasZerosOfRows(_ operand: IntegerOperand, _ info: ValueInfo) throws(ModelError) -> Bool {
    guard let index = operand.zero, let zero = optionalInput(index), zero.shape.isBatched else {
      return false
    }
    guard zero.type == info.type, zero.shape.rowAxis == 0, zero.shape.elementCount == 1,
      info.shape.rowAxis == 0, info.shape.dims[0] == 1
    else { throw error(.unsupported, "a zero of shape \(zero.shape) for \(info.shape)") }
    return true
  }
}

/// Sums of products to bytes: a factor, rounding to even, a zero.
struct Requantization: Sendable {
  let isSigned: Bool

  /// - Parameter factor: The scales of both operands over that of the result.
  @inline(__always)
  func byte(_ sum: Int32, _ factor: Float, _ zero: Int) -> UInt8 {
    let value = (Float(sum) * factor).rounded(.toNearestOrEven)
    let (least, greatest) = isSigned ? (-128, 127) : (0, 255)
    guard value.isFinite else { return UInt8(truncatingIfNeeded: value > 0 ? greatest : least) }
    // Far beyond the bounds on both sides, and no trap for what an integer cannot hold.
    let whole = Int(max(-100_000, min(100_000, value))) + zero
    return UInt8(truncatingIfNeeded: min(max(whole, least), greatest))
  }
}
