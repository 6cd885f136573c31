internal import Glibc
internal import NIOHTTP1

/// A request's head as a connection said it: another of the same bytes, the digits of its Content-Length
/// excepted, is known without being parsed.
///
/// Clients make the heads of their requests by one piece of code each, and most of what a short request costs to
/// read is its head.
struct HeadPattern {
  /// Up to the digits of the length, and behind them; all is before where no length is said.
  private let before: [UInt8]
  private let after: [UInt8]
  private let hasLength: Bool
  /// Of the last request of this kind.
  private var head: HTTPRequestHead
  private var shape: RequestShape

  struct Found {
    var head: HTTPRequestHead
    var shape: RequestShape
    /// Bytes of the head.
    var byteCount: Int
  }

  /// Bytes of a head that is remembered at most.
  private static let longest = 2048
  /// Digits of a length that is looked at here at most: what has more is refused for its length.
  private static let mostDigits = 9

  /// - Parameters:
  ///   - bytes: The head, with its empty line.
  ///   - head: What HTTP's decoder made of it.
  /// - Returns: nil where one like it may mean something else.
  init?(
    _ bytes: UnsafeRawBufferPointer, _ lines: HeadLines, _ head: HTTPRequestHead,
    _ shape: RequestShape
  ) {
    guard lines.byteCount <= Self.longest, let length = shape.plainLength else { return nil }
    switch lines.lengths.count {
    case 0:
      guard length == 0 else { return nil }
      (before, after, hasLength) = (Array(bytes[..<lines.byteCount]), [], false)
    case 1:
      let digits = lines.lengths[0]
      guard (1...Self.mostDigits).contains(digits.count), bytes[digits].allSatisfy(\.isDigit),
        Int(String(decoding: bytes[digits], as: UTF8.self)) == length
      else { return nil }
      before = Array(bytes[..<digits.lowerBound])
      (after, hasLength) = (Array(bytes[digits.upperBound..<lines.byteCount]), true)
    default: return nil
    }
    (self.head, self.shape) = (head, shape)
  }

  /// - Returns: nil where other bytes are there, or not all of the head.
  mutating func find(in bytes: UnsafeRawBufferPointer) -> Found? {
    guard bytes.begin(with: before, at: 0) else { return nil }
    guard hasLength else { return Found(head: head, shape: shape, byteCount: before.count) }
    var (length, offset) = (0, before.count)
    while offset < bytes.count, bytes[offset].isDigit {
      guard offset - before.count < Self.mostDigits else { return nil }
      length = length * 10 + Int(bytes[offset] &- UInt8(ascii: "0"))
      offset += 1
    }
    guard offset > before.count, bytes.begin(with: after, at: offset) else { return nil }
    if length != shape.plainLength {
      head.headers.replaceOrAdd(name: "Content-Length", value: String(length))
      shape = RequestShape(shape, length: length)
    }
    return Found(head: head, shape: shape, byteCount: offset + after.count)
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func begin(with text: [UInt8], at offset: Int) -> Bool {
    guard let baseAddress, text.count <= count - offset else { return false }
    return text.withUnsafeBytes { text in
      text.isEmpty || memcmp(baseAddress + offset, text.baseAddress!, text.count) == 0
    }
  }
}

/// The lines of a request's head where all ways of reading HTTP agree on them: each ends with CR LF, none goes on
/// in the next, and the empty one is the last.
struct HeadLines {
  /// With the empty line.
  let byteCount: Int
  /// The values of fields "Content-Length", without blanks around them.
  let lengths: [Range<Int>]

  private static let name = Array("content-length:".utf8)

  /// - Parameter bytes: From the head's first byte on.
  /// - Returns: nil where the head does not end in these, or is not made of such lines.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return nil }
    var lengths: [Range<Int>] = []
    var start = 0
    while start < bytes.count,
      let feed = memchr(base + start, Int32(UInt8(ascii: "\n")), bytes.count - start)
    {
      let end = UnsafeRawPointer(feed) - base - 1
      guard end >= start, bytes[end] == UInt8(ascii: "\r"),
        memchr(base + start, Int32(UInt8(ascii: "\r")), end - start) == nil
      else { return nil }
      if end == start {
        guard start > 0 else { return nil }
        (byteCount, self.lengths) = (end + 2, lengths)
        return
      }
      guard !bytes[start].isBlank else { return nil }
      if Self.isLength(bytes[start..<end]) {
        var value = bytes[(start + Self.name.count)..<end]
        while value.first?.isBlank == true { value = value.dropFirst() }
        while value.last?.isBlank == true { value = value.dropLast() }
        lengths.append(value.startIndex..<value.endIndex)
      }
      start = end + 2
    }
    return nil
  }

  private static func isLength(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
    line.count >= name.count && zip(line, name).allSatisfy { $0 | 0x20 == $1 | 0x20 }
  }
}

extension UInt8 {
  fileprivate var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
}
