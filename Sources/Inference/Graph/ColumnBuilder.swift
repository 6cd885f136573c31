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

/// Gathers elements as they are, for the usual types: no call for an element.
private enum PlainColumnBuilder: ColumnBuilding {
  case floats([Float], GraphPredictor.OutputSlot)
  case doubles([Double], GraphPredictor.OutputSlot)
  case integers([Int64], GraphPredictor.OutputSlot)
  case strings([String], GraphPredictor.OutputSlot)

  mutating func append(_ view: TensorView, rowCount: Int) {
    switch self {
    case .floats(var values, let slot):
      self = .floats([], slot)
      Self.append(view.floats, slot.element, slot.width, rowCount, to: &values)
      self = .floats(values, slot)
    case .doubles(var values, let slot):
      self = .doubles([], slot)
      Self.append(view.doubles, slot.element, slot.width, rowCount, to: &values)
      self = .doubles(values, slot)
    case .integers(var values, let slot):
      self = .integers([], slot)
      Self.append(view.int64s, slot.element, slot.width, rowCount, to: &values)
      self = .integers(values, slot)
    case .strings(var values, let slot):
      self = .strings([], slot)
      Self.append(view.strings, slot.element, slot.width, rowCount, to: &values)
      self = .strings(values, slot)
    }
  }

  @inline(__always)
  private static func append<T>(
    _ source: UnsafeMutablePointer<T>, _ element: Int, _ width: Int, _ count: Int,
    to values: inout [T]
  ) {
    for row in 0..<count { values.append(source[row * width + element]) }
  }

  func column() -> Column {
    switch self {
    case .floats(let values, _): Column(.float32(values))
    case .doubles(let values, _): Column(.float64(values))
    case .integers(let values, _): Column(.int64(values))
    case .strings(let values, _): Column(.string(values))
    }
  }

  /// An empty array with room for so many elements.
  static func room<T>(_ count: Int, _ type: T.Type = T.self) -> [T] {
    var values: [T] = []
    values.reserveCapacity(count)
    return values
  }
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

/// Gathers a row's whole tensor.
private struct VectorColumnBuilder: ColumnBuilding {
  let shape: [Int]
  private var values: Column.Values

  init(_ shape: [Int], type: TensorType) {
    self.shape = shape
    values =
      switch type {
      case .float64: .float64([])
      case .bool: .bool([])
      case .string: .string([])
      case .float32, .float16, .bfloat16: .float32([])
      default: .int64([])
      }
  }

  mutating func append(_ view: TensorView, rowCount: Int) {
    let own = values
    // So that the array below has one owner, and grows in its place.
    values = .bool([])
    switch consume own {
    case .float32(var known):
      if view.type == .float32 {
        known += UnsafeBufferPointer(start: view.floats, count: view.count)
      } else {
        for index in 0..<view.count { known.append(Float(view.double(index))) }
      }
      values = .float32(known)
    case .float64(var known):
      known += UnsafeBufferPointer(start: view.doubles, count: view.count)
      values = .float64(known)
    case .bool(var known):
      known += UnsafeBufferPointer(start: view.bools, count: view.count)
      values = .bool(known)
    case .string(var known):
      known += UnsafeBufferPointer(start: view.strings, count: view.count)
      values = .string(known)
    case .int64(var known):
      for index in 0..<view.count { known.append(Int64(view.integer(index))) }
      values = .int64(known)
    case .int16, .int32, .bytes: break
    }
  }

  func column() -> Column { Column(values, shape: shape) }
}

extension GraphPredictor.OutputSlot {
  func makeBuilder(rowCount: Int) -> any ColumnBuilding {
    if let shape { return VectorColumnBuilder(shape, type: type) }
    return switch (type, names) {
    case (.float32, _): PlainColumnBuilder.floats(PlainColumnBuilder.room(rowCount), self)
    case (.float64, _): PlainColumnBuilder.doubles(PlainColumnBuilder.room(rowCount), self)
    case (.int64, nil): PlainColumnBuilder.integers(PlainColumnBuilder.room(rowCount), self)
    case (.string, nil): PlainColumnBuilder.strings(PlainColumnBuilder.room(rowCount), self)
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
    // No graph has such outputs.
    default: ColumnBuilder<Bool, Bool>(self, rowCount: rowCount, Column.Values.bool) { $0 }
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
