import Inference
import ModelFixtures
import Testing

/// Operators of texts, in small models.
@Suite struct TextOperatorTests {
  typealias Attributes = [(String, OnnxWriter.Attribute)]

  /// The rows' answers of one column as texts; what is refused is nil.
  private static func score(
    _ writer: OnnxWriter, _ texts: [String], nulls: [UInt64]? = nil
  ) throws -> [[String]] {
    var writer = writer
    writer.opsets.append(("com.microsoft", 1))
    let model = try Model.load(writer.bytes())
    let batch = Batch(rowCount: texts.count, columns: [Column(.string(texts), nulls: nulls)])
    let got = try model.predict(batch, workspace: Workspace())
    #expect(got.failures.isEmpty)
    // One at a time gives the same.
    let workspace = Workspace()
    for (row, text) in texts.enumerated() {
      let own = Batch(rowCount: 1, columns: [Column(.string([text]))])
      let alone = try model.predict(own, workspace: workspace)
      #expect(alone.columns.map { $0.exact(0) } == got.columns.map { $0.exact(row) })
    }
    return texts.indices.map { row in got.columns.map { Self.text($0, row) } }
  }

  private static func text(_ column: Column, _ row: Int) -> String {
    if case .float32(let numbers) = column.values { "\(numbers[row])" } else { column.exact(row) }
  }

  /// Counts of each text of `pool` among the tokens of a text.
  private static func counts(
    _ texts: [String], pool: [String], _ tokenizer: Attributes, normalizer: Attributes = []
  ) throws -> [[Int]] {
    var writer = OnnxWriter()
    writer.input("text", .string, [nil, 1])
    writer.output("counts", .float, [nil, Int64(pool.count)])
    writer.initializer("flat", .init(dims: [1], .ints([-1])))
    writer.node("Reshape", ["text", "flat"], ["column"])
    writer.node("StringNormalizer", ["column"], ["normal"], normalizer)
    writer.node(
      "Tokenizer", domain: "com.microsoft", [normalizer.isEmpty ? "text" : "normal"], ["tokens"],
      [("pad_value", .string("#")), ("mark", .int(0))] + tokenizer)
    writer.node("Flatten", ["tokens"], ["flat_tokens"])
    writer.node(
      "TfIdfVectorizer", ["flat_tokens"], ["counts"],
      [
        ("mode", .string("TF")), ("min_gram_length", .int(1)), ("max_gram_length", .int(1)),
        ("max_skip_count", .int(0)), ("ngram_counts", .ints([0])),
        ("ngram_indexes", .ints((0..<Int64(pool.count)).map { $0 })),
        ("pool_strings", .strings(pool)),
      ])
    return try score(writer, texts).map { $0.map { Int(Double($0) ?? -1) } }
  }

  private struct Cut: CustomTestStringConvertible {
    let expression: String
    let text: String
    let tokens: [String]
    var least = 1
    var testDescription: String { "\(expression) in \(text)" }
  }

