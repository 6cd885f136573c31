extension Query {
  /// A statement that takes no parameters, as COPY does: its `$1`, `$2`, … are replaced by
  /// literals, which libpq quotes when it is run.
  ///
  /// - Parameter literals: nil is NULL. One for each number that the text has.
  public init(inlining literals: [String?], into text: String) {
    var scanner = ParameterScanner(text)
    var segments: [Segment] = []
    while let piece = scanner.next() {
      segments.append(.text(piece.text))
      if let number = piece.parameter { segments.append(.literal(literals[number - 1])) }
    }
    self.init(segments: segments)
  }
}

/// Finds the parameters of a statement: not in quotes, names or comments.
private struct ParameterScanner {
  private let bytes: [UInt8]
  private var place = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  private func at(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

  /// The text up to the next parameter, and its number; nil at the end.
  mutating func next() -> (text: String, parameter: Int?)? {
    guard place < bytes.count else { return nil }
    let start = place
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "'"):
        let isEscaped =
          place > 0 && bytes[place - 1] | 0x20 == UInt8(ascii: "e")
          && (place < 2 || !Self.isName(bytes[place - 2]))
        skip(UInt8(ascii: "'"), backslashes: isEscaped)
      case UInt8(ascii: "\""): skip(UInt8(ascii: "\""), backslashes: false)
      case UInt8(ascii: "-") where at(place + 1) == UInt8(ascii: "-"):
        while place < bytes.count, bytes[place] != UInt8(ascii: "\n") { place += 1 }
      case UInt8(ascii: "/") where at(place + 1) == UInt8(ascii: "*"): skipComment()
      case UInt8(ascii: "$") where Self.isDigit(at(place + 1)):
        let text = String(decoding: bytes[start..<place], as: UTF8.self)
        place += 1
        var number = 0
        while Self.isDigit(at(place)) {
          number = number * 10 + Int(bytes[place] - UInt8(ascii: "0"))
          place += 1
        }
        return (text, number)
      case UInt8(ascii: "$"): skipDollars()
      case let byte where Self.isName(byte):
        // A name may hold dollars and digits.
        while Self.isName(at(place)) || at(place) == UInt8(ascii: "$") { place += 1 }
      default: place += 1
      }
    }
    return (String(decoding: bytes[start...], as: UTF8.self), nil)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isName(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte >= 0x80 || byte == UInt8(ascii: "_")
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  /// Over what is in quotes; a doubled quote ends it and begins it anew.
  private mutating func skip(_ quote: UInt8, backslashes: Bool) {
    place += 1
    while place < bytes.count, bytes[place] != quote {
      place += backslashes && bytes[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    place = min(place + 1, bytes.count)
  }

  private mutating func skipComment() {
    var depth = 0
    while place < bytes.count {
      if at(place) == UInt8(ascii: "/"), at(place + 1) == UInt8(ascii: "*") {
        (depth, place) = (depth + 1, place + 2)
      } else if at(place) == UInt8(ascii: "*"), at(place + 1) == UInt8(ascii: "/") {
        (depth, place) = (depth - 1, place + 2)
        if depth == 0 { return }
      } else {
        place += 1
      }
    }
  }

  private mutating func skipDollars() {
    var end = place + 1
    while Self.isName(at(end)) { end += 1 }
    guard at(end) == UInt8(ascii: "$") else {
      place += 1
      return
    }
    let mark = bytes[place...end]
    place = end + 1
    while place < bytes.count, !bytes[place...].starts(with: mark) { place += 1 }
    place = min(place + mark.count, bytes.count)
  }
}
