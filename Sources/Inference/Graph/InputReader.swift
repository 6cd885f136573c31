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
    into frame: Frame, _ workspace: Workspace
  ) {
    if slots[features.lowerBound].image != nil {
      readImages(columns, slots, rows, into: frame, workspace.images)
      return
    }
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
    let count = rows.count
    if isColumn || features.count == 1 {
      for index in features where slots[index].isRead {
        let own = target + (index - features.lowerBound) * count
        let isMoved = Self.withPlainNumbers(columns[index], slots, index, rows) {
          (source: UnsafePointer<T>) in own.update(from: source, count: count)
        }
        if !isMoved { Self.convert(columns[index], slots, index, rows, own, failures) }
      }
      return
    }
    if count < Self.manyRows {
      for index in features {
        let own = target + (index - features.lowerBound)
        let found =
          slots[index].isRead && columns[index].nulls == nil
          ? T.copy(columns[index], rows, to: own, stride: features.count) : nil
        let wrong = slots[index].mayBeMissing ? CK_HAS_INFINITY : CK_HAS_INFINITY | CK_HAS_NAN
        if let found, found & Int32(wrong) == 0 { continue }
        convertApart(columns, slots, index, rows, target, failures)
      }
      return
    }
    withUnsafeTemporaryAllocation(of: UnsafePointer<T>?.self, capacity: Self.together) {
      pointers in
      var index = features.lowerBound
      while index < features.upperBound {
        let next = move(columns, slots, from: index, 0, pointers, rows, target)
        // The column at which it stopped is to be looked at, unless enough lay ready.
        if next < features.upperBound, next - index < Self.together {
          convertApart(columns, slots, next, rows, target, failures)
          index = next + 1
        } else {
          index = next
        }
      }
    }
  }

  /// From so many rows on columns are moved together.
  private static let manyRows = 8
  /// Columns that are moved together at most.
  private static let together = 16

  /// Moves the columns from `index` on as long as they lie ready, the first `ready` of `pointers`
  /// with them: each call lends one column's memory to those below it.
  ///
  /// - Returns: the first column that was not moved.
  private func move<T: ColumnNumber>(
    _ columns: UnsafeBufferPointer<Column>,
    _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, from index: Int, _ ready: Int,
    _ pointers: UnsafeMutableBufferPointer<UnsafePointer<T>?>, _ rows: Range<Int>,
    _ target: UnsafeMutablePointer<T>
  ) -> Int {
    if index < features.upperBound, ready < pointers.count {
      var next = index
      let isReady = Self.withPlainNumbers(columns[index], slots, index, rows) {
        (source: UnsafePointer<T>) in
        pointers[ready] = source
        next = move(columns, slots, from: index + 1, ready + 1, pointers, rows, target)
      }
      if isReady { return next }
    }
    if ready > 0, let first = pointers.baseAddress {
      T.interleave(
        first, ready, rows.count, features.count, target + (index - ready - features.lowerBound))
    }
    return index
  }

  /// Converts a column among others of its input; zeros where nobody reads it.
  private func convertApart<T: ColumnNumber>(
    _ columns: UnsafeBufferPointer<Column>,
    _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ index: Int, _ rows: Range<Int>,
    _ target: UnsafeMutablePointer<T>, _ failures: RowFailures
  ) {
    withUnsafeTemporaryAllocation(of: T.self, capacity: rows.count) { own in
      guard let base = own.baseAddress else { return }
      if slots[index].isRead {
        Self.convert(columns[index], slots, index, rows, base, failures)
      } else {
        own.initialize(repeating: 0)
      }
      for row in 0..<rows.count {
        target[row * features.count + index - features.lowerBound] = base[row]
      }
    }
  }

  /// Calls `body` with the rows' numbers where they can be taken as they are.
  ///
  /// - Returns: whether it did; else the column must be looked at.
  @inline(__always)
  private static func withPlainNumbers<T: ColumnNumber>(
    _ column: Column, _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>,
    _ index: Int, _ rows: Range<Int>, _ body: (UnsafePointer<T>) -> Void
  ) -> Bool {
    guard slots[index].isRead, column.nulls == nil else { return false }
    let wrong = slots[index].mayBeMissing ? CK_HAS_INFINITY : CK_HAS_INFINITY | CK_HAS_NAN
    return T.withNumbers(of: column.values) { numbers in
      guard let first = numbers.baseAddress else { return false }
      let source = first + rows.lowerBound
      guard T.exceptions(source, rows.count) & Int32(wrong) == 0 else { return false }
      body(source)
      return true
    }
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
    case .string, .bytes: target.update(repeating: 0, count: rows.count)
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
  /// Calls `body` with the values of a column of this type; false for other columns.
  static func withNumbers(
    of values: Column.Values, _ body: (UnsafeBufferPointer<Self>) -> Bool
  ) -> Bool
  /// Copies the values of a column of this type, `stride` apart; nil for other columns. Without a
  /// call for a column: around one its array would be retained.
  ///
  /// - Returns: as `exceptions`.
  static func copy(
    _ column: Column, _ rows: Range<Int>, to target: UnsafeMutablePointer<Self>, stride: Int
  ) -> Int32?
  /// CK_HAS_NAN and CK_HAS_INFINITY.
  static func exceptions(_ numbers: UnsafePointer<Self>, _ count: Int) -> Int32
  static func interleave(
    _ columns: UnsafePointer<UnsafePointer<Self>?>, _ count: Int, _ rows: Int, _ stride: Int,
    _ target: UnsafeMutablePointer<Self>)
}

