/// What BERT does with a text before it is cut: controls go, white space becomes a space, ideographs are
/// set apart, accents go, and everything is small.
struct BertCleaning: Sendable {
  private let cleans: Bool
  private let setsApart: Bool
  private let dropsAccents: Bool
  private let lowercases: Bool
  /// What becomes of each character of ASCII; 0 where it goes.
  private let plain: [UInt8]

  init(_ member: JSONMember) throws(ModelError) {
    cleans = try member["clean_text"].bool(true)
    setsApart = try member["handle_chinese_chars"].bool(true)
    lowercases = try member["lowercase"].bool(true)
    dropsAccents = try member["strip_accents"].bool(lowercases)
    let (cleans, lowercases) = (cleans, lowercases)
    plain = (UInt8(0)..<0x80).map { byte in
      if cleans {
        let kind = ScalarClass.of(UInt32(byte))
        if kind.contains(.unclean) { return 0 }
        if kind.contains(.space) { return 0x20 }
      }
      return lowercases && byte &- 0x41 < 26 ? byte | 0x20 : byte
    }
  }

  func apply(_ text: [UInt8], into output: inout [UInt8]) {
    text.withUnsafeBufferPointer { text in
      plain.withUnsafeBufferPointer { plain in
        var index = 0
        while index < text.count {
          let byte = text[index]
          if byte < 0x80 {
            let own = plain[Int(byte)]
            if own != 0 || !cleans { output.append(own) }
            index += 1
          } else {
            let start = index
            while index < text.count, text[index] >= 0x80 { index += UTF8Bytes.length(text[index]) }
            beyondASCII(UnsafeBufferPointer(rebasing: text[start..<index]), into: &output)
          }
        }
      }
    }
  }

  private func beyondASCII(_ run: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) {
    if dropsAccents, hasWanderers(run) { return inOrder(run, into: &output) }
    var index = 0
    while index < run.count {
      let (value, length) = UTF8Bytes.scalar(run, index)
      index += length
      let kind = ScalarClass.of(value)
      if cleans {
        if kind.contains(.unclean) { continue }
        if kind.contains(.space) {
          output.append(0x20)
          continue
        }
      }
      let isApart = setsApart && kind.contains(.ideograph)
      if isApart { output.append(0x20) }
      if dropsAccents {
        if !kind.contains(.accent) {
          // Ideographs but for those of compatibility are what they are.
          if (0x3400...0x9FFF).contains(value) {
            UTF8Bytes.append(value, to: &output)
          } else {
            NormalForm.nfd.forEachPart(value) { part in
              if !ScalarClass.of(part).contains(.accent) { append(part, to: &output) }
            }
          }
        }
      } else {
        append(value, to: &output)
      }
      if isApart { output.append(0x20) }
    }
  }

  private func hasWanderers(_ run: UnsafeBufferPointer<UInt8>) -> Bool {
    var index = 0
    while index < run.count {
      let (value, length) = UTF8Bytes.scalar(run, index)
      if ScalarClass.of(value).contains(.wanderer) { return true }
      index += length
    }
    return false
  }

  /// The same where marks stay whose order is another in the normal form.
  private func inOrder(_ run: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) {
    var clean: [UInt8] = []
    for scalar in String(decoding: run, as: UTF8.self).unicodeScalars {
      let kind = ScalarClass.of(scalar.value)
      if cleans, kind.contains(.unclean) { continue }
      let isSpace = cleans && kind.contains(.space)
      let isApart = setsApart && kind.contains(.ideograph)
      if isApart { clean.append(0x20) }
      UTF8Bytes.append(isSpace ? 0x20 : scalar.value, to: &clean)
      if isApart { clean.append(0x20) }
    }
    var decomposed: [UInt8] = []
    NormalForm.nfd.apply(clean, into: &decomposed)
    for scalar in String(decoding: decomposed, as: UTF8.self).unicodeScalars
    where !ScalarClass.of(scalar.value).contains(.accent) { append(scalar.value, to: &output) }
  }

  @inline(__always)
  private func append(_ value: UInt32, to output: inout [UInt8]) {
    if lowercases {
      TextNormalization.appendLowercase(value, to: &output)
    } else {
      UTF8Bytes.append(value, to: &output)
    }
  }
}
