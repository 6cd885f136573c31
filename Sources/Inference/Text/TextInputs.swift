/// The integer inputs of a network of texts, by what they hold.
struct TextInputs: Sendable {
  enum Kind: Sendable { case ids, mask, types, positions }

  let kinds: [Kind]
  /// The length of all sequences, where the file fixes it.
  let fixedLength: Int?

  var hasMask: Bool { kinds.contains(.mask) }

  /// - Throws: `.mismatch` that names an input that is not made of a text.
  init(_ features: [Signature.Feature]) throws(ModelError) {
    var kinds: [Kind] = []
    var length: Int?
    for feature in features {
      guard let kind = Self.kind(feature.name), feature.type != .string else {
        throw ModelError(
          .mismatch, "text: input \"\(feature.name)\" is not made of a text",
          hint: "Inputs are input_ids, attention_mask, token_type_ids and position_ids.")
      }
      guard let shape = feature.shape, shape.count == 1 else {
        throw ModelError(.mismatch, "text: input \"\(feature.name)\" is no sequence")
      }
      if shape[0] > 0 {
        guard length == nil || length == shape[0] else {
          throw ModelError(.mismatch, "text: inputs have sequences of different lengths")
        }
        length = shape[0]
      }
      kinds.append(kind)
    }
    guard kinds.filter({ $0 == .ids }).count == 1 else {
      throw ModelError(.mismatch, "text: the model has no input \"input_ids\"")
    }
    (self.kinds, fixedLength) = (kinds, length)
  }

  private static func kind(_ name: String) -> Kind? {
    switch name.split(separator: ":").first.map(String.init) ?? name {
    case "input_ids", "ids", "tokens", "token_ids", "input_word_ids": .ids
    case "attention_mask", "input_mask", "mask": .mask
    case "token_type_ids", "segment_ids", "input_type_ids", "type_ids": .types
    case "position_ids": .positions
    default: nil
    }
  }

  /// A column for each input: rows of `length` places, the tokens of a text and padding.
  func columns(
    _ texts: [SubwordTokenizer.Encoding], length: Int, _ tokenizer: SubwordTokenizer
  ) -> [Column] {
    kinds.map { kind in
      var values: [Int64] = []
      values.reserveCapacity(texts.count * length)
      for text in texts {
        let padding = length - text.ids.count
        let (token, fill): ((Int) -> Int64, Int64) =
          switch kind {
          case .ids: ({ Int64(text.ids[$0]) }, Int64(tokenizer.paddingID))
          case .mask: ({ _ in 1 }, 0)
          case .types: ({ Int64(text.types[$0]) }, Int64(tokenizer.paddingType))
          case .positions: ({ Int64($0) }, 0)
          }
        if tokenizer.padsLeft { for _ in 0..<padding { values.append(fill) } }
        for place in text.ids.indices { values.append(token(place)) }
        if !tokenizer.padsLeft { for _ in 0..<padding { values.append(fill) } }
      }
      return Column(.int64(values), shape: [length])
    }
  }
}
