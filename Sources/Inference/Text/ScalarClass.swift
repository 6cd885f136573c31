/// What tokenisers ask of a character, one bit each.
///
/// The classes are those of the `tokenizers` library, whose tables are of several versions of Unicode:
/// its answer, and not the newest one, is what a model was trained with.
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt16

  /// What BERT's cleaning removes: controls, formats and private characters of Unicode 8.
  static let unclean = ScalarClass(rawValue: 1 << 0)
  static let space = ScalarClass(rawValue: 1 << 1)
  /// Punctuation of Unicode 8, and every sign of ASCII.
  static let punctuation = ScalarClass(rawValue: 1 << 2)
  /// The blocks that BERT sets apart, one word a character.
  static let ideograph = ScalarClass(rawValue: 1 << 3)
  /// Marks without a width of Unicode 8, which BERT drops as accents.
  static let accent = ScalarClass(rawValue: 1 << 4)
  /// Marks of Unicode 9, which `StripAccents` drops.
  static let mark = ScalarClass(rawValue: 1 << 5)
  /// `\w` of the regular expressions of `Whitespace`.
  static let word = ScalarClass(rawValue: 1 << 6)
  /// `\w` of the regular expressions of `Split`.
  static let patternWord = ScalarClass(rawValue: 1 << 7)
  static let numeric = ScalarClass(rawValue: 1 << 8)
  /// `\p{L}` and `\p{N}` of regular expressions.
  static let letter = ScalarClass(rawValue: 1 << 9)
  static let number = ScalarClass(rawValue: 1 << 10)
  /// Newer than the tables of normal forms (Unicode 9): such a character stays what it is.
  static let young = ScalarClass(rawValue: 1 << 11)
  /// A mark that combines and is no accent: its order among others may change in a normal form.
  static let wanderer = ScalarClass(rawValue: 1 << 12)

  @inline(__always)
  static func of(_ value: UInt32) -> ScalarClass {
    value < table.count ? table.value(Int(value)) : ScalarClass(computing: value)
  }

  private static let table = ClassTable()

  fileprivate init(computing value: UInt32) {
    guard let scalar = Unicode.Scalar(value) else {
      self = []
      return
    }
    let properties = scalar.properties
    let category = properties.generalCategory
    let (major, minor) = properties.age ?? (99, 0)
    let age = major * 10 + minor
    var result: ScalarClass = []
    if properties.isWhitespace { result.insert(.space) }
    switch category {
    case .control, .format, .privateUse: if age <= 80 { result.insert(.unclean) }
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      if age <= 160 { result.insert(.letter) }
    case .decimalNumber, .letterNumber, .otherNumber:
      result.insert(.numeric)
      if age <= 160 { result.insert(.number) }
    case .nonspacingMark, .spacingMark, .enclosingMark:
      if age <= 160 { result.formUnion([.word, .patternWord]) }
      if age <= 90, value != 0x111C9 { result.insert(.mark) }
      if category == .nonspacingMark, age <= 80,
        ![0x1885, 0x1886, 0xA9BD, 0x111C9].contains(value)
      {
        result.insert(.accent)
      }
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      if age <= 80 { result.insert(.punctuation) }
    default: break
    }
    if age <= 160,
      properties.isAlphabetic || category == .decimalNumber || category == .connectorPunctuation
    {
      result.formUnion([.word, .patternWord])
    }
    switch value {
    case 0x09, 0x0A, 0x0D: result.remove(.unclean)
    case 0x24, 0x2B, 0x3C...0x3E, 0x5E, 0x60, 0x7C, 0x7E, 0x166D, 0x111C9:
      result.insert(.punctuation)
    case 0xFFFD: result.insert(.unclean)
    case 0x1734, 0x1171E: result.insert(.accent)
    case 0x1CF2, 0x1CF3: result.insert(.mark)
    case 0xB2, 0xB3, 0xB9, 0xBC...0xBE: result.insert(.patternWord)
    case 0x200C, 0x200D: result.insert(.word)
    // The fifth block begins at U+2B920 in the library, not where Unicode has it.
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      result.insert(.ideograph)
    default: break
    }
    if age > 90 { result.insert(.young) }
    if properties.canonicalCombiningClass != .notReordered, !result.contains(.accent) {
      result.insert(.wanderer)
    }
    self = result
  }

  init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// The classes of the two planes that texts are of, made when first asked for (some milliseconds).
private final class ClassTable: @unchecked Sendable {
  let count = 0x20000
  private let classes: UnsafeMutablePointer<ScalarClass>

  init() {
    classes = .allocate(capacity: count)
    for value in 0..<count {
      (classes + value).initialize(to: ScalarClass(computing: UInt32(value)))
    }
  }

  @inline(__always)
  func value(_ index: Int) -> ScalarClass { classes[index] }
}

/// UTF-8 taken apart and put together, where it is known to be valid.
enum UTF8Bytes {
  /// The character at an index, and its bytes.
  @inline(__always)
  static func scalar(
    _ bytes: UnsafeBufferPointer<UInt8>, _ index: Int
  ) -> (value: UInt32, length: Int) {
    let first = UInt32(bytes[index])
    if first < 0x80 { return (first, 1) }
    func next(_ offset: Int) -> UInt32 { UInt32(bytes[index + offset] & 0x3F) }
    if first < 0xE0 { return ((first & 0x1F) << 6 | next(1), 2) }
    if first < 0xF0 { return ((first & 0x0F) << 12 | next(1) << 6 | next(2), 3) }
    return ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4)
  }

  /// The character that ends before an index, and its bytes.
  @inline(__always)
  static func scalar(
    _ bytes: UnsafeBufferPointer<UInt8>, before index: Int
  ) -> (value: UInt32, length: Int) {
    var start = index - 1
    while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    return scalar(bytes, start)
  }

  @inline(__always)
  static func length(_ first: UInt8) -> Int {
    first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
  }

  @inline(__always)
  static func append(_ value: UInt32, to bytes: inout [UInt8]) {
    if value < 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value))
      return
    }
    func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: value >> shift & 0x3F | 0x80) }
    if value < 0x800 {
      bytes.append(UInt8(truncatingIfNeeded: value >> 6 | 0xC0))
    } else {
      if value < 0x10000 {
        bytes.append(UInt8(truncatingIfNeeded: value >> 12 | 0xE0))
      } else {
        bytes.append(UInt8(truncatingIfNeeded: value >> 18 | 0xF0))
        bytes.append(tail(12))
      }
      bytes.append(tail(6))
    }
    bytes.append(tail(0))
  }
}
