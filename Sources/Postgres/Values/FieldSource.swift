internal import CLibPQ

/// Binary images, one a row, wherever they lie.
protocol FieldSource {
  var count: Int { get }
  /// Of the row's image; -1 for NULL.
  func length(_ row: Int) -> Int32
  /// Where the row's image begins; not aligned.
  func image(_ row: Int) -> UnsafeRawPointer
}

/// A column of a result of libpq. The result must outlive it.
struct ResultSource: FieldSource {
  let handle: OpaquePointer
  let column: Int32
  let count: Int

  init(_ result: QueryResult, column: Int) {
    handle = result.handle
    self.column = Int32(column)
    count = result.rowCount
  }

  @inline(__always)
  func length(_ row: Int) -> Int32 {
    let length = PQgetlength(handle, Int32(truncatingIfNeeded: row), column)
    // libpq gives NULL the length 0, as it gives an empty value.
    if length == 0, PQgetisnull(handle, Int32(truncatingIfNeeded: row), column) != 0 { return -1 }
    return length
  }

  @inline(__always)
  func image(_ row: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(PQgetvalue(handle, Int32(truncatingIfNeeded: row), column))
  }
}

/// A `RawColumn`, or rows of a COPY. The memory must outlive it.
struct RawSource: FieldSource {
  let base: UnsafeRawPointer
  let offsets: UnsafeBufferPointer<Int>
  let nulls: [UInt64]?

  init(bytes: UnsafeBufferPointer<UInt8>, offsets: UnsafeBufferPointer<Int>, nulls: [UInt64]?) {
    // Nothing is read at an empty buffer's address.
    base = bytes.baseAddress.map { UnsafeRawPointer($0) } ?? UnsafeRawPointer(bitPattern: 16)!
    self.offsets = offsets
    self.nulls = nulls
  }

  var count: Int { offsets.count - 1 }

  @inline(__always)
  func length(_ row: Int) -> Int32 {
    if let nulls, nulls[row >> 6] & (1 << UInt64(row & 63)) != 0 { return -1 }
    return Int32(truncatingIfNeeded: offsets[row + 1] - offsets[row])
  }

  @inline(__always)
  func image(_ row: Int) -> UnsafeRawPointer { base + offsets[row] }
}

/// One image.
struct SingleSource: FieldSource {
  let bytes: UnsafeRawBufferPointer?
  var count: Int { 1 }
  func length(_ row: Int) -> Int32 { bytes.map { Int32($0.count) } ?? -1 }
  func image(_ row: Int) -> UnsafeRawPointer {
    bytes?.baseAddress ?? UnsafeRawPointer(bitPattern: 16)!
  }
}

extension UnsafeRawPointer {
  @inline(__always)
  func bigEndian<Image: FixedWidthInteger>(_ type: Image.Type = Image.self, at offset: Int = 0)
    -> Image
  {
    Image(bigEndian: loadUnaligned(fromByteOffset: offset, as: Image.self))
  }
}
