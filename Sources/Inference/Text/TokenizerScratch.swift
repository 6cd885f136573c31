/// What one thread keeps between texts while it tokenises.
package final class TokenizerScratch {
  package init() {}

  var text: [UInt8] = []
  var spare: [UInt8] = []
  var pieces = TextPieces()
  var sparePieces = TextPieces()
  var merging = Merging()
  /// Words that were tokenised, and their tokens; of one tokenizer, whose identity it has.
  var words = WordCache()
  var wordsOf: ObjectIdentifier?

  private var hashMemory = UnsafeMutablePointer<UInt64>.allocate(capacity: 512)
  private var hashCapacity = 512

  deinit { hashMemory.deallocate() }

  @inline(__always)
  func hashes(_ count: Int) -> UnsafeMutablePointer<UInt64> {
    if count > hashCapacity { grow(count) }
    return hashMemory
  }

  private func grow(_ count: Int) {
    hashMemory.deallocate()
    hashCapacity = count * 2
    hashMemory = .allocate(capacity: hashCapacity)
  }
}

/// Words and what they became, up to a number, then anew.
struct WordCache {
  private struct Entry {
    var hash: UInt64 = 0
    var start: Int32 = 0
    var length: Int32 = -1
    var firstID: Int32 = 0
    var idCount: Int32 = 0
  }

  private static let capacity = 1 << 14
  private static let mostWords = capacity / 2
  /// Longer words are rare, and would fill the memory.
  static let longest = 64

  private var entries: [Entry] = []
  private var bytes: [UInt8] = []
  private var ids: [Int32] = []
  private var count = 0

  mutating func removeAll() {
    entries = Array(repeating: Entry(), count: Self.capacity)
    bytes.removeAll(keepingCapacity: true)
    ids.removeAll(keepingCapacity: true)
    count = 0
  }

  private func slot(_ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int {
    let mask = Self.capacity - 1
    var slot = Int(truncatingIfNeeded: (hash ^ hash >> 29) &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
    while entries[slot].length >= 0 {
      let entry = entries[slot]
      if entry.hash == hash, Int(entry.length) == word.count,
        bytes[Int(entry.start)..<(Int(entry.start) + word.count)].elementsEqual(word)
      {
        return slot
      }
      slot = (slot + 1) & mask
    }
    return slot
  }

  static func hash(_ word: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var hash = Vocabulary.seed
    for byte in word { hash = Vocabulary.hash(hash, byte) }
    return hash
  }

  /// Adds the tokens of a word that is known.
  mutating func append(
    _ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, to target: inout [Int32]
  ) -> Bool {
    if entries.isEmpty { removeAll() }
    let entry = entries[slot(word, hash)]
    guard entry.length >= 0 else { return false }
    let first = Int(entry.firstID)
    target.append(contentsOf: ids[first..<(first + Int(entry.idCount))])
    return true
  }

  mutating func insert(
    _ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ tokens: ArraySlice<Int32>
  ) {
    if count >= Self.mostWords { removeAll() }
    entries[slot(word, hash)] = Entry(
      hash: hash, start: Int32(bytes.count), length: Int32(word.count), firstID: Int32(ids.count),
      idCount: Int32(tokens.count))
    bytes.append(contentsOf: word)
    ids.append(contentsOf: tokens)
    count += 1
  }
}
