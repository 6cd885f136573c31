internal import FoundationEssentials
internal import Inference

/// A value of a golden row, as JSON and CSV have it.
enum GoldenValue: Sendable, Equatable {
  case missing
  case integer(Int64)
  case number(Double)
  case bool(Bool)
  case text(String)

  init(_ column: Column, row: Int) {
    guard !column.isNull(row) else {
      self = .missing
      return
    }
    self =
      switch column.values {
      case .int16(let v): .integer(Int64(v[row]))
      case .int32(let v): .integer(Int64(v[row]))
      case .int64(let v): .integer(v[row])
      case .float32(let v): .number(Double(v[row]))
      case .float64(let v): .number(v[row])
      case .bool(let v): .bool(v[row])
      case .string(let v): .text(v[row])
      case .bytes(let v): .text(BytesText.hexadecimal(v[row]))
      }
  }

  static func bool(_ text: String) -> GoldenValue? {
    switch text.lowercased() {
    case "true", "t", "1", "yes": .bool(true)
    case "false", "f", "0", "no": .bool(false)
    default: nil
    }
  }

  /// The value as a number; texts name those that JSON has none for.
  var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .bool(let value): value ? 1 : 0
    case .text(let text):
      [
        "nan": .nan, "inf": .infinity, "infinity": .infinity, "-inf": -.infinity,
        "-infinity": -.infinity,
      ][text.lowercased()] ?? Double(text)
    case .missing: nil
    }
  }

  /// Labels must be equal; numbers may differ by the tolerance, relative to the wanted one.
  func agrees(with wanted: GoldenValue, within tolerance: Double) -> Bool {
    switch (self, wanted) {
    case (.missing, .missing): return true
    case (.missing, _), (_, .missing): return isNaN && wanted.isNaN
    case (.text(let mine), .text(let other)): return mine == other
    case (.text(let mine), let other): return mine == other.description
    case (.integer(let mine), .integer(let other)): return mine == other
    case (.bool, _), (.integer, _): return double == wanted.double
    case (.number(let mine), let other):
      guard let other = other.double else { return false }
      if mine.isNaN || other.isNaN { return mine.isNaN && other.isNaN }
      if mine == other { return true }
      // Near zero only an absolute bound makes sense: a probability of 1e-9 has no more digits.
      return abs(mine - other) <= tolerance * max(abs(other), 1)
    }
  }

  private var isNaN: Bool {
    if case .missing = self { return true }
    return double?.isNaN ?? false
  }

  /// Puts the value in a column of a feature's type; false where it does not fit.
  func store(in column: inout Column, row: Int) -> Bool {
    if case .missing = self {
      column.markNull(row)
      return true
    }
    switch column.values {
    case .float32(var v):
      guard let value = double else { return false }
      v[row] = Float(value)
      column.values = .float32(v)
    case .float64(var v):
      guard let value = double else { return false }
      v[row] = value
      column.values = .float64(v)
    case .int64(var v):
      guard case .integer(let value) = self else { return false }
      v[row] = value
      column.values = .int64(v)
    case .bool(var v):
      guard case .bool(let value) = self else { return false }
      v[row] = value
      column.values = .bool(v)
    case .string(var v):
      v[row] = description
      column.values = .string(v)
    case .bytes(var v):
      guard case .text(let text) = self, let bytes = BytesText.read(text.utf8) else { return false }
      v[row] = bytes
      column.values = .bytes(v)
    case .int16, .int32: return false
    }
    return true
  }
}

extension GoldenValue: CustomStringConvertible {
  var description: String {
    switch self {
    case .missing: "missing"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .text(let value): value
    }
  }
}

extension GoldenValue: Codable {
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .missing
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .missing: try container.encodeNil()
    case .integer(let value): try container.encode(value)
    case .number(let value) where value.isFinite: try container.encode(value)
    case .number(let value): try container.encode("\(value)")
    case .bool(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }
}
