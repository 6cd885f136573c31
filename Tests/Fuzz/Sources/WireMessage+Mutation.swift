import TestRandom

/// Names that a graph's parts may be changed to.
struct OnnxVocabulary {
  private(set) var values: [[UInt8]] = []
  private(set) var operators: [[UInt8]] = []
  private(set) var nodes: [WireMessage.Field] = []

  private static let known = [
    "Abs", "Add", "ArgMax", "Cast", "Clip", "Concat", "ConstantOfShape", "Div", "Einsum", "Equal",
    "Erf", "Expand", "Flatten", "Gather", "GatherElements", "Gemm", "Identity", "If", "IsNaN",
    "LogSoftmax", "Loop", "MatMul", "Max", "Mul", "Neg", "NonZero", "OneHot", "Pad", "Pow", "Range",
    "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Scan", "ScatterElements", "Shape",
    "Sigmoid", "Sign", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "TopK",
    "Transpose", "Unique", "Unsqueeze", "Where", "ArrayFeatureExtractor", "Binarizer",
    "CastMap", "CategoryMapper", "DictVectorizer", "FeatureVectorizer", "Imputer", "LabelEncoder",
    "LinearClassifier", "LinearRegressor", "Normalizer", "OneHotEncoder", "SVMClassifier",
    "SVMRegressor", "Scaler", "StringNormalizer", "TfIdfVectorizer", "Tokenizer",
    "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap",
  ]

  init(_ model: WireMessage) {
    operators = Self.known.map { Array($0.utf8) }
    collect(model)
  }

  private mutating func collect(_ message: WireMessage) {
    for field in message.fields {
      switch (message.kind, field.number, field.value) {
      case (.node, 1, .bytes(let name)), (.node, 2, .bytes(let name)),
        (.tensor, 8, .bytes(let name)),
        (.valueInfo, 1, .bytes(let name)):
        values.append(name)
      case (.graph, 1, .message(let node)):
        nodes.append(field)
        collect(node)
      case (_, _, .message(let inner)): collect(inner)
      default: break
      }
    }
  }
}

extension WireMessage {
  /// Walks down to a random part and changes it.
  mutating func mutate(_ vocabulary: OnnxVocabulary, _ random: inout SplitMix64) {
    guard !fields.isEmpty else { return }
    let index = random.below(fields.count)
    if case .message(var inner) = fields[index].value, random.below(12) > 0 {
      inner.mutate(vocabulary, &random)
      fields[index].value = .message(inner)
      return
    }
    switch random.below(16) {
    case 0: fields.remove(at: index)
    case 1: fields.append(fields[index])
    case 2: fields.swapAt(index, random.below(fields.count))
    case 3 where kind == .graph:
      if let node = random.pick(vocabulary.nodes) { fields.insert(node, at: index) }
    default: change(index, vocabulary, &random)
    }
  }

  private mutating func change(
    _ index: Int, _ vocabulary: OnnxVocabulary, _ random: inout SplitMix64
  ) {
    switch fields[index].value {
    case .varint(let value): fields[index].value = .varint(number(fields[index], value, &random))
    case .fixed32(let bits):
      let value = random.float(near: Float(bitPattern: bits))
      fields[index].value = .fixed32(value.bitPattern)
    case .fixed64: fields[index].value = .fixed64(random.next())
    case .bytes(let content):
      fields[index].value = .bytes(
        bytes(fields[index].number, content, vocabulary, &random))
    case .message: break
    }
  }

  private func number(_ field: Field, _ value: UInt64, _ random: inout SplitMix64) -> UInt64 {
    switch (kind, field.number) {
    // Element types and the types of attributes are small numbers.
    case (.tensor, 2), (.tensorType, 1), (.attribute, 20): UInt64(random.below(18))
    case (.opset, 2): UInt64(random.below(26))
    default: UInt64(bitPattern: random.integer(near: Int64(bitPattern: value)))
    }
  }

  private func bytes(
    _ number: Int, _ content: [UInt8], _ vocabulary: OnnxVocabulary, _ random: inout SplitMix64
  ) -> [UInt8] {
    switch (kind, number) {
    case (.node, 1), (.node, 2), (.valueInfo, 1), (.tensor, 8):
      return random.below(8) == 0 ? [] : random.pick(vocabulary.values) ?? content
    case (.node, 4): return random.pick(vocabulary.operators) ?? content
    case (.node, 7): return Array(["", "ai.onnx.ml", "com.microsoft"][random.below(3)].utf8)
    // Packed integers: dims, attributes' ints, int32 and int64 data.
    case (.attribute, 8), (.tensor, 1), (.tensor, 5), (.tensor, 7):
      guard var values = WireMessage.unpacked(content) else { return content }
      Self.changeOne(of: &values, &random) {
        UInt64(bitPattern: $1.integer(near: Int64(bitPattern: $0)))
      }
      return WireMessage.packed(values)
    // Floats: attributes' floats, float data, raw data.
    case (.attribute, 7), (.tensor, 4), (.tensor, 9):
      return Self.changeFloat(in: content, &random)
    case (.attribute, 4), (.attribute, 9), (.tensor, 6):
      return Self.changeText(content, &random)
    default: return Self.changeText(content, &random)
    }
  }

  private static func changeOne<Value>(
    of values: inout [Value], _ random: inout SplitMix64,
    _ change: (Value, inout SplitMix64) -> Value
  ) {
    guard let place = random.pick(values.indices) else { return }
    switch random.below(6) {
    case 0: values.remove(at: place)
    case 1: values.append(values[place])
    case 2: values.swapAt(place, random.below(values.count))
    default: values[place] = change(values[place], &random)
    }
  }

  private static func changeFloat(in content: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    guard content.count >= 4 else { return content }
    var content = content
    let start = random.below(content.count / 4) * 4
    let bits = content[start..<(start + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let value = random.float(near: Float(bitPattern: bits)).bitPattern
    switch random.below(8) {
    case 0: content.removeSubrange(start..<(start + 4))
    case 1: content += content[start..<(start + 4)]
    default:
      for byte in 0..<4 { content[start + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
    }
    return content
  }

  private static func changeText(_ content: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    let texts = [
      "", "SOFTMAX", "LOGISTIC", "PROBIT", "SOFTMAX_ZERO", "NONE", "RBF", "POLY", "SIGMOID",
      "LINEAR", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_EQ", "BRANCH_MEMBER", "LEAF", "AVERAGE", "MIN",
      "MAX", "L1", "MAX", "TFIDF", "IDF", "LOWER", "é", "\u{FFFF}", "ij,jk->ik", "...", "[",
    ]
    if random.below(2) == 0 { return Array(random.pick(texts)!.utf8) }
    var content = content
    if let place = random.pick(content.indices) { content[place] = UInt8(random.below(256)) }
    return content
  }
}
