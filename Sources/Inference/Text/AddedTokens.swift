/// Tokens that are found in a text before anything else is done with it, as `[MASK]`.
struct AddedTokens: Sendable {
  struct Token: Sendable {
    var content: [UInt8]
    var id: Int32
    /// Whether it stands between characters that are of no word.
    var isSingleWord: Bool
    /// Whether white space before or after it belongs to it.
    var stripsLeft: Bool
    var stripsRight: Bool
    /// Whether it is found in the text after normalisation.
    var isNormalized: Bool
  }

  /// What a text is cut into: the id of a token, or a part without any.
  typealias Part = (id: Int32?, range: Range<Int>)

  private let tokens: [Token]
  /// Tokens by their first bytes, the longest first.
  private let starts: [[Int32]]
  var isEmpty: Bool { tokens.isEmpty }

  init(_ tokens: [Token]) {
    self.tokens = tokens.filter { !$0.content.isEmpty }
    var starts = Array(repeating: [Int32](), count: 256)
    for (index, token) in self.tokens.enumerated() {
      starts[Int(token.content[0])].append(Int32(index))
    }
    let all = self.tokens
    self.starts = starts.map { of in
      // Of tokens that are equal after normalisation the one that was added first is found.
      of.sorted { (-all[Int($0)].content.count, $0) < (-all[Int($1)].content.count, $1) }
    }
  }

  /// Cuts a text at the tokens in it, the leftmost and of those the longest first.
  func cut(_ text: UnsafeBufferPointer<UInt8>) -> [Part] {
    var parts: [Part] = []
    var (done, index) = (0, 0)
    while index < text.count {
      guard let token = token(text, index) else {
        index += 1
        continue
      }
      var (start, end) = (index, index + token.content.count)
      index = end
      if token.isSingleWord, !isApart(text, start, end) { continue }
      if token.stripsLeft {
        while start > done {
          let (value, length) = UTF8Bytes.scalar(text, before: start)
          guard ScalarClass.of(value).contains(.space) else { break }
          start -= length
        }
      }
      if token.stripsRight {
        while end < text.count {
          let (value, length) = UTF8Bytes.scalar(text, end)
          guard ScalarClass.of(value).contains(.space) else { break }
          end += length
        }
      }
      if done < start { parts.append((nil, done..<start)) }
      parts.append((token.id, start..<max(start, end)))
      done = max(done, end)
    }
    if done < text.count { parts.append((nil, done..<text.count)) }
    return parts
  }

  @inline(__always)
  private func token(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Token? {
    for index in starts[Int(text[start])] {
      let content = tokens[Int(index)].content
      if start + content.count <= text.count,
        content.indices.allSatisfy({ text[start + $0] == content[$0] })
      {
        return tokens[Int(index)]
      }
    }
    return nil
  }

  private func isApart(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
    if start > 0, isWord(UTF8Bytes.scalar(text, before: start).value) { return false }
    return end == text.count || !isWord(UTF8Bytes.scalar(text, end).value)
  }

  private func isWord(_ value: UInt32) -> Bool { ScalarClass.of(value).contains(.word) }
}

extension AddedTokens {
  /// The tokens of `added_tokens`, with the numbers that the library gives them.
  static func read(
    _ member: JSONMember, _ vocabulary: Vocabulary, tokenCount: Int
  ) throws(ModelError) -> [Token] {
    if member.isNull { return [] }
    var tokens: [Token] = []
    var last: Int32?
    for element in try member.elements() {
      let content = Array(try element["content"].string().utf8)
      if content.isEmpty || tokens.contains(where: { $0.content == content }) { continue }
      let id: Int32
      if let own = vocabulary.id(content) {
        id = own
      } else if let last, Int(last) >= tokenCount || tokenCount == 0 {
        id = last + 1
      } else {
        id = Int32(tokenCount)
      }
      last = max(last ?? id, id)
      tokens.append(
        Token(
          content: content, id: id, isSingleWord: try element["single_word"].bool(false),
          stripsLeft: try element["lstrip"].bool(false),
          stripsRight: try element["rstrip"].bool(false),
          isNormalized: try element["normalized"].bool(try !element["special"].bool(false))))
      guard tokens.count <= 65536 else {
        throw ModelError(.tooLarge, "tokenizer: more than 65536 added tokens")
      }
    }
    return tokens
  }
}
