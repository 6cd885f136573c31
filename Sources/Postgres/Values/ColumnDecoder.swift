internal import FoundationEssentials

/// Reads images into typed columns, a loop a type.
enum ColumnDecoder {
  static func decode(_ source: some FieldSource, typeOID: OID) throws(PostgresError)
    -> ColumnVector
  {
    switch typeOID {
    case .bool: try fixed(source, typeOID, ColumnVector.Values.bool) { (v: UInt8) in v != 0 }
    case .int2: try fixed(source, typeOID, ColumnVector.Values.int16) { (v: Int16) in v }
    case .int4: try fixed(source, typeOID, ColumnVector.Values.int32) { (v: Int32) in v }
    case .int8, .xid8: try fixed(source, typeOID, ColumnVector.Values.int64) { (v: Int64) in v }
    case .oid, .xid, .regclass, .regtype:
      try fixed(source, typeOID, ColumnVector.Values.int64) { (v: UInt32) in Int64(v) }
    case .float4:
      try fixed(source, typeOID, ColumnVector.Values.float32) { (v: UInt32) in
        Float(bitPattern: v)
      }
    case .float8:
      try fixed(source, typeOID, ColumnVector.Values.float64) { (v: UInt64) in
        Double(bitPattern: v)
      }
    case .date: try fixed(source, typeOID, ColumnVector.Values.date) { (v: Int32) in v }
    case .timestamp: try fixed(source, typeOID, ColumnVector.Values.timestamp) { (v: Int64) in v }
    case .timestamptz:
      try fixed(source, typeOID, ColumnVector.Values.timestamptz) { (v: Int64) in v }
    case .text, .varchar, .bpchar, .name, .unknown, .char, .json:
      try strings(
        source, typeOID, typeOID == .json ? ColumnVector.Values.json : ColumnVector.Values.string)
    case .jsonb: try jsonb(source)
    case .bytea: bytes(source)
    case .uuid: try uuids(source)
    case .numeric: try numerics(source)
    case .void: ColumnVector(.string(Array(repeating: "", count: source.count)))
    default:
      if let element = typeOID.element {
        try arrays(source, typeOID, element: element)
      } else if typeOID.rawValue >= 16384 {
        try userType(source, typeOID)
      } else {
        throw PostgresError(
          sqlState: "0A000", message: "columns of type \(typeOID) cannot be decoded",
          hint: "Cast it in the query, as with ::text.")
      }
    }
  }

  static func wrongLength(_ length: Int32, _ typeOID: OID, _ row: Int) -> PostgresError {
    .malformed("\(length) bytes as a \(typeOID) in row \(row)")
  }

  @inline(__always)
  private static func fixed<Source: FieldSource, Image: FixedWidthInteger, Value>(
    _ source: Source, _ typeOID: OID, _ wrap: ([Value]) -> ColumnVector.Values,
    _ value: (Image) -> Value
  ) throws(PostgresError) -> ColumnVector {
    let count = source.count
    let width = Int32(MemoryLayout<Image>.size)
    var marks = NullMarks(count: count)
    var fault: PostgresError?
    let values = [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
      var out = buffer.baseAddress
      for row in 0..<count {
        let length = source.length(row)
        if length == width {
          out!.initialize(to: value(source.image(row).bigEndian()))
        } else {
          out!.initialize(to: value(0))
          if length < 0 {
            marks.mark(row)
          } else if fault == nil {
            fault = wrongLength(length, typeOID, row)
          }
        }
        out! += 1
      }
      initialized = count
    }
    if let fault { throw fault }
    return ColumnVector(wrap(values), nulls: marks.words)
  }

  private static func strings(
    _ source: some FieldSource, _ typeOID: OID, _ wrap: ([String]) -> ColumnVector.Values
  ) throws(PostgresError) -> ColumnVector {
    let count = source.count
    var marks = NullMarks(count: count)
    var values: [String] = []
    values.reserveCapacity(count)
    for row in 0..<count {
      let length = source.length(row)
      if length < 0 { marks.mark(row) }
      values.append(string(source.image(row), max(0, Int(length))))
    }
    return ColumnVector(wrap(values), nulls: marks.words)
  }

  @inline(__always)
  static func string(_ image: UnsafeRawPointer, _ length: Int) -> String {
    // The session's client_encoding is UTF8; SQL_ASCII databases may still send anything.
    String(decoding: UnsafeRawBufferPointer(start: image, count: length), as: UTF8.self)
  }

  private static func jsonb(_ source: some FieldSource) throws(PostgresError) -> ColumnVector {
    var marks = NullMarks(count: source.count)
    var values: [String] = []
    values.reserveCapacity(source.count)
    for row in 0..<source.count {
      let length = source.length(row)
      if length < 0 {
        marks.mark(row)
        values.append("")
        continue
      }
      guard length > 0 else { throw wrongLength(length, .jsonb, row) }
      let version = source.image(row).load(as: UInt8.self)
      guard version == 1 else { throw .malformed("jsonb of version \(version)") }
      values.append(string(source.image(row) + 1, Int(length) - 1))
    }
    return ColumnVector(.json(values), nulls: marks.words)
  }

