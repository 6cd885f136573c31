internal import Glibc

/// Rows that a COPY has brought, column by column.
public struct CopiedRows: Sendable {
  public enum Column: Sendable {
    case values(ColumnVector)
    case raw(RawColumn)
    /// Of type `lseg`: its four numbers, a column each; no row is NULL.
    case quads([[Double]])
    /// Of type `lseg` with rows that are NULL.
    case someQuads
  }

  public let count: Int
  public let columns: [Column]

  /// Some columns that were decoded.
  public func vectors(_ range: Range<Int>) -> [ColumnVector] {
    range.map {
      guard case .values(let vector) = columns[$0] else {
        preconditionFailure("column \($0) was left unread")
      }
      return vector
    }
  }

  /// The images of a column that was left unread.
  public func raw(_ index: Int) -> RawColumn {
    guard case .raw(let raw) = columns[index] else {
      preconditionFailure("column \(index) was decoded")
    }
    return raw
  }
}

/// Takes the rows of a binary COPY apart, each value straight to its column.
///
/// Values of fixed width are turned round as they are read: some 2 ns each. The four numbers of a
/// value of type `lseg` go to places of their own.
struct CopyBlock: ~Copyable {
  /// Where a column's values go.
  private struct Slot {
    /// Of its values; 0 where images are kept, 32 of a quad, whose numbers lie `capacity` apart.
    let width: Int
    var values: UnsafeMutableRawPointer
    /// Of images: how many bytes there is room for, and where each begins.
    var byteCapacity = 0
    var offsets: UnsafeMutablePointer<Int>?
    /// A bit a row that there is room for, once a value is NULL.
    var nulls: UnsafeMutablePointer<UInt64>?
  }

  private let types: [OID]
  private let typed: [Bool]
  private let slots: UnsafeMutablePointer<Slot>
  let columnCount: Int
  private var capacity: Int
  private(set) var rowCount = 0

  private var pending: [UInt8] = []
  private var hasHeader = false
  private var isOver = false

  /// - Parameters:
  ///   - typed: Which columns are decoded.
  ///   - rows: How many will come, about.
  init(types: [OID], typed: [Bool], rows: Int) {
    (self.types, self.typed) = (types, typed)
    columnCount = types.count
    capacity = min(max(rows, 64), 1 << 16)
    slots = .allocate(capacity: types.count)
    for index in types.indices {
      let width =
        typed[index]
        ? types[index] == .lseg ? 32 : Int(BlockDecoder.width(of: types[index]) ?? 0) : 0
      let byteCapacity = capacity * (width == 0 ? 16 : width)
      var slot = Slot(width: width, values: .allocate(byteCount: byteCapacity, alignment: 16))
      if width == 0 {
        slot.byteCapacity = byteCapacity
        slot.offsets = .allocate(capacity: capacity + 1)
        slot.offsets![0] = 0
      }
      (slots + index).initialize(to: slot)
    }
  }

  deinit {
    for index in 0..<columnCount {
      slots[index].values.deallocate()
      slots[index].offsets?.deallocate()
      slots[index].nulls?.deallocate()
    }
    slots.deallocate()
  }

  // MARK: Reading

  /// A message may hold any part of the stream, although servers send whole rows.
  mutating func read(_ data: UnsafeRawBufferPointer) throws(PostgresError) {
    if pending.isEmpty {
      let used = try parse(data)
      if used < data.count { pending.append(contentsOf: data[used...]) }
    } else {
      pending.append(contentsOf: data)
      let bytes = pending
      let used: Result<Int, PostgresError> = bytes.withUnsafeBytes { buffer in
        do throws(PostgresError) {
          return .success(try parse(buffer))
        } catch {
          return .failure(error)
        }
      }
      pending.removeFirst(try used.get())
    }
  }

