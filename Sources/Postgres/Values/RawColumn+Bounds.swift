internal import Glibc

extension RawColumn {
  /// Where the least and the greatest value among some rows are; NULL is neither.
  ///
  /// Texts and bytes are compared as their bytes are, as PostgreSQL does under the collation "C".
  ///
  /// - Returns: nil where there is no value, or the type has no order that is known here.
  public func bounds(in rows: Range<Int>) -> (least: Int, greatest: Int)? {
    switch typeOID {
    case .int2: extremes(in: rows) { $0.bigEndian(Int16.self) }
    case .int4, .date: extremes(in: rows) { $0.bigEndian(Int32.self) }
    case .int8, .timestamp, .timestamptz: extremes(in: rows) { $0.bigEndian(Int64.self) }
    case .oid: extremes(in: rows) { $0.bigEndian(UInt32.self) }
    case .text, .varchar, .bytea, .uuid: extremesOfBytes(in: rows)
    default: nil
    }
  }

  private func extremes<Value: FixedWidthInteger>(
    in rows: Range<Int>, value: (UnsafeRawPointer) -> Value
  ) -> (least: Int, greatest: Int)? {
    bytes.withUnsafeBytes { bytes in
      var found: (least: Int, greatest: Int)?
      var (least, greatest) = (Value.max, Value.min)
      for row in rows {
        guard offsets[row + 1] - offsets[row] == MemoryLayout<Value>.size else { continue }
        let value = value(UnsafeRawPointer(bytes.baseAddress!) + offsets[row])
        guard found != nil else {
          found = (row, row)
          (least, greatest) = (value, value)
          continue
        }
        if value < least { (least, found!.least) = (value, row) }
        if value > greatest { (greatest, found!.greatest) = (value, row) }
      }
      return found
    }
  }

  private func extremesOfBytes(in rows: Range<Int>) -> (least: Int, greatest: Int)? {
    bytes.withUnsafeBytes { bytes in
      func isLess(_ one: Int, _ other: Int) -> Bool {
        let (a, b) = (offsets[one]..<offsets[one + 1], offsets[other]..<offsets[other + 1])
        guard let base = bytes.baseAddress else { return false }
        let order = memcmp(base + a.lowerBound, base + b.lowerBound, min(a.count, b.count))
        return order == 0 ? a.count < b.count : order < 0
      }
      var found: (least: Int, greatest: Int)?
      for row in rows where !isNull(row) {
        guard let known = found else {
          found = (row, row)
          continue
        }
        if isLess(row, known.least) { found!.least = row }
        if isLess(known.greatest, row) { found!.greatest = row }
      }
      return found
    }
  }
}
