internal import Inference

/// Whether a tokenizer's file becomes one that keeps its word on any text.
enum TokenizerCheck {
  /// - Returns: Whether the bytes are a tokenizer.
  static func run(_ bytes: [UInt8], limits: ModelLimits) throws(FuzzFinding) -> Bool {
    let tokenizer: SubwordTokenizer
    do throws(ModelError) {
      tokenizer = try SubwordTokenizer(json: bytes, limits: limits)
    } catch {
      guard !error.message.isEmpty else { throw FuzzFinding("a refusal says nothing") }
      return false
    }
    let scratch = TokenizerScratch()
    for text in HostileRows.texts + [String(repeating: "a", count: 300), "[CLS] <s> [MASK]"] {
      let whole = tokenizer.encode(text, scratch)
      guard whole == tokenizer.encode(text, TokenizerScratch()) else {
        throw FuzzFinding("a text has other tokens the second time")
      }
      guard whole.ids.count == whole.types.count else {
        throw FuzzFinding("\(whole.types.count) types for \(whole.ids.count) tokens")
      }
      if let id = whole.ids.first(where: { $0 < 0 || Int($0) >= tokenizer.tokenCount }) {
        throw FuzzFinding("token \(id) of \(tokenizer.tokenCount)")
      }
      for limit in [0, 1, 5] {
        let cut = tokenizer.encode(text, limit: limit, scratch)
        guard cut.ids.count <= max(limit, tokenizer.addedCount), cut.ids.count == cut.types.count
        else { throw FuzzFinding("\(cut.ids.count) tokens where \(limit) are wanted") }
      }
    }
    return true
  }
}
