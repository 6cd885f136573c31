/// A step that rewrites a text before it is cut, as `tokenizer.json` names it.
enum TextNormalization: Sendable {
  case bert(BertCleaning)
  case form(NormalForm)
  case lowercase
  case stripAccents
  case strip(left: Bool, right: Bool)
  case replace(TextMatcher, with: [UInt8])
  case prepend([UInt8])
  case nmt
  case byteLevel
  case precompiled(CharacterMap)

  /// Steps in their order; a sequence is flattened, none is empty.
  static func read(_ member: JSONMember, depth: Int = 0) throws(ModelError) -> [TextNormalization] {
    if member.isNull { return [] }
    guard depth < 8 else { throw member.malformed("is nested too deep") }
    let type = try member.type()
    switch type {
    case "Sequence":
      var steps: [TextNormalization] = []
      for step in try member["normalizers"].elements() {
        steps += try read(step, depth: depth + 1)
      }
      guard steps.count <= 64 else { throw member.malformed("has more than 64 steps") }
      return steps
    case "BertNormalizer": return [.bert(try BertCleaning(member))]
    case "NFC": return [.form(.nfc)]
    case "NFD": return [.form(.nfd)]
    case "NFKC": return [.form(.nfkc)]
    case "NFKD": return [.form(.nfkd)]
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.stripAccents]
    case "Strip":
      return [
        .strip(
          left: try member["strip_left"].bool(true), right: try member["strip_right"].bool(true))
      ]
    case "Replace":
      return [
        .replace(
          try TextMatcher(member["pattern"]), with: Array(try member["content"].string().utf8))
      ]
    case "Prepend": return [.prepend(Array(try member["prepend"].string().utf8))]
    case "Nmt": return [.nmt]
    case "ByteLevel": return [.byteLevel]
    case "Precompiled":
      let table = member["precompiled_charsmap"]
      // Nothing is replaced.
      if table.isNull { return [] }
      return [.precompiled(try CharacterMap(table))]
    default: throw member.unsupported("normalizer \"\(type)\"")
    }
  }

  /// How many times as long a text can become, beside what a step does once only.
  var growth: Double {
    switch self {
    case .replace(let matcher, let content):
      max(1, Double(content.count) / Double(matcher.leastByteCount))
    case .byteLevel: 2
    case .precompiled(let map): map.growth
    default: 1
    }
  }

  /// Rewrites `text`; `spare` is memory that is lent.
  func apply(_ text: inout [UInt8], _ spare: inout [UInt8]) {
    spare.removeAll(keepingCapacity: true)
    switch self {
    case .bert(let cleaning): cleaning.apply(text, into: &spare)
    case .form(let form): form.apply(text, into: &spare)
    case .lowercase: Self.lowercase(text, into: &spare)
    case .stripAccents: Self.filter(text, into: &spare) { !ScalarClass.of($0).contains(.mark) }
    case .strip(let left, let right):
      text.withUnsafeBufferPointer { text in
        var (start, end) = (0, text.count)
        while left, start < end {
          let (value, length) = UTF8Bytes.scalar(text, start)
          guard ScalarClass.of(value).contains(.space) else { break }
          start += length
        }
        while right, end > start {
          let (value, length) = UTF8Bytes.scalar(text, before: end)
          guard ScalarClass.of(value).contains(.space) else { break }
          end -= length
        }
        spare.append(contentsOf: text[start..<end])
      }
    case .replace(let matcher, let content):
      text.withUnsafeBufferPointer { text in
        var last = 0
        matcher.forEachMatch(text) { start, end in
          spare.append(contentsOf: text[last..<start])
          spare.append(contentsOf: content)
          last = end
        }
        spare.append(contentsOf: text[last...])
      }
    case .prepend(let prefix):
      if !text.isEmpty { spare.append(contentsOf: prefix) }
      spare.append(contentsOf: text)
    case .nmt:
      Self.filter(text, into: &spare, Self.staysInTranslation, Self.inTranslation)
    case .byteLevel:
      for byte in text { spare.append(contentsOf: ByteLevel.characters[Int(byte)]) }
    case .precompiled(let map): map.apply(text, into: &spare)
    }
    swap(&text, &spare)
  }

  private static func filter(
    _ text: [UInt8], into output: inout [UInt8], _ stays: (UInt32) -> Bool,
    _ change: (UInt32) -> UInt32 = { $0 }
  ) {
    text.withUnsafeBufferPointer { text in
      var index = 0
      while index < text.count {
        let (value, length) = UTF8Bytes.scalar(text, index)
        if stays(value) { UTF8Bytes.append(change(value), to: &output) }
        index += length
      }
    }
  }

  private static func staysInTranslation(_ value: UInt32) -> Bool {
    switch value {
    case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: false
    default: true
    }
  }

  private static func inTranslation(_ value: UInt32) -> UInt32 {
    switch value {
    case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
      0x20
    default: value
    }
  }

  /// Each character by itself: a final sigma is a sigma.
  static func lowercase(_ text: [UInt8], into output: inout [UInt8]) {
    text.withUnsafeBufferPointer { text in
      var index = 0
      while index < text.count {
        let byte = text[index]
        if byte < 0x80 {
          output.append(byte &- 0x41 < 26 ? byte | 0x20 : byte)
          index += 1
        } else {
          let (value, length) = UTF8Bytes.scalar(text, index)
          appendLowercase(value, to: &output)
          index += length
        }
      }
    }
  }

  @inline(__always)
  static func appendLowercase(_ value: UInt32, to output: inout [UInt8]) {
    if value < 0x80 {
      output.append(UInt8(value) &- 0x41 < 26 ? UInt8(value) | 0x20 : UInt8(value))
    } else if let scalar = Unicode.Scalar(value) {
      // Scripts without cases, which most of the planes are.
      if (0x2E80...0xA63F).contains(value) || (0xAC00...0xFAFF).contains(value) {
        UTF8Bytes.append(value, to: &output)
      } else {
        output.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
    }
  }
}
