/// An array parameter made from a whole column, in one pass and without a look at its values
/// where those come raw.
public struct BinaryArray: PostgresEncodable {
  private let elementOID: OID
  public let typeOID: OID
  private let body: Body
  /// Those of the column's rows that are elements.
  private let rows: Range<Int>

  private enum Body: Sendable {
    case raw(RawColumn)
    case vector(ColumnVector)
  }

  /// The images as they came from a result; the types may be ones that users made.
  ///
  /// - Parameter rows: Which of the column's; all by default.
  public init(_ raw: RawColumn, elementOID: OID, arrayOID: OID, rows: Range<Int>? = nil) {
    self.elementOID = elementOID
    typeOID = arrayOID
    body = .raw(raw)
    self.rows = rows ?? 0..<raw.count
  }

  /// - Precondition: The column's type comes with the database.
  public init(_ raw: RawColumn) {
    guard let array = raw.typeOID.array else {
      preconditionFailure("the array type of \(raw.typeOID) must be given")
    }
    self.init(raw, elementOID: raw.typeOID, arrayOID: array)
  }

  /// - Parameter rows: Which of the column's; all by default.
  /// - Precondition: The column is not of arrays: PostgreSQL has no arrays of those.
  public init(_ vector: ColumnVector, rows: Range<Int>? = nil) {
    guard let element = vector.elementOID, let array = element.array else {
      preconditionFailure("an array of arrays has no type")
    }
    elementOID = element
    typeOID = array
    body = .vector(vector)
    self.rows = rows ?? 0..<vector.count
  }

  public init(_ values: [Bool], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.bool(values), nulls: nulls))
  }
  public init(_ values: [Int16], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.int16(values), nulls: nulls))
  }
  public init(_ values: [Int32], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.int32(values), nulls: nulls))
  }
  public init(_ values: [Int64], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.int64(values), nulls: nulls))
  }
  public init(_ values: [Float], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.float32(values), nulls: nulls))
  }
  public init(_ values: [Double], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.float64(values), nulls: nulls))
  }
  public init(_ values: [String], nulls: [UInt64]? = nil) {
    self.init(ColumnVector(.string(values), nulls: nulls))
  }

  public func encode(into bytes: inout [UInt8]) -> ParameterFormat {
    switch body {
    case .raw(let raw): append(raw, to: &bytes)
    case .vector(let vector): append(vector, to: &bytes)
    }
    return .binary
  }

  private func append(_ raw: RawColumn, to bytes: inout [UInt8]) {
    ArrayImage.appendHeader(
      count: rows.count, hasNulls: raw.nulls != nil, element: elementOID, to: &bytes)
    let first = raw.offsets[rows.lowerBound]
    let size = raw.offsets[rows.upperBound] - first + 4 * rows.count
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: size))
    bytes.withUnsafeMutableBytes { buffer in
      raw.bytes.withUnsafeBytes { images in
        raw.offsets.withUnsafeBufferPointer { offsets in
          var out = buffer.baseAddress! + start
          for row in rows {
            let length = offsets[row + 1] - offsets[row]
            let size = raw.isNull(row) ? -1 : Int32(truncatingIfNeeded: length)
            out.storeBytes(of: size.bigEndian, as: Int32.self)
            out += 4
            if length > 0 {
              out.copyMemory(from: images.baseAddress! + offsets[row], byteCount: length)
              out += length
            }
          }
        }
      }
    }
  }

  private func append(_ vector: ColumnVector, to bytes: inout [UInt8]) {
    let nulls = vector.nulls
    switch vector.values {
    case .bool(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) {
        $0 ? 1 as UInt8 : 0
      }
    case .int16(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) { $0.bigEndian }
    case .int32(let v), .date(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) { $0.bigEndian }
    case .int64(let v), .timestamp(let v), .timestamptz(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) { $0.bigEndian }
    case .float32(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) {
        $0.bitPattern.bigEndian
      }
    case .float64(let v):
      ArrayImage.append(v, rows, nulls: nulls, element: elementOID, to: &bytes) {
        $0.bitPattern.bigEndian
      }
    case .numeric(let v): append(v.images, to: &bytes)
    case .string(let v), .json(let v): append(each: v, nulls: vector, to: &bytes)
    case .bytes(let v): append(each: v, nulls: vector, to: &bytes)
    case .uuid(let v): append(each: v, nulls: vector, to: &bytes)
    case .array: break  // Refused by init.
    }
  }

  private func append(
    each values: [some PostgresEncodable], nulls vector: ColumnVector, to bytes: inout [UInt8]
  ) {
    ArrayImage.appendHeader(
      count: rows.count, hasNulls: vector.nulls != nil, element: elementOID, to: &bytes)
    for row in rows {
      if vector.isNull(row) {
        bytes.append(bigEndian: Int32(-1))
      } else {
        ArrayImage.append(values[row], to: &bytes)
      }
    }
  }
}

extension ColumnVector {
  /// The type of the values; nil for arrays.
  var elementOID: OID? {
    switch values {
    case .bool: .bool
    case .int16: .int2
    case .int32: .int4
    case .int64: .int8
    case .float32: .float4
    case .float64: .float8
    case .numeric: .numeric
    case .string: .text
    case .bytes: .bytea
    case .uuid: .uuid
    case .date: .date
    case .timestamp: .timestamp
    case .timestamptz: .timestamptz
    case .json: .json
    case .array: nil
    }
  }
}
