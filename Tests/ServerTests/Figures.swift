import Testing

/// A scrape, as its readers take it apart.
enum Figures {
  /// By name and labels; no two are alike.
  static func samples(of text: String) throws -> [String: Double] {
    var samples: [String: Double] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let end = try #require(line.lastIndex(of: " "))
      let name = String(line[..<end])
      #expect(samples[name] == nil, "\(name)")
      let value = Double(line[line.index(after: end)...])
      #expect(value != nil, "\(line)")
      samples[name] = value
    }
    return samples
  }

  /// The kinds of what is described, by name.
  static func kinds(of text: String) -> [String: String] {
    var kinds: [String: String] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("# TYPE ") {
      let words = line.split(separator: " ").map(String.init)
      #expect(kinds.updateValue(words[3], forKey: words[2]) == nil, "\(words[2])")
    }
    return kinds
  }

  /// Names of what may be asked for; of a histogram those of its samples.
  static func names(of text: String) -> Set<String> {
    Set(
      kinds(of: text).flatMap { name, kind in
        kind == "histogram" ? ["_bucket", "_sum", "_count"].map { name + $0 } : [name]
      })
  }
}
