/// StringSplit: cuts texts at a delimiter or, where it is empty, at runs of white space, as Python's
/// `split` does.
///
/// How many parts there are depends on the texts, so that it takes constant texts only.
struct StringSplit: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .string)
    let delimiter = Array(try node.string("delimiter", default: "").utf8)
    let most = try node.int("maxsplit", default: -1)
    guard let texts = info.constant?.values(as: String.self) else {
      throw node.error(.unsupported, "rows of different numbers of parts are not supported")
    }
    let limit = most < 0 ? Int.max : most
    let parts = texts.map { text in
      delimiter.isEmpty
        ? Self.words(of: Array(text.unicodeScalars), limit)
        : Self.parts(of: Array(text.utf8), delimiter, limit)
    }
    let width = parts.reduce(0) { max($0, $1.count) }
    let dims = info.shape.dims
    try node.check(dims + [width])
    let padded = parts.flatMap { $0 + Array(repeating: "", count: width - $0.count) }
    outputs = [
      ValueInfo(constant: Tensor(padded, dims: dims + [width])),
      ValueInfo(constant: Tensor(parts.map { Int64($0.count) }, dims: dims)),
    ]
  }

  func run(_ call: Call) {}

  private static func parts(of text: [UInt8], _ delimiter: [UInt8], _ limit: Int) -> [String] {
    var parts: [String] = []
    var (start, at) = (0, 0)
    while parts.count < limit, at + delimiter.count <= text.count {
      if text[at..<(at + delimiter.count)].elementsEqual(delimiter) {
        parts.append(String(decoding: text[start..<at], as: UTF8.self))
        at += delimiter.count
        start = at
      } else {
        at += 1
      }
    }
    return parts + [String(decoding: text[start...], as: UTF8.self)]
  }

  private static func words(of text: [Unicode.Scalar], _ limit: Int) -> [String] {
    func isSpace(_ scalar: Unicode.Scalar) -> Bool { CodePointSet.unicodeSpace.contains(scalar) }
    func string(_ range: Range<Int>) -> String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: text[range])
      return String(view)
    }
    var words: [String] = []
    var at = 0
    while true {
      while at < text.count, isSpace(text[at]) { at += 1 }
      guard at < text.count else { return words }
      // What is left after the last cut keeps the spaces at its end.
      if words.count == limit { return words + [string(at..<text.count)] }
      let start = at
      while at < text.count, !isSpace(text[at]) { at += 1 }
      words.append(string(start..<at))
    }
  }
}
