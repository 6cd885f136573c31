internal import CKernels

/// Brings rows of tensors from a column into the memory of a network's input.
///
/// A row that cannot be scored becomes a failure, and zeros take its place.
enum TensorReader {
  static func read(
    _ column: Column, _ rows: Range<Int>, _ input: Network.Input, into view: TensorView,
    _ failures: RowFailures
  ) {
    let width = column.width
    let elements = (rows.lowerBound * width)..<(rows.upperBound * width)
    switch (column.values, view.type) {
    case (.float32(let source), .float32): copy(source, elements, to: view)
    case (.float64(let source), .float64): copy(source, elements, to: view)
    case (.int64(let source), .int64): copy(source, elements, to: view)
    case (.int32(let source), .int32): copy(source, elements, to: view)
    case (.bool(let source), .bool): copy(source, elements, to: view)
    case (.string(let source), .string):
      for (index, element) in elements.enumerated() { view.strings[index] = source[element] }
    case (.int16(let source), _): convert(source, elements, view, width, input, failures)
    case (.int32(let source), _): convert(source, elements, view, width, input, failures)
    case (.int64(let source), _): convert(source, elements, view, width, input, failures)
    case (.float32(let source), _): convert(source, elements, view, width, input, failures)
    case (.float64(let source), _): convert(source, elements, view, width, input, failures)
    case (.bool(let source), _):
      for (index, element) in elements.enumerated() { view.set(index, source[element] ? 1 : 0) }
    case (.string, _), (.bytes, _): break
    }
    if column.nulls != nil {
      for row in rows where column.isNull(row) {
        clear(view, row - rows.lowerBound, width)
        failures.add(row: row - rows.lowerBound, .missing, "feature \"\(input.name)\" is missing")
      }
    }
    if view.type == .float32 { checkFloats(view, rows.count, width, input, failures) }
  }

  private static func copy<T: TensorElement>(
    _ source: [T], _ elements: Range<Int>, to view: TensorView
  ) {
    source.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return }
      view.pointer(as: T.self).update(from: base + elements.lowerBound, count: elements.count)
    }
  }

  private static func convert<T: NumericElement>(
    _ source: [T], _ elements: Range<Int>, _ view: TensorView, _ width: Int,
    _ input: Network.Input, _ failures: RowFailures
  ) {
    for (index, element) in elements.enumerated() {
      let value = source[element].double
      view.set(index, value)
      if view.type.isInteger, view.double(index) != value {
        failures.add(
          row: index / max(width, 1), .wrongType,
          "feature \"\(input.name)\" holds what is not a whole number in range")
      }
    }
  }

  private static func checkFloats(
    _ view: TensorView, _ rowCount: Int, _ width: Int, _ input: Network.Input,
    _ failures: RowFailures
  ) {
    guard ck_exceptions_f32(view.floats, view.count) != 0 else { return }
    for row in 0..<rowCount {
      let found = ck_exceptions_f32(view.floats + row * width, width)
      guard found != 0 else { continue }
      let isMissing = found & Int32(CK_HAS_NAN) != 0
      failures.add(
        row: row, isMissing ? .missing : .notFinite,
        "feature \"\(input.name)\" holds what is \(isMissing ? "missing" : "not a finite number")")
      clear(view, row, width)
    }
  }

  private static func clear(_ view: TensorView, _ row: Int, _ width: Int) {
    if view.type == .string {
      (view.strings + row * width).update(repeating: "", count: width)
    } else {
      (view.base + row * width * view.type.stride).initializeMemory(
        as: UInt8.self, repeating: 0, count: width * view.type.stride)
    }
  }
}
