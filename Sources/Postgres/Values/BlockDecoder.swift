internal import CLibPQ

/// Reads many columns of fixed width at once, a block of rows at a time.
///
/// libpq keeps a row's fields together. Column after column over all rows would fetch each row
/// from memory once a column; over blocks that fit the first-level cache it is once in all.
struct BlockDecoder {
  private static let blockRows = 32

  /// Where a column's values go.
  private struct Slot {
    let column: Int32
    let width: Int32
    let base: UnsafeMutableRawPointer
  }

  private let result: QueryResult
  private let columns: [(index: Int, type: OID)]
  private let count: Int
  private var slots: [Slot] = []
  private var marks: [NullMarks]
  private var values: [ColumnVector.Values?]
  private var fault: PostgresError?

  static func width(of type: OID) -> Int32? {
    switch type {
    case .bool: 1
    case .int2: 2
    case .int4, .float4, .date: 4
    case .int8, .xid8, .float8, .timestamp, .timestamptz: 8
    default: nil
    }
  }

  /// - Parameter columns: Of types that have a width.
  static func decode(_ result: QueryResult, columns: [(index: Int, type: OID)])
    throws(PostgresError) -> [ColumnVector]
  {
    var decoder = BlockDecoder(result, columns)
    decoder.open(0)
    if let fault = decoder.fault { throw fault }
    return decoder.values.indices.map {
      ColumnVector(decoder.values[$0]!, nulls: decoder.marks[$0].words)
    }
  }

  private init(_ result: QueryResult, _ columns: [(index: Int, type: OID)]) {
    self.result = result
    self.columns = columns
    count = result.rowCount
    marks = columns.map { _ in NullMarks(count: result.rowCount) }
    values = columns.map { _ in nil }
  }

  /// Opens the storage of one array within that of the one before, so that all are open when the
  /// rows are read, and each value is written once, to where it stays.
  private mutating func open(_ position: Int) {
    guard position < columns.count else { return read() }
    let type = columns[position].type
    values[position] =
      switch type {
      case .bool: .bool(array(position))
      case .int2: .int16(array(position))
      case .int4: .int32(array(position))
      case .date: .date(array(position))
      case .float4: .float32(array(position))
      case .float8: .float64(array(position))
      case .timestamp: .timestamp(array(position))
      case .timestamptz: .timestamptz(array(position))
      default: .int64(array(position))
      }
  }

  private mutating func array<Value: BitwiseCopyable>(_ position: Int) -> [Value] {
    [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let base = buffer.baseAddress {
        slots.append(
          Slot(
            column: Int32(columns[position].index), width: Int32(MemoryLayout<Value>.size),
            base: UnsafeMutableRawPointer(base)))
      }
      open(position + 1)
      initialized = count
    }
  }

  private mutating func read() {
    // Without rows the arrays have no storage and there are no slots.
    guard slots.count == columns.count else { return }
    var first = 0
    while first < count {
      let rows = first..<min(first + Self.blockRows, count)
      for position in slots.indices {
        let slot = slots[position]
        switch slot.width {
        case 1: read(position, slot, rows) { (v: UInt8) in v == 0 ? 0 : 1 }
        case 2: read(position, slot, rows) { (v: UInt16) in v }
        case 4: read(position, slot, rows) { (v: UInt32) in v }
        default: read(position, slot, rows) { (v: UInt64) in v }
        }
      }
      first = rows.upperBound
    }
  }

  @inline(__always)
  private mutating func read<Image: FixedWidthInteger & BitwiseCopyable>(
    _ position: Int, _ slot: Slot, _ rows: Range<Int>, _ value: (Image) -> Image
  ) {
    let handle = result.handle
    var out = slot.base + rows.lowerBound * MemoryLayout<Image>.size
    for row in rows {
      let number = Int32(truncatingIfNeeded: row)
      let length = PQgetlength(handle, number, slot.column)
      if length == slot.width {
        let image = UnsafeRawPointer(PQgetvalue(handle, number, slot.column)!)
        out.storeBytes(of: value(image.bigEndian()), as: Image.self)
      } else {
        out.storeBytes(of: 0, as: Image.self)
        // libpq gives NULL the length 0.
        if length == 0, PQgetisnull(handle, number, slot.column) != 0 {
          marks[position].mark(row)
        } else if fault == nil {
          fault = ColumnDecoder.wrongLength(length, columns[position].type, row)
        }
      }
      out += MemoryLayout<Image>.size
    }
  }
}
