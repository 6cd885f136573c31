/// Converts columns of a batch into the elements of a graph's inputs.
///
/// A row that cannot be scored becomes a failure, and zero takes its place.
enum FeatureReader {
  /// No value of the column could ever be read as the feature.
  static func mismatch(_ column: Column, _ feature: GraphPredictor.FeatureSlot) -> ModelError {
    let wanted = feature.image != nil ? "an image" : feature.type.onnxName
    let given =
      switch column.kind {
      case .text: "text"
      case .bytes: "bytes"
      case .number: feature.image != nil ? "not bytes" : "not text"
      }
    return ModelError(
      .mismatch, "feature \"\(feature.name)\" is \(wanted), its column is \(given)",
      hint: column.kind == .bytes
        ? "Say how images become the input: --image 224x224, or setup => '{\"image\": {}}'." : nil)
  }

  static func read(
    _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot,
    into view: TensorView, failures: RowFailures
  ) {
    switch feature.type {
    case .float32:
      readFloats(column, rows, feature, into: view.floats, failures)
    case .float64:
      readFloats(column, rows, feature, into: view.doubles, failures)
    case .float16:
      readReduced(column, rows, feature, into: view.pointer(as: Half.self), failures)
    case .bfloat16:
      readReduced(column, rows, feature, into: view.pointer(as: BFloat16.self), failures)
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8:
      guard let type = feature.type.integer else { return }
      readIntegers(column, rows, feature, type, into: view, failures)
    case .bool:
      readBooleans(column, rows, feature, into: view.bools, failures)
    case .string:
      guard case .string(let source) = column.values else { return }
      copy(source, column, rows, feature, view.strings, failures, missing: "") { value, _ in value }
    default: break
    }
  }

  private static func readFloats<T: BinaryFloatingPoint & TensorElement>(
    _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot,
    into target: UnsafeMutablePointer<T>, _ failures: RowFailures
  ) {
    let missing: T = feature.mayBeMissing ? .nan : 0
    func checked(_ value: T, _ row: Int) -> T {
      if value.isFinite { return value }
      if value.isNaN && feature.mayBeMissing { return value }
      if value.isNaN {
        failures.add(row: row, .missing, missingReason(feature))
      } else {
        failures.add(row: row, .notFinite, "feature \"\(feature.name)\" is not a finite number")
      }
      return 0
    }
    func numbers<S: BinaryInteger>(_ source: [S]) {
      copy(source, column, rows, feature, target, failures, missing: missing) { value, _ in
        T(value)
      }
    }
    switch column.values {
    case .float32(let source):
      copy(source, column, rows, feature, target, failures, missing: missing) {
        checked(T($0), $1)
      }
    case .float64(let source):
      copy(source, column, rows, feature, target, failures, missing: missing) {
        checked(T($0), $1)
      }
    case .int16(let source): numbers(source)
    case .int32(let source): numbers(source)
    case .int64(let source): numbers(source)
    case .bool(let source):
      copy(source, column, rows, feature, target, failures, missing: missing) { value, _ in
        value ? 1 : 0
      }
    case .string, .bytes: break
    }
  }

  /// Reads as floats and rounds; what is beyond the type is not finite.
  private static func readReduced<T: ReducedFloat>(
    _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot,
    into target: UnsafeMutablePointer<T>, _ failures: RowFailures
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: max(rows.count, 1)) { floats in
      guard let base = floats.baseAddress else { return }
      base.initialize(repeating: 0, count: max(rows.count, 1))
      readFloats(column, rows, feature.alone, into: base, failures)
      for row in 0..<rows.count {
        let value = T(base[row])
        target[row * feature.width + feature.element] = value
        if base[row].isFinite, !value.float.isFinite {
          failures.add(row: row, .notFinite, "feature \"\(feature.name)\" is out of range")
        }
      }
    }
  }

  private static func readIntegers<T: IntegerElement>(
    _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot, _ type: T.Type,
    into view: TensorView, _ failures: RowFailures
  ) {
    let target: UnsafeMutablePointer<T> = view.pointer()
    func numbers<S: BinaryInteger>(_ source: [S]) {
      copy(source, column, rows, feature, target, failures, missing: 0) { value, row in
        if let exact = T(exactly: value) { return exact }
        failures.add(row: row, .notFinite, "feature \"\(feature.name)\" is out of range")
        return 0
      }
    }
    func fractions<S: BinaryFloatingPoint>(_ source: [S]) {
      copy(source, column, rows, feature, target, failures, missing: 0) { value, row in
        if let exact = T(exactly: value) { return exact }
        if value.isNaN {
          failures.add(row: row, .missing, missingReason(feature))
        } else if value.isInfinite {
          failures.add(
            row: row, .notFinite, "feature \"\(feature.name)\" is not a finite number")
        } else {
          failures.add(
            row: row, .wrongType, "feature \"\(feature.name)\" is not a whole number in range")
        }
        return 0
      }
    }
    switch column.values {
    case .float32(let source): fractions(source)
    case .float64(let source): fractions(source)
    case .int16(let source): numbers(source)
    case .int32(let source): numbers(source)
    case .int64(let source): numbers(source)
    case .bool(let source):
      copy(source, column, rows, feature, target, failures, missing: 0) { value, _ in
        value ? 1 : 0
      }
    case .string, .bytes: break
    }
  }

  private static func readBooleans(
    _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot,
    into target: UnsafeMutablePointer<Bool>, _ failures: RowFailures
  ) {
    func numbers<S: Numeric>(_ source: [S]) {
      copy(source, column, rows, feature, target, failures, missing: false) { value, row in
        if value == 0 || value == 1 { return value == 1 }
        failures.add(row: row, .wrongType, "feature \"\(feature.name)\" is neither 0 nor 1")
        return false
      }
    }
    switch column.values {
    case .bool(let source):
      copy(source, column, rows, feature, target, failures, missing: false) { value, _ in value }
    case .float32(let source): numbers(source)
    case .float64(let source): numbers(source)
    case .int16(let source): numbers(source)
    case .int32(let source): numbers(source)
    case .int64(let source): numbers(source)
    case .string, .bytes: break
    }
  }

  /// Writes one element of each row.
  @inline(__always)
  private static func copy<S, T>(
    _ source: [S], _ column: Column, _ rows: Range<Int>, _ feature: GraphPredictor.FeatureSlot,
    _ target: UnsafeMutablePointer<T>, _ failures: RowFailures, missing: T,
    _ convert: (S, Int) -> T
  ) {
    var at = feature.element
    for row in rows {
      if column.nulls != nil, column.isNull(row) {
        target[at] = missing
        if !feature.mayBeMissing {
          failures.add(row: row - rows.lowerBound, .missing, missingReason(feature))
        }
      } else {
        target[at] = convert(source[row], row - rows.lowerBound)
      }
      at += feature.width
    }
  }

  static func missingReason(_ feature: GraphPredictor.FeatureSlot) -> String {
    "feature \"\(feature.name)\" is missing, and the model has no rule for that"
  }
}

extension GraphPredictor.FeatureSlot {
  /// The same feature as the only one of its input.
  fileprivate var alone: Self {
    Self(
      input: input, element: 0, width: 1, type: type, name: name, mayBeMissing: mayBeMissing)
  }
}
