/// What stands around a text's tokens: `[CLS] … [SEP]`.
struct SequenceTemplate: Sendable {
  struct Token: Sendable {
    var id: Int32
    var type: Int32
  }

  private(set) var before: [Token] = []
  private(set) var after: [Token] = []
  /// The type of the text's own tokens.
  private(set) var type: Int32 = 0

  var count: Int { before.count + after.count }

  init() {}

  /// - Parameter tokenID: The number of a token.
  init(
    _ member: JSONMember, depth: Int = 0, tokenID: (String) -> Int32?
  ) throws(ModelError) {
    if member.isNull { return }
    guard depth < 8 else { throw member.malformed("is nested too deep") }
    let type = try member.type()
    switch type {
    case "ByteLevel": break
    case "Sequence":
      // Each wraps what the one before made.
      for step in try member["processors"].elements() {
        let own = try SequenceTemplate(step, depth: depth + 1, tokenID: tokenID)
        before = own.before + before
        after += own.after
        if own.type != 0 { self.type = own.type }
        guard count <= 64 else { throw member.malformed("adds more than 64 tokens") }
      }
    case "BertProcessing", "RobertaProcessing":
      before = [Token(id: try Self.pair(member["cls"]), type: 0)]
      after = [Token(id: try Self.pair(member["sep"]), type: 0)]
    case "TemplateProcessing": try read(member)
    default: throw member.unsupported("post-processor \"\(type)\"")
    }
  }

  /// `["[SEP]", 102]`
  private static func pair(_ member: JSONMember) throws(ModelError) -> Int32 {
    let parts = try member.elements()
    guard parts.count == 2 else { throw member.malformed("is no pair of a token and its number") }
    return Int32(try parts[1].integer(0...Int(Int32.max)))
  }

  private mutating func read(_ member: JSONMember) throws(ModelError) {
    var hasText = false
    for piece in try member["single"].elements() {
      if !piece["Sequence"].isNull {
        guard !hasText else { throw piece.malformed("repeats the text") }
        hasText = true
        type = Int32(try piece["Sequence"]["type_id"].integer(0...0xFFFF, 0))
        continue
      }
      let name = try piece["SpecialToken"]["id"].string()
      let own = Int32(try piece["SpecialToken"]["type_id"].integer(0...0xFFFF, 0))
      for id in try member["special_tokens"][name]["ids"].elements() {
        let token = Token(id: Int32(try id.integer(0...Int(Int32.max))), type: own)
        if hasText { after.append(token) } else { before.append(token) }
        guard count <= 64 else { throw member.malformed("adds more than 64 tokens") }
      }
    }
    guard hasText else { throw member.malformed("has no place for the text") }
  }
}
