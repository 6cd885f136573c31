/// DictVectorizer: the values of a map, in the order of the vocabulary.
///
/// A map that a row brings is a feature for each key that the vocabulary has (`MapInputs`), so
/// there is nothing to look up: a missing one is zero, or the empty string.
struct DictVectorizer: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64, .int64, .string)
    let rows = try FeatureRows(node, info)
    let words = try node.strings("string_vocabulary") ?? []
    let numbers = try node.ints("int64_vocabulary") ?? []
    guard words.isEmpty != numbers.isEmpty, rows.width == words.count + numbers.count else {
      throw node.error(
        .malformed,
        "\(rows.width) values for \(words.count) words and \(numbers.count) numbers")
    }
    outputs = [try node.output(info.type, rows.wide(rows.width))]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0))
    switch source.type {
    case .float32: fill(source.floats, target.floats, source.count)
    case .float64: fill(source.doubles, target.doubles, source.count)
    case .int64: target.int64s.update(from: source.int64s, count: source.count)
    default: target.strings.update(from: source.strings, count: source.count)
    }
  }

  private func fill<T: BinaryFloatingPoint>(
    _ source: UnsafeMutablePointer<T>, _ target: UnsafeMutablePointer<T>, _ count: Int
  ) {
    for i in 0..<count { target[i] = source[i].isNaN ? 0 : source[i] }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: true, count: count)
  }
}

/// CastMap: the values of a map by ascending key, in another type.
///
/// As with `DictVectorizer` a row's map is features already. In the sparse form the keys are the
/// numbers below `max_map`, and a missing value is zero or the empty string.
struct CastMap: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .string)
    let rows = try FeatureRows(node, info)
    let name = try node.string("cast_to", default: "TO_FLOAT")
    let types: [String: TensorType] = [
      "TO_FLOAT": .float32, "TO_STRING": .string, "TO_INT64": .int64,
    ]
    guard let type = types[name] else {
      throw node.error(.malformed, "cast_to \"\(name)\" does not exist")
    }
    outputs = [try node.output(type, rows.wide(rows.width))]
  }

  func run(_ call: Call) {
    let (source, target) = (call.input(0), call.output(0))
    for i in 0..<source.count {
      switch (source.type, target.type) {
      case (.float32, .float32): target.floats[i] = source.floats[i].isNaN ? 0 : source.floats[i]
      case (.float32, .int64):
        let whole = Double(source.floats[i]).rounded(.towardZero)
        target.int64s[i] = Int64(exactly: whole) ?? 0
      case (.float32, _): target.strings[i] = text(source.floats[i])
      case (_, .string): target.strings[i] = source.strings[i]
      case (_, let type): read(source.strings[i], type, i, target, call)
      }
    }
  }

  /// A number as C++ streams print it: up to six digits.
  private func text(_ value: Float) -> String {
    if value.isNaN { return "" }
    if let whole = Int64(exactly: value), abs(whole) < 1_000_000 { return "\(whole)" }
    return "\(value)"
  }

  private func read(
    _ text: String, _ type: TensorType, _ i: Int, _ target: TensorView, _ call: Call
  ) {
    let number = text.isEmpty ? 0 : Double(text)
    if number == nil {
      call.failures.add(
        row: i / max(outputs[0].shape.elementCount, 1), .wrongType,
        "a value of a map is not a number")
    }
    if type == .int64 {
      target.int64s[i] = Int64(exactly: (number ?? 0).rounded(.towardZero)) ?? 0
    } else {
      target.floats[i] = Float(number ?? 0)
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: true, count: count)
  }
}
