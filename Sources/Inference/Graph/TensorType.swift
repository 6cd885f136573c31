/// The element types that the graph computes with; raw values are ONNX's own numbers.
enum TensorType: Int, Sendable, Equatable, CaseIterable {
  case float32 = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case string = 8
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16
  case float8e4m3fn = 17
  case float8e4m3fnuz = 18
  case float8e5m2 = 19
  case float8e5m2fnuz = 20
  case uint4 = 21
  case int4 = 22
  case float4e2m1 = 23
  case float8e8m0 = 24
  case uint2 = 25
  case int2 = 26

  /// The Swift type of an element.
  var element: any TensorElement.Type {
    switch self {
    case .float32: Float.self
    case .uint8: UInt8.self
    case .int8: Int8.self
    case .uint16: UInt16.self
    case .int16: Int16.self
    case .int32: Int32.self
    case .int64: Int64.self
    case .string: String.self
    case .bool: Bool.self
    case .float16: Half.self
    case .float64: Double.self
    case .uint32: UInt32.self
    case .uint64: UInt64.self
    case .bfloat16: BFloat16.self
    case .float8e4m3fn: StoredFloat<E4M3FN>.self
    case .float8e4m3fnuz: StoredFloat<E4M3FNUZ>.self
    case .float8e5m2: StoredFloat<E5M2>.self
    case .float8e5m2fnuz: StoredFloat<E5M2FNUZ>.self
    case .uint4: StoredInteger<U4>.self
    case .int4: StoredInteger<S4>.self
    case .float4e2m1: StoredFloat<E2M1>.self
    case .float8e8m0: StoredScale.self
    case .uint2: StoredInteger<U2>.self
    case .int2: StoredInteger<S2>.self
    }
  }

  /// The Swift type of an integer type's elements; nil for other types.
  var integer: (any IntegerElement.Type)? { element as? any IntegerElement.Type }

  /// Bytes that one element takes in memory.
  var stride: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    // Numbers that are stored alone have a byte each.
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 1
    case .float4e2m1, .uint4, .int4, .uint2, .int2: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .float32, .int32, .uint32: 4
    case .int64, .uint64, .float64: 8
    case .string: MemoryLayout<String>.stride
    }
  }

  var isFloatingPoint: Bool {
    switch self {
    case .float32, .float64, .float16, .bfloat16: true
    default: false
    }
  }

  /// Stored in 16 bits, computed in floats.
  var isReduced: Bool { self == .float16 || self == .bfloat16 }
  var isInteger: Bool { isNumeric && !isFloatingPoint }
  /// A number that is computed with.
  var isNumeric: Bool { self != .string && self != .bool && !isStored }

  /// A number that is stored as such and computed as another.
  var isStored: Bool {
    switch self {
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: true
    case .float4e2m1, .uint4, .int4, .uint2, .int2: true
    default: false
    }
  }

  /// ONNX's name for the type.
  var onnxName: String {
    switch self {
    case .float32: "float"
    case .float64: "double"
    case .string: "string"
    case .bool: "bool"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .uint8: "uint8"
    case .int8: "int8"
    case .uint16: "uint16"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint32: "uint32"
    case .uint64: "uint64"
    default: OnnxTypes.name(Int64(rawValue))
    }
  }
}

/// A Swift type that a tensor can hold.
protocol TensorElement: Sendable {
  static var tensorType: TensorType { get }
  static var zero: Self { get }
}

/// An element that is a number, or counts as 0 and 1.
protocol NumericElement: TensorElement {
  /// The value as a double; integers beyond 2^53 are rounded.
  var double: Double { get }
  /// The number as this type has it: rounded to nearest even, or its fraction cut off.
  ///
  /// An integer type takes what it cannot hold modulo its size, through 64 bits, as C compilers for
  /// x86 do; NaN and what is beyond 64 bits is the smallest 64-bit number first.
  init(converting value: Double)
}

/// An integer of 8 to 64 bits.
protocol IntegerElement: NumericElement, FixedWidthInteger {}

extension IntegerElement {
  var double: Double { Double(self) }

  init(converting value: Double) {
    // Most numbers are small, and one instruction converts them.
    if value.magnitude < 0x1p63, let exact = Self(exactly: Int64(value)) {
      self = exact
      return
    }
    let whole = value.rounded(.towardZero)
    if let exact = Self(exactly: whole) {
      self = exact
    } else if let wide = Int64(exactly: whole), Self.bitWidth < 32 {
      self = Self(truncatingIfNeeded: wide)
    } else if Self.isSigned {
      self = Self.bitWidth < 32 ? 0 : .min
    } else {
      self =
        Int64(exactly: whole).map { Self(truncatingIfNeeded: $0) }
        ?? Self(truncatingIfNeeded: Int64.min)
    }
  }
}

extension UInt8: IntegerElement { static var tensorType: TensorType { .uint8 } }
extension Int8: IntegerElement { static var tensorType: TensorType { .int8 } }
extension UInt16: IntegerElement { static var tensorType: TensorType { .uint16 } }
extension Int16: IntegerElement { static var tensorType: TensorType { .int16 } }
extension UInt32: IntegerElement { static var tensorType: TensorType { .uint32 } }
extension Int32: IntegerElement { static var tensorType: TensorType { .int32 } }
extension UInt64: IntegerElement { static var tensorType: TensorType { .uint64 } }
extension Int64: IntegerElement { static var tensorType: TensorType { .int64 } }

extension Float: NumericElement {
  static var tensorType: TensorType { .float32 }
  var double: Double { Double(self) }
  init(converting value: Double) { self = Float(value) }
}

extension Double: NumericElement {
  static var tensorType: TensorType { .float64 }
  var double: Double { self }
  init(converting value: Double) { self = value }
}

extension Bool: NumericElement {
  static var tensorType: TensorType { .bool }
  static var zero: Bool { false }
  var double: Double { self ? 1 : 0 }
  init(converting value: Double) { self = value != 0 }
}

extension String: TensorElement {
  static var tensorType: TensorType { .string }
  static var zero: String { "" }
}
