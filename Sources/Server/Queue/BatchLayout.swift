internal import Inference

/// What columns must have in common to be rows of one batch.
struct BatchLayout: Hashable {
  private struct Kind: Hashable {
    var type: UInt8
    var shape: [Int]
  }

  private let kinds: [Kind]

  init(_ batch: Batch) {
    kinds = batch.columns.map { column in
      let type: UInt8 =
        switch column.values {
        case .int16: 0
        case .int32: 1
        case .int64: 2
        case .float32: 3
        case .float64: 4
        case .bool: 5
        case .string: 6
        case .bytes: 7
        }
      return Kind(type: type, shape: column.shape)
    }
  }
}

extension Batch {
  /// The rows of all of them, in order.
  ///
  /// - Precondition: They have one layout.
  init(joining batches: [Batch]) {
    let rowCount = batches.reduce(0) { $0 + $1.rowCount }
    self.init(
      rowCount: rowCount,
      columns: batches[0].columns.indices.map { index in
        Column(joining: batches.map { $0.columns[index] }, rowCount: rowCount)
      })
  }
}

extension Column {
  fileprivate init(joining columns: [Column], rowCount: Int) {
    func joined<Value>(_ values: (Column.Values) -> [Value]?) -> [Value] {
      var result: [Value] = []
      result.reserveCapacity(rowCount * max(columns[0].width, 1))
      for column in columns { result.append(contentsOf: values(column.values)!) }
      return result
    }
    let values: Column.Values =
      switch columns[0].values {
      case .int16: .int16(joined { if case .int16(let v) = $0 { v } else { nil } })
      case .int32: .int32(joined { if case .int32(let v) = $0 { v } else { nil } })
      case .int64: .int64(joined { if case .int64(let v) = $0 { v } else { nil } })
      case .float32: .float32(joined { if case .float32(let v) = $0 { v } else { nil } })
      case .float64: .float64(joined { if case .float64(let v) = $0 { v } else { nil } })
      case .bool: .bool(joined { if case .bool(let v) = $0 { v } else { nil } })
      case .string: .string(joined { if case .string(let v) = $0 { v } else { nil } })
      case .bytes: .bytes(joined { if case .bytes(let v) = $0 { v } else { nil } })
      }
    self.init(values, shape: columns[0].shape)
    guard columns.contains(where: { $0.nulls != nil }) else { return }
    var words = [UInt64](repeating: 0, count: (rowCount + 63) / 64)
    var row = 0
    for column in columns {
      for own in 0..<column.count {
        if column.isNull(own) { words[row >> 6] |= 1 << UInt64(row & 63) }
        row += 1
      }
    }
    nulls = words
  }

  /// A column of some of the rows.
  fileprivate func rows(_ range: Range<Int>) -> Column {
    let width = shape.isEmpty ? 1 : width
    let elements = range.lowerBound * width..<range.upperBound * width
    let part: Column.Values =
      switch values {
      case .int16(let v): .int16(Array(v[elements]))
      case .int32(let v): .int32(Array(v[elements]))
      case .int64(let v): .int64(Array(v[elements]))
      case .float32(let v): .float32(Array(v[elements]))
      case .float64(let v): .float64(Array(v[elements]))
      case .bool(let v): .bool(Array(v[elements]))
      case .string(let v): .string(Array(v[elements]))
      case .bytes(let v): .bytes(Array(v[elements]))
      }
    var column = Column(part, shape: shape, counts: counts.map { Array($0[range]) })
    guard nulls != nil, range.contains(where: { isNull($0) }) else { return column }
    var words = [UInt64](repeating: 0, count: (range.count + 63) / 64)
    for (own, row) in range.enumerated() where isNull(row) {
      words[own >> 6] |= 1 << UInt64(own & 63)
    }
    column.nulls = words
    return column
  }
}

extension Predictions {
  /// What is said of some of the rows, counted from the first of them.
  func rows(_ range: Range<Int>) -> Predictions {
    Predictions(
      columns: columns.map { $0.rows(range) },
      failures: failures.compactMap { failure in
        guard range.contains(failure.row) else { return nil }
        var own = failure
        own.row -= range.lowerBound
        return own
      })
  }
}
