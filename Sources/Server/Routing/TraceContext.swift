internal import HTTPTypes

/// Where a request is in a trace, as the W3C's Trace Context has it: in that of its `traceparent`, or in a new one
/// where the field is none.
package struct TraceContext: Sendable, Equatable {
  /// 32 hexadecimal digits.
  package let traceID: String
  /// The caller's span, 16 digits; nil where the trace begins here.
  package let parentID: String?
  /// This request's own, of which the caller is told.
  package let spanID: String
  /// Whether the caller keeps what it hears of the trace; nothing else is made of it.
  package let isSampled: Bool

  /// - Parameter field: `traceparent`; several of them, joined by commas, are none.
  /// - Returns: nil without the field: such a request is known by its own id alone.
  package init?(_ field: String?) {
    guard let field else { return nil }
    spanID = Self.digits(16)
    guard let parent = Self.parse(field) else {
      (traceID, parentID, isSampled) = (Self.digits(32), nil, false)
      return
    }
    (traceID, parentID, isSampled) = (parent.trace, parent.span, parent.isSampled)
  }

  /// `traceresponse`, by which a caller finds the span.
  package var response: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

  /// `<version>-<trace>-<span>-<flags>`; later versions may have more behind that.
  private static func parse(_ field: String) -> (trace: String, span: String, isSampled: Bool)? {
    let parts = field.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, zip(parts, [2, 32, 16, 2]).allSatisfy({ $0.utf8.count == $1 }),
      parts[..<4].allSatisfy({ $0.utf8.allSatisfy(isDigit) }), parts[0] != "ff",
      parts.count == 4 || parts[0] != "00", parts[1].contains(where: { $0 != "0" }),
      parts[2].contains(where: { $0 != "0" }), let flags = UInt8(parts[3], radix: 16)
    else { return nil }
    return (String(parts[1]), String(parts[2]), flags & 1 == 1)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }

  /// As many random digits, a multiple of 16, not all of them zero.
  private static func digits(_ count: Int) -> String {
    var text = ""
    while text.utf8.count < count {
      let part = String(UInt64.random(in: 1...(.max)), radix: 16)
      text += String(repeating: "0", count: 16 - part.utf8.count) + part
    }
    return text
  }
}

extension HTTPField.Name {
  static let traceParent = HTTPField.Name("traceparent")!
  static let traceResponse = HTTPField.Name("traceresponse")!
}
