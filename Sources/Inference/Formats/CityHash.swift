/// CityHash64, version 1 (Geoff Pike and Jyrki Alakuijala, Google 2011), which CatBoost numbers
/// categories by.
enum CityHash {
  /// The number of a category in CatBoost's models: the low half of its hash, signed.
  static func category(_ word: String) -> Int32 {
    var word = word
    return word.withUTF8 { Int32(truncatingIfNeeded: hash(UnsafeRawBufferPointer($0))) }
  }

  private static let k0: UInt64 = 0xC3A5_C85C_97CB_3127
  private static let k1: UInt64 = 0xB492_B66F_BE98_F273
  private static let k2: UInt64 = 0x9AE1_6A3B_2F90_404F
  private static let k3: UInt64 = 0xC949_D7C7_509E_6557

  static func hash(_ text: UnsafeRawBufferPointer) -> UInt64 {
    switch text.count {
    case ...16: upTo16(text)
    case ...32: upTo32(text)
    case ...64: upTo64(text)
    default: long(text)
    }
  }

  private static func word(_ text: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func half(_ text: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(UInt32(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  private static func rotate(_ value: UInt64, _ shift: UInt64) -> UInt64 {
    shift == 0 ? value : (value >> shift) | (value << (64 - shift))
  }

  private static func mixShift(_ value: UInt64) -> UInt64 { value ^ (value >> 47) }

  /// Both halves of 128 bits into 64, after Murmur.
  private static func mix(_ low: UInt64, _ high: UInt64) -> UInt64 {
    let multiplier: UInt64 = 0x9DDF_EA08_EB38_2D69
    let a = mixShift((low ^ high) &* multiplier)
    let b = mixShift((high ^ a) &* multiplier)
    return b &* multiplier
  }

  private static func upTo16(_ text: UnsafeRawBufferPointer) -> UInt64 {
    let count = UInt64(text.count)
    if text.count > 8 {
      let a = word(text, 0)
      let b = word(text, text.count - 8)
      return mix(a, rotate(b &+ count, count)) ^ b
    }
    if text.count >= 4 {
      return mix(count &+ (half(text, 0) << 3), half(text, text.count - 4))
    }
    guard text.count > 0 else { return k2 }
    let y = UInt64(text[0]) + UInt64(text[text.count >> 1]) << 8
    let z = count + UInt64(text[text.count - 1]) << 2
    return mixShift((y &* k2) ^ (z &* k3)) &* k2
  }

  private static func upTo32(_ text: UnsafeRawBufferPointer) -> UInt64 {
    let count = UInt64(text.count)
    let a = word(text, 0) &* k1
    let b = word(text, 8)
    let c = word(text, text.count - 8) &* k2
    let d = word(text, text.count - 16) &* k0
    return mix(
      rotate(a &- b, 43) &+ rotate(c, 30) &+ d, a &+ rotate(b ^ k3, 20) &- c &+ count)
  }

  private static func upTo64(_ text: UnsafeRawBufferPointer) -> UInt64 {
    let count = text.count
    /// Half of the state: 32 bytes from `start`, whose last word is `last`.
    func part(
      _ start: Int, _ seed: UInt64, _ last: UInt64
    ) -> (first: UInt64, second: UInt64) {
      var a = seed
      let b = rotate(a &+ last, 52)
      var c = rotate(a, 37)
      a = a &+ word(text, start + 8)
      c = c &+ rotate(a, 7)
      a = a &+ word(text, start + 16)
      return (a &+ last, b &+ rotate(a, 31) &+ c)
    }
    let seed = word(text, 0) &+ (UInt64(count) &+ word(text, count - 16)) &* k0
    let v = part(0, seed, word(text, 24))
    let w = part(
      count - 32, word(text, 16) &+ word(text, count - 32), word(text, count - 8))
    let r = mixShift((v.first &+ w.second) &* k2 &+ (w.first &+ v.second) &* k0)
    return mixShift(r &* k0 &+ v.second) &* k2
  }

  private static func weak32(
    _ text: UnsafeRawBufferPointer, _ offset: Int, _ seedA: UInt64, _ seedB: UInt64
  ) -> (first: UInt64, second: UInt64) {
    let z = word(text, offset + 24)
    var a = seedA &+ word(text, offset)
    var b = rotate(seedB &+ a &+ z, 21)
    let c = a
    a = a &+ word(text, offset + 8) &+ word(text, offset + 16)
    b = b &+ rotate(a, 44)
    return (a &+ z, b &+ c)
  }

  private static func long(_ text: UnsafeRawBufferPointer) -> UInt64 {
    let count = text.count
    var x = word(text, 0)
    var y = word(text, count - 16) ^ k1
    var z = word(text, count - 56) ^ k0
    var v = weak32(text, count - 64, UInt64(count), y)
    var w = weak32(text, count - 32, UInt64(count) &* k1, k0)
    z = z &+ mixShift(v.second) &* k1
    x = rotate(z &+ x, 39) &* k1
    y = rotate(y, 33) &* k1
    for offset in stride(from: 0, to: (count - 1) & ~63, by: 64) {
      x = rotate(x &+ y &+ v.first &+ word(text, offset + 16), 37) &* k1
      y = rotate(y &+ v.second &+ word(text, offset + 48), 42) &* k1
      x ^= w.second
      y ^= v.first
      z = rotate(z ^ w.first, 33)
      v = weak32(text, offset, v.second &* k1, x &+ w.first)
      w = weak32(text, offset + 32, z &+ w.second, y)
      swap(&z, &x)
    }
    return mix(
      mix(v.first, w.first) &+ mixShift(y) &* k1 &+ z, mix(v.second, w.second) &+ x)
  }
}
