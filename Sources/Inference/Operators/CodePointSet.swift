/// A set of characters: ranges of code points, or what Unicode says of a character.
struct CodePointSet: Sendable {
  typealias Test = @Sendable (Unicode.Scalar) -> Bool

  /// Bit c is set where ASCII character c is in the set.
  private var ascii: (low: UInt64, high: UInt64) = (0, 0)
  /// Ranges beyond ASCII.
  private var ranges: [ClosedRange<UInt32>] = []
  private var tests: [Test] = []
  /// True where the ranges and tests name what is not in the set.
  private var isNegated = false
  /// Sets with the same name are the same.
  private var name: String?

  init() {}

  init(_ ranges: ClosedRange<Unicode.Scalar>...) {
    for range in ranges { insert(range) }
  }

  /// Characters of which a test holds; it is asked once for each character of ASCII.
  init(name: String? = nil, _ test: @escaping Test) {
    insert(test)
    self.name = name
  }

  mutating func insert(_ range: ClosedRange<Unicode.Scalar>) {
    name = nil
    let (first, last) = (range.lowerBound.value, range.upperBound.value)
    for value in first..<max(first, min(last &+ 1, 0x80)) { insertASCII(value) }
    if last >= 0x80 { ranges.append(max(first, 0x80)...last) }
  }

  mutating func insert(_ test: @escaping Test) {
    name = nil
    for value in UInt32(0)..<0x80 {
      if let scalar = Unicode.Scalar(value), test(scalar) { insertASCII(value) }
    }
    tests.append(test)
  }

  mutating func insert(_ other: CodePointSet) {
    name = nil
    ascii = (ascii.low | other.ascii.low, ascii.high | other.ascii.high)
    if other.isNegated || isNegated {
      let (own, all) = (self, other)
      ranges = []
      tests = [{ own.containsBeyondASCII($0) || all.containsBeyondASCII($0) }]
      isNegated = false
    } else {
      ranges += other.ranges
      tests += other.tests
    }
  }

  private mutating func insertASCII(_ value: UInt32) {
    if value < 64 { ascii.low |= 1 << UInt64(value) } else { ascii.high |= 1 << UInt64(value - 64) }
  }

  /// All characters that are not in the set.
  var inverted: CodePointSet {
    var result = self
    result.ascii = (~ascii.low, ~ascii.high)
    result.isNegated.toggle()
    result.name = nil
    return result
  }

  /// True where both are known to hold the same characters.
  func isSame(as other: CodePointSet) -> Bool {
    if let name { return name == other.name }
    return isASCII && other.isASCII && ascii == other.ascii
  }

  /// True where no character beyond ASCII is in the set.
  var isASCII: Bool { ranges.isEmpty && tests.isEmpty && !isNegated }

  @inline(__always)
  func contains(_ scalar: Unicode.Scalar) -> Bool {
    let value = scalar.value
    if value < 64 { return ascii.low >> UInt64(value) & 1 != 0 }
    if value < 128 { return ascii.high >> UInt64(value - 64) & 1 != 0 }
    return containsBeyondASCII(scalar)
  }

  private func containsBeyondASCII(_ scalar: Unicode.Scalar) -> Bool {
    let isNamed =
      ranges.contains { $0.contains(scalar.value) } || tests.contains { $0(scalar) }
    return isNamed != isNegated
  }

  /// The set with each letter in both cases, one for one.
  var ignoringCase: CodePointSet {
    let own = self
    return CodePointSet { scalar in
      own.contains(scalar)
        || Self.single(scalar.properties.lowercaseMapping).map(own.contains) ?? false
        || Self.single(scalar.properties.uppercaseMapping).map(own.contains) ?? false
    }
  }

  private static func single(_ text: String) -> Unicode.Scalar? {
    text.unicodeScalars.count == 1 ? text.unicodeScalars.first : nil
  }
}

// MARK: Sets with names

extension CodePointSet {
  static let all = CodePointSet("\0"..."\u{10FFFF}")
  static let word = CodePointSet("a"..."z", "A"..."Z", "0"..."9", "_"..."_")
  static let digit = CodePointSet("0"..."9")
  static let space = CodePointSet("\t"..."\n", "\u{C}"..."\r", " "..." ")

  /// Python's `\w`: letters, numbers of any kind, and the underscore.
  static let unicodeWord = CodePointSet(name: "\\w") { scalar in
    scalar == "_" || scalar.properties.numericType != nil
      || category("L")?(scalar.properties.generalCategory) ?? false
  }
  /// Python's `\d`.
  static let unicodeDigit = CodePointSet { $0.properties.generalCategory == .decimalNumber }
  /// Python's `\s`.
  static let unicodeSpace = CodePointSet { scalar in
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }

  /// The classes that are written `[:name:]`.
  static func posix(_ name: String) -> CodePointSet? {
    switch name {
    case "alnum": CodePointSet("a"..."z", "A"..."Z", "0"..."9")
    case "alpha": CodePointSet("a"..."z", "A"..."Z")
    case "ascii": CodePointSet("\0"..."\u{7F}")
    case "blank": CodePointSet("\t"..."\t", " "..." ")
    case "cntrl": CodePointSet("\0"..."\u{1F}", "\u{7F}"..."\u{7F}")
    case "digit": digit
    case "graph": CodePointSet("!"..."~")
    case "lower": CodePointSet("a"..."z")
    case "print": CodePointSet(" "..."~")
    case "punct": CodePointSet("!"..."/", ":"..."@", "["..."`", "{"..."~")
    case "space": CodePointSet("\t"..."\r", " "..." ")
    case "upper": CodePointSet("A"..."Z")
    case "word": word
    case "xdigit": CodePointSet("0"..."9", "a"..."f", "A"..."F")
    default: nil
    }
  }

  /// The characters of a general category (`L`, `Lu`, `Nd`, ...), or of all of them (`Any`).
  static func unicode(_ name: String) -> CodePointSet? {
    if name == "Any" { return all }
    guard let test = category(name) else { return nil }
    return CodePointSet { test($0.properties.generalCategory) }
  }

  private static func category(
    _ name: String
  ) -> (@Sendable (Unicode.GeneralCategory) -> Bool)? {
    guard let first = name.first, "LMNPSZC".contains(first), name.count <= 2,
      name.count == 1 || categories.values.contains(name)
    else { return nil }
    return { categories[$0].map { $0 == name || name.count == 1 && $0.first == first } ?? false }
  }

  private static let categories: [Unicode.GeneralCategory: String] = [
    .uppercaseLetter: "Lu", .lowercaseLetter: "Ll", .titlecaseLetter: "Lt",
    .modifierLetter: "Lm", .otherLetter: "Lo", .nonspacingMark: "Mn", .spacingMark: "Mc",
    .enclosingMark: "Me", .decimalNumber: "Nd", .letterNumber: "Nl", .otherNumber: "No",
    .connectorPunctuation: "Pc", .dashPunctuation: "Pd", .openPunctuation: "Ps",
    .closePunctuation: "Pe", .initialPunctuation: "Pi", .finalPunctuation: "Pf",
    .otherPunctuation: "Po", .mathSymbol: "Sm", .currencySymbol: "Sc", .modifierSymbol: "Sk",
    .otherSymbol: "So", .spaceSeparator: "Zs", .lineSeparator: "Zl",
    .paragraphSeparator: "Zp", .control: "Cc", .format: "Cf", .surrogate: "Cs",
    .privateUse: "Co", .unassigned: "Cn",
  ]
}
