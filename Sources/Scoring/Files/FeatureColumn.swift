internal import Inference

/// Gathers the fields of a feature, a value a row, as the feature's type wants them.
struct FeatureColumn {
  private let type: ElementType
  /// The one that the type names grows; the others stay empty.
  private var floats: [Float] = []
  private var doubles: [Double] = []
  private var integers: [Int64] = []
  private var bools: [Bool] = []
  private var texts: [String] = []
  private var images: [[UInt8]] = []
  private var nulls: [Int] = []
  private var count = 0

  init(_ type: ElementType) { self.type = type }

  /// Adds a field; where it cannot be read as the type, a missing value, and false is returned.
  mutating func append(_ field: RecordField, in bytes: [UInt8]) -> Bool {
    guard field.form != .missing else {
      appendMissing()
      return true
    }
    let isRead =
      switch type {
      case .float32: Self.append(Self.number(field, bytes, Float.self), to: &floats)
      case .float64: Self.append(Self.number(field, bytes, Double.self), to: &doubles)
      case .int64: Self.append(Self.integer(field, bytes), to: &integers)
      case .bool: Self.append(Self.bool(field, bytes), to: &bools)
      case .string: Self.append(Self.string(field, bytes), to: &texts)
      case .bytes: Self.append(Self.image(field, bytes), to: &images)
      }
    guard isRead else {
      appendMissing()
      return false
    }
    count += 1
    return true
  }

  private mutating func appendMissing() {
    nulls.append(count)
    count += 1
    switch type {
    case .float32: floats.append(.nan)
    case .float64: doubles.append(.nan)
    case .int64: integers.append(0)
    case .bool: bools.append(false)
    case .string: texts.append("")
    case .bytes: images.append([])
    }
  }

  func column() -> Column {
    var column =
      switch type {
      case .float32: Column(.float32(floats))
      case .float64: Column(.float64(doubles))
      case .int64: Column(.int64(integers))
      case .bool: Column(.bool(bools))
      case .string: Column(.string(texts))
      case .bytes: Column(.bytes(images))
      }
    guard !nulls.isEmpty else { return column }
    var words = [UInt64](repeating: 0, count: (count + 63) / 64)
    for row in nulls { words[row >> 6] |= 1 << UInt64(row & 63) }
    column.nulls = words
    return column
  }
}

// MARK: Fields as values

extension FeatureColumn {
  private static func append<Value>(_ value: Value?, to values: inout [Value]) -> Bool {
    guard let value else { return false }
    values.append(value)
    return true
  }

  /// JSON has no words for what is not finite, so strings are asked for them, and for nothing else.
  private static func number<Value: DecimalReadable>(
    _ field: RecordField, _ bytes: [UInt8], _ type: Value.Type
  ) -> Value? {
    switch field.form {
    case .plain, .quoted, .number: Number.read(bytes[field.range], as: type)
    case .string: Number.read(bytes[field.range], as: type).flatMap { $0.isFinite ? nil : $0 }
    case .missing, .quotedTwice, .bool, .escaped, .nested: nil
    }
  }

  private static func integer(_ field: RecordField, _ bytes: [UInt8]) -> Int64? {
    switch field.form {
    case .plain, .quoted, .number: Int64(String(decoding: bytes[field.range], as: UTF8.self))
    case .missing, .quotedTwice, .bool, .string, .escaped, .nested: nil
    }
  }

  private static func bool(_ field: RecordField, _ bytes: [UInt8]) -> Bool? {
    switch field.form {
    case .plain, .quoted, .bool:
      words[String(decoding: bytes[field.range], as: UTF8.self).lowercased()]
    case .missing, .quotedTwice, .number, .string, .escaped, .nested: nil
    }
  }

  private static func string(_ field: RecordField, _ bytes: [UInt8]) -> String? {
    switch field.form {
    case .plain, .quoted, .quotedTwice, .string, .escaped: field.text(in: bytes)
    case .missing, .number, .bool, .nested: nil
    }
  }

  /// As PostgreSQL writes `bytea`, or base64.
  private static func image(_ field: RecordField, _ bytes: [UInt8]) -> [UInt8]? {
    switch field.form {
    case .plain, .quoted, .string: BytesText.read(bytes[field.range])
    case .quotedTwice, .escaped: BytesText.read(field.text(in: bytes).utf8)
    case .missing, .number, .bool, .nested: nil
    }
  }

  private static let words = [
    "true": true, "t": true, "1": true, "yes": true, "false": false, "f": false, "0": false,
    "no": false,
  ]
}
