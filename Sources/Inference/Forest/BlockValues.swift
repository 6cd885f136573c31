/// One feature's values of a block, as C wants them: floats or doubles side by side, NaN for null.
struct BlockValues {
  enum Read {
    case float(UnsafePointer<Float>)
    case double(UnsafePointer<Double>)
  }

  private let floats: UnsafeMutablePointer<Float>
  private let doubles: UnsafeMutablePointer<Double>

  static func byteCount(rows: Int) -> Int { rows * MemoryLayout<Double>.stride }

  /// - Parameter memory: `byteCount` bytes, aligned for doubles.
  init(_ memory: UnsafeMutableRawPointer) {
    floats = memory.assumingMemoryBound(to: Float.self)
    doubles = memory.assumingMemoryBound(to: Double.self)
  }

  /// Copies the values of a few rows, `stride` apart: NaN for NULL.
  @inline(__always)
  static func copy<Real: ForestReal>(
    _ column: Column, _ rows: Range<Int>, to target: UnsafeMutablePointer<Real>, stride: Int
  ) {
    switch column.values {
    case .float32(let values): put(values, rows, target, stride) { Real($0) }
    case .float64(let values): put(values, rows, target, stride) { Real($0) }
    case .int16(let values): put(values, rows, target, stride) { Real($0) }
    case .int32(let values): put(values, rows, target, stride) { Real($0) }
    case .int64(let values): put(values, rows, target, stride) { Real($0) }
    case .bool(let values): put(values, rows, target, stride) { $0 ? 1 : 0 }
    case .string, .bytes: preconditionFailure("text is refused before values are read")
    }
    guard column.nulls != nil else { return }
    for (index, row) in rows.enumerated() where column.isNull(row) {
      target[index * stride] = .nan
    }
  }

  @inline(__always)
  private static func put<Element, Real: ForestReal>(
    _ values: [Element], _ rows: Range<Int>, _ target: UnsafeMutablePointer<Real>, _ stride: Int,
    _ convert: (Element) -> Real
  ) {
    values.withUnsafeBufferPointer { values in
      for (index, row) in rows.enumerated() { target[index * stride] = convert(values[row]) }
    }
  }

  /// Calls `body` with the values of the rows.
  ///
  /// Floats stay floats, since thresholds are known as such; all else becomes `Real`. A column
  /// that needs no change is read where it lies.
  func withBlock<Real: ForestReal>(
    of column: Column, rows: Range<Int>, as type: Real.Type, _ body: (Read) -> Void
  ) {
    let asFloat = type == Float.self
    switch column.values {
    case .float32(let values) where column.nulls == nil:
      values.withUnsafeBufferPointer { body(.float($0.baseAddress! + rows.lowerBound)) }
    case .float32(let values):
      fill(floats, values, column, rows) { $0 }
      body(.float(floats))
    case .float64(let values) where column.nulls == nil && !asFloat:
      values.withUnsafeBufferPointer { body(.double($0.baseAddress! + rows.lowerBound)) }
    case .float64(let values):
      convert(values, column, rows, asFloat, { Float($0) }, { $0 }, body)
    case .int16(let values):
      convert(values, column, rows, asFloat, { Float($0) }, { Double($0) }, body)
    case .int32(let values):
      convert(values, column, rows, asFloat, { Float($0) }, { Double($0) }, body)
    case .int64(let values):
      convert(values, column, rows, asFloat, { Float($0) }, { Double($0) }, body)
    case .bool(let values):
      convert(values, column, rows, asFloat, { $0 ? 1 : 0 }, { $0 ? 1 : 0 }, body)
    case .string, .bytes:
      preconditionFailure("text is refused before blocks are read")
    }
  }

  @inline(__always)
  private func convert<Element>(
    _ values: [Element], _ column: Column, _ rows: Range<Int>, _ asFloat: Bool,
    _ toFloat: (Element) -> Float, _ toDouble: (Element) -> Double, _ body: (Read) -> Void
  ) {
    if asFloat {
      fill(floats, values, column, rows, toFloat)
      body(.float(floats))
    } else {
      fill(doubles, values, column, rows, toDouble)
      body(.double(doubles))
    }
  }

  @inline(__always)
  private func fill<Element, Real: BinaryFloatingPoint>(
    _ target: UnsafeMutablePointer<Real>, _ values: [Element], _ column: Column,
    _ rows: Range<Int>, _ convert: (Element) -> Real
  ) {
    values.withUnsafeBufferPointer { values in
      for row in 0..<rows.count { target[row] = convert(values[rows.lowerBound + row]) }
    }
    guard column.nulls != nil else { return }
    for row in 0..<rows.count where column.isNull(rows.lowerBound + row) { target[row] = .nan }
  }
}
