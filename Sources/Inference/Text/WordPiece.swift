/// Words by the longest tokens that they begin with, one after the other.
struct WordPiece: Sendable {
  private let vocabulary: Vocabulary
  /// Tokens that go on within a word, without their mark.
  private let continuing: Vocabulary
  private let unknown: Int32
  private let mostCharacters: Int

  init(_ member: JSONMember, _ tokens: [(bytes: [UInt8], id: Int32)], _ vocabulary: Vocabulary)
    throws(ModelError)
  {
    let mark = Array(try member["continuing_subword_prefix"].optionalString()?.utf8 ?? "##".utf8)
    let name = try member["unk_token"].optionalString() ?? "[UNK]"
    guard let unknown = vocabulary.id(name) else {
      throw member.malformed("has no token for the unknown (\"\(name)\")")
    }
    self.vocabulary = vocabulary
    self.unknown = unknown
    mostCharacters = try member["max_input_chars_per_word"].integer(0...100_000, 100)
    continuing = Vocabulary(
      tokens.filter { $0.bytes.starts(with: mark) }
        .map { (Array($0.bytes.dropFirst(mark.count)), $0.id) })
  }

  var byteCount: Int { vocabulary.byteCount + continuing.byteCount }

  func append(
    _ word: UnsafeBufferPointer<UInt8>, to ids: inout [Int32], _ scratch: TokenizerScratch
  ) {
    var characters = 0
    if word.count > mostCharacters {
      for byte in word where byte & 0xC0 != 0x80 { characters += 1 }
      if characters > mostCharacters {
        ids.append(unknown)
        return
      }
    }
    let first = ids.count
    var start = 0
    while start < word.count {
      let table = start == 0 ? vocabulary : continuing
      guard let (id, length) = longest(table, word, start, scratch) else {
        ids.removeSubrange(first...)
        ids.append(unknown)
        return
      }
      ids.append(id)
      start += length
    }
  }

  /// The longest token that is there, by the hashes of all beginnings.
  @inline(__always)
  private func longest(
    _ table: Vocabulary, _ word: UnsafeBufferPointer<UInt8>, _ start: Int,
    _ scratch: TokenizerScratch
  ) -> (id: Int32, length: Int)? {
    let count = min(word.count - start, table.longest)
    let hashes = scratch.hashes(count)
    var hash = Vocabulary.seed
    for index in 0..<count {
      hash = Vocabulary.hash(hash, word[start + index])
      hashes[index] = hash
    }
    var length = count
    while length > 0 {
      let end = start + length
      if end == word.count || word[end] & 0xC0 != 0x80 {
        let token = UnsafeBufferPointer(rebasing: word[start..<end])
        if let id = table.id(token, hash: hashes[length - 1]) { return (id, length) }
      }
      length -= 1
    }
    return nil
  }
}
