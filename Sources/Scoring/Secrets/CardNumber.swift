/// Numbers of payment cards: of a brand's length and beginning, right in their last digit, and in one piece or in
/// the groups that are printed on cards.
enum CardNumber {
  private static let groups: [[Int]] = [[4, 4, 4, 4, 3], [4, 4, 4, 4], [4, 6, 5], [4, 6, 4]]

  /// The number whose first digit is at the index.
  static func range(in bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Range<Int>? {
    let before = index == 0 ? 0x20 : bytes[index - 1]
    // Part of a hash, of a longer number, or of digits behind a point.
    let isFraction = before == UInt8(ascii: ".") && index > 1 && bytes[index - 2].isDigit
    guard !before.isAlphanumeric, !isFraction else { return nil }
    var end = index
    while end < bytes.count, bytes[end].isDigit, end - index <= 19 { end += 1 }
    guard end - index == 4 else {
      guard (13...19).contains(end - index), isEnd(end, in: bytes),
        isCard(bytes[index..<end].map { $0 - UInt8(ascii: "0") })
      else { return nil }
      return index..<end
    }
    guard end < bytes.count else { return nil }
    let separator = bytes[end]
    guard separator == 0x20 || separator == UInt8(ascii: "-") else { return nil }
    // Of a longer number in groups.
    if separator == UInt8(ascii: "-"), before == separator { return nil }
    for sizes in groups {
      if let end = grouped(in: bytes, at: index, sizes, separator) { return index..<end }
    }
    return nil
  }

  private static func grouped(
    in bytes: UnsafeBufferPointer<UInt8>, at start: Int, _ sizes: [Int], _ separator: UInt8
  ) -> Int? {
    var digits: [UInt8] = []
    var index = start
    for (place, size) in sizes.enumerated() {
      if place > 0 {
        guard index < bytes.count, bytes[index] == separator else { return nil }
        index += 1
      }
      guard index + size <= bytes.count else { return nil }
      for byte in bytes[index..<index + size] {
        guard byte.isDigit else { return nil }
        digits.append(byte - UInt8(ascii: "0"))
      }
      index += size
    }
    guard isEnd(index, in: bytes), isCard(digits) else { return nil }
    let goesOn =
      separator == UInt8(ascii: "-") && index + 1 < bytes.count && bytes[index] == separator
      && bytes[index + 1].isAlphanumeric
    return goesOn ? nil : index
  }

  /// Whether a number may end before the index.
  private static func isEnd(_ index: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard index < bytes.count else { return true }
    if bytes[index].isAlphanumeric { return false }
    // The point of a fraction, not of a sentence.
    return bytes[index] != UInt8(ascii: ".") || index + 1 == bytes.count
      || !bytes[index + 1].isDigit
  }

  /// Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay and Maestro.
  private static func isCard(_ digits: [UInt8]) -> Bool {
    let first = digits.prefix(4).reduce(0) { $0 * 10 + Int($1) }
    let isOfBrand =
      switch (first, digits.count) {
      case (4000...4999, 13), (4000...4999, 16), (4000...4999, 19): true
      case (5100...5599, 16), (2221...2720, 16): true
      case (3400...3499, 15), (3700...3799, 15): true
      case (3000...3059, 14), (3600...3699, 14), (3800...3999, 14): true
      case (6011, 16), (6440...6599, 16), (6011, 19), (6440...6599, 19): true
      case (3528...3589, 16...19): true
      case (6200...6299, 16...19): true
      case (5018, 16...19), (5020, 16...19), (5038, 16...19), (6304, 16...19): true
      case (6759, 16...19), (6761...6763, 16...19): true
      default: false
      }
    return isOfBrand && hasRightCheckDigit(digits)
  }

  /// ISO/IEC 7812's sum: every second digit from the right doubled.
  private static func hasRightCheckDigit(_ digits: [UInt8]) -> Bool {
    let sum = digits.reversed().enumerated().reduce(0) { sum, entry in
      let digit = Int(entry.element)
      guard entry.offset % 2 == 1 else { return sum + digit }
      return sum + (digit > 4 ? 2 * digit - 9 : 2 * digit)
    }
    return sum % 10 == 0
  }
}