  /// Returns how many bytes were whole.
  private mutating func parse(_ data: UnsafeRawBufferPointer) throws(PostgresError) -> Int {
    guard let base = data.baseAddress.map({ UnsafeRawPointer($0) }) else { return 0 }
    var offset = 0
    if !hasHeader {
      guard data.count >= 19 else { return 0 }
      guard data.starts(with: Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0]) else {
        throw .malformed("a COPY without its signature")
      }
      let length = Int(base.bigEndian(UInt32.self, at: 15))
      guard data.count >= 19 + length else { return 0 }
      offset = 19 + length
      hasHeader = true
    }
    while !isOver, data.count - offset >= 2 {
      let fields = base.bigEndian(Int16.self, at: offset)
      if fields == -1 {
        isOver = true
        return data.count
      }
      guard Int(fields) == columnCount else {
        throw .malformed("a row of \(fields) columns in a COPY of \(columnCount)")
      }
      if rowCount == capacity { grow() }
      guard let end = try row(base + offset + 2, end: base + data.count) else { return offset }
      rowCount += 1
      offset = end - base
    }
    return offset
  }

  /// Reads one row; nil where not all of it is there. What was read of it is then read again.
  private mutating func row(_ start: UnsafeRawPointer, end: UnsafeRawPointer)
    throws(PostgresError) -> UnsafeRawPointer?
  {
    var place = start
    let row = rowCount
    for column in 0..<columnCount {
      guard end - place >= 4 else { return nil }
      let length = Int(place.bigEndian(Int32.self))
      place += 4
      guard length <= end - place else { return nil }
      let slot = slots + column
      let values = slot.pointee.values
      switch slot.pointee.width {
      case 4 where length == 4:
        values.storeBytes(
          of: place.bigEndian(UInt32.self), toByteOffset: row &* 4, as: UInt32.self)
      case 8 where length == 8:
        values.storeBytes(
          of: place.bigEndian(UInt64.self), toByteOffset: row &* 8, as: UInt64.self)
      case 0 where length >= 0: keep(place, length, column)
      case 32 where length == 32:
        for part in 0..<4 {
          values.storeBytes(
            of: place.bigEndian(UInt64.self, at: part &* 8),
            toByteOffset: (part &* capacity &+ row) &* 8, as: UInt64.self)
        }
      case 2 where length == 2:
        values.storeBytes(
          of: place.bigEndian(UInt16.self), toByteOffset: row &* 2, as: UInt16.self)
      case 1 where length == 1:
        values.storeBytes(
          of: place.load(as: UInt8.self) == 0 ? 0 : 1, toByteOffset: row, as: UInt8.self)
      default:
        guard length < 0 else {
          throw ColumnDecoder.wrongLength(Int32(length), types[column], row)
        }
        markNull(column)
        continue
      }
      place += length
    }
    return place
  }

  private func keep(_ image: UnsafeRawPointer, _ length: Int, _ column: Int) {
    let slot = slots + column
    let offsets = slot.pointee.offsets!
    let start = offsets[rowCount]
    if start + length > slot.pointee.byteCapacity {
      let wanted = max(2 * slot.pointee.byteCapacity, start + length)
      slot.pointee.values = Self.grown(slot.pointee.values, used: start, to: wanted)
      slot.pointee.byteCapacity = wanted
    }
    memcpy(slot.pointee.values + start, image, length)
    offsets[rowCount + 1] = start + length
  }

  private func markNull(_ column: Int) {
    let slot = slots + column
    if slot.pointee.nulls == nil {
      let words = (capacity + 63) / 64
      slot.pointee.nulls = .allocate(capacity: words)
      slot.pointee.nulls!.initialize(repeating: 0, count: words)
    }
    slot.pointee.nulls![rowCount >> 6] |= 1 << UInt64(rowCount & 63)
    if let offsets = slot.pointee.offsets {
      offsets[rowCount + 1] = offsets[rowCount]
    } else if slot.pointee.width < 32 {
      memset(slot.pointee.values + rowCount * slot.pointee.width, 0, slot.pointee.width)
    }
  }

  private mutating func grow() {
    let wanted = 2 * capacity
    for index in 0..<columnCount {
      let slot = slots + index
      if let offsets = slot.pointee.offsets {
        let grown = UnsafeMutablePointer<Int>.allocate(capacity: wanted + 1)
        grown.initialize(from: offsets, count: capacity + 1)
        offsets.deallocate()
        slot.pointee.offsets = grown
      } else if slot.pointee.width == 32 {
        let grown = UnsafeMutableRawPointer.allocate(byteCount: wanted * 32, alignment: 16)
        for part in 0..<4 {
          memcpy(
            grown + part * wanted * 8, slot.pointee.values + part * capacity * 8, capacity * 8)
        }
        slot.pointee.values.deallocate()
        slot.pointee.values = grown
      } else {
        slot.pointee.values = Self.grown(
          slot.pointee.values, used: capacity * slot.pointee.width, to: wanted * slot.pointee.width)
      }
      if let nulls = slot.pointee.nulls {
        let (before, after) = ((capacity + 63) / 64, (wanted + 63) / 64)
        let grown = UnsafeMutablePointer<UInt64>.allocate(capacity: after)
        grown.initialize(from: nulls, count: before)
        (grown + before).initialize(repeating: 0, count: after - before)
        nulls.deallocate()
        slot.pointee.nulls = grown
      }
    }
    capacity = wanted
  }

  private static func grown(_ memory: UnsafeMutableRawPointer, used: Int, to byteCount: Int)
    -> UnsafeMutableRawPointer
  {
    let grown = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
    memcpy(grown, memory, used)
    memory.deallocate()
    return grown
  }

  // MARK: Taking

  /// Hands the rows out, and begins anew.
  mutating func take() throws(PostgresError) -> CopiedRows {
    var columns: [CopiedRows.Column] = []
    columns.reserveCapacity(columnCount)
    for index in 0..<columnCount {
      if !typed[index] {
        columns.append(.raw(raw(index)))
      } else if slots[index].width == 32 {
        columns.append(
          slots[index].nulls == nil
            ? .quads((0..<4).map { array(index, from: $0 * capacity * 8) }) : .someQuads)
      } else if slots[index].width == 0 {
        columns.append(.values(try raw(index).decoded()))
      } else {
        columns.append(.values(vector(index)))
      }
    }
    defer { clear() }
    return CopiedRows(count: rowCount, columns: columns)
  }

  /// Hands the rows out as images, and begins anew; none of the columns is decoded.
  mutating func takeRaw() -> [RawColumn] {
    defer { clear() }
    return (0..<columnCount).map { raw($0) }
  }

  private mutating func clear() {
    rowCount = 0
    for index in 0..<columnCount {
      slots[index].nulls?.deallocate()
      slots[index].nulls = nil
    }
  }

  private func nulls(_ index: Int) -> [UInt64]? {
    slots[index].nulls.map {
      Array(UnsafeBufferPointer(start: $0, count: (rowCount + 63) / 64))
    }
  }

  private func raw(_ index: Int) -> RawColumn {
    let slot = slots[index]
    let offsets = UnsafeBufferPointer(start: slot.offsets, count: rowCount + 1)
    return RawColumn(
      typeOID: types[index],
      bytes: Array(UnsafeRawBufferPointer(start: slot.values, count: offsets[rowCount])),
      offsets: Array(offsets), nulls: nulls(index))
  }

  private func array<Value: BitwiseCopyable>(_ index: Int, from offset: Int = 0) -> [Value] {
    [Value](unsafeUninitializedCapacity: rowCount) { buffer, initialized in
      if let base = buffer.baseAddress {
        memcpy(base, slots[index].values + offset, rowCount * MemoryLayout<Value>.size)
      }
      initialized = rowCount
    }
  }

  private func vector(_ index: Int) -> ColumnVector {
    let values: ColumnVector.Values =
      switch types[index] {
      case .bool: .bool(array(index))
      case .int2: .int16(array(index))
      case .int4: .int32(array(index))
      case .date: .date(array(index))
      case .float4: .float32(array(index))
      case .float8: .float64(array(index))
      case .timestamp: .timestamp(array(index))
      case .timestamptz: .timestamptz(array(index))
      default: .int64(array(index))
      }
    return ColumnVector(values, nulls: nulls(index))
  }
}
