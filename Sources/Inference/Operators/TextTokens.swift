internal import CKernels

/// How a text is cut into tokens.
struct TextCutter: Sendable {
  enum Rule: Sendable {
    /// Each character is a token.
    case characters
    /// What an expression matches is a token.
    case tokens(TextPattern)
    /// What stands between matches of expressions is a token; each cuts what those before it left.
    case separators([TextPattern])
    /// Runs of characters of a class, as long as they are, are tokens.
    case runs(CodePointSet, least: Int)
  }

  let rule: Rule
  /// Tokens of fewer characters are left out.
  let least: Int

  init(_ rule: Rule, least: Int) {
    if case .tokens(let pattern) = rule, let (set, length) = pattern.tree.run {
      self.rule = .runs(set, least: length)
    } else {
      self.rule = rule
    }
    self.least = least
  }

  /// The memory of the rule's expressions, kept from one text to the next.
  struct Memory {
    fileprivate var matchers: [TextPattern.Matcher]

    /// True where the last text was given up: an expression that starts over many times takes time
    /// that grows with the square of the text.
    var isExhausted: Bool { matchers.contains { $0.isExhausted } }

    /// Begins a text.
    fileprivate mutating func reset() {
      for index in matchers.indices { matchers[index].reset() }
    }

    init(_ cutter: TextCutter) {
      switch cutter.rule {
      case .characters, .runs: matchers = []
      case .tokens(let pattern): matchers = [TextPattern.Matcher(pattern)]
      case .separators(let patterns): matchers = patterns.map(TextPattern.Matcher.init)
      }
    }
  }

  /// Calls `body` with the bytes of each token, in order.
  func forEachToken(
    in text: UnsafeBufferPointer<UInt8>, _ memory: inout Memory, _ body: (Range<Int>) -> Void
  ) {
    memory.reset()
    switch rule {
    case .characters:
      var at = 0
      while at < text.count {
        let start = at
        _ = text.scalar(at: &at)
        body(start..<at)
      }
    case .runs(let set, _): runs(of: set, text, body)
    case .tokens(let pattern): matches(of: pattern, text, &memory.matchers[0], body)
    case .separators(let patterns): split(text, patterns, &memory, body)
    }
  }

  private func runs(
    of set: CodePointSet, _ text: UnsafeBufferPointer<UInt8>,
    _ body: (Range<Int>) -> Void
  ) {
    let least = leastOfRuns
    var at = 0
    while at < text.count {
      var (start, end, characters) = (at, at, 0)
      while at < text.count {
        start = characters == 0 ? at : start
        let isMember = set.contains(text.scalar(at: &at))
        if isMember {
          characters += 1
          end = at
        } else if characters > 0 {
          break
        }
      }
      if characters > 0, characters >= least { body(start..<end) }
    }
  }

  private func matches(
    of pattern: TextPattern, _ text: UnsafeBufferPointer<UInt8>,
    _ matcher: inout TextPattern.Matcher, _ body: (Range<Int>) -> Void
  ) {
    var at = 0
    while at <= text.count, let match = pattern.firstMatch(in: text, from: at, &matcher) {
      if !match.isEmpty, text.characterCount(match) >= least {
        body(match)
        at = match.upperBound
      } else {
        // One character on: a shorter match may begin inside of this one.
        at = match.lowerBound
        guard at < text.count else { return }
        _ = text.scalar(at: &at)
      }
    }
  }

  private func split(
    _ text: UnsafeBufferPointer<UInt8>, _ patterns: [TextPattern], _ memory: inout Memory,
    _ body: (Range<Int>) -> Void
  ) {
    var parts = [0..<text.count]
    for (index, pattern) in patterns.enumerated() {
      var next: [Range<Int>] = []
      for part in parts {
        let piece = UnsafeBufferPointer(rebasing: text[part])
        var (start, at) = (0, 0)
        func keep(_ end: Int) {
          guard end > start, piece.characterCount(start..<end) >= least else { return }
          next.append((part.lowerBound + start)..<(part.lowerBound + end))
        }
        while at < piece.count,
          let match = pattern.firstMatch(in: piece, from: at, &memory.matchers[index])
        {
          if match.isEmpty {
            at = match.lowerBound
            guard at < piece.count else { break }
            _ = piece.scalar(at: &at)
            continue
          }
          keep(match.lowerBound)
          (start, at) = (match.upperBound, match.upperBound)
        }
        keep(piece.count)
      }
      parts = next
    }
    for part in parts { body(part) }
  }

  /// The least length of a token that is a run of a class.
  var leastOfRuns: Int {
    if case .runs(_, let length) = rule { max(least, length) } else { least }
  }

  /// Bytes as `ck_tokens_of_class` takes them, for a text whose case is changed on the way; nil where
  /// texts must be read character by character.
  func bytesOfClass(_ change: TextCase) -> [UInt8]? {
    guard case .runs(let set, _) = rule, change.action != .upper, !change.isTurkic else {
      return nil
    }
    var map = Array(repeating: UInt8(CK_TEXT_UNICODE), count: 256)
    for value in UInt8(0)..<0x80 {
      let lowered = change.action == .lower && (0x41...0x5A).contains(value) ? value + 0x20 : value
      map[Int(value)] = set.contains(Unicode.Scalar(lowered)) ? lowered : 0
    }
    // The smallest numbers have a meaning of their own.
    guard map[...Int(CK_TEXT_MAY_FOLD)].allSatisfy({ $0 == 0 }) else { return nil }
    guard set.isASCII else { return map }
    // No other character is in the class, nor becomes one that is, but for "İ" and the Kelvin sign.
    for value in 0x80...0xFF { map[value] = 0 }
    if change.action == .lower { (map[0xC4], map[0xE2]) = (2, 2) }
    return map
  }
}

extension PatternTree {
  /// The class and the least length where the expression matches runs of a class, as long as they are.
  fileprivate var run: (CodePointSet, Int)? {
    switch self {
    case .repetition(.set(let set), let least, nil): return (set, max(least, 1))
    case .sequence(var parts):
      // Where a run of word characters ends there is a boundary anyway.
      var boundary: Bool?
      for isFirst in [true, false] {
        let part = isFirst ? parts.first : parts.last
        guard case .assertion(.wordBoundary(let isUnicode, isNegated: false))? = part else {
          continue
        }
        if boundary.map({ $0 != isUnicode }) ?? false { return nil }
        boundary = isUnicode
        if isFirst { parts.removeFirst() } else { parts.removeLast() }
      }
      guard case .repetition(.set(let set), let least, nil)? = parts.last else { return nil }
      if let boundary, !set.isSame(as: boundary ? .unicodeWord : .word) { return nil }
      for part in parts.dropLast() {
        guard case .set(let other) = part, other.isSame(as: set) else { return nil }
      }
      let length = parts.count - 1 + least
      return length > 0 ? (set, length) : nil
    default: return nil
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Characters in a range of valid UTF-8.
  func characterCount(_ range: Range<Int>) -> Int {
    var count = 0
    for at in range where self[at] & 0xC0 != 0x80 { count += 1 }
    return count
  }
}
