/// HTML. What a literal says is markup, what is put into it is text: it is escaped, wherever it stands.
///
/// Attributes are quoted in the literal. A template engine would be one more dependency and find a mistyped
/// name when the page is asked for; here the compiler does, and there is no way to put text in unescaped.
struct Markup: Sendable, ExpressibleByStringInterpolation {
  fileprivate(set) var html: String

  init(stringLiteral value: String) { html = value }
  init(stringInterpolation parts: Interpolation) { html = parts.html }

  struct Interpolation: StringInterpolationProtocol {
    fileprivate var html = ""

    init(literalCapacity: Int, interpolationCount: Int) {
      html.reserveCapacity(literalCapacity + 24 * interpolationCount)
    }

    mutating func appendLiteral(_ literal: String) { html += literal }

    mutating func appendInterpolation(_ text: some StringProtocol) {
      Markup.escape(text, into: &html)
    }
    mutating func appendInterpolation(_ number: some BinaryInteger) { html += String(number) }
    mutating func appendInterpolation(_ markup: Markup) { html += markup.html }
    mutating func appendInterpolation(_ markup: Markup?) { html += markup?.html ?? "" }
    mutating func appendInterpolation(_ parts: [Markup]) { for part in parts { html += part.html } }

    /// A part of a path, or a value of a query.
    mutating func appendInterpolation(part text: String) {
      html += Markup.percentEncoded(text)
    }

    mutating func appendInterpolation(if condition: Bool, _ markup: @autoclosure () -> Markup) {
      if condition { html += markup().html }
    }
  }

  var isEmpty: Bool { html.isEmpty }

  static func += (left: inout Markup, right: Markup) { left.html += right.html }

  private static func escape(_ text: some StringProtocol, into html: inout String) {
    for character in text.unicodeScalars {
      switch character {
      case "&": html += "&amp;"
      case "<": html += "&lt;"
      case ">": html += "&gt;"
      case "\"": html += "&quot;"
      case "'": html += "&#39;"
      // Neither is text in HTML, and the first would end it for some.
      case "\0", "\u{B}", "\u{C}": html += "\u{FFFD}"
      default: html.unicodeScalars.append(character)
      }
    }
  }

  static func percentEncoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return result
  }
}
