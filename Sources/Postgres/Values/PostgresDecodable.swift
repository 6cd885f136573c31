public import FoundationEssentials

/// One value of a result, in the server's binary form.
public struct FieldImage {
  public let name: String
  public let typeOID: OID
  /// nil for NULL; valid only while it is decoded.
  public let bytes: UnsafeRawBufferPointer?

  /// The typed column of this one value.
  ///
  /// - Throws: 22002 for NULL.
  func vector() throws(PostgresError) -> ColumnVector {
    guard bytes != nil else {
      throw PostgresError(
        sqlState: "22002", message: "column \"\(name)\" is null where a value was expected")
    }
    return try ColumnDecoder.decode(SingleSource(bytes: bytes), typeOID: typeOID)
  }

  func mismatch<T>(_ wanted: T.Type) -> PostgresError {
    PostgresError(
      sqlState: "42804", message: "column \"\(name)\" is \(typeOID), read as \(wanted)")
  }
}

/// A value that can be read from a result.
public protocol PostgresDecodable {
  init(_ field: FieldImage) throws(PostgresError)
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  public init(_ field: FieldImage) throws(PostgresError) {
    self = field.bytes == nil ? nil : try Wrapped(field)
  }
}

extension Bool: PostgresDecodable {
  public init(_ field: FieldImage) throws(PostgresError) {
    guard case .bool(let v) = try field.vector().values else { throw field.mismatch(Self.self) }
    self = v[0]
  }
}

extension PostgresDecodable where Self: FixedWidthInteger {
  /// Any integer type of SQL fits, as long as the value does.
  ///
  /// - Throws: 22003 where it does not.
  public init(_ field: FieldImage) throws(PostgresError) {
    let wide: Int64
    switch try field.vector().values {
    case .int16(let v): wide = Int64(v[0])
    case .int32(let v): wide = Int64(v[0])
    case .int64(let v): wide = v[0]
    default: throw field.mismatch(Self.self)
    }
    guard let value = Self(exactly: wide) else {
      throw PostgresError(
        sqlState: "22003", message: "column \"\(field.name)\" is out of range for \(Self.self)")
    }
    self = value
  }
}
extension Int16: PostgresDecodable {}
extension Int32: PostgresDecodable {}
extension UInt32: PostgresDecodable {}
extension Int64: PostgresDecodable {}
extension Int: PostgresDecodable {}

extension OID: PostgresDecodable {
  public init(_ field: FieldImage) throws(PostgresError) {
    self.init(rawValue: try UInt32(field))
  }
}

extension Float: PostgresDecodable {
  /// Only from `real`: others would lose digits.
  public init(_ field: FieldImage) throws(PostgresError) {
    guard case .float32(let v) = try field.vector().values else { throw field.mismatch(Self.self) }
    self = v[0]
  }
}

extension Double: PostgresDecodable {
  /// From every numeric type; `bigint` and `numeric` are rounded to the nearest.
  public init(_ field: FieldImage) throws(PostgresError) {
    switch try field.vector().values {
    case .float64(let v): self = v[0]
    case .float32(let v): self = Double(v[0])
    case .int16(let v): self = Double(v[0])
    case .int32(let v): self = Double(v[0])
    case .int64(let v): self = Double(v[0])
    case .numeric(let v): self = v.double(at: 0)
    default: throw field.mismatch(Self.self)
    }
  }
}

extension String: PostgresDecodable {
  /// From text types, JSON, enums and, exactly, `numeric`.
  public init(_ field: FieldImage) throws(PostgresError) {
    switch try field.vector().values {
    case .string(let v), .json(let v): self = v[0]
    case .numeric(let v): self = v.text(at: 0)
    default: throw field.mismatch(Self.self)
    }
  }
}

extension UUID: PostgresDecodable {
  public init(_ field: FieldImage) throws(PostgresError) {
    guard case .uuid(let v) = try field.vector().values else { throw field.mismatch(Self.self) }
    self = v[0]
  }
}