extension Float: ColumnNumber {
  @inline(__always)
  fileprivate static func withNumbers(
    of values: Column.Values, _ body: (UnsafeBufferPointer<Float>) -> Bool
  ) -> Bool {
    guard case .float32(let array) = values else { return false }
    return array.withUnsafeBufferPointer(body)
  }
  @inline(__always)
  fileprivate static func copy(
    _ column: Column, _ rows: Range<Int>, to target: UnsafeMutablePointer<Float>, stride: Int
  ) -> Int32? {
    guard case .float32(let array) = column.values else { return nil }
    return target.put(array, rows, stride: stride)
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
  @inline(__always)
  fileprivate static func withNumbers(
    of values: Column.Values, _ body: (UnsafeBufferPointer<Double>) -> Bool
  ) -> Bool {
    guard case .float64(let array) = values else { return false }
    return array.withUnsafeBufferPointer(body)
  }
  @inline(__always)
  fileprivate static func copy(
    _ column: Column, _ rows: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int
  ) -> Int32? {
    guard case .float64(let array) = column.values else { return nil }
    return target.put(array, rows, stride: stride)
  }
  fileprivate static func exceptions(_ numbers: UnsafePointer<Double>, _ count: Int) -> Int32 {
    ck_exceptions_f64(numbers, count)
  }
  fileprivate static func interleave(
    _ columns: UnsafePointer<UnsafePointer<Double>?>, _ count: Int, _ rows: Int, _ stride: Int,
    _ target: UnsafeMutablePointer<Double>
  ) { ck_interleave_f64(columns, count, rows, stride, target) }
}

extension UnsafeMutablePointer where Pointee: BinaryFloatingPoint {
  /// Copies some of the numbers, `stride` apart.
  ///
  /// - Returns: CK_HAS_NAN and CK_HAS_INFINITY.
  @inline(__always)
  fileprivate func put(_ numbers: [Pointee], _ rows: Range<Int>, stride: Int) -> Int32 {
    numbers.withUnsafeBufferPointer { numbers in
      var found: Int32 = 0
      for (index, row) in rows.enumerated() {
        let number = numbers[row]
        self[index * stride] = number
        if number.isNaN { found |= Int32(CK_HAS_NAN) }
        if number.isInfinite { found |= Int32(CK_HAS_INFINITY) }
      }
      return found
    }
  }
}
