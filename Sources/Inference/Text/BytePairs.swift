/// Words by merging pairs of neighbours, those first that were merged first in training.
///
/// Sennrich, Haddow and Birch (2016). A word of n characters takes O(n log n) merges at most: the next
/// pair is found by going through a short word, and by a heap in a long one.
final class BytePairs: @unchecked Sendable {
  struct Merge {
    var pair: UInt64 = .max
    var rank: Int32 = 0
    var id: Int32 = 0
  }

  private let vocabulary: Vocabulary
  private let slots: UnsafeMutablePointer<Merge>
  private let mask: Int
  private let unknown: Int32?
  private let fusesUnknown: Bool
  /// Tokens of single bytes, where characters without a token become these.
  private let bytes: [Int32]?
  private let prefix: [UInt8]
  private let suffix: [UInt8]
  private let ignoresMerges: Bool
  /// Tokens of ASCII characters that have neither prefix nor suffix.
  private let plain: [Int32]

  init(_ member: JSONMember, _ vocabulary: Vocabulary) throws(ModelError) {
    self.vocabulary = vocabulary
    if !member["dropout"].isNull, try member["dropout"].number() > 0 {
      throw member.unsupported("dropout")
    }
    prefix = Array(try member["continuing_subword_prefix"].optionalString()?.utf8 ?? "".utf8)
    suffix = Array(try member["end_of_word_suffix"].optionalString()?.utf8 ?? "".utf8)
    fusesUnknown = try member["fuse_unk"].bool(false)
    ignoresMerges = try member["ignore_merges"].bool(false)
    if let name = try member["unk_token"].optionalString() {
      guard let id = vocabulary.id(name) else {
        throw member.malformed("has no token for the unknown (\"\(name)\")")
      }
      unknown = id
    } else {
      unknown = nil
    }
    if try member["byte_fallback"].bool(false) {
      let digits = Array("0123456789ABCDEF")
      bytes = (0..<0x100).map { vocabulary.id("<0x\(digits[$0 >> 4])\(digits[$0 & 15])>") ?? -1 }
    } else {
      bytes = nil
    }
    plain = (UInt8(0)..<0x80).map { vocabulary.id([$0]) ?? -1 }
    let merges = try Self.merges(member["merges"], vocabulary, prefix)
    var capacity = 16
    while capacity < merges.count * 2 { capacity *= 2 }
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Merge(), count: capacity)
    mask = capacity - 1
    for merge in merges { slots[slot(merge.pair)] = merge }
  }

  deinit { slots.deallocate() }

  var byteCount: Int { vocabulary.byteCount + (mask + 1) * MemoryLayout<Merge>.stride }

  /// Merges in the order of their ranks, each `["a", "b"]` or `"a b"`.
  private static func merges(
    _ member: JSONMember, _ vocabulary: Vocabulary, _ prefix: [UInt8]
  ) throws(ModelError) -> [Merge] {
    guard case .array(let elements) = member.value else {
      throw member.malformed("is not an array")
    }
    var result: [Merge] = []
    result.reserveCapacity(elements.count)
    for (rank, element) in elements.enumerated() {
      let parts: [[UInt8]]
      switch element {
      case .string(let text):
        parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
      case .array(let pair):
        parts = pair.map { if case .string(let text) = $0 { Array(text.utf8) } else { [] } }
      default: parts = []
      }
      guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
        throw member.malformed("has no pair of tokens at \(rank)")
      }
      guard let left = vocabulary.id(parts[0]), let right = vocabulary.id(parts[1]),
        parts[1].count >= prefix.count,
        let id = vocabulary.id(parts[0] + parts[1].dropFirst(prefix.count))
      else { throw member.malformed("merges what is no token at \(rank)") }
      result.append(Merge(pair: pair(left, right), rank: Int32(rank), id: id))
    }
    return result
  }

  @inline(__always)
  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(_ pair: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: (pair ^ pair >> 31) &* 0x9E37_79B9_7F4A_7C15 >> 24) & mask
    while slots[slot].pair != pair, slots[slot].pair != .max { slot = (slot + 1) & mask }
    return slot
  }

  @inline(__always)
  fileprivate func merge(_ left: Int32, _ right: Int32) -> Merge? {
    let found = slots[slot(Self.pair(left, right))]
    return found.pair == .max ? nil : found
  }

  func append(
    _ word: UnsafeBufferPointer<UInt8>, to ids: inout [Int32], _ scratch: TokenizerScratch
  ) {
    guard word.count <= WordCache.longest else { return make(word, into: &ids, scratch) }
    let identity = ObjectIdentifier(self)
    if scratch.wordsOf != identity {
      scratch.words.removeAll()
      scratch.wordsOf = identity
    }
    let hash = WordCache.hash(word)
    if scratch.words.append(word, hash, to: &ids) { return }
    let first = ids.count
    make(word, into: &ids, scratch)
    scratch.words.insert(word, hash, ids[first...])
  }

  private func make(
    _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], _ scratch: TokenizerScratch
  ) {
    if ignoresMerges, let id = vocabulary.id(word) {
      ids.append(id)
      return
    }
    readCharacters(word, into: &scratch.merging.symbols)
    if scratch.merging.symbols.count <= Merging.mostByWalk {
      scratch.merging.mergeByWalk(self)
    } else {
      scratch.merging.mergeByHeap(self)
    }
    ids.append(contentsOf: scratch.merging.symbols)
  }

  /// The tokens of a word's characters.
  private func readCharacters(
    _ word: UnsafeBufferPointer<UInt8>, into symbols: inout [Int32]
  ) {
    symbols.removeAll(keepingCapacity: true)
    let isBare = prefix.isEmpty && suffix.isEmpty
    // An unknown that others may be fused with.
    var waiting: Int32?
    var token: [UInt8] = []
    var index = 0
    while index < word.count {
      let start = index
      let length = UTF8Bytes.length(word[index])
      index += length
      var id: Int32?
      if isBare, length == 1 {
        let own = plain[Int(word[start])]
        id = own < 0 ? nil : own
      } else if isBare {
        id = vocabulary.id(UnsafeBufferPointer(rebasing: word[start..<index]))
      } else {
        token.removeAll(keepingCapacity: true)
        if start > 0 { token += prefix }
        token += word[start..<index]
        if index == word.count { token += suffix }
        id = vocabulary.id(token)
      }
      if let id {
        if let unknown = waiting { symbols.append(unknown) }
        waiting = nil
        symbols.append(id)
        continue
      }
      if let bytes {
        let spelled = isBare ? Array(word[start..<index]) : token
        if spelled.allSatisfy({ bytes[Int($0)] >= 0 }) {
          // An unknown that waits comes after these, as in the library.
          for byte in spelled { symbols.append(bytes[Int(byte)]) }
          continue
        }
      }
      if let unknown {
        if waiting != nil, !fusesUnknown { symbols.append(unknown) }
        waiting = unknown
      }
    }
    if let unknown = waiting { symbols.append(unknown) }
  }
}

