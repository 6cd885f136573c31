/// How a text's letters are changed before it is compared or cut.
///
/// Letters map as Unicode has it in full, so one may become several ("İ" becomes "i" and a dot above,
/// "ß" in capitals "SS"), and a sigma that ends a word becomes "ς": as Python's `lower` and `upper`,
/// which made a vectoriser's vocabulary, have it. Turkish and Azerbaijani locales keep the dot of "i".
struct TextCase: Sendable, Equatable {
  enum Action: String, Sendable {
    case lower = "LOWER"
    case upper = "UPPER"
    case none = "NONE"
  }

  let action: Action
  let isTurkic: Bool

  init(_ action: Action, locale: String = "") {
    self.action = action
    let language = locale.prefix { $0 != "_" && $0 != "-" && $0 != "." }
    isTurkic = language == "tr" || language == "az"
  }

  func apply(_ text: String) -> String {
    guard action != .none else { return text }
    var bytes: [UInt8] = []
    text.withBytes { apply($0, into: &bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Puts the changed text into `target`, in place of what it held.
  func apply(_ text: UnsafeBufferPointer<UInt8>, into target: inout [UInt8]) {
    target.removeAll(keepingCapacity: true)
    var at = 0
    while at < text.count {
      let byte = text[at]
      if byte < 0x80, !(isTurkic && (byte == 0x49 || byte == 0x69)) {
        target.append(mapped(byte))
        at += 1
        continue
      }
      let scalar = text.scalar(at: &at)
      if let mapping = mapping(scalar, in: text, after: at) {
        target.append(contentsOf: mapping.utf8)
      } else {
        target.append(contentsOf: text[(at - UTF8.width(scalar))..<at])
      }
    }
  }

  /// The case of a letter of ASCII.
  private func mapped(_ byte: UInt8) -> UInt8 {
    switch action {
    case .lower: (0x41...0x5A).contains(byte) ? byte + 0x20 : byte
    case .upper: (0x61...0x7A).contains(byte) ? byte - 0x20 : byte
    case .none: byte
    }
  }

  /// What becomes of a character; nil where it stays.
  private func mapping(
    _ scalar: Unicode.Scalar, in text: UnsafeBufferPointer<UInt8>, after end: Int
  ) -> String? {
    switch (action, scalar) {
    case (.none, _): nil
    case (.lower, "I") where isTurkic: "\u{131}"
    case (.lower, "\u{130}") where isTurkic: "i"
    case (.upper, "i") where isTurkic: "\u{130}"
    case (.lower, "\u{3A3}"): Self.endsWord(text, end) ? "\u{3C2}" : "\u{3C3}"
    case (.lower, _): scalar.properties.lowercaseMapping
    case (.upper, _): scalar.properties.uppercaseMapping
    }
  }

  /// True where a letter stands before the sigma that ends at `end` and none after it, marks aside.
  private static func endsWord(_ text: UnsafeBufferPointer<UInt8>, _ end: Int) -> Bool {
    var at = end - 2
    var follows = false
    while at > 0 {
      let scalar = text.scalar(before: &at)
      if scalar.properties.isCaseIgnorable { continue }
      follows = scalar.properties.isCased
      break
    }
    guard follows else { return false }
    at = end
    while at < text.count {
      let scalar = text.scalar(at: &at)
      if scalar.properties.isCaseIgnorable { continue }
      return !scalar.properties.isCased
    }
    return true
  }
}

extension UTF8 {
  fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case ..<0x80: 1
    case ..<0x800: 2
    case ..<0x1_0000: 3
    default: 4
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// The character at a place, which moves behind it. The bytes are valid UTF-8, as a String's are.
  @inline(__always)
  func scalar(at place: inout Int) -> Unicode.Scalar {
    let first = UInt32(self[place])
    let width = first < 0x80 ? 1 : (first < 0xE0 ? 2 : (first < 0xF0 ? 3 : 4))
    var value = width == 1 ? first : first & (0xFF >> UInt32(width + 1))
    for next in (place + 1)..<Swift.max(place + width, place + 1) {
      value = value << 6 | UInt32(self[next] & 0x3F)
    }
    place += width
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }

  /// The character before a place, which moves to it.
  func scalar(before place: inout Int) -> Unicode.Scalar {
    place -= 1
    while place > 0, self[place] & 0xC0 == 0x80 { place -= 1 }
    var start = place
    return scalar(at: &start)
  }
}
