/// A regular expression as it is written.
indirect enum PatternTree: Sendable {
  case empty
  case set(CodePointSet)
  case assertion(TextPattern.Assertion)
  case sequence([PatternTree])
  case choice([PatternTree])
  /// At least and at most so many times; without an end where `most` is nil.
  case repetition(PatternTree, least: Int, most: Int?)
}

/// What is wrong with a regular expression.
struct PatternError: Error {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// Reads RE2's syntax. A match is the longest, so that a lazy repetition is like a greedy one.
struct PatternParser {
  private static let mostDepth = 200
  private static let mostRepetitions = 1000

  private struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotMatchesNewline = false
    var isUnicode = false
  }

  private let text: [Unicode.Scalar]
  private var at = 0
  private var flags = Flags()
  private var depth = 0

  init(_ text: String) { self.text = Array(text.unicodeScalars) }

  mutating func parse() throws(PatternError) -> PatternTree {
    let tree = try choice()
    guard at == text.count else { throw PatternError("unexpected \")\"") }
    return tree
  }

  private var next: Unicode.Scalar? { at < text.count ? text[at] : nil }

  private mutating func skip(_ wanted: String) -> Bool {
    let scalars = Array(wanted.unicodeScalars)
    guard at + scalars.count <= text.count, Array(text[at..<(at + scalars.count)]) == scalars
    else { return false }
    at += scalars.count
    return true
  }

  private mutating func choice() throws(PatternError) -> PatternTree {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.mostDepth else { throw PatternError("groups are nested too deeply") }
    var parts = [try sequence()]
    while skip("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private mutating func sequence() throws(PatternError) -> PatternTree {
    var parts: [PatternTree] = []
    while let character = next, character != "|", character != ")" {
      let part = try atom()
      parts.append(try repeated(part))
    }
    return parts.count == 1 ? parts[0] : (parts.isEmpty ? .empty : .sequence(parts))
  }

  private mutating func repeated(_ part: PatternTree) throws(PatternError) -> PatternTree {
    var part = part
    while let character = next {
      let bounds: (least: Int, most: Int?)
      switch character {
      case "*": bounds = (0, nil)
      case "+": bounds = (1, nil)
      case "?": bounds = (0, 1)
      case "{":
        guard let found = try braces() else { return part }
        bounds = found
        at -= 1
      default: return part
      }
      at += 1
      _ = skip("?")
      part = .repetition(part, least: bounds.least, most: bounds.most)
    }
    return part
  }

  /// `{n}`, `{n,}` or `{n,m}`; nil where the brace is a character like others.
  private mutating func braces() throws(PatternError) -> (least: Int, most: Int?)? {
    let start = at
    at += 1
    guard let least = number() else {
      at = start
      return nil
    }
    var most: Int? = least
    if skip(",") { most = number() }
    guard skip("}") else {
      at = start
      return nil
    }
    guard least <= Self.mostRepetitions, most ?? 0 <= Self.mostRepetitions,
      most.map({ $0 >= least }) ?? true
    else { throw PatternError("a repetition of \(least) to \(most.map(String.init) ?? "any")") }
    return (least, most)
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let character = next, ("0"..."9").contains(character), value ?? 0 < 100_000 {
      value = (value ?? 0) * 10 + Int(character.value - 0x30)
      at += 1
    }
    return value
  }

  private mutating func atom() throws(PatternError) -> PatternTree {
    let character = text[at]
    switch character {
    case "(": return try group()
    case "[": return try .set(cased(bracket()))
    case ".":
      at += 1
      return .set(
        flags.dotMatchesNewline ? CodePointSet.all : CodePointSet("\n"..."\n").inverted)
    case "^":
      at += 1
      return .assertion(flags.isMultiline ? .lineStart : .textStart)
    case "$":
      at += 1
      return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
    case "*", "+", "?": throw PatternError("nothing to repeat before \"\(character)\"")
    case "\\": return try escape()
    default:
      at += 1
      return .set(cased(CodePointSet(character...character)))
    }
  }

  private func cased(_ set: CodePointSet) -> CodePointSet {
    flags.ignoresCase ? set.ignoringCase : set
  }

  private mutating func group() throws(PatternError) -> PatternTree {
    at += 1
    let before = flags
    if skip("?") {
      if skip("P<") || skip("<") {
        guard next != "=", next != "!" else {
          throw PatternError("looking behind is not supported")
        }
        while let character = next, character != ">" {
          guard CodePointSet.word.contains(character) else {
            throw PatternError("a group's name is not a word")
          }
          at += 1
        }
        guard skip(">") else { throw PatternError("a group's name does not end") }
      } else if try readFlags() {
        return .empty
      }
    }
    let tree = try choice()
    guard skip(")") else { throw PatternError("a group does not end") }
    flags = before
    return tree
  }

  /// Reads flags up to `:`, or up to `)`: then they count until the group around ends.
  private mutating func readFlags() throws(PatternError) -> Bool {
    var value = true
    while let character = next {
      at += 1
      switch character {
      case "i": flags.ignoresCase = value
      case "m": flags.isMultiline = value
      case "s": flags.dotMatchesNewline = value
      case "u": flags.isUnicode = value
      case "U": break
      case "-": value = false
      case ":": return false
      case ")": return true
      default: throw PatternError("group \"(?\(character)\" is not supported")
      }
    }
    throw PatternError("a group does not end")
  }

  private mutating func escape() throws(PatternError) -> PatternTree {
    at += 1
    guard let character = next else { throw PatternError("a backslash ends the expression") }
    switch character {
    case "b", "B":
      at += 1
      return .assertion(
        .wordBoundary(isUnicode: flags.isUnicode, isNegated: character == "B"))
    case "A":
      at += 1
      return .assertion(.textStart)
    case "z":
      at += 1
      return .assertion(.textEnd)
    case "Q":
      at += 1
      var parts: [PatternTree] = []
      while at < text.count, !skip("\\E") {
        parts.append(.set(cased(CodePointSet(text[at]...text[at]))))
        at += 1
      }
      return .sequence(parts)
    default:
      if let set = try namedSet() { return .set(set) }
      let scalar = try escapedCharacter()
      return .set(cased(CodePointSet(scalar...scalar)))
    }
  }

  /// The set that a letter after a backslash names; nil where it names a character.
  private mutating func namedSet() throws(PatternError) -> CodePointSet? {
    guard let character = next else { return nil }
    let set: CodePointSet
    switch character {
    case "w", "W": set = flags.isUnicode ? .unicodeWord : .word
    case "d", "D": set = flags.isUnicode ? .unicodeDigit : .digit
    case "s", "S": set = flags.isUnicode ? .unicodeSpace : .space
    case "p", "P":
      at += 1
      var name = ""
      if skip("{") {
        while let letter = next, letter != "}" {
          name.unicodeScalars.append(letter)
          at += 1
        }
      } else if let letter = next {
        name.unicodeScalars.append(letter)
      }
      guard at < text.count else { throw PatternError("a class of Unicode has no name") }
      at += 1
      let isNegated = name.hasPrefix("^")
      guard let found = CodePointSet.unicode(isNegated ? String(name.dropFirst()) : name) else {
        throw PatternError("class \"\\p{\(name)}\" is not supported")
      }
      return (character == "P") != isNegated ? found.inverted : found
    default: return nil
    }
    at += 1
    return character.value < 0x60 ? set.inverted : set
  }

  private mutating func escapedCharacter() throws(PatternError) -> Unicode.Scalar {
    guard let character = next else { throw PatternError("a backslash ends the expression") }
    at += 1
    switch character {
    case "a": return "\u{7}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "v": return "\u{B}"
    case "x": return try hexadecimal()
    case "0":
      var value: UInt32 = 0
      for _ in 0..<2 {
        guard let digit = next, ("0"..."7").contains(digit) else { break }
        value = value * 8 + digit.value - 0x30
        at += 1
      }
      return Unicode.Scalar(value) ?? "\0"
    default:
      guard character.value < 0x80, !CodePointSet.word.contains(character) || character == "_"
      else { throw PatternError("escape \"\\\(character)\" is not supported") }
      return character
    }
  }

  private mutating func hexadecimal() throws(PatternError) -> Unicode.Scalar {
    let isBraced = skip("{")
    var digits = ""
    while let digit = next, digits.count < (isBraced ? 6 : 2), digit.properties.isASCIIHexDigit {
      digits.unicodeScalars.append(digit)
      at += 1
    }
    guard !isBraced || skip("}"), isBraced || digits.count == 2,
      let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value)
    else { throw PatternError("a character's number is not hexadecimal") }
    return scalar
  }

