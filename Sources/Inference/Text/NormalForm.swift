internal import Foundation

/// A normal form of Unicode 9, as the library's tables have it: what is newer stays as it is.
enum NormalForm: Sendable {
  case nfc, nfd, nfkc, nfkd

  private var composes: Bool { self == .nfc || self == .nfkc }
  private var isCanonical: Bool { self == .nfc || self == .nfd }

  /// Up to here each character is its own form, whatever its neighbours are.
  private var plain: UInt32 {
    switch self {
    case .nfc: 0x300
    case .nfd: 0xC0
    case .nfkc, .nfkd: 0xA0
    }
  }

  func apply(_ text: [UInt8], into output: inout [UInt8]) {
    text.withUnsafeBufferPointer { text in
      var index = 0
      let plain = plain
      while index < text.count, UTF8Bytes.scalar(text, index).value < plain {
        index += UTF8Bytes.length(text[index])
      }
      guard index < text.count else {
        output.append(contentsOf: text)
        return
      }
      var parts: [(value: UInt32, order: UInt8)] = []
      parts.reserveCapacity(text.count)
      index = 0
      while index < text.count {
        let (value, length) = UTF8Bytes.scalar(text, index)
        forEachPart(value) { parts.append(($0, Self.order($0))) }
        index += length
      }
      Self.sort(&parts)
      if composes { Self.compose(&parts) }
      for part in parts { UTF8Bytes.append(part.value, to: &output) }
    }
  }

  // MARK: Parts

  /// What a character is made of in the end, in canonical order.
  @inline(__always)
  func forEachPart(_ value: UInt32, _ body: (UInt32) -> Void) {
    if value < 0xA0 || (0x3400..<0xA000).contains(value) || (0x1F300..<0x1FC00).contains(value) {
      return body(value)
    }
    if value &- 0xAC00 < 11172 {
      // A syllable of Hangul: the standard computes its parts.
      let index = value - 0xAC00
      body(0x1100 + index / 588)
      body(0x1161 + index % 588 / 28)
      if index % 28 != 0 { body(0x11A7 + index % 28) }
      return
    }
    if value < 0x3400 {
      let table = isCanonical ? Self.canonical : Self.compatible
      table[Int(value)].forEach(body)
    } else {
      Self.parts(value, isCanonical: isCanonical).forEach(body)
    }
  }

  /// The alphabets, and the signs that texts have between words, made when first asked for.
  private static let canonical = (0..<0x3400).map { parts(UInt32($0), isCanonical: true) }
  private static let compatible = (0..<0x3400).map { parts(UInt32($0), isCanonical: false) }

  private static func parts(_ value: UInt32, isCanonical: Bool) -> [UInt32] {
    guard let scalar = Unicode.Scalar(value), !ScalarClass.of(value).contains(.young) else {
      return [value]
    }
    let text = String(Character(scalar))
    let parts =
      isCanonical
      ? text.decomposedStringWithCanonicalMapping : text.decomposedStringWithCompatibilityMapping
    return parts.unicodeScalars.map(\.value)
  }

  // MARK: Order

  @inline(__always)
  private static func order(_ value: UInt32) -> UInt8 {
    guard value >= 0x300, let scalar = Unicode.Scalar(value) else { return 0 }
    let kind = ScalarClass.of(value)
    guard !kind.isDisjoint(with: [.accent, .wanderer]), !kind.contains(.young) else { return 0 }
    return scalar.properties.canonicalCombiningClass.rawValue
  }

  /// Brings marks that follow each other into the order of their classes; those of one class stay.
  private static func sort(_ parts: inout [(value: UInt32, order: UInt8)]) {
    var start = 0
    while start < parts.count {
      guard parts[start].order > 0 else {
        start += 1
        continue
      }
      var end = start
      var isSorted = true
      while end < parts.count, parts[end].order > 0 {
        if end > start, parts[end].order < parts[end - 1].order { isSorted = false }
        end += 1
      }
      if !isSorted {
        let sorted = parts[start..<end].enumerated()
          .sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
        for (offset, part) in sorted.enumerated() { parts[start + offset] = part.element }
      }
      start = end
    }
  }

  // MARK: Composition

  /// Characters by the pairs that they are made of.
  private static let pairs: [UInt64: UInt32] = {
    var pairs: [UInt64: UInt32] = [:]
    for value in Array(UInt32(0xC0)..<0x3400) + Array(UInt32(0x11000)..<0x11700) {
      let made = parts(value, isCanonical: true)
      guard made.count > 1, let last = made.last, let scalar = Unicode.Scalar(value) else {
        continue
      }
      let own = String(Character(scalar))
      // Some are never composed.
      guard own.precomposedStringWithCanonicalMapping.unicodeScalars.elementsEqual([scalar]) else {
        continue
      }
      var head = String.UnicodeScalarView()
      head.append(contentsOf: made.dropLast().compactMap(Unicode.Scalar.init))
      let first = String(head).precomposedStringWithCanonicalMapping.unicodeScalars
      guard first.count == 1, let first = first.first else { continue }
      pairs[UInt64(first.value) << 32 | UInt64(last)] = value
    }
    return pairs
  }()

  private static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first &- 0x1100 < 19, second &- 0x1161 < 21 {
      return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
    }
    if first &- 0xAC00 < 11172, (first - 0xAC00) % 28 == 0, second &- 0x11A8 < 27 {
      return first + second - 0x11A7
    }
    return pairs[UInt64(first) << 32 | UInt64(second)]
  }

  private static func compose(_ parts: inout [(value: UInt32, order: UInt8)]) {
    var count = 0
    var starter: Int?
    // The class of what was kept last after the starter; -1 where nothing was.
    var last = -1
    for part in parts {
      if let starter, last < Int(part.order),
        let whole = composed(parts[starter].value, part.value)
      {
        parts[starter].value = whole
        continue
      }
      if part.order == 0 {
        starter = count
        last = -1
      } else {
        last = Int(part.order)
      }
      parts[count] = part
      count += 1
    }
    parts.removeSubrange(count...)
  }
}
