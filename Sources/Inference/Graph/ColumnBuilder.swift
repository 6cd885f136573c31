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
    case (.float16, _):
      ColumnBuilder<Half, Float>(self, rowCount: rowCount, Column.Values.float32) { $0.float }
    case (.bfloat16, _):
      ColumnBuilder<BFloat16, Float>(self, rowCount: rowCount, Column.Values.float32) { $0.float }
    case (.bool, _):
      ColumnBuilder<Bool, Bool>(self, rowCount: rowCount, Column.Values.bool) { $0 }
    case (.string, .ofStrings(let names)?):
      ColumnBuilder<String, String>(self, rowCount: rowCount, Column.Values.string) {
        names[$0] ?? $0
      }
    case (.string, _):
      ColumnBuilder<String, String>(self, rowCount: rowCount, Column.Values.string) { $0 }
    case (.int64, _): makeIntegerBuilder(Int64.self, rowCount)
    case (.int32, _): makeIntegerBuilder(Int32.self, rowCount)
    case (.int16, _): makeIntegerBuilder(Int16.self, rowCount)
    case (.int8, _): makeIntegerBuilder(Int8.self, rowCount)
    case (.uint64, _): makeIntegerBuilder(UInt64.self, rowCount)
    case (.uint32, _): makeIntegerBuilder(UInt32.self, rowCount)
    case (.uint16, _): makeIntegerBuilder(UInt16.self, rowCount)
    case (.uint8, _): makeIntegerBuilder(UInt8.self, rowCount)
    }
  }

  /// Whole numbers as such, the greatest for what is beyond 64 bits with a sign, or named.
  private func makeIntegerBuilder<T: IntegerElement>(
    _ type: T.Type, _ rowCount: Int
  ) -> any ColumnBuilding {
    if case .ofInts(let names)? = names {
      return ColumnBuilder<T, String>(self, rowCount: rowCount, Column.Values.string) {
        names[Int64(clamping: $0)] ?? "\($0)"
      }
    }
    return ColumnBuilder<T, Int64>(self, rowCount: rowCount, Column.Values.int64) {
      Int64(clamping: $0)
    }
  }
}
