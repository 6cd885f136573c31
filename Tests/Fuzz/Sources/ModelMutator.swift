import TestRandom

/// Changes a model in a place where a change means something.
enum ModelMutator {
  /// nil where the bytes are neither a protobuf message nor text.
  static func mutate(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8]? {
    let isText = bytes.starts(with: "tree".utf8) || bytes.first == UInt8(ascii: "{")
    if isText, let mutated = TextMutator.mutate(bytes, &random) { return mutated }
    guard !isText, var model = WireMessage(bytes, .model) else { return nil }
    let vocabulary = OnnxVocabulary(model)
    for _ in 0...random.below(3) { model.mutate(vocabulary, &random) }
    return model.encoded()
  }
}

extension SplitMix64 {
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

  mutating func pick<Values: Collection>(_ values: Values) -> Values.Element? {
    values.isEmpty ? nil : values[values.index(values.startIndex, offsetBy: below(values.count))]
  }

  /// Whole numbers at which programs change their minds.
  mutating func integer(near value: Int64) -> Int64 {
    switch below(8) {
    case 0: value &+ 1
    case 1: value &- 1
    case 2: 0 &- value
    case 3: Int64(below(20)) - 4
    case 4: pick([.min, .max, 1 << 31, -1 << 31, 1 << 32, 1 << 20, 65_536, 255, 256])!
    case 5: value &* 2
    case 6: 0
    default: Int64(bitPattern: next())
    }
  }

  mutating func float(near value: Float) -> Float {
    switch below(8) {
    case 0: -value
    case 1: value.nextUp
    case 2: pick([.nan, .infinity, -.infinity, -0.0, 0, 1e-40, 3.4e38, .leastNonzeroMagnitude])!
    case 3: value * 1000
    case 4: value.rounded()
    case 5: Float(below(7)) - 3
    case 6: value / 2
    default: Float(bitPattern: UInt32(truncatingIfNeeded: next()))
    }
  }
}

/// Replaces numbers, and exchanges pieces, of a model that is text.
enum TextMutator {
  static func mutate(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8]? {
    var bytes = bytes
    for _ in 0...random.below(3) {
      guard let number = number(in: bytes, &random) else { return nil }
      let text = String(decoding: bytes[number], as: UTF8.self)
      let replacement: String =
        if let value = Int64(text) {
          "\(random.integer(near: value))"
        } else if random.below(6) == 0 {
          random.pick(["", "nan", "inf", "-inf", "1e400", "1e-400", "0x1p3", "1e", "-", "null"])!
        } else {
          "\(random.float(near: Float(text) ?? 1))"
        }
      switch random.below(10) {
      case 0: bytes.removeSubrange(number)
      case 1:
        bytes.insert(contentsOf: Array(text.utf8) + [UInt8(ascii: " ")], at: number.lowerBound)
      default: bytes.replaceSubrange(number, with: replacement.utf8)
      }
    }
    return bytes
  }

  /// A number somewhere in the text.
  private static func number(in bytes: [UInt8], _ random: inout SplitMix64) -> Range<Int>? {
    func isPart(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
    }
    let start = random.below(bytes.count)
    guard
      let first = bytes[start...].firstIndex(where: isPart)
        ?? bytes[..<start].firstIndex(where: isPart)
    else { return nil }
    let end = bytes[first...].firstIndex { !isPart($0) } ?? bytes.count
    return first..<end
  }
}
