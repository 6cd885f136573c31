internal import CKernels

/// MurmurHash3 of com.microsoft: a number of 32 bits from a text, as scikit-learn's hashing
/// vectorisers take it.
struct MurmurHash3: Operator {
  let outputs: [ValueInfo]
  private let seed: UInt32
  private let isPositive: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string, .int32, .uint32)
    seed = UInt32(truncatingIfNeeded: try node.int("seed", default: 0))
    isPositive = try node.int("positive", default: 1) != 0
    outputs = [try node.output(isPositive ? .uint32 : .int32, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let target = out.base.assumingMemoryBound(to: UInt32.self)
    if input.type == .string {
      for i in 0..<input.count {
        target[i] = input.strings[i].withBytes { bytes in
          var none: UInt8 = 0
          guard let base = bytes.baseAddress else { return ck_murmur3(&none, 0, seed) }
          return ck_murmur3(base, bytes.count, seed)
        }
      }
    } else {
      let numbers = input.base.assumingMemoryBound(to: UInt8.self)
      for i in 0..<input.count { target[i] = ck_murmur3(numbers + i * 4, 4, seed) }
    }
  }
}
