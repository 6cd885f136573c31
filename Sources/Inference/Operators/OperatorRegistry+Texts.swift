extension OperatorRegistry {
  /// Operators of ai.onnx on texts.
  static let textOperators: [String: OperatorFactory] = [
    "RegexFullMatch": { node throws(ModelError) in try RegexFullMatch(node) },
    "StringConcat": { node throws(ModelError) in try StringConcat(node) },
    "StringNormalizer": { node throws(ModelError) in try StringNormalizer(node) },
    "StringSplit": { node throws(ModelError) in try StringSplit(node) },
    "TfIdfVectorizer": { node throws(ModelError) in try TfIdfVectorizer(node) },
  ]

  /// com.microsoft
  static let contributedOperators: [String: OperatorFactory] = [
    "MurmurHash3": { node throws(ModelError) in try MurmurHash3(node) },
    "Solve": { node throws(ModelError) in try Solve(node) },
    "Tokenizer": { node throws(ModelError) in try Tokenizer(node) },
  ]
}
