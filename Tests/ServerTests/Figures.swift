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
      samples[name] = try #require(Double(line[line.index(after: end)...]), "\(line)")
    }
    return samples
  }

  /// Names of what is described; of a histogram those of its samples.
  static func names(of text: String) -> Set<String> {
    var names: Set<String> = []
    for line in text.split(separator: "\n") where line.hasPrefix("# TYPE ") {
      let words = line.split(separator: " ").map(String.init)
      let suffixes = words[3] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      for suffix in suffixes { #expect(names.insert(words[2] + suffix).inserted, "\(words[2])") }
    }
    return names
  }
}
