/// GPT-2's spelling of bytes: each of the 256 is a character that can be seen.
enum ByteLevel {
  /// The UTF-8 of the character that stands for each byte.
  static let characters: [[UInt8]] = {
    var next: UInt32 = 0x100
    return (UInt32(0)..<0x100).map { byte in
      var result: [UInt8] = []
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: UTF8Bytes.append(byte, to: &result)
      default:
        UTF8Bytes.append(next, to: &result)
        next += 1
      }
      return result
    }
  }()

  /// Writes pieces with each byte spelled.
  static func spell(_ input: TextPieces, into output: inout TextPieces) {
    var start = 0
    for end in input.ends {
      for byte in input.bytes[start..<end] {
        // Nearly all of a text.
        if byte &- 0x21 < 0x5E {
          output.bytes.append(byte)
        } else {
          output.bytes.append(contentsOf: characters[Int(byte)])
        }
      }
      output.cut()
      start = end
    }
  }
}
