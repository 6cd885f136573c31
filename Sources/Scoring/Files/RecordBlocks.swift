internal import Glibc

/// Cuts a file into blocks of whole records.
struct RecordBlocks {
  struct Block: Sendable {
    var bytes: [UInt8]
    /// The one-based line on which the block begins.
    var line: Int
  }

  private let descriptor: Int32
  private let byteCount: Int
  /// nil until the first bytes are there.
  private(set) var format: RecordFormat?
  private var rest: [UInt8] = []
  private var line = 1
  private var isOver = false
  private var failure: Int32?
  /// Bytes read so far.
  private(set) var bytesRead = 0

  /// - Parameter format: Told from the first bytes where nil.
  init(descriptor: Int32, byteCount: Int, format: RecordFormat?) {
    self.descriptor = descriptor
    self.byteCount = byteCount
    self.format = format
  }

  /// - Throws: `.file` where reading does not succeed.
  mutating func next() throws(ScoringError) -> Block? {
    var bytes = rest
    rest = []
    while format == nil, !isOver {
      try read(into: &bytes)
      // White space alone says nothing yet.
      if bytes.contains(where: { $0 > 0x20 }) { format = RecordFormat(sniffing: bytes) }
    }
    var scan = LineScan(knowsQuotes: format != .ndjson)
    while true {
      scan.go(through: bytes)
      if scan.lastEnd > 0, bytes.count >= byteCount || isOver { break }
      if isOver { break }
      try read(into: &bytes)
    }
    guard !bytes.isEmpty else { return nil }
    // At the end, what follows the last line break is a record too.
    let end = isOver ? bytes.count : scan.lastEnd
    rest = Array(bytes[end...])
    let block = Block(bytes: Array(bytes[..<end]), line: line)
    line += isOver ? 0 : scan.lines
    return block
  }

  private mutating func read(into bytes: inout [UInt8]) throws(ScoringError) {
    let chunk = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      repeat {
        count = Glibc.read(descriptor, buffer.baseAddress, byteCount)
      } while count < 0 && errno == EINTR
      if count < 0 {
        failure = errno
        count = 0
      }
    }
    if let failure {
      throw ScoringError(.file, "the file cannot be read: \(String(cString: strerror(failure)))")
    }
    isOver = chunk.isEmpty
    bytesRead += chunk.count
    bytes.append(contentsOf: chunk)
  }
}

/// Finds line breaks that end a record: in CSV those with an even number of quotes before them.
private struct LineScan {
  let knowsQuotes: Bool
  private var offset = 0
  private var isQuoted = false
  private var linesSeen = 0
  /// Behind the last line break that ends a record.
  private(set) var lastEnd = 0
  /// Line breaks up to there.
  private(set) var lines = 0

  init(knowsQuotes: Bool) { self.knowsQuotes = knowsQuotes }

  mutating func go(through bytes: [UInt8]) {
    bytes.withUnsafeBufferPointer { bytes in
      while offset < bytes.count {
        switch bytes[offset] {
        case UInt8(ascii: "\"") where knowsQuotes: isQuoted.toggle()
        case UInt8(ascii: "\n"):
          linesSeen += 1
          if !isQuoted {
            lastEnd = offset + 1
            lines = linesSeen
          }
        default: break
        }
        offset += 1
      }
    }
  }
}
