/// The lines of a LightGBM model file: `key=value`, sections apart by blank lines.
struct LightGBMText {
  /// One `key=value`, or a line without "=" as a key with no value.
  struct Entry {
    var value: Range<Int>
    var line: Int
  }

  let bytes: [UInt8]
  private var offset = 0
  private(set) var line = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// The next line without its end (LF or CR LF), or nil at the end.
  mutating func nextLine() -> Range<Int>? {
    guard offset < bytes.count else { return nil }
    line += 1
    let start = offset
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
    offset = min(end + 1, bytes.count)
    if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
    return start..<end
  }

  /// The entries up to a blank line or one that `stops`; that line is taken.
  ///
  /// - Returns: the entries by key, and the line that stopped, if one did.
  mutating func section(
    stops: (Range<Int>) -> Bool = { _ in false }
  ) throws(ModelError) -> (entries: [String: Entry], stop: Range<Int>?) {
    var entries: [String: Entry] = [:]
    while let line = nextLine() {
      if stops(line) { return (entries, line) }
      if line.isEmpty { return (entries, nil) }
      let equals = bytes[line].firstIndex(of: UInt8(ascii: "=")) ?? line.upperBound
      let key = string(line.lowerBound..<equals)
      let value = min(equals + 1, line.upperBound)..<line.upperBound
      guard entries.updateValue(Entry(value: value, line: self.line), forKey: key) == nil else {
        throw ModelError(.malformed, "\"\(key)\" stands twice (line \(self.line))")
      }
    }
    return (entries, nil)
  }

  func starts(_ line: Range<Int>, with prefix: String) -> Bool {
    bytes[line].starts(with: prefix.utf8)
  }

  /// The words of a value, apart by single spaces.
  func words(_ entry: Entry) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var start = entry.value.lowerBound
    for index in entry.value where bytes[index] == UInt8(ascii: " ") {
      if index > start { words.append(start..<index) }
      start = index + 1
    }
    if entry.value.upperBound > start { words.append(start..<entry.value.upperBound) }
    return words
  }

  /// Numbers of a list; `place` names one for an error: `tree 41, node 7: threshold`.
  func doubles(
    _ entry: Entry, place: (Int) -> String
  ) throws(ModelError) -> [Double] {
    try list(entry, place: place, kind: "a number", NumberText.double)
  }

  func integers(
    _ entry: Entry, place: (Int) -> String
  ) throws(ModelError) -> [Int] {
    try list(entry, place: place, kind: "an integer") { NumberText.integer($0, as: Int.self) }
  }

  private func list<Value>(
    _ entry: Entry, place: (Int) -> String, kind: String,
    _ parse: (UnsafeRawBufferPointer) -> Value?
  ) throws(ModelError) -> [Value] {
    let words = words(entry)
    var values: [Value] = []
    values.reserveCapacity(words.count)
    let bad: Int? = bytes.withUnsafeBytes { bytes in
      for (index, word) in words.enumerated() {
        guard let value = parse(UnsafeRawBufferPointer(rebasing: bytes[word])) else {
          return index
        }
        values.append(value)
      }
      return nil
    }
    if let bad {
      let text = string(words[bad]).prefix(40)
      throw ModelError(
        .malformed, "\(place(bad)) \"\(text)\" is not \(kind) (line \(entry.line))")
    }
    return values
  }
}
