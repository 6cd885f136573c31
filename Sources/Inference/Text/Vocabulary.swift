/// Tokens by their bytes.
///
/// Open addressing over FNV-1a: the hash of each prefix of a word falls out of the hash of the word, so
/// that a longest match takes one pass and a probe a length.
final class Vocabulary: @unchecked Sendable {
  private struct Slot {
    var hash: UInt64 = 0
    var start: Int32 = 0
    var length: Int32 = -1
    var id: Int32 = 0
  }

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int
  private let bytes: UnsafeMutablePointer<UInt8>
  private(set) var count = 0
  /// Bytes of the longest token.
  let longest: Int
  let byteCount: Int

  static let seed: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
    (hash ^ UInt64(byte)) &* 0x100_0000_01B3
  }

  /// Of equal tokens the last counts.
  init(_ tokens: [(bytes: [UInt8], id: Int32)]) {
    let size = tokens.reduce(0) { $0 + $1.bytes.count }
    var capacity = 16
    while capacity < tokens.count * 2 { capacity *= 2 }
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(), count: capacity)
    bytes = .allocate(capacity: max(size, 1))
    mask = capacity - 1
    byteCount = capacity * MemoryLayout<Slot>.stride + size
    longest = tokens.reduce(0) { max($0, $1.bytes.count) }
    var end = 0
    for token in tokens {
      for (index, byte) in token.bytes.enumerated() { bytes[end + index] = byte }
      let hash = token.bytes.reduce(Self.seed, Self.hash)
      let slot = token.bytes.withUnsafeBufferPointer { find($0, hash) }
      if slots[slot].length < 0 { count += 1 }
      slots[slot] = Slot(
        hash: hash, start: Int32(end), length: Int32(token.bytes.count), id: token.id)
      end += token.bytes.count
    }
  }

  deinit {
    slots.deallocate()
    bytes.deallocate()
  }

  /// The slot that has the token, or the empty one where it would be.
  @inline(__always)
  private func find(_ token: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: (hash ^ hash >> 29) &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
    while slots[slot].length >= 0 {
      if slots[slot].hash == hash, slots[slot].length == token.count {
        let start = bytes + Int(slots[slot].start)
        var index = 0
        while index < token.count, start[index] == token[index] { index += 1 }
        if index == token.count { return slot }
      }
      slot = (slot + 1) & mask
    }
    return slot
  }

  @inline(__always)
  func id(_ token: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int32? {
    let slot = find(token, hash)
    return slots[slot].length < 0 ? nil : slots[slot].id
  }

  func id(_ token: UnsafeBufferPointer<UInt8>) -> Int32? {
    var hash = Self.seed
    for byte in token { hash = Self.hash(hash, byte) }
    return id(token, hash: hash)
  }

  func id(_ token: [UInt8]) -> Int32? { token.withUnsafeBufferPointer { id($0) } }

  func id(_ token: String) -> Int32? { id(Array(token.utf8)) }
}
