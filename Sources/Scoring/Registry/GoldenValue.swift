internal import FoundationEssentials
internal import Inference

/// A value of a golden row, as JSON and CSV have it.
enum GoldenValue: Sendable, Equatable {
  case missing
  case integer(Int64)
  case number(Double)
  case bool(Bool)
  case text(String)
  /// A vector, or a tensor of more axes as vectors of vectors.
  case list([GoldenValue])

  init(_ column: Column, row: Int) {
    guard !column.isNull(row) else {
      self = .missing
      return
    }
    guard column.shape.isEmpty else {
      self = Self.list(
        column, column.shape[...], column.counts?[row], from: row * column.width, column.width)
      return
    }
    self = Self.element(column, row)
  }

  private static func list(
    _ column: Column, _ sizes: ArraySlice<Int>, _ count: Int? = nil, from start: Int, _ width: Int
  ) -> GoldenValue {
    guard let size = sizes.first else { return element(column, start) }
    let part = size == 0 ? 0 : width / size
    return .list(
      (0..<(count ?? size)).map {
        list(column, sizes.dropFirst(), from: start + $0 * part, part)
      })
  }

  private static func element(_ column: Column, _ place: Int) -> GoldenValue {
    switch column.values {
    case .int16(let v): .integer(Int64(v[place]))
    case .int32(let v): .integer(Int64(v[place]))
    case .int64(let v): .integer(v[place])
    case .float32(let v): .number(Double(v[place]))
    case .float64(let v): .number(v[place])
    case .bool(let v): .bool(v[place])
    case .string(let v): .text(v[place])
    case .bytes(let v): .text(BytesText.hexadecimal(v[place]))
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
    case .missing, .list: nil
    }
  }

  /// The largest magnitude of numbers in it.
  private var magnitude: Double {
    if case .list(let values) = self { return values.map(\.magnitude).max() ?? 0 }
    return double.map(abs).flatMap { $0.isFinite ? $0 : nil } ?? 0
  }

  /// Labels must be equal; numbers may differ by the tolerance, relative to the wanted one, or to the
  /// largest of its vector.
  func agrees(with wanted: GoldenValue, within tolerance: Double) -> Bool {
    agrees(with: wanted, within: tolerance, scale: max(wanted.magnitude, 1))
  }

  private func agrees(with wanted: GoldenValue, within tolerance: Double, scale: Double) -> Bool {
    switch (self, wanted) {
    case (.list(let mine), .list(let others)):
      return mine.count == others.count
        && zip(mine, others).allSatisfy { $0.agrees(with: $1, within: tolerance, scale: scale) }
    case (.list, .text(let text)):
      guard let list = GoldenValue.list(text) else { return false }
      return agrees(with: list, within: tolerance)
    case (.list, _), (_, .list): return false
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
      return abs(mine - other) <= tolerance * scale
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
      if case .list = self { return false }
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
    case .list(let values):
      // As much as a message has room for.
      "{" + values.prefix(4).map(\.description).joined(separator: ",")
        + (values.count > 4 ? ",… (\(values.count))}" : "}")
    }
  }
}

extension GoldenValue {
  /// Reads an array as PostgreSQL writes it, `{0.5,-1}`, or as JSON has it; nil where the text is none.
  static func list(_ text: String) -> GoldenValue? {
    var rest = Array(text.unicodeScalars)[...]
    guard let value = list(&rest, depth: 0), rest.allSatisfy({ $0 == " " }) else { return nil }
    return value
  }

  /// Tensors have fewer axes.
  private static let mostDepth = 16

  private static func list(
    _ rest: inout ArraySlice<Unicode.Scalar>, depth: Int
  ) -> GoldenValue? {
    func skip() { rest = rest.drop { $0 == " " } }
    skip()
    guard let open = rest.first, open == "{" || open == "[", depth < mostDepth else { return nil }
    rest.removeFirst()
    var values: [GoldenValue] = []
    skip()
    if rest.first == "}" || rest.first == "]" {
      rest.removeFirst()
      return .list(values)
    }
    while true {
      skip()
      guard let first = rest.first else { return nil }
      if first == "{" || first == "[" {
        guard let inner = list(&rest, depth: depth + 1) else { return nil }
        values.append(inner)
      } else if first == "\"" {
        guard let text = quoted(&rest) else { return nil }
        values.append(.text(text))
      } else {
        let end = rest.firstIndex { ",}] ".unicodeScalars.contains($0) } ?? rest.endIndex
        var word = String.UnicodeScalarView()
        word.append(contentsOf: rest[rest.startIndex..<end])
        rest = rest[end...]
        values.append(plain(String(word)))
      }
      skip()
      guard let sign = rest.popFirst() else { return nil }
      if sign == "}" || sign == "]" { return .list(values) }
      guard sign == "," else { return nil }
    }
  }

  private static func quoted(_ rest: inout ArraySlice<Unicode.Scalar>) -> String? {
    rest.removeFirst()
    var text = String.UnicodeScalarView()
    while let scalar = rest.popFirst() {
      switch scalar {
      case "\"": return String(text)
      case "\\":
        guard let next = rest.popFirst() else { return nil }
        text.append(next)
      default: text.append(scalar)
      }
    }
    return nil
  }

  private static func plain(_ word: String) -> GoldenValue {
    switch word.lowercased() {
    case "null": .missing
    case "t", "true": .bool(true)
    case "f", "false": .bool(false)
    default:
      Int64(word).map(GoldenValue.integer) ?? Double(word).map(GoldenValue.number) ?? .text(word)
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
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else {
      self = .list(try container.decode([GoldenValue].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .missing: try container.encodeNil()
    case .integer(let value): try container.encode(value)
    case .number(let value) where value.isFinite: try container.encode(value)
    case .number(let value): try container.encode("\(value)")
    case .list(let values): try container.encode(values)
    case .bool(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }
}
