internal import CKernels

/// Brings the columns of one input's features into its memory, a block of rows at a time.
///
/// Columns of the input's own type without NULL are moved as they lie; others are converted one by
/// one. What cannot be scored is found on the way: one pass a column says whether all is well.
struct InputReader: Sendable {
  let input: Int
  /// The features of the input, which are together, in order.
  let features: Range<Int>
  private let type: TensorType
  private let isColumn: Bool

  /// A reader for each input that the features name.
  static func readers(of features: [GraphPredictor.FeatureSlot]) -> [InputReader] {
    var readers: [InputReader] = []
    var first = 0
    while first < features.count {
      let slot = features[first]
      var last = first
      while last < features.count, features[last].input == slot.input { last += 1 }
      readers.append(
        InputReader(
          input: slot.input, features: first..<last, type: slot.type, isColumn: slot.isColumn))
      first = last
    }
    return readers
  }

  /// Reads a block of rows; a row that cannot be scored becomes a failure, with zero in its place.
  func read(
    _ columns: UnsafeBufferPointer<Column>,
    _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ rows: Range<Int>,
    into frame: Frame
  ) {
    let base = frame.inputBases[input]
    switch type {
    case .float32: readNumbers(Float.self, columns, slots, rows, base, frame.failures)
    case .float64: readNumbers(Double.self, columns, slots, rows, base, frame.failures)
    case .string:
      let target = base.assumingMemoryBound(to: String.self)
      for index in features where slots[index].isRead {
        readTexts(columns[index], slots, index, rows, target, frame.failures)
      }
    default:
      for index in features {
        FeatureReader.read(
          columns[index], rows, slots[index], into: frame.inputs[input], failures: frame.failures)
      }
    }
  }

  private func readNumbers<T: ColumnNumber>(
    _ type: T.Type, _ columns: UnsafeBufferPointer<Column>,
    _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ rows: Range<Int>,
    _ base: UnsafeMutableRawPointer, _ failures: RowFailures
  ) {
    let target = base.assumingMemoryBound(to: T.self)
    let (width, count) = (features.count, rows.count)
    if isColumn || width == 1 {
      for index in features where slots[index].isRead {
        let own = target + (index - features.lowerBound) * count
        if let source: UnsafePointer<T> = Self.plainNumbers(columns[index], slots, index, rows) {
          own.update(from: source, count: count)
        } else {
          Self.convert(columns[index], slots, index, rows, own, failures)
        }
      }
      return
    }
    let pointerBytes = width * MemoryLayout<UnsafePointer<T>?>.stride
    withUnsafeTemporaryAllocation(
      byteCount: pointerBytes + count * MemoryLayout<T>.stride, alignment: 16
    ) { space in
      guard let space = space.baseAddress else { return }
      let pointers = space.assumingMemoryBound(to: UnsafePointer<T>?.self)
      let own = (space + pointerBytes).assumingMemoryBound(to: T.self)
      // Columns that lie ready are moved together.
      var (first, ready) = (0, 0)
      func move() {
        T.interleave(pointers, ready, count, width, target + first)
        (first, ready) = (first + ready, 0)
      }
      for index in features {
        if let source: UnsafePointer<T> = Self.plainNumbers(columns[index], slots, index, rows) {
          pointers[ready] = source
          ready += 1
          continue
        }
        move()
        if slots[index].isRead {
          Self.convert(columns[index], slots, index, rows, own, failures)
        } else {
          own.update(repeating: 0, count: count)
        }
        (pointers[0], ready) = (UnsafePointer(own), 1)
        move()
      }
      move()
    }
  }

  /// The rows' numbers where they can be taken as they are; nil where one must be looked at.
  private static func plainNumbers<T: ColumnNumber>(
    _ column: Column, _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>,
    _ index: Int, _ rows: Range<Int>
  ) -> UnsafePointer<T>? {
    guard slots[index].isRead, column.nulls == nil, let values = T.base(of: column.values) else {
      return nil
    }
    let source = values + rows.lowerBound
    let wrong = slots[index].mayBeMissing ? CK_HAS_INFINITY : CK_HAS_INFINITY | CK_HAS_NAN
    return T.exceptions(source, rows.count) & Int32(wrong) == 0 ? source : nil
  }

