/// Names for the classes that a label output can hold.
enum ClassNames: Sendable {
  case ofInts([Int64: String])
  case ofStrings([String: String])
}

/// Gathers one column of the predictions from block to block.
protocol ColumnBuilding {
  mutating func append(_ view: TensorView, rowCount: Int)
  func column() -> Column
}

private struct ColumnBuilder<Element: TensorElement, Value>: ColumnBuilding {
  let slot: GraphPredictor.OutputSlot
  let convert: (Element) -> Value
  let wrap: ([Value]) -> Column.Values
  var values: [Value] = []

  init(
    _ slot: GraphPredictor.OutputSlot, rowCount: Int,
    _ wrap: @escaping ([Value]) -> Column.Values, _ convert: @escaping (Element) -> Value
  ) {
    (self.slot, self.convert, self.wrap) = (slot, convert, wrap)
    values.reserveCapacity(rowCount)
  }

  mutating func append(_ view: TensorView, rowCount: Int) {
    let source: UnsafeMutablePointer<Element> = view.pointer()
    for row in 0..<rowCount {
      values.append(convert(source[row * slot.width + slot.element]))
    }
  }

  func column() -> Column { Column(wrap(values)) }
}

extension GraphPredictor.OutputSlot {
  func makeBuilder(rowCount: Int) -> any ColumnBuilding {
    switch (type, names) {
    case (.float32, _):
      ColumnBuilder<Float, Float>(self, rowCount: rowCount, Column.Values.float32) { $0 }
    case (.float64, _):
      ColumnBuilder<Double, Double>(self, rowCount: rowCount, Column.Values.float64) { $0 }
    case (.bool, _):
      ColumnBuilder<Bool, Bool>(self, rowCount: rowCount, Column.Values.bool) { $0 }
    case (.int32, _):
      ColumnBuilder<Int32, Int64>(self, rowCount: rowCount, Column.Values.int64) { Int64($0) }
    case (.int64, .ofInts(let names)?):
      ColumnBuilder<Int64, String>(self, rowCount: rowCount, Column.Values.string) {
        names[$0] ?? "\($0)"
      }
    case (.int64, _):
      ColumnBuilder<Int64, Int64>(self, rowCount: rowCount, Column.Values.int64) { $0 }
    case (.string, .ofStrings(let names)?):
      ColumnBuilder<String, String>(self, rowCount: rowCount, Column.Values.string) {
        names[$0] ?? $0
      }
    case (.string, _):
      ColumnBuilder<String, String>(self, rowCount: rowCount, Column.Values.string) { $0 }
    }
  }
}
