public import FoundationEssentials

/// A value that can be bound to a parameter.
public protocol PostgresEncodable: Sendable {
  /// The type that the parameter is declared to have.
  var typeOID: OID { get }

  /// Appends the image of the value and says what it is.
  func encode(into bytes: inout [UInt8]) -> ParameterFormat
}

/// What `PostgresEncodable.encode(into:)` appended.
public enum ParameterFormat: Sendable {
  /// Nothing: the value is NULL.
  case null
  /// The image that the type's receive function reads.
  case binary
  /// What a literal would hold, without a zero byte.
  case text
}

/// A value that has a type of its own in SQL, so that arrays of it have one too.
public protocol PostgresArrayElement: PostgresEncodable {
  static var elementOID: OID { get }
  static var arrayOID: OID { get }

  /// Appends the image of a one-dimensional array.
  static func encodeArray(_ values: [Self], into bytes: inout [UInt8])
}

extension PostgresArrayElement {
  public var typeOID: OID { Self.elementOID }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.appendHeader(
      count: values.count, hasNulls: true, element: elementOID, to: &bytes)
    for value in values { ArrayImage.append(value, to: &bytes) }
  }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
  public var typeOID: OID { Element.arrayOID }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    Element.encodeArray(self, into: &bytes)
    return .binary
  }
}

extension Optional: PostgresEncodable where Wrapped: PostgresArrayElement {
  public var typeOID: OID { Wrapped.elementOID }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    self?.encode(into: &bytes) ?? .null
  }
}

extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement {
  public static var elementOID: OID { Wrapped.elementOID }
  public static var arrayOID: OID { Wrapped.arrayOID }
}

extension Bool: PostgresArrayElement {
  public static var elementOID: OID { .bool }
  public static var arrayOID: OID { 1000 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(self ? 1 : 0)
    return .binary
  }
}

extension Int16: PostgresArrayElement {
  public static var elementOID: OID { .int2 }
  public static var arrayOID: OID { 1005 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: self)
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) { $0.bigEndian }
  }
}

extension Int32: PostgresArrayElement {
  public static var elementOID: OID { .int4 }
  public static var arrayOID: OID { 1007 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: self)
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) { $0.bigEndian }
  }
}

extension Int64: PostgresArrayElement {
  public static var elementOID: OID { .int8 }
  public static var arrayOID: OID { 1016 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: self)
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) { $0.bigEndian }
  }
}

extension Int: PostgresArrayElement {
  public static var elementOID: OID { .int8 }
  public static var arrayOID: OID { 1016 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: Int64(self))
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) {
      Int64($0).bigEndian
    }
  }
}

extension Float: PostgresArrayElement {
  public static var elementOID: OID { .float4 }
  public static var arrayOID: OID { 1021 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: bitPattern)
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) {
      $0.bitPattern.bigEndian
    }
  }
}

extension Double: PostgresArrayElement {
  public static var elementOID: OID { .float8 }
  public static var arrayOID: OID { 1022 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: bitPattern)
    return .binary
  }

  public static func encodeArray(_ values: [Self], into bytes: inout [UInt8]) {
    ArrayImage.append(values, nulls: nil, element: elementOID, to: &bytes) {
      $0.bitPattern.bigEndian
    }
  }
}

/// PostgreSQL refuses text that holds a zero byte, with SQLSTATE 22021.
extension String: PostgresArrayElement {
  public static var elementOID: OID { .text }
  public static var arrayOID: OID { 1009 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(contentsOf: utf8)
    return .binary
  }
}

extension UUID: PostgresArrayElement {
  public static var elementOID: OID { .uuid }
  public static var arrayOID: OID { 2951 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    withUnsafeBytes(of: uuid) { bytes.append(contentsOf: $0) }
    return .binary
  }
}

/// As `timestamptz`, rounded to the microsecond; moments beyond its range become infinite.
extension Date: PostgresArrayElement {
  public static var elementOID: OID { .timestamptz }
  public static var arrayOID: OID { 1185 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: PostgresTime.microseconds(of: self))
    return .binary
  }
}

/// An element of a byte string; `[UInt8]` is `bytea`. Alone it is a `smallint`.
extension UInt8: PostgresArrayElement {
  public static var elementOID: OID { .int2 }
  public static var arrayOID: OID { .bytea }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(bigEndian: Int16(self))
    return .binary
  }

  public static func encodeArray(_ values: [UInt8], into bytes: inout [UInt8]) {
    bytes.append(contentsOf: values)
  }
}

/// `[[UInt8]]` is `bytea[]`.
extension Array: PostgresArrayElement where Element == UInt8 {
  public static var elementOID: OID { .bytea }
  public static var arrayOID: OID { 1001 }
}

/// A JSON text, bound as `jsonb`.
public struct JSON: PostgresArrayElement, Equatable {
  public var text: String
  public init(_ text: String) { self.text = text }

  public static var elementOID: OID { .jsonb }
  public static var arrayOID: OID { 3807 }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(1)  // The version of jsonb's image.
    bytes.append(contentsOf: text.utf8)
    return .binary
  }
}

/// Text of a type that the server infers, as a quoted literal in SQL would be.
public struct Untyped: PostgresEncodable, Equatable {
  public var text: String
  public init(_ text: String) { self.text = text }

  public var typeOID: OID { .inferred }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    bytes.append(contentsOf: text.utf8)
    return .text
  }
}

extension [UInt8] {
  @inline(__always)
  mutating func append(bigEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}
