/// The expressions by which GPT-2 and its successors cut a text into words.
struct WordScanner: Sendable {
  /// In which letters of `'s`, `'ll` and the like are told.
  private let ignoresCase: Bool
  /// Whether a sign may lead letters, where else a space alone may.
  private let signLeads: Bool
  /// Digits of a piece at most; without a space before them. Nil: any number, a space may lead.
  private let mostDigits: Int?
  /// Whether line ends follow signs, and end a run of white space.
  private let endsLines: Bool

  static let gpt2 = WordScanner(
    ignoresCase: false, signLeads: false, mostDigits: nil, endsLines: false)

  private init(ignoresCase: Bool, signLeads: Bool, mostDigits: Int?, endsLines: Bool) {
    (self.ignoresCase, self.signLeads) = (ignoresCase, signLeads)
    (self.mostDigits, self.endsLines) = (mostDigits, endsLines)
  }

  /// The scanner of an expression as published; nil where it is another.
  init?(expression: String) {
    let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    func later(_ digits: String) -> String {
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
    switch expression {
    case gpt2: self = .gpt2
    case later(#"\p{N}{1,3}"#):
      self.init(ignoresCase: true, signLeads: true, mostDigits: 3, endsLines: true)
    case later(#"\p{N}"#):
      self.init(ignoresCase: true, signLeads: true, mostDigits: 1, endsLines: true)
    default: return nil
    }
  }

  @inline(__always)
  private func kind(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> (ScalarClass, Int) {
    let (value, length) = UTF8Bytes.scalar(text, index)
    return (ScalarClass.of(value), length)
  }

  @inline(__always)
  private func run(
    _ text: UnsafeBufferPointer<UInt8>, _ start: Int, most: Int = .max,
    while holds: (ScalarClass) -> Bool
  ) -> Int {
    var (index, count) = (start, 0)
    while index < text.count, count < most {
      let (kind, length) = kind(text, index)
      guard holds(kind) else { break }
      index += length
      count += 1
    }
    return index
  }

  @inline(__always)
  private func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

  /// Where the match that begins at an index ends; the alternatives are tried in their order.
  @inline(__always)
  func end(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    if text[start] == 0x27, let end = contraction(text, start) { return end }
    let (first, length) = kind(text, start)
    if first.contains(.letter) { return run(text, start) { $0.contains(.letter) } }
    let next = start + length
    let second = next < text.count ? kind(text, next).0 : []
    let isSpace = text[start] == 0x20
    if signLeads, !isLineEnd(text[start]), !first.contains(.number), second.contains(.letter) {
      return run(text, next) { $0.contains(.letter) }
    }
    if !signLeads, isSpace, second.contains(.letter) {
      return run(text, next) { $0.contains(.letter) }
    }
    if first.contains(.number) {
      return run(text, start, most: mostDigits ?? .max) { $0.contains(.number) }
    }
    if mostDigits == nil, isSpace, second.contains(.number) {
      return run(text, next) { $0.contains(.number) }
    }
    let isSign = { (kind: ScalarClass) in kind.isDisjoint(with: [.space, .letter, .number]) }
    if isSign(first) || isSpace && next < text.count && isSign(second) {
      var end = run(text, isSpace ? next : start, while: isSign)
      while endsLines, end < text.count, isLineEnd(text[end]) { end += 1 }
      return end
    }
    return space(text, start)
  }

  /// White space: up to its last line end, or less its last character where a word follows.
  @inline(__always)
  private func space(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    var (index, last, lineEnd) = (start, start, start)
    while index < text.count {
      let (kind, length) = kind(text, index)
      guard kind.contains(.space) else { break }
      last = index
      index += length
      if endsLines, isLineEnd(text[index - 1]) { lineEnd = index }
    }
    if lineEnd > start { return lineEnd }
    return index == text.count || last == start ? index : last
  }

  private func contraction(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
    func letter(_ offset: Int) -> UInt8 {
      guard start + offset < text.count else { return 0 }
      let byte = text[start + offset]
      return ignoresCase && byte &- 0x41 < 26 ? byte | 0x20 : byte
    }
    switch (letter(1), letter(2)) {
    case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _),
      (UInt8(ascii: "d"), _):
      return start + 2
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    // The long s is an s in another case.
    case (0xC5, 0xBF) where ignoresCase: return start + 3
    default: return nil
    }
  }
}
