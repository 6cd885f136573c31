/// A number of 8 bits or fewer that is stored as such and computed as another; it takes a byte of memory.
protocol StoredNumber: NumericElement {
  /// Bits that it takes in a file, where numbers lie close, the first in the lowest bits.
  static var bitCount: Int { get }
  init(bitPattern: UInt8)
  var bitPattern: UInt8 { get }
  /// - Parameter saturates: Whether what is too large becomes the greatest number.
  init(converting value: Double, saturates: Bool)
}

extension StoredNumber {
  init(converting value: Double) { self.init(converting: value, saturates: true) }
}

// MARK: Floats

/// What the bits of a small float mean.
protocol FloatForm: Sendable {
  static var type: TensorType { get }
  static var exponentBits: Int { get }
  static var fractionBits: Int { get }
  static var bias: Int { get }
  static var greatest: Double { get }
  /// What is not a number, without its sign; nil where there is no such thing.
  static var nan: UInt8? { get }
  /// What is beyond the greatest number, without its sign.
  static var overflow: UInt8 { get }
  /// Whether the bits of a negative zero are what is not a number, and there is no negative zero.
  static var isUnsignedZero: Bool { get }
}

extension FloatForm {
  static var isUnsignedZero: Bool { false }
}

/// A float of 8 or 4 bits: a sign, an exponent and a fraction.
struct StoredFloat<Form: FloatForm>: StoredNumber {
  static var tensorType: TensorType { Form.type }
  static var zero: Self { Self(bitPattern: 0) }
  static var bitCount: Int { 1 + Form.exponentBits + Form.fractionBits }

  let bitPattern: UInt8

  init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  private static var sign: UInt8 { 1 << UInt8(Form.exponentBits + Form.fractionBits) }

  var double: Double {
    let magnitude = bitPattern & (Self.sign - 1)
    let isNegative = bitPattern & Self.sign != 0
    if Form.isUnsignedZero, isNegative, magnitude == 0 { return .nan }
    if !Form.isUnsignedZero, let nan = Form.nan {
      if magnitude >= nan { return .nan }
      if magnitude == Form.overflow { return isNegative ? -.infinity : .infinity }
    }
    let exponent = Int(magnitude) >> Form.fractionBits
    let fraction = Double(Int(magnitude) & (1 << Form.fractionBits - 1))
    let steps = exponent == 0 ? fraction : fraction + Double(1 << Form.fractionBits)
    let value = steps * Self.power(max(exponent, 1) - Form.bias - Form.fractionBits)
    return isNegative ? -value : value
  }

  private static func power(_ exponent: Int) -> Double {
    Double(sign: .plus, exponent: exponent, significand: 1)
  }

  init(converting value: Double, saturates: Bool) {
    let sign: UInt8 = value.sign == .minus ? Self.sign : 0
    if value.isNaN {
      // Where there is no such number, zero.
      bitPattern = Form.isUnsignedZero ? Self.sign : sign | (Form.nan ?? 0)
      return
    }
    let magnitude = value.magnitude
    let least = 1 - Form.bias
    let exponent = magnitude == 0 ? least : max(Int(magnitude.exponent), least)
    let step = Self.power(min(exponent, 64) - Form.fractionBits)
    var rounded =
      magnitude.isInfinite ? magnitude : (magnitude / step).rounded(.toNearestOrEven) * step
    if rounded > Form.greatest {
      guard saturates else {
        bitPattern = Form.isUnsignedZero ? Self.sign : sign | Form.overflow
        return
      }
      rounded = Form.greatest
    }
    guard rounded > 0 else {
      bitPattern = Form.isUnsignedZero ? 0 : sign
      return
    }
    let own = Int(rounded.exponent)
    let bits: Int
    if own < least {
      bits = Int(rounded / Self.power(least - Form.fractionBits))
    } else {
      let fraction = (rounded / Self.power(own) - 1) * Double(1 << Form.fractionBits)
      bits = (own + Form.bias) << Form.fractionBits | Int(fraction)
    }
    bitPattern = sign | UInt8(bits)
  }
}

enum E4M3FN: FloatForm {
  static var type: TensorType { .float8e4m3fn }
  static var exponentBits: Int { 4 }
  static var fractionBits: Int { 3 }
  static var bias: Int { 7 }
  static var greatest: Double { 448 }
  static var nan: UInt8? { 0x7F }
  static var overflow: UInt8 { 0x7F }
}

enum E4M3FNUZ: FloatForm {
  static var type: TensorType { .float8e4m3fnuz }
  static var exponentBits: Int { 4 }
  static var fractionBits: Int { 3 }
  static var bias: Int { 8 }
  static var greatest: Double { 240 }
  static var nan: UInt8? { 0 }
  static var overflow: UInt8 { 0 }
  static var isUnsignedZero: Bool { true }
}

