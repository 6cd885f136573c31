internal import Inference

/// Writes JSON into bytes, member by member, without values in between.
enum JSONText {
  static func open(_ bracket: Unicode.Scalar, _ bytes: inout [UInt8]) {
    separate(&bytes)
    bytes.append(UInt8(ascii: bracket))
  }

  static func close(_ bracket: Unicode.Scalar, _ bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: bracket))
  }

  /// Of the next member.
  static func key(_ name: StaticString, _ bytes: inout [UInt8]) {
    separate(&bytes)
    bytes.append(UInt8(ascii: "\""))
    name.withUTF8Buffer { bytes.append(contentsOf: $0) }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
  }

  static func member(_ name: StaticString, string value: String, _ bytes: inout [UInt8]) {
    key(name, &bytes)
    append(value, to: &bytes)
  }

  static func append(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0x0A: bytes.append(contentsOf: "\\n".utf8)
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        bytes.append(contentsOf: "\\u00".utf8)
        bytes.append(digits[Int(byte >> 4)])
        bytes.append(digits[Int(byte & 15)])
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// An element of a column; what JSON has no number for is null.
  static func append(_ column: Column, _ index: Int, to bytes: inout [UInt8]) {
    switch column.values {
    case .int16(let v): append(number: v[index], to: &bytes)
    case .int32(let v): append(number: v[index], to: &bytes)
    case .int64(let v): append(number: v[index], to: &bytes)
    case .float32(let v) where v[index].isFinite: append(number: v[index], to: &bytes)
    case .float64(let v) where v[index].isFinite: append(number: v[index], to: &bytes)
    case .float32, .float64: bytes.append(contentsOf: "null".utf8)
    case .bool(let v): bytes.append(contentsOf: (v[index] ? "true" : "false").utf8)
    case .string(let v): append(v[index], to: &bytes)
    // No output is of bytes.
    case .bytes: bytes.append(contentsOf: "null".utf8)
    }
  }

  /// The shortest digits that read back as the same value.
  static func append(number: some CustomStringConvertible, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: number.description.utf8)
  }

  /// A comma, unless something was opened or named just before.
  private static func separate(_ bytes: inout [UInt8]) {
    guard let last = bytes.last else { return }
    if ![UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"), UInt8(ascii: ",")].contains(last)
    {
      bytes.append(UInt8(ascii: ","))
    }
  }
}
