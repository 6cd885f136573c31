/// A text cut into pieces, which lie one after the other.
struct TextPieces {
  var bytes: [UInt8] = []
  /// Where each piece ends; it begins where the one before ends.
  var ends: [Int] = []
  /// Whether the first piece begins where the whole text does.
  var isFromStart = true

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    isFromStart = true
  }

  /// Ends a piece here, unless it would be empty.
  @inline(__always)
  mutating func cut() {
    if bytes.count > (ends.last ?? 0) { ends.append(bytes.count) }
  }

  @inline(__always)
  mutating func append(_ piece: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
    if range.isEmpty { return }
    bytes.append(contentsOf: UnsafeBufferPointer(rebasing: piece[range]))
  }

  func forEach(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    bytes.withUnsafeBufferPointer { bytes in
      var start = 0
      for end in ends {
        body(UnsafeBufferPointer(rebasing: bytes[start..<end]))
        start = end
      }
    }
  }
}

/// What becomes of the places where a pattern is found: the library's `SplitDelimiterBehavior`.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// Cuts one piece at matches that are told from left to right.
struct Splitter {
  let behavior: SplitBehavior
  /// Whether what lies between the matches is meant.
  let isInverted: Bool
  private var parts: [(end: Int, isMatch: Bool)] = []

  init(_ behavior: SplitBehavior, isInverted: Bool = false) {
    (self.behavior, self.isInverted) = (behavior, isInverted)
  }

  private var end: Int { parts.last?.end ?? 0 }

  /// Everything from the last match to `start` is none, and from there to `end` is one.
  @inline(__always)
  mutating func match(_ start: Int, _ end: Int) {
    if start > self.end { parts.append((start, isInverted)) }
    parts.append((end, !isInverted))
  }

  /// Writes the piece, cut, and forgets the matches.
  mutating func finish(_ piece: UnsafeBufferPointer<UInt8>, into output: inout TextPieces) {
    if end < piece.count { parts.append((piece.count, isInverted)) }
    var start = 0
    switch behavior {
    case .removed:
      for part in parts {
        if !part.isMatch {
          output.append(piece, start..<part.end)
          output.cut()
        } else if start == 0, output.ends.isEmpty {
          output.isFromStart = false
        }
        start = part.end
      }
    case .isolated:
      for part in parts {
        output.append(piece, start..<part.end)
        output.cut()
        start = part.end
      }
    case .contiguous:
      for (index, part) in parts.enumerated() {
        output.append(piece, start..<part.end)
        if index + 1 == parts.count || parts[index + 1].isMatch != part.isMatch { output.cut() }
        start = part.end
      }
    case .mergedWithPrevious:
      var wasMatch = false
      for part in parts {
        if !part.isMatch || wasMatch { output.cut() }
        output.append(piece, start..<part.end)
        wasMatch = part.isMatch
        start = part.end
      }
      output.cut()
    case .mergedWithNext:
      // A match begins a piece; what follows it belongs to it, unless that is a match too.
      var wasMatch = false
      for part in parts {
        if part.isMatch || !wasMatch { output.cut() }
        output.append(piece, start..<part.end)
        wasMatch = part.isMatch
        start = part.end
      }
      output.cut()
    }
    parts.removeAll(keepingCapacity: true)
  }
}