  private mutating func bracket() throws(PatternError) -> CodePointSet {
    at += 1
    let isNegated = skip("^")
    var set = CodePointSet()
    var isFirst = true
    while isFirst || next != "]" {
      guard let character = next else { throw PatternError("a class does not end") }
      isFirst = false
      if skip("[:") {
        let excludes = skip("^")
        var name = ""
        while let letter = next, letter != ":" {
          name.unicodeScalars.append(letter)
          at += 1
        }
        guard skip(":]"), let found = CodePointSet.posix(name) else {
          throw PatternError("class \"[:\(name):]\" is not supported")
        }
        set.insert(excludes ? found.inverted : found)
        continue
      }
      if character == "\\" {
        at += 1
        if let named = try namedSet() {
          set.insert(named)
          continue
        }
        at -= 1
      }
      let first = try bracketCharacter()
      guard next == "-", at + 1 < text.count, text[at + 1] != "]" else {
        set.insert(first...first)
        continue
      }
      at += 1
      let last = try bracketCharacter()
      guard first <= last else { throw PatternError("a range of characters ends before it begins") }
      set.insert(first...last)
    }
    at += 1
    return isNegated ? cased(set).inverted : set
  }

  private mutating func bracketCharacter() throws(PatternError) -> Unicode.Scalar {
    guard let character = next else { throw PatternError("a class does not end") }
    at += 1
    return character == "\\" ? try escapedCharacter() : character
  }
}
