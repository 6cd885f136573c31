/// A step that cuts a text into words, as `tokenizer.json` names it.
enum TextCutting: Sendable {
  case bert
  case words
  case whiteSpace
  case punctuation(SplitBehavior)
  case digits(SplitBehavior)
  case delimiter([UInt8])
  case split(TextMatcher, SplitBehavior, isInverted: Bool)
  case metaspace(Metaspace)
  case byteLevel(addsSpace: Bool, cuts: Bool)

  struct Metaspace: Sendable {
    var replacement: [UInt8]
    var prepends: Prepending
    var cuts: Bool
  }

  enum Prepending: String, Sendable { case always, first, never }

  static func read(_ member: JSONMember, depth: Int = 0) throws(ModelError) -> [TextCutting] {
    if member.isNull { return [] }
    guard depth < 8 else { throw member.malformed("is nested too deep") }
    let type = try member.type()
    switch type {
    case "Sequence":
      var steps: [TextCutting] = []
      for step in try member["pretokenizers"].elements() {
        steps += try read(step, depth: depth + 1)
      }
      guard steps.count <= 64 else { throw member.malformed("has more than 64 steps") }
      return steps
    case "BertPreTokenizer": return [.bert]
    case "Whitespace": return [.words]
    case "WhitespaceSplit": return [.whiteSpace]
    case "Punctuation": return [.punctuation(try behavior(member, .isolated))]
    case "Digits":
      return [.digits(try member["individual_digits"].bool(false) ? .isolated : .contiguous)]
    case "CharDelimiterSplit":
      let delimiter = Array(try member["delimiter"].string().utf8)
      guard !delimiter.isEmpty else { throw member.malformed("has no delimiter") }
      return [.delimiter(delimiter)]
    case "Split":
      return [
        .split(
          try TextMatcher(member["pattern"]), try behavior(member, nil),
          isInverted: try member["invert"].bool(false))
      ]
    case "Metaspace": return [.metaspace(try metaspace(member))]
    case "ByteLevel":
      return [
        .byteLevel(
          addsSpace: try member["add_prefix_space"].bool(), cuts: try member["use_regex"].bool(true)
        )
      ]
    default: throw member.unsupported("pre-tokenizer \"\(type)\"")
    }
  }

