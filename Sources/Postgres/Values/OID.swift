/// The number by which PostgreSQL knows a type.
public struct OID: RawRepresentable, Hashable, Sendable, ExpressibleByIntegerLiteral {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public init(integerLiteral value: UInt32) { rawValue = value }

  /// The server infers the type from where the parameter stands.
  public static let inferred: OID = 0
  public static let bool: OID = 16
  public static let bytea: OID = 17
  /// `"char"`, one byte.
  public static let char: OID = 18
  public static let name: OID = 19
  public static let int8: OID = 20
  public static let int2: OID = 21
  public static let int4: OID = 23
  public static let text: OID = 25
  public static let oid: OID = 26
  public static let xid: OID = 28
  public static let json: OID = 114
  /// A line segment: four `double precision`.
  public static let lseg: OID = 601
  public static let float4: OID = 700
  public static let float8: OID = 701
  public static let unknown: OID = 705
  public static let bpchar: OID = 1042
  public static let varchar: OID = 1043
  public static let date: OID = 1082
  public static let timestamp: OID = 1114
  public static let timestamptz: OID = 1184
  public static let interval: OID = 1186
  public static let numeric: OID = 1700
  public static let void: OID = 2278
  public static let regclass: OID = 2205
  public static let regtype: OID = 2206
  public static let uuid: OID = 2950
  public static let jsonb: OID = 3802
  public static let xid8: OID = 5069

  private static let arrays: [OID: OID] = [
    bool: 1000, bytea: 1001, char: 1002, name: 1003, int2: 1005, int4: 1007, text: 1009,
    oid: 1028, xid: 1011, bpchar: 1014, varchar: 1015, int8: 1016, float4: 1021, float8: 1022,
    json: 199, date: 1182, timestamp: 1115, timestamptz: 1185, interval: 1187, numeric: 1231,
    uuid: 2951, jsonb: 3807, xid8: 271, regclass: 2210, regtype: 2211,
  ]
  private static let elements: [OID: OID] = Dictionary(
    uniqueKeysWithValues: arrays.map { ($0.value, $0.key) })

  /// The type of arrays of this type; nil for a type that the database does not come with.
  public var array: OID? { Self.arrays[self] }

  /// The type of this array type's elements; nil for a type that is no array that the database
  /// comes with.
  public var element: OID? { Self.elements[self] }
}

extension OID: CustomStringConvertible {
  private static let names: [OID: String] = [
    bool: "boolean", bytea: "bytea", char: "\"char\"", name: "name", int8: "bigint",
    int2: "smallint", int4: "integer", text: "text", oid: "oid", xid: "xid", json: "json",
    lseg: "lseg", float4: "real", float8: "double precision", unknown: "unknown",
    bpchar: "character",
    varchar: "character varying", date: "date", timestamp: "timestamp",
    timestamptz: "timestamptz", interval: "interval", numeric: "numeric", uuid: "uuid",
    jsonb: "jsonb", xid8: "xid8", regclass: "regclass", regtype: "regtype", void: "void",
  ]

  /// SQL's name of the type, or its number.
  public var description: String {
    if let name = Self.names[self] { return name }
    if let element { return "\(element)[]" }
    return "oid \(rawValue)"
  }
}
