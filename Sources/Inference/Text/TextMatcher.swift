/// Finds the places of a text that a pattern of `tokenizer.json` means: a string, a set of characters, or
/// one of the expressions that models of language are published with.
///
/// These expressions need a look ahead, which the engine's own patterns (linear in any text) do not have;
/// each is a scanner of its own here, linear as well.
struct TextMatcher: Sendable {
  private enum Kind: Sendable {
    case text([UInt8])
    /// One character of a set, or as many as follow each other where there are at least so many.
    case set(CodePointSet, run: Int?)
    case words(WordScanner)
  }

  private let kind: Kind

  /// Bytes that a match has at least.
  var leastByteCount: Int { if case .text(let text) = kind { text.count } else { 1 } }

  init(_ member: JSONMember) throws(ModelError) {
    if case .string(let text) = member["String"].value {
      guard !text.isEmpty else { throw member.malformed("is empty") }
      kind = .text(Array(text.utf8))
      return
    }
    let expression = try member["Regex"].string()
    if let scanner = WordScanner(expression: expression) {
      kind = .words(scanner)
    } else if let (set, run) = Self.set(expression) {
      kind = .set(set, run: run)
    } else {
      throw member.unsupported("expression \"\(expression.prefix(200))\"")
    }
  }

  private static func set(_ expression: String) -> (CodePointSet, run: Int?)? {
    var text = Substring(expression)
    var run: Int?
    // What precedes it is no backslash: that would be read as a character of its own below.
    for (suffix, count) in [("+", 1), ("{2,}", 2)] where text.hasSuffix(suffix) {
      guard !text.dropLast(suffix.count).hasSuffix("\\") else { break }
      text.removeLast(suffix.count)
      run = count
      break
    }
    func set(_ bit: ScalarClass, inverted: Bool = false) -> CodePointSet {
      CodePointSet { ScalarClass.of($0.value).contains(bit) != inverted }
    }
    switch text {
    case "\\s", "[\\s]", "\\p{White_Space}": return (set(.space), run)
    case "\\S", "[^\\s]": return (set(.space, inverted: true), run)
    case "\\w", "[\\w]": return (set(.patternWord), run)
    case "\\W", "[^\\w]": return (set(.patternWord, inverted: true), run)
    case "\\p{L}", "[\\p{L}]": return (set(.letter), run)
    case "\\p{N}", "[\\p{N}]": return (set(.number), run)
    case "\\d", "[0-9]", "\\p{Nd}":
      if text == "[0-9]" { return (.digit, run) }
      return (
        CodePointSet {
          $0.properties.generalCategory == .decimalNumber
            && ScalarClass.of($0.value).contains(.number)
        }, run
      )
    case "\\n": return (CodePointSet("\n"..."\n"), run)
    case "\\t": return (CodePointSet("\t"..."\t"), run)
    case "[\\r\\n]", "[\\n\\r]":
      var set = CodePointSet("\n"..."\n")
      set.insert("\r"..."\r")
      return (set, run)
    default:
      // One character that means itself.
      let scalars = text.unicodeScalars
      if scalars.count == 2, text.first == "\\", let last = scalars.last, last.isASCII,
        !(last.properties.isAlphabetic || last.properties.numericType != nil)
      {
        return (CodePointSet(last...last), run)
      }
      guard scalars.count == 1, let only = scalars.first,
        !".^$|()[]{}*+?\\".contains(Character(only))
      else { return nil }
      return (CodePointSet(only...only), run)
    }
  }

  /// Calls for each match, from left to right.
  @inline(__always)
  func forEachMatch(_ text: UnsafeBufferPointer<UInt8>, _ body: (Int, Int) -> Void) {
    switch kind {
    case .text(let wanted):
      var index = 0
      while index + wanted.count <= text.count {
        if text[index] == wanted[0],
          wanted.indices.allSatisfy({ text[index + $0] == wanted[$0] })
        {
          body(index, index + wanted.count)
          index += wanted.count
        } else {
          index += 1
        }
      }
    case .set(let set, let run):
      var index = 0
      var (start, count) = (0, 0)
      while index < text.count {
        let (value, length) = UTF8Bytes.scalar(text, index)
        if let scalar = Unicode.Scalar(value), set.contains(scalar) {
          if run == nil {
            body(index, index + length)
          } else {
            if count == 0 { start = index }
            count += 1
          }
        } else {
          if let run, count >= run { body(start, index) }
          count = 0
        }
        index += length
      }
      if let run, count >= run { body(start, text.count) }
    case .words(let scanner):
      var index = 0
      while index < text.count {
        let end = scanner.end(text, index)
        if end > index {
          body(index, end)
          index = end
        } else {
          index += UTF8Bytes.length(text[index])
        }
      }
    }
  }
}
