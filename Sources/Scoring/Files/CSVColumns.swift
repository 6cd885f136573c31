internal import Glibc
internal import Inference

/// Gathers the fields of one column as values of a feature's type.
struct CSVColumnBuilder {
  private var values: Column.Values
  private var nulls: [Int] = []
  private let type: ElementType

  init(_ type: ElementType) {
    self.type = type
    values =
      switch type {
      case .float32: .float32([])
      case .float64: .float64([])
      case .int64: .int64([])
      case .bool: .bool([])
      case .string: .string([])
      }
  }

  /// Adds a field; false where it cannot be read as the type, in which case nothing is added.
  mutating func append(_ field: CSVReader.Field, of reader: CSVReader) -> Bool {
    if reader.isMissing(field) {
      appendMissing()
      return true
    }
    switch values {
    case .float32(var v):
      guard let value = Number.float(reader, field) else { return false }
      values = .float32([])
      v.append(value)
      values = .float32(v)
    case .float64(var v):
      guard let value = Number.double(reader, field) else { return false }
      values = .float64([])
      v.append(value)
      values = .float64(v)
    case .int64(var v):
      guard let value = Int64(reader.text(field)) else { return false }
      values = .int64([])
      v.append(value)
      values = .int64(v)
    case .bool(var v):
      guard let value = Self.bools[reader.text(field).lowercased()] else { return false }
      values = .bool([])
      v.append(value)
      values = .bool(v)
    case .string(var v):
      values = .string([])
      v.append(reader.text(field))
      values = .string(v)
    case .int16, .int32: preconditionFailure("no feature is of that type")
    }
    return true
  }

  mutating func appendMissing() {
    nulls.append(count)
    switch values {
    case .float32(var v):
      values = .float32([])
      v.append(.nan)
      values = .float32(v)
    case .float64(var v):
      values = .float64([])
      v.append(.nan)
      values = .float64(v)
    case .int64(var v):
      values = .int64([])
      v.append(0)
      values = .int64(v)
    case .bool(var v):
      values = .bool([])
      v.append(false)
      values = .bool(v)
    case .string(var v):
      values = .string([])
      v.append("")
      values = .string(v)
    case .int16, .int32: preconditionFailure("no feature is of that type")
    }
  }

  var count: Int { Column(values).count }

  func column() -> Column {
    var column = Column(values)
    for row in nulls { column.markNull(row) }
    return column
  }

  private static let bools = [
    "true": true, "t": true, "1": true, "yes": true, "false": false, "f": false, "0": false,
    "no": false,
  ]
}

/// Numbers as PostgreSQL and Python write them: digits, `NaN`, `inf`, `-Infinity`.
enum Number {
  static func double(_ reader: CSVReader, _ field: CSVReader.Field) -> Double? {
    parse(reader, field) { strtod($0, $1) }
  }

  /// Rounded once, from the text: by way of `Double` it would be twice.
  static func float(_ reader: CSVReader, _ field: CSVReader.Field) -> Float? {
    parse(reader, field) { strtof($0, $1) }
  }

  /// The C functions stop at the separator that follows the field, or at the zero after a copy.
  private static func parse<T>(
    _ reader: CSVReader, _ field: CSVReader.Field,
    _ read: (UnsafePointer<CChar>, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> T
  ) -> T? {
    guard field.range.count <= 64 else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65) { copy in
      var length = 0
      for byte in reader.bytes[field.range] {
        // C would also read hexadecimal digits, and white space before the number.
        guard byte != UInt8(ascii: "x"), byte != UInt8(ascii: "X"), byte > 32 else { return nil }
        copy[length] = CChar(bitPattern: byte)
        length += 1
      }
      copy[length] = 0
      guard length > 0, let base = copy.baseAddress else { return nil }
      var end: UnsafeMutablePointer<CChar>?
      let value = read(base, &end)
      return end == base + length ? value : nil
    }
  }
}
