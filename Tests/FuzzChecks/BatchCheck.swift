internal import Inference

/// Whether a row's result depends on the batch that it is in.
struct BatchCheck {
  private let model: Model

  init(_ model: Model) { self.model = model }

  /// Scores hostile rows together, one by one and in two parts: failures and bits are equal.
  ///
  /// - Parameter batch: Other rows than those of single values.
  func run(_ batch: Batch? = nil) throws(FuzzFinding) {
    let rows = batch ?? HostileRows.batch(for: model)
    let workspace = Workspace()
    guard let whole = try predict(rows, workspace) else { return }
    guard whole.columns.count == model.signature.outputs.count else {
      throw FuzzFinding(
        "\(whole.columns.count) columns for \(model.signature.outputs.count) outputs")
    }
    for (column, output) in zip(whole.columns, model.signature.outputs)
    where column.count != rows.rowCount {
      throw FuzzFinding("output \"\(output.name)\" has \(column.count) of \(rows.rowCount) rows")
    }
    let middle = rows.rowCount / 2
    let parts = (0..<rows.rowCount).map { $0..<($0 + 1) } + [0..<middle, middle..<rows.rowCount]
    for part in parts {
      guard let got = try predict(rows.slice(part), workspace) else {
        throw FuzzFinding("rows \(part) are refused, all of them are not")
      }
      try compare(got, whole, part)
    }
  }

  /// nil where the batch as a whole is refused.
  private func predict(
    _ batch: Batch, _ workspace: Workspace
  ) throws(FuzzFinding) -> Predictions? {
    try? model.predict(batch, workspace: workspace)
  }

  private func compare(
    _ got: Predictions, _ whole: Predictions, _ part: Range<Int>
  ) throws(FuzzFinding) {
    let wanted = whole.failures.filter { part.contains($0.row) }
    guard wanted.map(\.row) == got.failures.map({ $0.row + part.lowerBound }),
      wanted.map(\.code) == got.failures.map(\.code)
    else { throw FuzzFinding("rows \(part) have other failures than within all") }
    let failed = Set(wanted.map(\.row))
    for (index, column) in got.columns.enumerated() {
      for row in part where !failed.contains(row) {
        let mine = column.exact(row - part.lowerBound)
        let other = whole.columns[index].exact(row)
        guard mine == other else {
          throw FuzzFinding(
            "output \(index) of row \(row) is \(mine) within \(part), \(other) within all")
        }
      }
    }
  }
}

extension Batch {
  func slice(_ rows: Range<Int>) -> Batch {
    Batch(rowCount: rows.count, columns: columns.map { $0.slice(rows) })
  }
}

extension Column {
  func slice(_ rows: Range<Int>) -> Column {
    let elements = (rows.lowerBound * width)..<(rows.upperBound * width)
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
    var column = Column(part, shape: shape)
    if nulls != nil {
      column.nulls = Array(repeating: 0, count: (rows.count + 63) / 64)
      for (index, row) in rows.enumerated() where isNull(row) {
        column.nulls?[index >> 6] |= 1 << UInt64(index & 63)
      }
    }
    return column
  }

  /// A value's own bits, in words; any NaN is like any other.
  func exact(_ row: Int) -> String {
    if isNull(row) { return "missing" }
    return (0..<width).map { exact(element: row * width + $0) }.joined(separator: " ")
  }

  private func exact(element index: Int) -> String {
    switch values {
    case .int16(let v): "\(v[index])"
    case .int32(let v): "\(v[index])"
    case .int64(let v): "\(v[index])"
    case .float32(let v): v[index].isNaN ? "nan" : "\(v[index].bitPattern)"
    case .float64(let v): v[index].isNaN ? "nan" : "\(v[index].bitPattern)"
    case .bool(let v): "\(v[index])"
    case .string(let v): v[index]
    case .bytes(let v): "\(v[index])"
    }
  }
}