  /// Converts a column, looking at each number.
  private static func convert<T: ColumnNumber>(
    _ column: Column, _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ index: Int,
    _ rows: Range<Int>, _ target: UnsafeMutablePointer<T>, _ failures: RowFailures
  ) {
    func copy<S>(_ source: [S], _ number: (S) -> T) {
      source.withUnsafeBufferPointer { source in
        for (offset, row) in rows.enumerated() { target[offset] = number(source[row]) }
      }
    }
    switch column.values {
    case .float32(let source): copy(source) { T($0) }
    case .float64(let source): copy(source) { T($0) }
    case .int16(let source): copy(source) { T($0) }
    case .int32(let source): copy(source) { T($0) }
    case .int64(let source): copy(source) { T($0) }
    case .bool(let source): copy(source) { $0 ? 1 : 0 }
    case .string: target.update(repeating: 0, count: rows.count)
    }
    let mayBeMissing = slots[index].mayBeMissing
    if column.nulls != nil {
      for (offset, row) in rows.enumerated() where column.isNull(row) {
        target[offset] = mayBeMissing ? .nan : 0
        if !mayBeMissing {
          failures.add(row: offset, .missing, FeatureReader.missingReason(slots[index]))
        }
      }
    }
    guard T.exceptions(target, rows.count) != 0 else { return }
    for offset in 0..<rows.count where !target[offset].isFinite {
      if target[offset].isNaN && mayBeMissing { continue }
      if target[offset].isNaN {
        failures.add(row: offset, .missing, FeatureReader.missingReason(slots[index]))
      } else {
        failures.add(
          row: offset, .notFinite, "feature \"\(slots[index].name)\" is not a finite number")
      }
      target[offset] = 0
    }
  }

  private func readTexts(
    _ column: Column, _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ index: Int,
    _ rows: Range<Int>, _ target: UnsafeMutablePointer<String>, _ failures: RowFailures
  ) {
    guard case .string(let source) = column.values else { return }
    let place = ElementPlace(
      element: index - features.lowerBound, width: features.count, isColumn: isColumn)
    let (start, step) = place.span(rows: rows.count)
    source.withUnsafeBufferPointer { source in
      for (offset, row) in rows.enumerated() { target[start + offset * step] = source[row] }
    }
    guard column.nulls != nil else { return }
    for (offset, row) in rows.enumerated() where column.isNull(row) {
      target[start + offset * step] = ""
      if !slots[index].mayBeMissing {
        failures.add(row: offset, .missing, FeatureReader.missingReason(slots[index]))
      }
    }
  }
}

/// A type of numbers in which columns are read in bulk.
private protocol ColumnNumber: BinaryFloatingPoint, TensorElement {
  /// The values of a column of this type, which stay where they are while the column lives.
  static func base(of values: Column.Values) -> UnsafePointer<Self>?
  /// CK_HAS_NAN and CK_HAS_INFINITY.
  static func exceptions(_ numbers: UnsafePointer<Self>, _ count: Int) -> Int32
  static func interleave(
    _ columns: UnsafePointer<UnsafePointer<Self>?>, _ count: Int, _ rows: Int, _ stride: Int,
    _ target: UnsafeMutablePointer<Self>)
}

extension Float: ColumnNumber {
  fileprivate static func base(of values: Column.Values) -> UnsafePointer<Float>? {
    if case .float32(let array) = values {
      array.withUnsafeBufferPointer { $0.baseAddress }
    } else {
      nil
    }
  }
  fileprivate static func exceptions(_ numbers: UnsafePointer<Float>, _ count: Int) -> Int32 {
    ck_exceptions_f32(numbers, count)
  }
  fileprivate static func interleave(
    _ columns: UnsafePointer<UnsafePointer<Float>?>, _ count: Int, _ rows: Int, _ stride: Int,
    _ target: UnsafeMutablePointer<Float>
  ) { ck_interleave_f32(columns, count, rows, stride, target) }
}

extension Double: ColumnNumber {
  fileprivate static func base(of values: Column.Values) -> UnsafePointer<Double>? {
    if case .float64(let array) = values {
      array.withUnsafeBufferPointer { $0.baseAddress }
    } else {
      nil
    }
  }
  fileprivate static func exceptions(_ numbers: UnsafePointer<Double>, _ count: Int) -> Int32 {
    ck_exceptions_f64(numbers, count)
  }
  fileprivate static func interleave(
    _ columns: UnsafePointer<UnsafePointer<Double>?>, _ count: Int, _ rows: Int, _ stride: Int,
    _ target: UnsafeMutablePointer<Double>
  ) { ck_interleave_f64(columns, count, rows, stride, target) }
}
