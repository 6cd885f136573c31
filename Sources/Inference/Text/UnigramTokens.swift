/// Words by the tokens whose probabilities have the greatest product.
///
/// Kudo (2018); found by Viterbi's algorithm in O(n m), m the bytes of the longest token.
struct UnigramTokens: Sendable {
  private struct Node {
    var score = 0.0
    /// Where the best token that ends here begins; -1 where none does.
    var start = -1
    var id: Int32 = 0
  }

  private static let longestToken = 1024
  /// What an unknown character costs beside the least probable token.
  private static let penalty = 10.0

  private let vocabulary: Vocabulary
  private let scores: [Double]
  private let unknown: Int32?
  private let unknownScore: Double
  private let bytes: [Int32]?

  init(
    _ member: JSONMember, scores: [Double], _ vocabulary: Vocabulary
  ) throws(ModelError) {
    self.vocabulary = vocabulary
    self.scores = scores
    guard vocabulary.longest <= Self.longestToken else {
      throw ModelError(.tooLarge, "tokenizer: a token of \(vocabulary.longest) bytes")
    }
    unknown =
      member["unk_id"].isNull
      ? nil : Int32(try member["unk_id"].integer(0...max(scores.count - 1, 0)))
    unknownScore = (scores.min() ?? 0) - Self.penalty
    if try member["byte_fallback"].bool(false) {
      let digits = Array("0123456789ABCDEF")
      bytes = (0..<0x100).map { vocabulary.id("<0x\(digits[$0 >> 4])\(digits[$0 & 15])>") ?? -1 }
    } else {
      bytes = nil
    }
  }

  var byteCount: Int { vocabulary.byteCount + scores.count * 8 }

  func append(
    _ word: UnsafeBufferPointer<UInt8>, to ids: inout [Int32], _ scratch: TokenizerScratch
  ) {
    var nodes = Array(repeating: Node(), count: word.count + 1)
    var start = 0
    while start < word.count {
      let own = nodes[start].score
      let length = UTF8Bytes.length(word[start])
      // A place that no token reaches, where the unknown has no token.
      if start > 0, nodes[start].start < 0 {
        start += length
        continue
      }
      var hash = Vocabulary.seed
      var hasSingle = false
      for end in (start + 1)..<(min(word.count, start + vocabulary.longest) + 1) {
        hash = Vocabulary.hash(hash, word[end - 1])
        guard end == word.count || word[end] & 0xC0 != 0x80,
          let id = vocabulary.id(UnsafeBufferPointer(rebasing: word[start..<end]), hash: hash)
        else { continue }
        let score = own + scores[Int(id)]
        if nodes[end].start < 0 || score > nodes[end].score {
          nodes[end] = Node(score: score, start: start, id: id)
        }
        if end == start + length { hasSingle = true }
      }
      if !hasSingle, let unknown {
        let (end, score) = (start + length, own + unknownScore)
        if nodes[end].start < 0 || score > nodes[end].score {
          nodes[end] = Node(score: score, start: start, id: unknown)
        }
      }
      start += length
    }
    collect(word, nodes, into: &ids)
  }

  /// The best way, from its end; unknowns that follow each other are one.
  private func collect(
    _ word: UnsafeBufferPointer<UInt8>, _ nodes: [Node], into ids: inout [Int32]
  ) {
    let first = ids.count
    var end = word.count
    while end > 0 {
      var start = nodes[end].start
      guard start >= 0 else {
        end -= 1
        continue
      }
      let id = nodes[end].id
      guard id == unknown else {
        ids.append(id)
        end = start
        continue
      }
      while start > 0, nodes[start].start >= 0, nodes[start].id == unknown {
        start = nodes[start].start
      }
      let piece = UnsafeBufferPointer(rebasing: word[start..<end])
      if let known = vocabulary.id(piece) {
        ids.append(known)
      } else if let bytes, piece.allSatisfy({ bytes[Int($0)] >= 0 }) {
        for byte in piece.reversed() { ids.append(bytes[Int(byte)]) }
      } else {
        ids.append(id)
      }
      end = start
    }
    ids[first...].reverse()
  }
}
