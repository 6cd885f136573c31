/// StringNormalizer: changes the case of texts, and leaves out those that are stop words.
///
/// Leaving out changes how many elements there are, so a list of stop words is taken only for
/// constant texts; for rows of texts it is refused.
struct StringNormalizer: Operator {
  let outputs: [ValueInfo]
  let change: TextCase

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string)
    let name = try node.string("case_change_action", default: "NONE")
    guard let action = TextCase.Action(rawValue: name) else {
      throw node.error(.malformed, "case_change_action \"\(name)\" does not exist")
    }
    change = TextCase(action, locale: try node.string("locale", default: ""))
    let words = try node.strings("stopwords") ?? []
    guard !words.isEmpty else {
      outputs = [try node.output(.string, info.shape)]
      return
    }
    guard let texts = info.constant?.values(as: String.self), (1...2).contains(info.shape.rank),
      info.shape.rank == 1 || info.shape.dims[0] == 1
    else { throw node.error(.unsupported, "rows that are stop words would be left out") }
    let isCaseSensitive = try node.int("is_case_sensitive", default: 0) != 0
    let compared = isCaseSensitive ? TextCase(.none) : TextCase(action == .upper ? .upper : .lower)
    let stops = Set(words.map { Array(compared.apply($0).utf8) })
    let kept = texts.filter { !stops.contains(Array(compared.apply($0).utf8)) }
    // Where nothing is left, one empty text is.
    let result = kept.isEmpty ? [""] : kept.map { [change] in change.apply($0) }
    outputs = [
      ValueInfo(
        constant: Tensor(result, dims: info.shape.rank == 1 ? [result.count] : [1, result.count]))
    ]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    for i in 0..<input.count { out.strings[i] = change.apply(input.strings[i]) }
  }
}

/// StringConcat: joins texts, element by element.
///
/// A chain of such nodes doubles a text with each: what a row's texts may come to is bounded.
struct StringConcat: Operator {
  let outputs: [ValueInfo]
  private let name: String
  /// Elements that lie together for a row; nil where the texts are of no row.
  private let rowStride: Int?

  /// Bytes that the texts of a row may take together.
  static let mostBytes = 1 << 20

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let (a, b) = (try node.input(0, .string), try node.input(1, .string))
    guard let shape = a.shape.broadcast(with: b.shape) else {
      throw node.error(
        .malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit row by row")
    }
    name = node.name
    rowStride = shape.rowAxis.map { max(shape.dims[($0 + 1)...].reduce(1, *), 1) }
    outputs = [try node.output(.string, shape)]
  }

  func run(_ call: Call) {
    let (a, b, out) = (call.input(0), call.input(1), call.output(0))
    var byteCounts = Array(repeating: 0, count: max(call.rowCount, 1))
    BroadcastWalk(output: out.dims, inputs: [a.dims, b.dims]).forEachStretch {
      output, offsets, steps, count in
      for i in 0..<count {
        let row = rowStride.map { (output + i) / $0 % byteCounts.count } ?? 0
        let (first, second) = (
          a.strings[offsets[0] + i * steps[0]], b.strings[offsets[1] + i * steps[1]]
        )
        byteCounts[row] += first.utf8.count + second.utf8.count
        guard byteCounts[row] <= Self.mostBytes else {
          call.failures.add(
            row: row, .wrongType,
            "texts come to more than \(Self.mostBytes) bytes (node \"\(name)\")")
          out.strings[output + i] = ""
          continue
        }
        out.strings[output + i] = first + second
      }
    }
  }
}

/// RegexFullMatch: true where an expression matches the whole text.
struct RegexFullMatch: Operator {
  let outputs: [ValueInfo]
  private let pattern: TextPattern
  /// Elements of a row.
  private let width: Int

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string)
    width = max(info.shape.elementCount, 1)
    pattern = try node.pattern(node.string("pattern", default: ""))
    outputs = [try node.output(.bool, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    var matcher = TextPattern.Matcher(pattern)
    for i in 0..<input.count {
      matcher.reset()
      out.bools[i] = input.strings[i].withBytes { pattern.matches($0, &matcher) }
      if matcher.isExhausted {
        call.failures.add(row: i / width, .wrongType, "a text takes too many steps to be matched")
      }
    }
  }
}

extension Node {
  /// A regular expression of the node, or the error that says what is wrong with it.
  func pattern(_ text: String) throws(ModelError) -> TextPattern {
    do {
      return try TextPattern(text)
    } catch {
      throw self.error(.unsupported, "regular expression \"\(text)\": \(error.reason)")
    }
  }
}
