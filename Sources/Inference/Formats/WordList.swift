internal import CKernels

/// Texts of a list that has few different ones, as numbers.
struct WordList: Sendable {
  private(set) var names: [String] = []
  /// The place of each text among `names`.
  private(set) var numbers: [UInt8] = []
  private var words = ck_wire_words()

  var texts: [String] { numbers.map { names[Int($0)] } }

  /// Appends a text and those behind it that have the same tag and were met before.
  ///
  /// - Parameters:
  ///   - text: what stands in `bytes`.
  ///   - reader: behind the text.
  /// - Returns: false where the text is too long, or there were too many others; then nothing is
  ///   appended.
  mutating func append(
    _ text: String, tagged number: Int, reader: inout ProtobufReader
  ) -> Bool {
    guard let known = names.firstIndex(of: text) ?? add(text) else { return false }
    numbers.append(UInt8(known))
    reader.append(wordsTagged: number, &words, to: &numbers)
    return true
  }

  private mutating func add(_ text: String) -> Int? {
    let length = text.utf8.count
    guard names.count < Int(CK_WIRE_WORDS), length <= Int(CK_WIRE_WORD_LENGTH) else { return nil }
    let number = names.count
    names.append(text)
    words.count = names.count
    withUnsafeMutableBytes(of: &words.lengths) { $0[number] = UInt8(length) }
    withUnsafeMutableBytes(of: &words.halves) { halves in
      var packed: (UInt64, UInt64) = (0, 0)
      for (place, byte) in text.utf8.enumerated() {
        let shifted = UInt64(byte) << UInt64(place % 8 * 8)
        if place < 8 { packed.0 |= shifted } else { packed.1 |= shifted }
      }
      halves.storeBytes(of: packed.0, toByteOffset: number * 16, as: UInt64.self)
      halves.storeBytes(of: packed.1, toByteOffset: number * 16 + 8, as: UInt64.self)
    }
    return number
  }
}
