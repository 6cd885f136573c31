internal import FoundationEssentials
internal import CLibPQ
internal import Glibc

/// A column of rows that are copied into a table. Its type must be the table column's own: a
/// binary COPY converts nothing (22P03 tells of a mismatch).
public enum CopyColumn: Sendable {
  case values(ColumnVector)
  case raw(RawColumn)
  /// The same value in each row.
  case constant(any PostgresEncodable)

  /// Texts for a column of type `jsonb`; `ColumnVector.Values.json` is for `json`.
  public static func jsonb(_ texts: [String], nulls: [UInt64]? = nil) -> CopyColumn {
    var raw = RawColumn(typeOID: .jsonb)
    for (row, text) in texts.enumerated() {
      let isNull = nulls.map { $0[row >> 6] & (1 << UInt64(row & 63)) != 0 } ?? false
      raw.append(isNull ? nil : JSON(text))
    }
    return .raw(raw)
  }
}

/// Encodes rows for a binary COPY and sends them in large pieces.
///
/// A block of rows is written column by column, in loops of one type each, to places computed
/// before: some 10 ns a value of fixed width.
public struct CopyWriter: ~Copyable {
  private static let blockRows = 1024
  private static let sendAt = 256 * 1024

  private let connection: Connection
  private let columnCount: Int
  private var buffer: UnsafeMutableRawPointer
  private var capacity: Int
  private var used = 0
  /// Where the next field of each row of the block goes.
  private let cursors: UnsafeMutablePointer<UnsafeMutableRawPointer>
  private let sizes: UnsafeMutablePointer<Int>

  /// Rows written so far.
  public private(set) var rowCount = 0

  init(to connection: Connection, columnCount: Int) {
    self.connection = connection
    self.columnCount = columnCount
    capacity = 2 * Self.sendAt
    buffer = .allocate(byteCount: capacity, alignment: 16)
    cursors = .allocate(capacity: Self.blockRows)
    sizes = .allocate(capacity: Self.blockRows)
    // The signature, no flags, no extension of the header.
    for byte in Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0] + [UInt8](repeating: 0, count: 8) {
      buffer.storeBytes(of: byte, toByteOffset: used, as: UInt8.self)
      used += 1
    }
  }

  deinit {
    buffer.deallocate()
    cursors.deallocate()
    sizes.deallocate()
  }

  /// Writes rows, given as one column for each of the table's that the COPY names.
  ///
  /// - Parameter rows: Which of the columns' rows; all by default. Constants have as many as needed.
  /// - Throws: 22P04 when the number of columns differs from the statement's; 54000 for a row
  ///   beyond 1 GiB.
  public mutating func write(_ columns: [CopyColumn], rows: Range<Int>? = nil)
    throws(PostgresError)
  {
    guard columns.count == columnCount else {
      throw PostgresError(
        sqlState: "22P04",
        message: "\(columns.count) columns were given to a COPY of \(columnCount)")
    }
    let fields = columns.map { CopyFields($0) }
    let counts = Set(fields.compactMap(\.rowCount))
    guard counts.count <= 1, let count = rows?.upperBound ?? counts.first,
      counts.isEmpty || count <= counts.first!
    else {
      throw PostgresError(
        sqlState: "22P04", message: "the columns given to a COPY differ in their number of rows",
        detail: "They have \(counts.sorted()).")
    }
    var next = rows?.lowerBound ?? 0
    while next < count {
      let end = min(next + Self.blockRows, count)
      try write(fields, block: next..<end)
      next = end
    }
  }

  /// Writes one row; for a few rows only.
  public mutating func write(row values: [any PostgresEncodable]) throws(PostgresError) {
    try write(values.map { .constant($0) }, rows: 0..<1)
  }

  private mutating func write(_ fields: [CopyFields], block: Range<Int>) throws(PostgresError) {
    sizes.update(repeating: 2, count: block.count)
    for field in fields { field.addSizes(of: block, to: sizes) }
    var total = 0
    for row in 0..<block.count {
      guard sizes[row] < 1 << 30 else {
        throw PostgresError(sqlState: "54000", message: "a row of a COPY is larger than 1 GiB")
      }
      total += sizes[row]
    }
    try reserve(total)
    var place = buffer + used
    let head = Int16(columnCount).bigEndian
    for row in 0..<block.count {
      place.storeBytes(of: head, as: Int16.self)
      cursors[row] = place + 2
      place += sizes[row]
    }
    for field in fields { field.write(block, to: cursors) }
    used += total
    rowCount += block.count
    if used >= Self.sendAt { try send() }
  }

  private mutating func reserve(_ count: Int) throws(PostgresError) {
    guard used + count > capacity else { return }
    try send()
    guard count > capacity else { return }
    buffer.deallocate()
    capacity = count
    buffer = .allocate(byteCount: capacity, alignment: 16)
  }

  private mutating func send() throws(PostgresError) {
    let data = UnsafeRawBufferPointer(start: buffer, count: used)
    used = 0
    try connection.putCopyData(data)
  }

  mutating func finish() throws(PostgresError) {
    try reserve(2)
    (buffer + used).storeBytes(of: -1, as: Int16.self)
    used += 2
    try send()
  }
}

