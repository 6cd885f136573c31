internal import Inference
internal import Postgres

extension Column {
  /// The engine's view of a result's column, without a copy where the layouts agree; nil for a
  /// type that no feature takes.
  init?(_ vector: ColumnVector) {
    switch vector.values {
    case .bool(let v): self.init(.bool(v), nulls: vector.nulls)
    case .int16(let v): self.init(.int16(v), nulls: vector.nulls)
    case .int32(let v): self.init(.int32(v), nulls: vector.nulls)
    case .int64(let v): self.init(.int64(v), nulls: vector.nulls)
    case .float32(let v): self.init(.float32(v), nulls: vector.nulls)
    case .float64(let v): self.init(.float64(v), nulls: vector.nulls)
    case .numeric(let v): self.init(.float64(v.doubles()), nulls: vector.nulls)
    case .string(let v): self.init(.string(v), nulls: vector.nulls)
    case .bytes(let v): self.init(.bytes(v), nulls: vector.nulls)
    case .uuid, .date, .timestamp, .timestamptz, .json, .array: return nil
    }
  }

  /// A column of the given rows in the given order.
  func taking(rows: [Int]) -> Column {
    var taken: Column
    switch values {
    case .int16(let v): taken = Column(.int16(rows.map { v[$0] }))
    case .int32(let v): taken = Column(.int32(rows.map { v[$0] }))
    case .int64(let v): taken = Column(.int64(rows.map { v[$0] }))
    case .float32(let v): taken = Column(.float32(rows.map { v[$0] }))
    case .float64(let v): taken = Column(.float64(rows.map { v[$0] }))
    case .bool(let v): taken = Column(.bool(rows.map { v[$0] }))
    case .string(let v): taken = Column(.string(rows.map { v[$0] }))
    case .bytes(let v): taken = Column(.bytes(rows.map { v[$0] }))
    }
    if nulls != nil {
      for (index, row) in rows.enumerated() where isNull(row) {
        taken.markNull(index)
      }
    }
    return taken
  }

  mutating func markNull(_ row: Int) {
    var words = nulls ?? Array(repeating: 0, count: (count + 63) / 64)
    words[row >> 6] |= 1 << UInt64(row & 63)
    nulls = words
  }

  /// Puts row `i` of another column of the same type at `rows[i]`.
  mutating func scatter(_ other: Column, to rows: [Int]) {
    switch (values, other.values) {
    case (.int64(var mine), .int64(let v)):
      values = .int64([])
      for (index, row) in rows.enumerated() { mine[row] = v[index] }
      values = .int64(mine)
    case (.float32(var mine), .float32(let v)):
      values = .float32([])
      for (index, row) in rows.enumerated() { mine[row] = v[index] }
      values = .float32(mine)
    case (.float64(var mine), .float64(let v)):
      values = .float64([])
      for (index, row) in rows.enumerated() { mine[row] = v[index] }
      values = .float64(mine)
    case (.bool(var mine), .bool(let v)):
      values = .bool([])
      for (index, row) in rows.enumerated() { mine[row] = v[index] }
      values = .bool(mine)
    case (.string(var mine), .string(let v)):
      values = .string([])
      for (index, row) in rows.enumerated() { mine[row] = v[index] }
      values = .string(mine)
    default: preconditionFailure("columns of different types cannot be merged")
    }
    if other.nulls != nil {
      for (index, row) in rows.enumerated() where other.isNull(index) { markNull(row) }
    }
  }

  /// A column of an output's type with values that say nothing.
  init(blank type: ElementType, count: Int) {
    switch type {
    case .float32: self.init(.float32(Array(repeating: 0, count: count)))
    case .float64: self.init(.float64(Array(repeating: 0, count: count)))
    case .int64: self.init(.int64(Array(repeating: 0, count: count)))
    case .bool: self.init(.bool(Array(repeating: false, count: count)))
    case .string: self.init(.string(Array(repeating: "", count: count)))
    case .bytes: self.init(.bytes(Array(repeating: [], count: count)))
    }
  }

  /// A column of an output's type without any value.
  init(nullsOf type: ElementType, count: Int) {
    self.init(blank: type, count: count)
    nulls = Array(repeating: .max, count: (count + 63) / 64)
  }

  /// The column as PostgreSQL takes it.
  var vector: ColumnVector {
    switch values {
    case .int16(let v): ColumnVector(.int16(v), nulls: nulls)
    case .int32(let v): ColumnVector(.int32(v), nulls: nulls)
    case .int64(let v): ColumnVector(.int64(v), nulls: nulls)
    case .float32(let v): ColumnVector(.float32(v), nulls: nulls)
    case .float64(let v): ColumnVector(.float64(v), nulls: nulls)
    case .bool(let v): ColumnVector(.bool(v), nulls: nulls)
    case .string(let v): ColumnVector(.string(v), nulls: nulls)
    case .bytes(let v): ColumnVector(.bytes(v), nulls: nulls)
    }
  }
}