extension Date: PostgresDecodable {
  /// From `timestamptz`, and from `timestamp` and `date` taken as UTC.
  public init(_ field: FieldImage) throws(PostgresError) {
    switch try field.vector().values {
    case .timestamptz(let v), .timestamp(let v): self = PostgresTime.date(microseconds: v[0])
    case .date(let v): self = PostgresTime.date(days: v[0])
    default: throw field.mismatch(Self.self)
    }
  }
}

extension Duration: PostgresDecodable {
  /// From `interval`, a day taken as 24 hours and a month as 30 days, as `extract(epoch …)` does
  /// for those.
  public init(_ field: FieldImage) throws(PostgresError) {
    guard field.typeOID == .interval else { throw field.mismatch(Self.self) }
    guard let bytes = field.bytes else {
      throw PostgresError(
        sqlState: "22002", message: "column \"\(field.name)\" is null where a value was expected")
    }
    guard bytes.count == 16, let base = bytes.baseAddress else {
      throw .malformed("\(bytes.count) bytes as an interval")
    }
    let days =
      Int64(base.bigEndian(Int32.self, at: 8)) + 30 * Int64(base.bigEndian(Int32.self, at: 12))
    self = .microseconds(base.bigEndian(Int64.self)) + .seconds(days * 86_400)
  }
}

/// A type of which arrays can be read.
public protocol PostgresArrayDecodable: PostgresDecodable {
  /// The elements of a column; nil where the type does not fit.
  static func elements(of vector: ColumnVector) -> [Self]?
}

extension Array: PostgresDecodable where Element: PostgresArrayDecodable {
  /// - Throws: 22002 for an array that holds a NULL.
  public init(_ field: FieldImage) throws(PostgresError) {
    let vector = try field.vector()
    if case .bytes(let v) = vector.values, let bytes = v[0] as? [Element] {
      self = bytes
      return
    }
    guard case .array(_, let elements) = vector.values,
      let values = Element.elements(of: elements)
    else { throw field.mismatch(Self.self) }
    guard elements.nulls == nil else {
      throw PostgresError(
        sqlState: "22002", message: "an element of column \"\(field.name)\" is null")
    }
    self = values
  }
}

extension UInt8: PostgresArrayDecodable {
  /// An element of `bytea`; never an array's.
  public static func elements(of vector: ColumnVector) -> [UInt8]? { nil }
}
extension Bool: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Bool]? {
    if case .bool(let v) = vector.values { v } else { nil }
  }
}
extension Int16: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Int16]? {
    if case .int16(let v) = vector.values { v } else { nil }
  }
}
extension Int32: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Int32]? {
    if case .int32(let v) = vector.values { v } else { nil }
  }
}
extension Int64: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Int64]? {
    switch vector.values {
    case .int64(let v): v
    case .int32(let v): v.map(Int64.init)
    case .int16(let v): v.map(Int64.init)
    default: nil
    }
  }
}
extension Int: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Int]? {
    Int64.elements(of: vector)?.map(Int.init)
  }
}
extension Float: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Float]? {
    if case .float32(let v) = vector.values { v } else { nil }
  }
}
extension Double: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Double]? {
    switch vector.values {
    case .float64(let v): v
    case .float32(let v): v.map(Double.init)
    case .numeric(let v): v.doubles()
    default: nil
    }
  }
}
extension String: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [String]? {
    switch vector.values {
    case .string(let v), .json(let v): v
    case .numeric(let v): (0..<v.count).map { v.text(at: $0) }
    default: nil
    }
  }
}
extension UUID: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [UUID]? {
    if case .uuid(let v) = vector.values { v } else { nil }
  }
}
extension Date: PostgresArrayDecodable {
  public static func elements(of vector: ColumnVector) -> [Date]? {
    switch vector.values {
    case .timestamptz(let v), .timestamp(let v):
      v.map { PostgresTime.date(microseconds: $0) }
    case .date(let v): v.map { PostgresTime.date(days: $0) }
    default: nil
    }
  }
}
