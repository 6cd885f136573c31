/// Writes PNG of eight bits of red, green and blue, without a library: pixels that a test knows, and headers that
/// say what is not so.
package enum PNGWriter {
  /// Rows of RGB without gaps, stored as they are.
  package static func png(_ rgb: [UInt8], width: Int, height: Int) -> [UInt8] {
    precondition(rgb.count == width * height * 3)
    var rows: [UInt8] = []
    for row in 0..<height {
      rows.append(0)
      rows += rgb[row * width * 3..<(row + 1) * width * 3]
    }
    var data: [UInt8] = [0x78, 0x01]
    for start in stride(from: 0, to: rows.count, by: 65_535) {
      let end = min(start + 65_535, rows.count)
      let count = UInt16(end - start)
      data.append(end == rows.count ? 1 : 0)
      data += littleEndian(count)
      data += littleEndian(~count)
      data += rows[start..<end]
    }
    data += bigEndian(adler(rows))
    return png(width: UInt32(width), height: UInt32(height), data: data)
  }

  /// A header that declares a size, and hardly any pixels.
  package static func claim(width: UInt32, height: UInt32) -> [UInt8] {
    png(width: width, height: height, data: [0x78, 0x9C, 0x03, 0x00, 0, 0, 0, 1])
  }

  /// All pixels are there and black, in a hundred and fiftieth of their bytes.
  package static func black(width: Int, height: Int) -> [UInt8] {
    let count = (width * 3 + 1) * height
    var data: [UInt8] = [0x78, 0x9C]
    var (pending, used) = (UInt32(0), UInt32(0))
    /// Bits, the first of them lowest.
    func put(_ bits: UInt32, _ length: UInt32) {
      pending |= bits << used
      used += length
      while used >= 8 {
        data.append(UInt8(truncatingIfNeeded: pending))
        pending >>= 8
        used -= 8
      }
    }
    put(0b011, 3)  // The last block, of fixed codes.
    let literal: UInt32 = 0b0000_1100  // A zero: 00110000, first bit lowest.
    put(literal, 8)
    var left = count - 1
    while left >= 258 {
      // 258 bytes as before (11000101), from one byte back (00000).
      put(0b1010_0011, 8)
      put(0, 5)
      left -= 258
    }
    for _ in 0..<left { put(literal, 8) }
    put(0, 7)
    if used > 0 { put(0, 8 - used) }
    data += bigEndian(UInt32(count % 65_521) << 16 | 1)
    return png(width: UInt32(width), height: UInt32(height), data: data)
  }

  private static func png(width: UInt32, height: UInt32, data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    bytes += chunk("IHDR", bigEndian(width) + bigEndian(height) + [8, 2, 0, 0, 0])
    bytes += chunk("IDAT", data)
    bytes += chunk("IEND", [])
    return bytes
  }

  private static func adler(_ bytes: [UInt8]) -> UInt32 {
    var (a, b) = (UInt32(1), UInt32(0))
    for byte in bytes {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    return b << 16 | a
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  private static func littleEndian(_ value: UInt16) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + data
    var crc = UInt32.max
    for byte in body {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return bigEndian(UInt32(data.count)) + body + bigEndian(~crc)
  }
}
