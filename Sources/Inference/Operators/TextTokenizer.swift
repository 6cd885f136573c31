/// Tokenizer of com.microsoft: cuts texts into tokens.
///
/// Rows have different numbers of tokens, and the tensor that ONNX has for them is padded to the
/// longest of its batch, so that a row's tokens would depend on the others. Here rows of tokens are
/// never laid out: what counts them reads the texts (see `Graph.fuseText`). Only constant texts become
/// a padded tensor.
struct Tokenizer: Operator {
  static let startMark = "\u{2}"
  static let endMark = "\u{3}"

  let outputs: [ValueInfo]
  let cutter: TextCutter
  let hasMarks: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string)
    let least = try node.int("mincharnum", default: 1)
    hasMarks = try node.int("mark", default: 0) != 0
    let separators = try node.strings("separators") ?? []
    let expression = try node.string("tokenexp") ?? ""
    guard separators.isEmpty != expression.isEmpty else {
      throw node.error(.malformed, "wants either separators or tokenexp")
    }
    let rule: TextCutter.Rule
    if !expression.isEmpty {
      rule = .tokens(try node.pattern(expression))
    } else if separators == [""] {
      guard least < 2 else { throw node.error(.malformed, "characters of \(least) characters") }
      rule = .characters
    } else {
      var patterns: [TextPattern] = []
      for separator in separators { patterns.append(try node.pattern(separator)) }
      rule = .separators(patterns)
    }
    cutter = TextCutter(rule, least: max(least, 1))
    guard let texts = info.constant?.values(as: String.self) else {
      guard info.shape.isRowMajor else {
        throw node.error(.unsupported, "texts of shape \(info.shape) are not supported")
      }
      var output = try node.output(
        .string, Shape(info.shape.dims + [1], rowAxis: info.shape.rowAxis))
      output.isRagged = true
      outputs = [output]
      return
    }
    var tokens: [[String]] = []
    for text in texts {
      guard let own = Self.tokens(of: text, cutter, hasMarks) else {
        throw node.error(.tooLarge, "a text takes too many steps to be cut into tokens")
      }
      tokens.append(own)
    }
    let width = tokens.reduce(0) { max($0, $1.count) }
    try node.check(info.shape.dims + [width])
    let padding = try node.string("pad_value", default: "")
    let padded = tokens.flatMap { own in
      own + Array(repeating: padding, count: width - own.count)
    }
    outputs = [ValueInfo(constant: Tensor(padded, dims: info.shape.dims + [width]))]
  }

  /// The tokens of a text; nil where they take too long to find.
  private static func tokens(
    of text: String, _ cutter: TextCutter, _ hasMarks: Bool
  ) -> [String]? {
    var memory = TextCutter.Memory(cutter)
    var tokens: [String] = []
    text.withBytes { bytes in
      cutter.forEachToken(in: bytes, &memory) { range in
        tokens.append(String(decoding: bytes[range], as: UTF8.self))
      }
    }
    if memory.isExhausted { return nil }
    return hasMarks ? [startMark] + tokens + [endMark] : tokens
  }

  func run(_ call: Call) {}
}

/// TfIdfVectorizer: how often each n-gram of a pool is in a row of tokens, weighted.
struct TfIdfVectorizer: Operator, ReadsRaggedRows {
  let outputs: [ValueInfo]
  let counter: TermCounter
  private let tokensPerRow: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string, .int64, .int32)
    counter = try TermCounter(node)
    guard counter.countsTexts == (info.type == .string) else {
      throw node.error(
        .malformed, "input of type \(info.type.onnxName) does not fit the pool")
    }
    let shape = info.shape
    guard (1...2).contains(shape.rank), shape.rowAxis == nil || shape.rowAxis == 0,
      shape.rank == 2 || shape.rowAxis == nil
    else { throw node.error(.unsupported, "input of shape \(shape) is not [rows, tokens]") }
    tokensPerRow = shape.dims[shape.rank - 1]
    outputs = [
      try node.output(
        .float32, Shape(shape.dims.dropLast() + [counter.width], rowAxis: shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    out.floats.update(repeating: 0, count: out.count)
    let row = TermRow()
    row.reserveTokens(tokensPerRow)
    row.tokenCount = tokensPerRow
    for index in 0..<(out.count / counter.width) {
      let first = index * tokensPerRow
      for i in 0..<tokensPerRow {
        let token =
          switch input.type {
          case .string: counter.tokens.find(input.strings[first + i])
          case .int64: counter.tokens.find(number: Int(input.int64s[first + i]))
          default: counter.tokens.find(number: Int(input.int32s[first + i]))
          }
        row.tokens[i] = Int32(token ?? -1)
      }
      counter.count(row)
      for term in 0..<row.termCount {
        out.floats[index * counter.width + Int(row.places[term])] = Float(row.values[term])
      }
    }
  }
}

extension TextTable {
  /// The place of a whole number's eight bytes.
  func find(number: Int) -> Int? {
    withUnsafeBytes(of: Int64(number).littleEndian) { bytes in
      bytes.withMemoryRebound(to: UInt8.self, find)
    }
  }
}

/// TfIdfVectorizer on texts that are cut on the way: rows of texts in, rows of weights out.
///
/// Made by `Graph.fuseText`, for what cannot take the weights as they are found.
struct TextVectorizer: Operator {
  let outputs: [ValueInfo]
  let terms: TextTerms
  /// The text among those of a row.
  let source: ElementPlace

  init(_ info: ValueInfo, _ terms: TextTerms, source: ElementPlace) {
    outputs = [info]
    (self.terms, self.source) = (terms, source)
  }

  func run(_ call: Call) {
    let out = call.output(0).floats
    let width = terms.counter.width
    let texts = call.input(0).strings
    out.update(repeating: 0, count: call.rowCount * width)
    let row = TermRow()
    var memory = TextCutter.Memory(terms.cutter)
    for index in 0..<call.rowCount {
      terms.find(
        in: texts[source.index(row: index, rows: call.rowCount)], row, &memory, index, call)
      let own = out + index * width
      for term in 0..<row.termCount { own[Int(row.places[term])] = Float(row.values[term]) }
    }
  }
}
