/// A floating-point number of 16 bits: stored as such, computed as a float.
protocol ReducedFloat: NumericElement {
  init(bitPattern: UInt16)
  var bitPattern: UInt16 { get }
  /// Rounded to nearest, ties to even.
  init(_ value: Float)
  /// Exact.
  var float: Float { get }
}

extension ReducedFloat {
  static var zero: Self { Self(bitPattern: 0) }
  var double: Double { Double(float) }

  /// Rounded once: the float between is rounded to odd, so that no tie arises from it.
  init(converting value: Double) {
    var float = Float(value)
    let back = Double(float)
    if back != value, float.isFinite, float.bitPattern & 1 == 0 {
      float = back < value ? float.nextUp : float.nextDown
    }
    self.init(float)
  }
}

/// IEEE 754's binary16, ONNX's float16.
///
/// Converted by hand: the same bits on every platform, also where there is no such type.
struct Half: ReducedFloat {
  static var tensorType: TensorType { .float16 }
  let bitPattern: UInt16

  init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  init(_ value: Float) {
    let sign = UInt16(truncatingIfNeeded: (value.bitPattern >> 16) & 0x8000)
    let magnitude = value.bitPattern & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 {
      bitPattern = sign | 0x7E00
    } else if magnitude >= 0x477F_F000 {
      // 65,520 and more: beyond the greatest number and half a step.
      bitPattern = sign | 0x7C00
    } else if magnitude >= 0x3880_0000 {
      let rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1)
      bitPattern = sign | UInt16(truncatingIfNeeded: (rounded - 0x3800_0000) >> 13)
    } else {
      // Subnormal: a whole number of steps of 2^-24.
      let steps = (Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven)
      bitPattern = sign | UInt16(steps)
    }
  }

  var float: Float {
    let sign = UInt32(bitPattern & 0x8000) << 16
    let exponent = UInt32(bitPattern >> 10) & 0x1F
    let fraction = UInt32(bitPattern & 0x3FF)
    switch exponent {
    case 0: return Float(bitPattern: (Float(fraction) * 0x1p-24).bitPattern | sign)
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}

/// The upper half of a float, ONNX's bfloat16.
struct BFloat16: ReducedFloat {
  static var tensorType: TensorType { .bfloat16 }
  let bitPattern: UInt16

  init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x40
    } else {
      bitPattern = UInt16(truncatingIfNeeded: (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
    }
  }

  var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}