  private static let cuts: [Cut] = [
    Cut(expression: "[a-z]+", text: "ab1cd  e", tokens: ["ab", "cd", "e"]),
    Cut(expression: "[a-z]+", text: "ab1cd  e", tokens: ["ab", "cd"], least: 2),
    Cut(expression: "\\w+", text: "über x_1", tokens: ["ber", "x_1"]),
    Cut(expression: "(?u)\\w+", text: "über 東京!", tokens: ["über", "東京"]),
    Cut(expression: "(?u)\\b\\w\\w+\\b", text: "a été I œuvre", tokens: ["été", "œuvre"]),
    Cut(expression: "\\b\\w\\w+\\b", text: "a bc-def", tokens: ["bc", "def"]),
    Cut(expression: ".", text: "aé😀", tokens: ["a", "é", "😀"]),
    Cut(expression: ".", text: "a\nb", tokens: ["a", "b"]),
    Cut(expression: "(?s).", text: "a\nb", tokens: ["a", "\n", "b"]),
    Cut(expression: "\\p{Lu}\\p{Ll}*", text: "ÄbcDEf g", tokens: ["Äbc", "D", "Ef"]),
    Cut(expression: "[^\\s,]+", text: "a,b c;d", tokens: ["a", "b", "c;d"]),
    Cut(expression: "a|ab|abc", text: "abcab", tokens: ["abc", "ab"]),
    Cut(expression: "(?:ab)+?", text: "ababx", tokens: ["abab"]),
    Cut(expression: "x{2,3}", text: "xxxxx", tokens: ["xxx", "xx"]),
    Cut(expression: "x{2}", text: "xxxxx", tokens: ["xx", "xx"]),
    Cut(expression: "(?i)straSSE", text: "STRASSE Strasse", tokens: ["STRASSE", "Strasse"]),
    Cut(expression: "^a|b$", text: "ab ab", tokens: ["a", "b"]),
    Cut(expression: "[[:digit:]]+\\.[0-9]", text: "12.3.4", tokens: ["12.3"]),
    Cut(expression: "[]a]", text: "]ab", tokens: ["]", "a"]),
    Cut(expression: "a*", text: "baac", tokens: ["aa"]),
    Cut(expression: "\\x41\\x{1F600}", text: "A😀", tokens: ["A😀"]),
    Cut(expression: "\\Qa.b\\E", text: "a.b axb", tokens: ["a.b"]),
  ]

  @Test("an expression cuts as RE2 does", arguments: cuts)
  private func expressions(cut: Cut) throws {
    let pool =
      Array(Set(cut.tokens)).sorted()
      + ["b ", "é", "x", "ab ", "abcab"].filter {
        !cut.tokens.contains($0)
      }
    let got = try Self.counts(
      [cut.text, ""], pool: pool,
      [("tokenexp", .string(cut.expression)), ("mincharnum", .int(Int64(cut.least)))])
    #expect(got[0] == pool.map { name in cut.tokens.filter { $0 == name }.count })
    #expect(got[1].allSatisfy { $0 == 0 })
  }

