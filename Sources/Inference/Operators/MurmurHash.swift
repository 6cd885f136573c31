/// com.microsoft MurmurHash3: 32-bit hashes of elements, as scikit-learn's feature hashing has them.
///
/// Austin Appleby's MurmurHash3_x86_32, over a number's bytes or a string's UTF-8.
struct MurmurHash: Operator {
  let outputs: [ValueInfo]
  private let seed: UInt32
  private let isPositive: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(
      0, .string, .int32, .uint32, .int64, .uint64, .float32, .float64)
    isPositive = try node.int("positive", default: 1) != 0
    seed = UInt32(truncatingIfNeeded: try node.int("seed", default: 0))
    outputs = [try node.output(isPositive ? .uint32 : .int32, info.shape)]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0))
    if source.type == .string {
      for i in 0..<source.count {
        var text = source.strings[i]
        write(text.withUTF8 { Self.hash(UnsafeRawBufferPointer($0), seed: seed) }, to: target, i)
      }
      return
    }
    let size = source.type.stride
    for i in 0..<source.count {
      let bytes = UnsafeRawBufferPointer(start: source.base + i * size, count: size)
      write(Self.hash(bytes, seed: seed), to: target, i)
    }
  }

  private func write(_ hash: UInt32, to target: TensorView, _ index: Int) {
    if isPositive {
      target.pointer(as: UInt32.self)[index] = hash
    } else {
      target.int32s[index] = Int32(bitPattern: hash)
    }
  }

  static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> UInt32 {
    func mixed(_ block: UInt32) -> UInt32 {
      let k = block &* 0xcc9e_2d51
      return (k << 15 | k >> 17) &* 0x1b87_3593
    }
    var hash = seed
    let whole = bytes.count & ~3
    for start in stride(from: 0, to: whole, by: 4) {
      let block = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
      hash ^= mixed(block)
      hash = (hash << 13 | hash >> 19) &* 5 &+ 0xe654_6b64
    }
    var tail: UInt32 = 0
    for index in (whole..<bytes.count).reversed() { tail = tail << 8 | UInt32(bytes[index]) }
    if whole < bytes.count { hash ^= mixed(tail) }
    hash ^= UInt32(truncatingIfNeeded: bytes.count)
    hash ^= hash >> 16
    hash = hash &* 0x85eb_ca6b
    hash ^= hash >> 13
    hash = hash &* 0xc2b2_ae35
    return hash ^ hash >> 16
  }
}
