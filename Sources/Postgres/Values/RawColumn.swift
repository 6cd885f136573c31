/// The binary images of a column, one a row, unread: keys of any type pass through in it.
public struct RawColumn: Sendable, Equatable {
  public let typeOID: OID
  /// The images one after the other.
  public private(set) var bytes: [UInt8]
  /// The image of row `i` lies from `offsets[i]` up to `offsets[i + 1]`.
  public private(set) var offsets: [Int]
  /// Bit `i % 64` of word `i / 64` is set where row `i` is NULL; nil where none is.
  public private(set) var nulls: [UInt64]?

  /// A column without rows.
  public init(typeOID: OID) {
    self.typeOID = typeOID
    bytes = []
    offsets = [0]
    nulls = nil
  }

  init(typeOID: OID, bytes: [UInt8], offsets: [Int], nulls: [UInt64]?) {
    (self.typeOID, self.bytes, self.offsets, self.nulls) = (typeOID, bytes, offsets, nulls)
  }

  init(_ source: some FieldSource, typeOID: OID) {
    self.init(typeOID: typeOID)
    let count = source.count
    offsets.reserveCapacity(count + 1)
    var marks = NullMarks(count: count)
    for row in 0..<count {
      let length = source.length(row)
      if length < 0 {
        marks.mark(row)
      } else {
        bytes.append(
          contentsOf: UnsafeRawBufferPointer(start: source.image(row), count: Int(length)))
      }
      offsets.append(bytes.count)
    }
    nulls = marks.words
  }

  public var count: Int { offsets.count - 1 }

  public func isNull(_ row: Int) -> Bool {
    guard let nulls else { return false }
    return nulls[row >> 6] & (1 << UInt64(row & 63)) != 0
  }

  /// The image of a row; empty for NULL.
  public subscript(row: Int) -> ArraySlice<UInt8> { bytes[offsets[row]..<offsets[row + 1]] }

  /// A column of the given rows in the given order.
  public func taking(rows: [Int]) -> RawColumn {
    var taken = RawColumn(typeOID: typeOID)
    taken.offsets.reserveCapacity(rows.count + 1)
    taken.bytes.reserveCapacity(rows.reduce(0) { $0 + offsets[$1 + 1] - offsets[$1] })
    var marks = NullMarks(count: rows.count)
    for (index, row) in rows.enumerated() {
      if isNull(row) { marks.mark(index) }
      taken.bytes.append(contentsOf: self[row])
      taken.offsets.append(taken.bytes.count)
    }
    taken.nulls = marks.words
    return taken
  }

  /// Adds the rows of another column of the same type.
  public mutating func append(_ other: RawColumn) {
    precondition(typeOID == other.typeOID, "rows of \(other.typeOID) do not fit \(typeOID)")
    let before = count
    let start = bytes.count
    bytes.append(contentsOf: other.bytes)
    offsets.append(contentsOf: other.offsets.dropFirst().map { $0 + start })
    guard nulls != nil || other.nulls != nil else { return }
    var marks = NullMarks(count: count)
    for row in 0..<before where isNull(row) { marks.mark(row) }
    for row in 0..<other.count where other.isNull(row) { marks.mark(before + row) }
    nulls = marks.words
  }

  /// Adds one row; nil is NULL.
  mutating func append(image: UnsafeRawBufferPointer?) {
    let row = count
    if let image {
      bytes.append(contentsOf: image)
    } else if nulls == nil {
      nulls = [UInt64](repeating: 0, count: row / 64 + 1)
    }
    offsets.append(bytes.count)
    guard nulls != nil else { return }
    while nulls!.count * 64 <= row { nulls!.append(0) }
    if image == nil { nulls![row >> 6] |= 1 << UInt64(row & 63) }
  }

  /// Adds one row with the value's binary image; nil is NULL.
  mutating func append(_ value: (some PostgresEncodable)?) {
    var image: [UInt8] = []
    let isNull =
      if let value, case .binary = value.encode(into: &image) { false } else { true }
    image.withUnsafeBytes { append(image: isNull ? nil : $0) }
  }

  /// The images of a column of arrays.
  init(arrays vector: ColumnVector) {
    guard case .array(let offsets, let elements) = vector.values,
      let type = elements.elementOID
    else { preconditionFailure("a column of arrays is needed") }
    self.init(typeOID: type.array!)
    for row in 0..<vector.count {
      append(
        vector.isNull(row)
          ? nil : BinaryArray(elements.slice(offsets[row]..<offsets[row + 1])))
    }
  }

  /// A column with further rows NULL.
  func masked(by other: [UInt64]?) -> RawColumn {
    guard let other, other != nulls else { return self }
    var masked = RawColumn(typeOID: typeOID)
    for row in 0..<count {
      let isNull = isNull(row) || other[row >> 6] & (1 << UInt64(row & 63)) != 0
      self[row].withUnsafeBytes { masked.append(image: isNull ? nil : $0) }
    }
    return masked
  }

  /// The values, typed.
  public func decoded() throws(PostgresError) -> ColumnVector {
    try bytes.withTypedError { buffer throws(PostgresError) in
      try offsets.withTypedError { offsets throws(PostgresError) in
        try ColumnDecoder.decode(
          RawSource(bytes: buffer, offsets: offsets, nulls: nulls), typeOID: typeOID)
      }
    }
  }
}

/// Gathers which rows are NULL; allocates nothing while none is.
struct NullMarks {
  private let count: Int
  private(set) var words: [UInt64]?

  init(count: Int) { self.count = count }

  @inline(__always)
  mutating func mark(_ row: Int) {
    if words == nil { words = [UInt64](repeating: 0, count: (count + 63) / 64) }
    words![row >> 6] |= 1 << UInt64(row & 63)
  }
}

extension Array {
  /// `withUnsafeBufferPointer` that keeps the type of the error.
  @inline(__always)
  func withTypedError<R, E: Error>(_ body: (UnsafeBufferPointer<Element>) throws(E) -> R)
    throws(E) -> R
  {
    let result: Result<R, E> = withUnsafeBufferPointer { buffer in
      do throws(E) { return .success(try body(buffer)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
