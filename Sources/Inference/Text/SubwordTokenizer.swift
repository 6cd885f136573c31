/// A tokenizer as Hugging Face's `tokenizers` writes it (`tokenizer.json`): a text becomes numbers of
/// tokens, the same as that library's.
///
/// Normalisers, pre-tokenisers, models and post-processors that are not known are refused by name.
package final class SubwordTokenizer: Sendable {
  private enum Words: Sendable {
    case pieces(WordPiece)
    case pairs(BytePairs)
    case unigram(UnigramTokens)
  }

  /// The number of a token for each place, and its type.
  package struct Encoding: Sendable, Equatable {
    package var ids: [Int32] = []
    package var types: [Int32] = []
  }

  package static let mostBytes = 64 << 20
  private static let mostGrowth = 1024.0

  private let normalization: [TextNormalization]
  private let cutting: [TextCutting]
  private let words: Words
  private let rawTokens: AddedTokens
  private let normalizedTokens: AddedTokens
  private let template: SequenceTemplate
  private let truncatesLeft: Bool
  /// Tokens at most, those of the template among them.
  package let mostTokens: Int?
  /// What the file says of padding.
  package let paddingID: Int32
  package let paddingType: Int32
  package let padsLeft: Bool
  /// One more than the greatest number of a token.
  package let tokenCount: Int
  package let byteCount: Int

  /// - Parameter json: The bytes of `tokenizer.json`.
  /// - Throws: `.unsupported` that names the step, `.malformed` that names the member at fault.
  package init(
    json: [UInt8], limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    guard json.count <= Self.mostBytes else {
      throw ModelError(
        .tooLarge, "tokenizer has \(json.count) bytes, the limit is \(Self.mostBytes)")
    }
    let root = JSONMember(path: "", value: try JSONValue(json, limits: limits))
    let model = root["model"]
    let (tokens, scores) = try Self.tokens(model)
    let vocabulary = Vocabulary(tokens)
    switch try Self.kind(model) {
    case "WordPiece": words = .pieces(try WordPiece(model, tokens, vocabulary))
    case "BPE": words = .pairs(try BytePairs(model, vocabulary))
    case "Unigram": words = .unigram(try UnigramTokens(model, scores: scores, vocabulary))
    case let other: throw model.unsupported("model \"\(other)\"")
    }
    normalization = try TextNormalization.read(root["normalizer"])
    cutting = try TextCutting.read(root["pre_tokenizer"])
    // Steps that each make a text twice as long would fill the memory with a word.
    let growth = (normalization.map(\.growth) + cutting.map(\.growth)).reduce(1, *)
    guard growth <= Self.mostGrowth else {
      throw ModelError(
        .tooLarge,
        "tokenizer: its steps make a text more than \(Int(Self.mostGrowth)) times as long")
    }
    var added = try AddedTokens.read(
      root["added_tokens"], vocabulary, tokenCount: vocabulary.count)
    let numbers = added
    template = try SequenceTemplate(root["post_processor"]) { name in
      numbers.first { $0.content.elementsEqual(name.utf8) }?.id ?? vocabulary.id(name)
    }
    rawTokens = AddedTokens(added.filter { !$0.isNormalized })
    added.removeAll { !$0.isNormalized }
    var spare: [UInt8] = []
    for index in added.indices {
      for step in normalization { step.apply(&added[index].content, &spare) }
    }
    normalizedTokens = AddedTokens(added)

    let truncation = root["truncation"]
    if truncation.isNull {
      (mostTokens, truncatesLeft) = (nil, false)
    } else {
      mostTokens = try truncation["max_length"].integer(1...1_000_000)
      truncatesLeft = try truncation["direction"].optionalString() == "Left"
    }
    let padding = root["padding"]
    paddingID = Int32(try padding["pad_id"].integer(0...Int(Int32.max), 0))
    paddingType = Int32(try padding["pad_type_id"].integer(0...0xFFFF, 0))
    padsLeft = try padding["direction"].optionalString() == "Left"

    let greatest = max(
      tokens.reduce(0) { max($0, $1.id) }, numbers.reduce(0) { max($0, $1.id) })
    tokenCount = Int(greatest) + 1
    byteCount =
      switch words {
      case .pieces(let model): model.byteCount
      case .pairs(let model): model.byteCount
      case .unigram(let model): model.byteCount
      }
  }

  /// The model's type; files of before 2020 leave it to be told from the members.
  private static func kind(_ model: JSONMember) throws(ModelError) -> String {
    if let type = try model["type"].optionalString() { return type }
    if !model["merges"].isNull { return "BPE" }
    if !model["continuing_subword_prefix"].isNull { return "WordPiece" }
    if !model["unk_id"].isNull { return "Unigram" }
    throw model.malformed("has no type")
  }

  private static func tokens(
    _ model: JSONMember
  ) throws(ModelError) -> (tokens: [(bytes: [UInt8], id: Int32)], scores: [Double]) {
    let vocabulary = model["vocab"]
    var tokens: [(bytes: [UInt8], id: Int32)] = []
    var scores: [Double] = []
    if case .array(let elements) = vocabulary.value {
      for (index, element) in elements.enumerated() {
        guard case .array(let pair) = element, pair.count == 2, case .string(let token) = pair[0],
          case .number(let score) = pair[1]
        else { throw vocabulary.malformed("has no token and score at \(index)") }
        tokens.append((Array(token.utf8), Int32(index)))
        scores.append(score)
      }
      return (tokens, scores)
    }
    for (name, value) in try vocabulary.members() {
      guard case .number(let number) = value, let id = Int32(exactly: number), id >= 0 else {
        throw vocabulary.malformed("has no number for a token")
      }
      tokens.append((Array(name.utf8), id))
    }
    return (tokens, [])
  }

  /// Tokens that the template adds.
  package var addedCount: Int { template.count }

  /// The tokens of a text, as the library's `encode` gives them before padding.
  ///
  /// - Parameter limit: Tokens at most; what is over goes.
  /// - Complexity: Linear in the text, but for words longer than 48 characters in byte pairs, n log n.
  package func encode(
    _ text: String, limit: Int? = nil, _ scratch: TokenizerScratch
  ) -> Encoding {
    var ids: [Int32] = []
    var text = text
    text.withUTF8 { text in
      let room = limit.map { max($0 - template.count, 0) }
      if rawTokens.isEmpty {
        appendNormalized(text, isFirst: true, to: &ids, scratch)
      } else {
        for part in rawTokens.cut(text) {
          if let id = part.id {
            ids.append(id)
          } else {
            appendNormalized(
              UnsafeBufferPointer(rebasing: text[part.range]), isFirst: part.range.lowerBound == 0,
              to: &ids, scratch)
          }
        }
      }
      if let room, ids.count > room {
        if truncatesLeft { ids.removeFirst(ids.count - room) } else { ids.removeSubrange(room...) }
      }
    }
    return framed(ids)
  }

  private func framed(_ ids: [Int32]) -> Encoding {
    guard template.count > 0 || template.type != 0 else {
      return Encoding(ids: ids, types: Array(repeating: 0, count: ids.count))
    }
    var result = Encoding()
    result.ids.reserveCapacity(ids.count + template.count)
    for token in template.before { result.ids.append(token.id) }
    result.ids.append(contentsOf: ids)
    for token in template.after { result.ids.append(token.id) }
    result.types =
      template.before.map(\.type) + Array(repeating: template.type, count: ids.count)
      + template.after.map(\.type)
    return result
  }

  private func appendNormalized(
    _ part: UnsafeBufferPointer<UInt8>, isFirst: Bool, to ids: inout [Int32],
    _ scratch: TokenizerScratch
  ) {
    scratch.text.removeAll(keepingCapacity: true)
    scratch.text.append(contentsOf: part)
    for step in normalization { step.apply(&scratch.text, &scratch.spare) }
    if normalizedTokens.isEmpty {
      cut(0..<scratch.text.count, isFirst: isFirst, scratch)
      appendWords(to: &ids, scratch)
      return
    }
    for found in scratch.text.withUnsafeBufferPointer({ normalizedTokens.cut($0) }) {
      if let id = found.id {
        ids.append(id)
      } else {
        cut(found.range, isFirst: isFirst && found.range.lowerBound == 0, scratch)
        appendWords(to: &ids, scratch)
      }
    }
  }

  private func cut(_ range: Range<Int>, isFirst: Bool, _ scratch: TokenizerScratch) {
    scratch.pieces.removeAll()
    scratch.pieces.isFromStart = isFirst
    scratch.pieces.bytes.append(contentsOf: scratch.text[range])
    scratch.pieces.cut()
    for step in cutting {
      step.apply(scratch.pieces, into: &scratch.sparePieces)
      swap(&scratch.pieces, &scratch.sparePieces)
    }
  }

  private func appendWords(to ids: inout [Int32], _ scratch: TokenizerScratch) {
    // Taken out, for the models use the scratch while they read it.
    let pieces = scratch.pieces
    switch words {
    case .pieces(let model): pieces.forEach { model.append($0, to: &ids, scratch) }
    case .pairs(let model): pieces.forEach { model.append($0, to: &ids, scratch) }
    case .unigram(let model): pieces.forEach { model.append($0, to: &ids, scratch) }
    }
  }
}