/// The tokens of a word while they are merged.
struct Merging {
  /// Below this, looking at all pairs is faster than a heap.
  static let mostByWalk = 48

  var symbols: [Int32] = []
  private var ranks: [Int32] = []
  private var made: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var heap: [(rank: Int32, place: Int32, pair: UInt64)] = []

  mutating func mergeByWalk(_ pairs: BytePairs) {
    guard symbols.count > 1 else { return }
    ranks.removeAll(keepingCapacity: true)
    made.removeAll(keepingCapacity: true)
    for index in 0..<(symbols.count - 1) {
      let merge = pairs.merge(symbols[index], symbols[index + 1])
      ranks.append(merge?.rank ?? .max)
      made.append(merge?.id ?? 0)
    }
    while !ranks.isEmpty {
      var (best, place) = (Int32.max, 0)
      for (index, rank) in ranks.enumerated() where rank < best { (best, place) = (rank, index) }
      guard best < .max else { return }
      symbols[place] = made[place]
      symbols.remove(at: place + 1)
      ranks.remove(at: place)
      made.remove(at: place)
      for pair in [place - 1, place] where pair >= 0 && pair < ranks.count {
        let merge = pairs.merge(symbols[pair], symbols[pair + 1])
        ranks[pair] = merge?.rank ?? .max
        made[pair] = merge?.id ?? 0
      }
    }
  }

  mutating func mergeByHeap(_ pairs: BytePairs) {
    let count = symbols.count
    next = (0..<Int32(count)).map { $0 + 1 }
    previous = (0..<Int32(count)).map { $0 - 1 }
    heap.removeAll(keepingCapacity: true)
    for index in 0..<(count - 1) { offer(index, index + 1, pairs) }
    while let top = pop() {
      let place = Int(top.place)
      let right = Int(next[place])
      // What is left of a pair that has changed since.
      guard symbols[place] >= 0, right < count,
        Self.pair(symbols[place], symbols[right]) == top.pair,
        let merge = pairs.merge(symbols[place], symbols[right])
      else { continue }
      symbols[place] = merge.id
      symbols[right] = -1
      next[place] = next[right]
      if Int(next[place]) < count { previous[Int(next[place])] = top.place }
      if previous[place] >= 0 { offer(Int(previous[place]), place, pairs) }
      if Int(next[place]) < count { offer(place, Int(next[place]), pairs) }
    }
    symbols.removeAll { $0 < 0 }
  }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private mutating func offer(_ left: Int, _ right: Int, _ pairs: BytePairs) {
    guard let merge = pairs.merge(symbols[left], symbols[right]) else { return }
    heap.append((merge.rank, Int32(left), Self.pair(symbols[left], symbols[right])))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(child, parent) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    (heap[a].rank, heap[a].place) < (heap[b].rank, heap[b].place)
  }

  private mutating func pop() -> (rank: Int32, place: Int32, pair: UInt64)? {
    guard let top = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return top }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && isBefore(child, least) { least = child }
      guard least != parent else { return top }
      heap.swapAt(least, parent)
      parent = least
    }
  }
}