  private static func bytes(_ source: some FieldSource) -> ColumnVector {
    var marks = NullMarks(count: source.count)
    var values: [[UInt8]] = []
    values.reserveCapacity(source.count)
    for row in 0..<source.count {
      let length = source.length(row)
      if length < 0 { marks.mark(row) }
      values.append(
        [UInt8](UnsafeRawBufferPointer(start: source.image(row), count: max(0, Int(length)))))
    }
    return ColumnVector(.bytes(values), nulls: marks.words)
  }

  private static func uuids(_ source: some FieldSource) throws(PostgresError) -> ColumnVector {
    var marks = NullMarks(count: source.count)
    var values: [UUID] = []
    values.reserveCapacity(source.count)
    for row in 0..<source.count {
      let length = source.length(row)
      if length < 0 {
        marks.mark(row)
        values.append(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
        continue
      }
      guard length == 16 else { throw wrongLength(length, .uuid, row) }
      values.append(UUID(uuid: source.image(row).loadUnaligned(as: uuid_t.self)))
    }
    return ColumnVector(.uuid(values), nulls: marks.words)
  }

  private static func numerics(_ source: some FieldSource) throws(PostgresError) -> ColumnVector {
    let raw = RawColumn(source, typeOID: .numeric)
    return ColumnVector(.numeric(try NumericVector(raw)), nulls: raw.nulls)
  }

  /// Enums and the like send their text; what holds zero bytes or no UTF-8 is something else.
  private static func userType(_ source: some FieldSource, _ typeOID: OID) throws(PostgresError)
    -> ColumnVector
  {
    for row in 0..<source.count where source.length(row) > 0 {
      let image = UnsafeRawBufferPointer(
        start: source.image(row), count: Int(source.length(row)))
      guard !image.contains(0), String(validating: image, as: UTF8.self) != nil else {
        throw PostgresError(
          sqlState: "0A000", message: "columns of type \(typeOID) cannot be decoded",
          hint: "Cast it in the query, as with ::text.")
      }
    }
    return try strings(source, typeOID, ColumnVector.Values.string)
  }

  /// Reads the arrays' elements as one column.
  private static func arrays(_ source: some FieldSource, _ typeOID: OID, element: OID)
    throws(PostgresError) -> ColumnVector
  {
    var marks = NullMarks(count: source.count)
    var offsets = [0]
    offsets.reserveCapacity(source.count + 1)
    var elements = ArrayElements()
    for row in 0..<source.count {
      let length = source.length(row)
      if length < 0 {
        marks.mark(row)
      } else {
        try elements.append(
          UnsafeRawBufferPointer(start: source.image(row), count: Int(length)), element: element)
      }
      offsets.append(elements.count)
    }
    let vector = try decode(elements, typeOID: element)
    return ColumnVector(.array(offsets: offsets, elements: vector), nulls: marks.words)
  }
}

/// Where the elements of arrays lie, all rows in one sequence.
private struct ArrayElements: FieldSource {
  private var entries: [(image: UnsafeRawPointer, length: Int32)] = []

  var count: Int { entries.count }
  func length(_ row: Int) -> Int32 { entries[row].length }
  func image(_ row: Int) -> UnsafeRawPointer { entries[row].image }

  /// Adds the elements of one array's image.
  mutating func append(_ image: UnsafeRawBufferPointer, element: OID) throws(PostgresError) {
    guard image.count >= 12 else { throw .malformed("an array of \(image.count) bytes") }
    let base = image.baseAddress!
    let dimensions = base.bigEndian(Int32.self)
    guard dimensions != 0 else { return }
    guard dimensions == 1 else {
      throw PostgresError(
        sqlState: "0A000", message: "an array has \(dimensions) dimensions, one can be decoded",
        hint: "Unnest it in the query.")
    }
    guard image.count >= 20, base.bigEndian(UInt32.self, at: 8) == element.rawValue else {
      throw .malformed("an array whose elements are of another type")
    }
    let count = Int(base.bigEndian(Int32.self, at: 12))
    var offset = 20
    guard count >= 0, count <= (image.count - offset) / 4 else {
      throw .malformed("an array of \(count) elements in \(image.count) bytes")
    }
    for _ in 0..<count {
      guard image.count - offset >= 4 else { throw .malformed("an array that ends too early") }
      let length = base.bigEndian(Int32.self, at: offset)
      offset += 4
      guard Int(length) <= image.count - offset else {
        throw .malformed("an array that ends too early")
      }
      entries.append((base + offset, length < 0 ? -1 : length))
      offset += max(0, Int(length))
    }
  }
}
