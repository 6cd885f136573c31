#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

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
    var end = bytes.withUnsafeBytes { bytes in
      // Most of a file is in long lines that nobody reads.
      memchr(bytes.baseAddress! + start, 0x0A, bytes.count - start)
        .map { UnsafeRawPointer($0) - bytes.baseAddress! } ?? bytes.count
    }
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
    try list(entry, place: place, kind: "a number", NumberList.append, NumberText.double)
  }

  func integers(
    _ entry: Entry, place: (Int) -> String
  ) throws(ModelError) -> [Int] {
    try list(entry, place: place, kind: "an integer", NumberList.append) {
      NumberText.integer($0, as: Int.self)
    }
  }

  /// - Parameters:
  ///   - append: adds what is plain, and returns the bytes that it took.
  ///   - parse: one number, the last or one that is not plain.
  private func list<Value>(
    _ entry: Entry, place: (Int) -> String, kind: String,
    _ append: (UnsafeRawBufferPointer, UInt8, inout [Value]) -> Int,
    _ parse: (UnsafeRawBufferPointer) -> Value?
  ) throws(ModelError) -> [Value] {
    var values: [Value] = []
    let space = UInt8(ascii: " ")
    let bad: Range<Int>? = bytes.withUnsafeBytes { bytes in
      var start = entry.value.lowerBound
      while start < entry.value.upperBound {
        start += append(
          UnsafeRawBufferPointer(rebasing: bytes[start..<entry.value.upperBound]), space, &values)
        var end = start
        while end < entry.value.upperBound, bytes[end] != space { end += 1 }
        if end > start {
          guard let value = parse(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) else {
            return start..<end
          }
          values.append(value)
        }
        start = end + 1
      }
      return nil
    }
    if let bad {
      throw ModelError(
        .malformed,
        "\(place(values.count)) \"\(string(bad).prefix(40))\" is not \(kind) (line \(entry.line))")
    }
    return values
  }
}
