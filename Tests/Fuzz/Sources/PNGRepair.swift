/// Puts right checksums into the chunks of a PNG that was changed.
enum PNGRepair {
  static func mend(_ bytes: UnsafeMutableBufferPointer<UInt8>) {
    guard bytes.count > 8, bytes[0] == 0x89, bytes[1] == 0x50 else { return }
    var place = 8
    while bytes.count - place >= 12 {
      let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[place + $1]) }
      guard length <= bytes.count - place - 12 else { return }
      var crc = UInt32.max
      for byte in bytes[(place + 4)..<(place + 8 + length)] {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
      }
      for index in 0..<4 {
        bytes[place + 8 + length + index] = UInt8(
          truncatingIfNeeded: ~crc >> UInt32(24 - index * 8))
      }
      place += 12 + length
    }
  }
}
