import Foundation
import Inference
import Testing
import TestRandom

/// A tokenizer, texts, and the tokens that Hugging Face's `tokenizers` makes of them.
///
/// Written by `Tests/Training/tokenizer_zoo.py`.
private struct TokenizerCase {
  var tokenizer: [UInt8]
  var texts: [String]
  var ids: [[Int32]]

  /// A fixture: one file that has all.
  init(fixture name: String) throws {
    let file = ParityCase.folder.appendingPathComponent("tokenizers/\(name).json")
    let root = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
    tokenizer = [UInt8](try JSONSerialization.data(withJSONObject: #require(root?["tokenizer"])))
    texts = try #require(root?["texts"] as? [String])
    ids = try #require(root?["ids"] as? [[Int]]).map { $0.map(Int32.init) }
  }

  /// A case of the zoo: a folder.
  init(zoo name: String) throws {
    let folder = ZooCase.root.appendingPathComponent("tokenizers/\(name)")
    tokenizer = [UInt8](try Data(contentsOf: folder.appendingPathComponent("tokenizer.json")))
    texts = try JSONDecoder().decode(
      [String].self, from: Data(contentsOf: folder.appendingPathComponent("texts.json")))
    let lines = try String(contentsOf: folder.appendingPathComponent("ids.txt"), encoding: .utf8)
    ids = lines.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .map { $0.split(separator: " ").compactMap { Int32($0) } }
  }

  func check() throws {
    let model = try SubwordTokenizer(json: tokenizer)
    let scratch = TokenizerScratch()
    #expect(texts.count == ids.count)
    for (text, wanted) in zip(texts, ids) {
      let found = model.encode(text, scratch).ids
      #expect(found == wanted, "\(text.unicodeScalars.map { String($0.value, radix: 16) })")
    }
  }
}

@Suite struct TokenizerTests {
  @Test(arguments: [
    "bert", "bert_cased", "roberta", "cl100k", "llama", "metaspace", "clip",
    "split_merged_with_next",
  ])
  func tokensAreTheLibrarys(name: String) throws {
    try TokenizerCase(fixture: name).check()
  }

  private static let words = ###""vocab": {"[UNK]": 0, "a": 1, "b": 2, "##b": 3, "[C]": 4}"###

  private func tokenizer(_ members: String) throws(ModelError) -> SubwordTokenizer {
    try SubwordTokenizer(
      json: Array(
        "{\"model\": {\"type\": \"WordPiece\", \(Self.words)}\(members.isEmpty ? "" : ", ")\(members)}"
          .utf8))
  }

  @Test(arguments: [
    (#""normalizer": {"type": "Other"}"#, "Other"),
    (#""pre_tokenizer": {"type": "UnicodeScripts"}"#, "UnicodeScripts"),
    (#""post_processor": {"type": "Other"}"#, "Other"),
    (
      #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?<=a)b|c*"}, "behavior": "Isolated"}"#,
      "(?<=a)b|c*"
    ),
  ])
  func whatIsNotKnownIsRefusedByName(member: String, name: String) {
    let error = #expect(throws: ModelError.self) { try tokenizer(member) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(name) == true)
  }

  @Test(arguments: [
    "", "{", "[]", "{}", #"{"model": 3}"#,
    #"{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}"#,
    #"{"model": {"type": "BPE", "vocab": {"a": 1}, "merges": ["a b"]}}"#,
    #"{"model": {"type": "BPE", "vocab": {"a": 1}, "merges": [3]}}"#,
    #"{"model": {"type": "WordPiece", "vocab": {"a": 1e40}}}"#,
    #"{"model": {"type": "Unigram", "vocab": [["a"]]}}"#,
    #"{"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}, "model": {"type": "WordPiece", "vocab": {}}}"#,
    #"{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}, "model": {"type": "WordPiece", "vocab": {}}}"#,
    #"{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAD/"}, "model": {"type": "WordPiece", "vocab": {}}}"#,
    #"{"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 7}}"#,
  ])
  func whatIsNoTokenizerIsRefused(json: String) {
    #expect(throws: ModelError.self) { try SubwordTokenizer(json: Array(json.utf8)) }
  }

  @Test func damagedFilesAreReadOrRefused() throws {
    let file = ParityCase.folder.appendingPathComponent("tokenizers/metaspace.json")
    let bytes = [UInt8](try Data(contentsOf: file))
    let start = try #require(bytes.firstIndex(of: UInt8(ascii: ":")))
    let own = Array(bytes[(start + 1)...])
    var random = SplitMix64(seed: 5)
    let scratch = TokenizerScratch()
    for cut in stride(from: 0, to: own.count, by: own.count / 50) {
      #expect(throws: ModelError.self) { try SubwordTokenizer(json: Array(own[..<cut])) }
      var flipped = own
      flipped[Int.random(in: flipped.indices, using: &random)] ^= 1 << UInt8(cut % 7)
      if let model = try? SubwordTokenizer(json: flipped) {
        _ = model.encode("Texts, e\u{301} 日本", scratch)
      }
    }
  }

  @Test func longTextsAreCutWithTheTemplateKept() throws {
    let model = try tokenizer(
      #"""
      "pre_tokenizer": {"type": "WhitespaceSplit"},
      "post_processor": {"type": "BertProcessing", "cls": ["[C]", 4], "sep": ["[C]", 4]}
      """#)
    let scratch = TokenizerScratch()
    #expect(model.encode("a b ab bb c", scratch).ids == [4, 1, 2, 1, 3, 2, 3, 0, 4])
    #expect(model.encode("a b ab bb c", limit: 5, scratch).ids == [4, 1, 2, 1, 4])
    #expect(model.encode("", limit: 2, scratch).ids == [4, 4])
  }

  @Test func aLongWordOfPairsIsMergedAsAShortOneIs() throws {
    let model = try SubwordTokenizer(
      json: Array(
        #"{"model": {"type": "BPE", "vocab": {"a": 0, "aa": 1, "aaaa": 2}, "merges": ["a a", "aa aa"]}}"#
          .utf8))
    let scratch = TokenizerScratch()
    for count in [1, 2, 3, 4, 5, 47, 48, 49, 50, 63, 64, 65, 1_001, 100_003] {
      let ids = model.encode(String(repeating: "a", count: count), scratch).ids
      let rest: [Int32] = [[], [0], [1], [1, 0]][count % 4]
      #expect(ids == Array(repeating: 2, count: count / 4) + rest, "\(count)")
    }
  }
}

/// Runs where `make conformance` has made tokenizers.
@Suite struct TokenizerZooTests {
  static let names: [String] = {
    let folder = ZooCase.root.appendingPathComponent("tokenizers")
    return ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }()

  @Test(.enabled(if: !names.isEmpty, "no tokenizers in the zoo"), arguments: names)
  func tokensAreTheLibrarys(name: String) throws {
    try TokenizerCase(zoo: name).check()
  }
}