/// A column made ready to be written row by row.
private enum CopyFields {
  case values(ColumnVector)
  case raw(RawColumn)
  /// Length and image.
  case constant([UInt8])

  init(_ column: CopyColumn) {
    switch column {
    case .raw(let raw): self = .raw(raw)
    case .constant(let value):
      var bytes: [UInt8] = []
      ArrayImage.append(value, to: &bytes)
      self = .constant(bytes)
    case .values(let vector):
      switch vector.values {
      case .numeric(let v): self = .raw(v.images.masked(by: vector.nulls))
      case .array: self = .raw(RawColumn(arrays: vector))
      default: self = .values(vector)
      }
    }
  }

  var rowCount: Int? {
    switch self {
    case .values(let vector): vector.count
    case .raw(let raw): raw.count
    case .constant: nil
    }
  }

  /// Adds what each row's field takes, its length word included.
  func addSizes(of rows: Range<Int>, to sizes: UnsafeMutablePointer<Int>) {
    switch self {
    case .constant(let bytes):
      for row in 0..<rows.count { sizes[row] += bytes.count }
    case .raw(let raw):
      raw.offsets.withUnsafeBufferPointer { offsets in
        for row in rows {
          sizes[row - rows.lowerBound] += 4 + offsets[row + 1] - offsets[row]
        }
      }
    case .values(let vector):
      switch vector.values {
      case .bool: Self.addSizes(of: rows, width: 1, vector, to: sizes)
      case .int16: Self.addSizes(of: rows, width: 2, vector, to: sizes)
      case .int32, .date, .float32: Self.addSizes(of: rows, width: 4, vector, to: sizes)
      case .int64, .float64, .timestamp, .timestamptz:
        Self.addSizes(of: rows, width: 8, vector, to: sizes)
      case .uuid: Self.addSizes(of: rows, width: 16, vector, to: sizes)
      case .string(let v), .json(let v):
        for row in rows {
          sizes[row - rows.lowerBound] += vector.isNull(row) ? 4 : 4 + v[row].utf8.count
        }
      case .bytes(let v):
        for row in rows {
          sizes[row - rows.lowerBound] += vector.isNull(row) ? 4 : 4 + v[row].count
        }
      case .numeric, .array: break  // Made raw by init.
      }
    }
  }

  private static func addSizes(
    of rows: Range<Int>, width: Int, _ vector: ColumnVector, to sizes: UnsafeMutablePointer<Int>
  ) {
    if let nulls = vector.nulls {
      for row in rows {
        let isNull = nulls[row >> 6] & (1 << UInt64(row & 63)) != 0
        sizes[row - rows.lowerBound] += isNull ? 4 : 4 + width
      }
    } else {
      for row in 0..<rows.count { sizes[row] += 4 + width }
    }
  }