  @Test(
    "an expression that is none is refused by name",
    arguments: ["(", "a)", "[a", "a{3,2}", "*a", "(?=a)", "\\1", "\\p{Xx}", "a{1001}", "\\"])
  func refusals(expression: String) {
    let error = #expect(throws: ModelError.self) {
      try Self.counts(
        ["a"], pool: ["a"], [("tokenexp", .string(expression)), ("mincharnum", .int(1))])
    }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("regular expression") ?? false)
  }

  @Test("repetitions of repetitions are refused, and matching takes linear time")
  func bounds() throws {
    let nested = String(repeating: "(", count: 8) + "a?" + String(repeating: "){1000}", count: 8)
    #expect(throws: ModelError.self) {
      try Self.counts(["a"], pool: ["a"], [("tokenexp", .string(nested)), ("mincharnum", .int(1))])
    }
    let text = String(repeating: "a", count: 2000)
    let got = try Self.counts(
      [text], pool: [text], [("tokenexp", .string("(a*)*(a|aa)+")), ("mincharnum", .int(1))])
    #expect(got == [[1]])
  }

  @Test("separators cut one after the other")
  func separators() throws {
    let got = try Self.counts(
      ["a b,c  dd", ",,", "x.y"], pool: ["a", "b", "c", "dd", "x.y"],
      [("separators", .strings([" ", ","])), ("mincharnum", .int(1))])
    #expect(got == [[1, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    let characters = try Self.counts(
      ["aéa😀"], pool: ["a", "é", "😀"], [("separators", .strings([""])), ("mincharnum", .int(1))])
    #expect(characters == [[2, 1, 1]])
  }

  @Test(
    "case changes as in Python",
    arguments: [
      ("LOWER", "", "ÀÉ İ ΑΣ ΑΣΑ Σ Straße K", "àé i̇ ας ασα σ straße k"),
      ("UPPER", "", "àé ß ﬁ ας ŉ", "ÀÉ SS FI ΑΣ ʼN"),
      ("NONE", "", "Àé", "Àé"),
      ("LOWER", "tr_TR", "Iİ", "ıi"),
      ("UPPER", "tr_TR.UTF-8", "iı", "İI"),
    ])
  func cases(action: String, locale: String, text: String, wanted: String) throws {
    var writer = OnnxWriter()
    writer.input("text", .string, [nil, 1])
    writer.output("normal", .string, [nil, 1])
    writer.node(
      "StringNormalizer", ["text"], ["normal"],
      [("case_change_action", .string(action)), ("locale", .string(locale))])
    let got = try Self.score(writer, [text, ""])
    #expect(got.map { Array($0[0].utf8) } == [Array(wanted.utf8), []])
  }

  @Test("an accent apart is another text")
  func canonical() throws {
    let got = try Self.counts(
      ["e\u{301}t", "\u{E9}t"], pool: ["\u{E9}t"],
      [("tokenexp", .string("\\S+")), ("mincharnum", .int(1))])
    #expect(got == [[0], [1]])
  }

  @Test("n-grams skip tokens, and modes weigh them")
  func modes() throws {
    func score(_ mode: String, skips: Int64) throws -> [String] {
      var writer = OnnxWriter()
      writer.input("text", .string, [nil, 1])
      writer.output("weights", .float, [nil, 4])
      writer.node(
        "Tokenizer", domain: "com.microsoft", ["text"], ["tokens"],
        [
          ("pad_value", .string("#")), ("mark", .int(0)), ("mincharnum", .int(1)),
          ("tokenexp", .string("[a-z#]+")),
        ])
      writer.node("Flatten", ["tokens"], ["flat"])
      writer.node(
        "TfIdfVectorizer", ["flat"], ["weights"],
        [
          ("mode", .string(mode)), ("min_gram_length", .int(1)), ("max_gram_length", .int(2)),
          ("max_skip_count", .int(skips)), ("ngram_counts", .ints([0, 2])),
          ("ngram_indexes", .ints([0, 1, 2, 3])),
          ("pool_strings", .strings(["a", "#", "a", "b", "b", "a"])),
          ("weights", .floats([2, 3, 5, 7])),
        ])
      return try Self.score(writer, ["a b a c b"])[0]
    }
    #expect(try score("TF", skips: 0) == ["2.0", "0.0", "1.0", "1.0"])
    #expect(try score("TF", skips: 1) == ["2.0", "0.0", "2.0", "1.0"])
    #expect(try score("IDF", skips: 1) == ["2.0", "0.0", "5.0", "7.0"])
    #expect(try score("TFIDF", skips: 1) == ["4.0", "0.0", "10.0", "7.0"])
  }

  @Test("tokens that are not counted are refused")
  func tokensAlone() {
    var writer = OnnxWriter()
    writer.opsets.append(("com.microsoft", 1))
    writer.input("text", .string, [nil, 1])
    writer.output("tokens", .string, [nil, 1, nil])
    writer.node(
      "Tokenizer", domain: "com.microsoft", ["text"], ["tokens"],
      [
        ("pad_value", .string("#")), ("mark", .int(0)), ("mincharnum", .int(1)),
        ("tokenexp", .string("[a-z]+")),
      ])
    let error = #expect(throws: ModelError.self) { try Model.load(writer.bytes()) }
    #expect(error?.code == .unsupported)
  }

  @Test("an expression matches the whole text or not at all")
  func fullMatch() throws {
    var writer = OnnxWriter(opset: 20)
    writer.input("text", .string, [nil, 1])
    writer.output("matches", .bool, [nil, 1])
    writer.node("RegexFullMatch", ["text"], ["matches"], [("pattern", .string("(a|ab)(c|bcd)"))])
    let got = try Self.score(writer, ["ac", "abcd", "abc", "abcdx", "", "xac"])
    #expect(got.map { $0[0] } == ["true", "true", "true", "false", "false", "false"])
  }

  @Test("texts are joined")
  func concatenation() throws {
    var writer = OnnxWriter(opset: 20)
    writer.input("text", .string, [nil, 1])
    writer.output("joined", .string, [nil, 1])
    writer.initializer("end", .init(dims: [1], .strings(["!"])))
    writer.node("StringConcat", ["text", "end"], ["joined"])
    #expect(try Self.score(writer, ["a", ""]) == [["a!"], ["!"]])
  }
}
