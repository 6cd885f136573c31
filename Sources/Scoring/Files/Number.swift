internal import Inference

/// Numbers as PostgreSQL, Python and JSON write them: digits, `NaN`, `inf`, `-Infinity`.
enum Number {
  static func double(_ reader: CSVReader, _ field: CSVReader.Field) -> Double? {
    read(reader.bytes[field.range], as: Double.self)
  }

  /// The nearest value of the type to the text, rounded once; nil where it is not a number.
  static func read<Value: DecimalReadable>(
    _ text: ArraySlice<UInt8>, as type: Value.Type
  ) -> Value? {
    text.withUnsafeBytes { Value(decimal: $0) }
  }
}

/// A type that decimal digits can be rounded to.
protocol DecimalReadable: BinaryFloatingPoint {
  init?(decimal text: UnsafeRawBufferPointer)
}

extension Double: DecimalReadable {
  init?(decimal text: UnsafeRawBufferPointer) {
    guard let value = NumberText.double(text) else { return nil }
    self = value
  }
}

extension Float: DecimalReadable {
  init?(decimal text: UnsafeRawBufferPointer) {
    guard let value = NumberText.float(text) else { return nil }
    self = value
  }
}