  private static func behavior(
    _ member: JSONMember, _ preset: SplitBehavior?
  ) throws(ModelError) -> SplitBehavior {
    if member["behavior"].isNull, let preset { return preset }
    let name = try member["behavior"].string()
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw member.unsupported("behavior \"\(name)\"")
    }
    return behavior
  }

  private static func metaspace(_ member: JSONMember) throws(ModelError) -> Metaspace {
    let replacement = Array(try member["replacement"].string().utf8)
    guard !replacement.isEmpty else { throw member.malformed("has no replacement") }
    var prepends = Prepending.always
    if let name = try member["prepend_scheme"].optionalString() {
      guard let scheme = Prepending(rawValue: name) else {
        throw member.unsupported("prepend scheme \"\(name)\"")
      }
      prepends = scheme
    } else if try !member["add_prefix_space"].bool(true) {
      // Files of before the schemes.
      prepends = .never
    }
    return Metaspace(
      replacement: replacement, prepends: prepends, cuts: try member["split"].bool(true))
  }

  /// How many times as long a text can become.
  var growth: Double {
    switch self {
    case .byteLevel: 2
    // A space is a byte; a word of one gets another before it.
    case .metaspace(let space): Double(space.replacement.count) + 1
    default: 1
    }
  }

  func apply(_ input: TextPieces, into output: inout TextPieces) {
    output.removeAll()
    output.isFromStart = input.isFromStart
    switch self {
    case .bert:
      input.forEach { Self.cutForBert($0, into: &output) }
    case .words: Self.cutWords(input, into: &output)
    case .whiteSpace:
      Self.cut(input, .removed, into: &output) { $0.contains(.space) }
    case .punctuation(let behavior):
      Self.cut(input, behavior, into: &output) { $0.contains(.punctuation) }
    case .digits(let behavior):
      Self.cut(input, behavior, into: &output) { $0.contains(.numeric) }
    case .delimiter(let delimiter):
      var splitter = Splitter(.removed)
      input.forEach { piece in
        var index = 0
        while index + delimiter.count <= piece.count {
          if piece[index] == delimiter[0],
            delimiter.indices.allSatisfy({ piece[index + $0] == delimiter[$0] })
          {
            splitter.match(index, index + delimiter.count)
            index += delimiter.count
          } else {
            index += 1
          }
        }
        splitter.finish(piece, into: &output)
      }
    case .split(let matcher, let behavior, let isInverted):
      var splitter = Splitter(behavior, isInverted: isInverted)
      input.forEach { piece in
        matcher.forEachMatch(piece) { splitter.match($0, $1) }
        splitter.finish(piece, into: &output)
      }
    case .metaspace(let metaspace): Self.cut(input, metaspace, into: &output)
    case .byteLevel(let addsSpace, let cuts):
      var pieces = TextPieces()
      var bytes: [UInt8] = []
      let scanner = WordScanner.gpt2
      input.forEach { piece in
        bytes.removeAll(keepingCapacity: true)
        if addsSpace, piece[0] != 0x20 { bytes.append(0x20) }
        bytes.append(contentsOf: piece)
        bytes.withUnsafeBufferPointer { piece in
          var index = 0
          while index < piece.count {
            let end = cuts ? scanner.end(piece, index) : piece.count
            pieces.append(piece, index..<end)
            pieces.cut()
            index = end
          }
        }
      }
      ByteLevel.spell(pieces, into: &output)
    }
  }

  private static func cut(
    _ input: TextPieces, _ behavior: SplitBehavior, into output: inout TextPieces,
    where holds: (ScalarClass) -> Bool
  ) {
    var splitter = Splitter(behavior)
    input.forEach { piece in
      var index = 0
      while index < piece.count {
        let (value, length) = UTF8Bytes.scalar(piece, index)
        if holds(ScalarClass.of(value)) { splitter.match(index, index + length) }
        index += length
      }
      splitter.finish(piece, into: &output)
    }
  }

  /// White space goes, and each sign is a word.
  private static func cutForBert(
    _ piece: UnsafeBufferPointer<UInt8>, into output: inout TextPieces
  ) {
    var (index, start) = (0, 0)
    while index < piece.count {
      let (value, length) = UTF8Bytes.scalar(piece, index)
      let kind = ScalarClass.of(value)
      if kind.contains(.space) || kind.contains(.punctuation) {
        output.append(piece, start..<index)
        output.cut()
        if kind.contains(.space) {
          if index == 0, output.ends.isEmpty { output.isFromStart = false }
        } else {
          output.append(piece, index..<(index + length))
          output.cut()
        }
        start = index + length
      }
      index += length
    }
    output.append(piece, start..<piece.count)
    output.cut()
  }

  /// `\w+|[^\w\s]+`; what is neither goes.
  private static func cutWords(_ input: TextPieces, into output: inout TextPieces) {
    input.forEach { piece in
      // 0: white space, 1: a word, 2: signs.
      var (index, start, last) = (0, 0, 0)
      while index < piece.count {
        let (value, length) = UTF8Bytes.scalar(piece, index)
        let kind = ScalarClass.of(value)
        let own = kind.contains(.word) ? 1 : kind.contains(.space) ? 0 : 2
        if own != last {
          if last != 0 {
            output.append(piece, start..<index)
            output.cut()
          } else if index > 0, output.ends.isEmpty {
            output.isFromStart = false
          }
          (start, last) = (index, own)
        }
        index += length
      }
      if last != 0 {
        output.append(piece, start..<piece.count)
        output.cut()
      }
    }
  }

  private static func cut(
    _ input: TextPieces, _ metaspace: Metaspace, into output: inout TextPieces
  ) {
    let sign = metaspace.replacement
    func starts(_ bytes: UnsafeBufferPointer<UInt8>, _ index: Int) -> Bool {
      index + sign.count <= bytes.count && sign.indices.allSatisfy { bytes[index + $0] == sign[$0] }
    }
    var bytes: [UInt8] = []
    var isFirst = input.isFromStart
    var splitter = Splitter(.mergedWithNext)
    input.forEach { piece in
      bytes.removeAll(keepingCapacity: true)
      let prepends = metaspace.prepends == .always || metaspace.prepends == .first && isFirst
      if prepends, piece[0] != 0x20, !starts(piece, 0) { bytes.append(contentsOf: sign) }
      isFirst = false
      for byte in piece {
        if byte == 0x20 { bytes.append(contentsOf: sign) } else { bytes.append(byte) }
      }
      bytes.withUnsafeBufferPointer { bytes in
        if metaspace.cuts {
          var index = 0
          while index < bytes.count {
            if starts(bytes, index) {
              splitter.match(index, index + sign.count)
              index += sign.count
            } else {
              index += 1
            }
          }
        }
        splitter.finish(bytes, into: &output)
      }
    }
  }
}