  /// Writes each row's field at its cursor and moves that on.
  func write(_ rows: Range<Int>, to cursors: UnsafeMutablePointer<UnsafeMutableRawPointer>) {
    switch self {
    case .constant(let bytes):
      bytes.withUnsafeBytes { image in
        for row in 0..<rows.count {
          cursors[row].copyMemory(from: image.baseAddress!, byteCount: image.count)
          cursors[row] += image.count
        }
      }
    case .raw(let raw):
      raw.bytes.withUnsafeBytes { bytes in
        for row in rows {
          let start = raw.offsets[row]
          let image = UnsafeRawBufferPointer(rebasing: bytes[start..<raw.offsets[row + 1]])
          Self.write(raw.isNull(row) ? nil : image, to: &cursors[row - rows.lowerBound])
        }
      }
    case .values(let vector): Self.write(vector, rows, to: cursors)
    }
  }

  private static func write(
    _ vector: ColumnVector, _ rows: Range<Int>,
    to cursors: UnsafeMutablePointer<UnsafeMutableRawPointer>
  ) {
    let nulls = vector.nulls
    switch vector.values {
    case .bool(let v): write(v, nulls, rows, to: cursors) { $0 ? 1 as UInt8 : 0 }
    case .int16(let v): write(v, nulls, rows, to: cursors) { $0.bigEndian }
    case .int32(let v), .date(let v): write(v, nulls, rows, to: cursors) { $0.bigEndian }
    case .int64(let v), .timestamp(let v), .timestamptz(let v):
      write(v, nulls, rows, to: cursors) { $0.bigEndian }
    case .float32(let v): write(v, nulls, rows, to: cursors) { $0.bitPattern.bigEndian }
    case .float64(let v): write(v, nulls, rows, to: cursors) { $0.bitPattern.bigEndian }
    case .uuid(let v): write(v, nulls, rows, to: cursors) { $0.uuid }
    case .string(let v), .json(let v):
      for row in rows {
        var text = v[row]
        let isNull = vector.isNull(row)
        text.withUTF8 {
          write(
            isNull ? nil : UnsafeRawBufferPointer($0), to: &cursors[row - rows.lowerBound])
        }
      }
    case .bytes(let v):
      for row in rows {
        v[row].withUnsafeBytes {
          write(vector.isNull(row) ? nil : $0, to: &cursors[row - rows.lowerBound])
        }
      }
    case .numeric, .array: break  // Made raw by init.
    }
  }

  @inline(__always)
  private static func write(
    _ image: UnsafeRawBufferPointer?, to cursor: inout UnsafeMutableRawPointer
  ) {
    guard let image else {
      cursor.storeBytes(of: -1, as: Int32.self)
      cursor += 4
      return
    }
    cursor.storeBytes(of: Int32(image.count).bigEndian, as: Int32.self)
    if let base = image.baseAddress { memcpy(cursor + 4, base, image.count) }
    cursor += 4 + image.count
  }

  @inline(__always)
  private static func write<Value, Image: BitwiseCopyable>(
    _ values: [Value], _ nulls: [UInt64]?, _ rows: Range<Int>,
    to cursors: UnsafeMutablePointer<UnsafeMutableRawPointer>, image: (Value) -> Image
  ) {
    let width = MemoryLayout<Image>.size
    let length = Int32(width).bigEndian
    values.withUnsafeBufferPointer { values in
      for row in rows {
        let cursor = cursors[row - rows.lowerBound]
        if let nulls, nulls[row >> 6] & (1 << UInt64(row & 63)) != 0 {
          cursor.storeBytes(of: -1, as: Int32.self)
          cursors[row - rows.lowerBound] = cursor + 4
        } else {
          cursor.storeBytes(of: length, as: Int32.self)
          (cursor + 4).storeBytes(of: image(values[row]), as: Image.self)
          cursors[row - rows.lowerBound] = cursor + 4 + width
        }
      }
    }
  }
}
