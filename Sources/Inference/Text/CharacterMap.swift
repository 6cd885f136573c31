internal import Foundation

/// SentencePiece's table of replacements, as `Precompiled` has it: a trie of texts (a double array, as darts-clone
/// lays it out) that lead to places in a list of texts.
///
/// Texts are replaced as the `tokenizers` library does: a grapheme of up to five bytes by what the shortest text in
/// the table stands for that it begins with, else each of its characters in the same way.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  /// Replacements, each with a zero behind it.
  private let texts: [UInt8]
  /// What each byte below 128 becomes where it stands alone; nil where it stays.
  private let ascii: [[UInt8]?]

  /// How many times as long a text can become: a byte, by the longest replacement.
  var growth: Double {
    max(1, Double(texts.split(separator: 0).map(\.count).max() ?? 0))
  }

  /// A table of the published models has 240 kB.
  private static let mostBytes = 1 << 26
  /// What the library takes a grapheme as a whole for.
  private static let longestGrapheme = 5

  init(_ member: JSONMember) throws(ModelError) {
    guard let data = Data(base64Encoded: try member.string()) else {
      throw member.malformed("is not base64")
    }
    let bytes = [UInt8](data)
    guard bytes.count <= Self.mostBytes else {
      throw ModelError(.tooLarge, "tokenizer: \"\(member.path)\" has \(bytes.count) bytes")
    }
    func unit(_ place: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
    }
    guard bytes.count >= 8 else { throw member.malformed("ends early") }
    let size = Int(unit(0))
    guard size >= 4, size % 4 == 0, size <= bytes.count - 4 else {
      throw member.malformed("has a trie of \(size) bytes in \(bytes.count)")
    }
    let units = stride(from: 4, to: 4 + size, by: 4).map(unit)
    let texts = Array(bytes[(4 + size)...])
    guard String(validating: texts, as: UTF8.self) != nil else {
      throw member.malformed("holds texts that are not UTF-8")
    }
    (self.units, self.texts) = (units, texts)
    ascii = (0..<128).map { byte in
      [UInt8(byte)].withUnsafeBufferPointer { Self.replacement($0, units, texts).map(Array.init) }
    }
  }

  /// Appends a text with its replacements.
  func apply(_ text: [UInt8], into output: inout [UInt8]) {
    text.withUnsafeBufferPointer { text in
      // Where no character can combine with its neighbours, each is a grapheme of its own.
      if text.allSatisfy({ $0 < 0x80 && $0 != 0x0D }) {
        for byte in text { append(ascii[Int(byte)], else: byte, to: &output) }
        return
      }
      var start = 0
      for grapheme in String(decoding: text, as: UTF8.self) {
        let count = grapheme.utf8.count
        let own = UnsafeBufferPointer(rebasing: text[start..<(start + count)])
        start += count
        if count <= Self.longestGrapheme, let other = replacement(own) {
          output.append(contentsOf: other)
          continue
        }
        var index = 0
        while index < count {
          let (_, length) = UTF8Bytes.scalar(own, index)
          let part = UnsafeBufferPointer(rebasing: own[index..<(index + length)])
          output.append(contentsOf: replacement(part) ?? Array(part)[...])
          index += length
        }
      }
    }
  }

  private func append(_ other: [UInt8]?, else byte: UInt8, to output: inout [UInt8]) {
    if let other { output.append(contentsOf: other) } else { output.append(byte) }
  }

  private func replacement(_ text: UnsafeBufferPointer<UInt8>) -> ArraySlice<UInt8>? {
    Self.replacement(text, units, texts)
  }

  private static func replacement(
    _ text: UnsafeBufferPointer<UInt8>, _ units: [UInt32], _ texts: [UInt8]
  ) -> ArraySlice<UInt8>? {
    // Never from the middle of a character.
    guard let place = place(of: text, units), place < texts.count, texts[place] & 0xC0 != 0x80
    else { return nil }
    return texts[place..<(texts[place...].firstIndex(of: 0) ?? texts.count)]
  }

  /// Where the replacement of the shortest text in the table is with which a text begins.
  private static func place(of text: UnsafeBufferPointer<UInt8>, _ units: [UInt32]) -> Int? {
    var node = offset(units[0])
    for byte in text {
      guard byte != 0 else { return nil }
      node ^= Int(byte)
      guard node < units.count else { return nil }
      let unit = units[node]
      // The label, with the mark of what is a value and no node.
      guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return nil }
      node ^= offset(unit)
      if unit >> 8 & 1 == 1 {
        return node < units.count ? Int(units[node] & (1 << 31 - 1)) : nil
      }
    }
    return nil
  }

  private static func offset(_ unit: UInt32) -> Int {
    Int(unit >> 10) << Int((unit & 1 << 9) >> 6)
  }
}
