/// StringConcat: texts put together, element by element.
enum StringConcat {
  static let factory: OperatorFactory = { node throws(ModelError) in
    let (a, b) = (try node.input(0, .string), try node.input(1, .string))
    return try BinaryElementwise(
      node, a, b, .string, BinaryElementwise.kernel { (a: String, b: String) in a + b })
  }
}

/// StringSplit: the parts of each text between delimiters, filled up with empty texts, and how many
/// there are.
enum StringSplit {
  static let factory: OperatorFactory = { node throws(ModelError) in
    guard let texts = try node.input(0, .string).constant else {
      throw node.error(.unsupported, "an input that is not constant is not supported")
    }
    let delimiter = try node.string("delimiter", default: "")
    let most = try node.int("maxsplit", default: .max)
    var parts: [[String]] = []
    for text in texts.values(as: String.self) {
      try node.spend(text.utf8.count)
      parts.append(
        delimiter.isEmpty
          ? words(text, most: most) : pieces(text, delimiter, most: most))
    }
    let width = parts.reduce(0) { max($0, $1.count) }
    let dims = texts.dims + [width]
    try node.check(dims)
    let filled = parts.flatMap { $0 + Array(repeating: "", count: width - $0.count) }
    return Computed(outputs: [
      ValueInfo(constant: Tensor(filled, dims: dims)),
      ValueInfo(constant: Tensor(parts.map { Int64($0.count) }, dims: texts.dims)),
    ])
  }

  /// Between stretches of white space, which are nothing at the ends.
  private static func words(_ text: String, most: Int) -> [String] {
    var result: [String] = []
    var rest = text.drop(while: \.isWhitespace)
    while !rest.isEmpty {
      guard result.count < most else {
        while rest.last?.isWhitespace == true { rest.removeLast() }
        result.append(String(rest))
        break
      }
      let word = rest.prefix { !$0.isWhitespace }
      result.append(String(word))
      rest = rest.dropFirst(word.count).drop(while: \.isWhitespace)
    }
    return result
  }

  private static func pieces(_ text: String, _ delimiter: String, most: Int) -> [String] {
    var result: [String] = []
    let (bytes, mark) = (Array(text.utf8), Array(delimiter.utf8))
    var start = 0
    var at = 0
    while at + mark.count <= bytes.count, result.count < most {
      if bytes[at..<(at + mark.count)].elementsEqual(mark) {
        result.append(String(decoding: bytes[start..<at], as: UTF8.self))
        at += mark.count
        start = at
      } else {
        at += 1
      }
    }
    return text.isEmpty ? [] : result + [String(decoding: bytes[start...], as: UTF8.self)]
  }
}
