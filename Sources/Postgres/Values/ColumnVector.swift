public import FoundationEssentials

/// One value a row of a result's column, with the rows that have none.
public struct ColumnVector: Sendable, Equatable {
  public enum Values: Sendable, Equatable {
    case bool([Bool])
    case int16([Int16])
    case int32([Int32])
    /// Also `oid`, `xid` and `xid8`.
    case int64([Int64])
    case float32([Float])
    case float64([Double])
    case numeric(NumericVector)
    /// `text`, `varchar`, `char`, `name`, `unknown`, and types that users made whose images are
    /// text, as enums have.
    case string([String])
    case bytes([[UInt8]])
    case uuid([UUID])
    /// Days since 2000-01-01; see `PostgresTime`.
    case date([Int32])
    /// Microseconds since 2000-01-01 00:00 of no time zone; see `PostgresTime`.
    case timestamp([Int64])
    /// Microseconds since 2000-01-01 00:00 UTC; see `PostgresTime`.
    case timestamptz([Int64])
    /// `json` and `jsonb`, as text.
    case json([String])
    /// One-dimensional arrays: the elements of row `i` are those from `offsets[i]` up to
    /// `offsets[i + 1]`.
    indirect case array(offsets: [Int], elements: ColumnVector)
  }

  public var values: Values
  /// Bit `i % 64` of word `i / 64` is set where row `i` is NULL; nil where none is.
  /// The value at such a row is zero or empty.
  public var nulls: [UInt64]?

  public init(_ values: Values, nulls: [UInt64]? = nil) {
    self.values = values
    self.nulls = nulls
  }

  public var count: Int {
    switch values {
    case .bool(let v): v.count
    case .int16(let v): v.count
    case .int32(let v), .date(let v): v.count
    case .int64(let v), .timestamp(let v), .timestamptz(let v): v.count
    case .float32(let v): v.count
    case .float64(let v): v.count
    case .numeric(let v): v.count
    case .string(let v), .json(let v): v.count
    case .bytes(let v): v.count
    case .uuid(let v): v.count
    case .array(let offsets, _): offsets.count - 1
    }
  }

  @inlinable
  public func isNull(_ row: Int) -> Bool {
    guard let nulls else { return false }
    return nulls[row >> 6] & (1 << UInt64(row & 63)) != 0
  }
}

extension ColumnVector {
  /// The given rows alone; a column of arrays cannot be cut.
  func slice(_ rows: Range<Int>) -> ColumnVector {
    var marks = NullMarks(count: rows.count)
    for row in rows where isNull(row) { marks.mark(row - rows.lowerBound) }
    let values: Values =
      switch values {
      case .bool(let v): .bool(Array(v[rows]))
      case .int16(let v): .int16(Array(v[rows]))
      case .int32(let v): .int32(Array(v[rows]))
      case .int64(let v): .int64(Array(v[rows]))
      case .float32(let v): .float32(Array(v[rows]))
      case .float64(let v): .float64(Array(v[rows]))
      case .numeric(let v): .numeric(NumericVector(taking: Array(rows), of: v))
      case .string(let v): .string(Array(v[rows]))
      case .bytes(let v): .bytes(Array(v[rows]))
      case .uuid(let v): .uuid(Array(v[rows]))
      case .date(let v): .date(Array(v[rows]))
      case .timestamp(let v): .timestamp(Array(v[rows]))
      case .timestamptz(let v): .timestamptz(Array(v[rows]))
      case .json(let v): .json(Array(v[rows]))
      case .array: preconditionFailure("arrays of arrays do not exist")
      }
    return ColumnVector(values, nulls: marks.words)
  }
}