enum E5M2: FloatForm {
  static var type: TensorType { .float8e5m2 }
  static var exponentBits: Int { 5 }
  static var fractionBits: Int { 2 }
  static var bias: Int { 15 }
  static var greatest: Double { 57344 }
  static var nan: UInt8? { 0x7D }
  static var overflow: UInt8 { 0x7C }
}

enum E5M2FNUZ: FloatForm {
  static var type: TensorType { .float8e5m2fnuz }
  static var exponentBits: Int { 5 }
  static var fractionBits: Int { 2 }
  static var bias: Int { 16 }
  static var greatest: Double { 57344 }
  static var nan: UInt8? { 0 }
  static var overflow: UInt8 { 0 }
  static var isUnsignedZero: Bool { true }
}

enum E2M1: FloatForm {
  static var type: TensorType { .float4e2m1 }
  static var exponentBits: Int { 2 }
  static var fractionBits: Int { 1 }
  static var bias: Int { 1 }
  static var greatest: Double { 6 }
  static var nan: UInt8? { nil }
  static var overflow: UInt8 { 7 }
}

/// A power of two: ONNX's float8e8m0, the scale of a block of other numbers.
struct StoredScale: StoredNumber {
  static var tensorType: TensorType { .float8e8m0 }
  static var zero: Self { Self(bitPattern: 0) }
  static var bitCount: Int { 8 }

  let bitPattern: UInt8

  init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  var double: Double {
    bitPattern == 0xFF
      ? .nan : Double(sign: .plus, exponent: Int(bitPattern) - 127, significand: 1)
  }

  enum Rounding: String, Sendable { case up, down, nearest }

  init(converting value: Double, saturates: Bool) {
    self.init(converting: value, saturates: saturates, .up)
  }

  /// The power of two above or below a number's magnitude, or the nearer; what is not finite is none.
  init(converting value: Double, saturates: Bool, _ rounding: Rounding) {
    let bits = Float(value).bitPattern
    var exponent = Int(bits >> 23) & 0xFF
    let fraction = bits & 0x7F_FFFF
    guard exponent != 0xFF else {
      bitPattern = 0xFF
      return
    }
    let isUp =
      switch rounding {
      case .down: false
      case .up: fraction > 0
      case .nearest: fraction > 0x40_0000 || fraction == 0x40_0000 && exponent > 0
      }
    if isUp, exponent < 0xFE || !saturates { exponent += 1 }
    bitPattern = UInt8(exponent)
  }
}

// MARK: Integers

/// Which integers a few bits are.
protocol IntegerForm: Sendable {
  static var type: TensorType { get }
  static var bitCount: Int { get }
  static var isSigned: Bool { get }
}

/// An integer of 4 or 2 bits; of one that is too large the low bits are left.
struct StoredInteger<Form: IntegerForm>: StoredNumber {
  static var tensorType: TensorType { Form.type }
  static var zero: Self { Self(bitPattern: 0) }
  static var bitCount: Int { Form.bitCount }
  static var range: (Double, Double) {
    let count = Double(1 << Form.bitCount)
    return Form.isSigned ? (-count / 2, count / 2 - 1) : (0, count - 1)
  }

  let bitPattern: UInt8

  init(bitPattern: UInt8) { self.bitPattern = bitPattern }

  var double: Double {
    let bits = Int(bitPattern)
    let isNegative = Form.isSigned && bits >> (Form.bitCount - 1) != 0
    return Double(isNegative ? bits - 1 << Form.bitCount : bits)
  }

  init(converting value: Double, saturates: Bool) {
    let low = UInt8(truncatingIfNeeded: Int64(converting: value))
    bitPattern = low & (1 << UInt8(Form.bitCount) - 1)
  }
}

enum U4: IntegerForm {
  static var type: TensorType { .uint4 }
  static var bitCount: Int { 4 }
  static var isSigned: Bool { false }
}

enum S4: IntegerForm {
  static var type: TensorType { .int4 }
  static var bitCount: Int { 4 }
  static var isSigned: Bool { true }
}

enum U2: IntegerForm {
  static var type: TensorType { .uint2 }
  static var bitCount: Int { 2 }
  static var isSigned: Bool { false }
}

enum S2: IntegerForm {
  static var type: TensorType { .int2 }
  static var bitCount: Int { 2 }
  static var isSigned: Bool { true }
}

extension TensorType {
  /// The Swift type of numbers that are stored alone; nil for those that are computed with.
  var stored: (any StoredNumber.Type)? { element as? any StoredNumber.Type }
}
