internal import Glibc
public import Inference

/// Scores a CSV file without a database, on all cores, in constant memory.
///
/// Answers each record with its own fields, then the model's outputs, then `failure`: empty, or why
/// the row could not be scored. Records stay in order.
public struct FilePrediction: Sendable {
  public struct Summary: Sendable, Codable, Equatable {
    public var rows = 0
    public var failures = 0

    public init() {}
  }

  /// A record that could not be scored.
  public struct Failure: Sendable, Equatable {
    /// Where it begins in the file, counted from 1.
    public var line: Int
    /// Names the feature and the rule, never the value.
    public var reason: String
  }

  private let model: Model
  private let threads: Int
  /// Bytes that one task takes; large enough that handing them out costs nothing.
  private let blockByteCount: Int

  public init(model: Model, threads: Int? = nil, blockByteCount: Int = 1 << 20) {
    precondition(blockByteCount > 0, "a block has bytes")
    self.model = model
    self.threads = threads ?? Machine.coreCount
    self.blockByteCount = blockByteCount
  }

  /// - Parameters:
  ///   - input: A descriptor to read from.
  ///   - output: A descriptor to write to.
  ///   - onFailure: Called for each record that could not be scored, in the file's order.
  /// - Throws: `ScoringError` of code `.file` with the line at fault, or where reading or writing
  ///   does not succeed; `ModelError` where the batch cannot be scored at all.
  public func run(
    from input: Int32, to output: Int32, onFailure: (Failure) -> Void = { _ in }
  ) async throws -> Summary {
    var blocks = CSVBlocks(descriptor: input, byteCount: blockByteCount)
    guard let first = try blocks.next() else {
      throw ScoringError(
        .file, "the file is empty", hint: "Its first line must name the columns.")
    }
    var reader = CSVReader(first.bytes)
    let header = try CSVHeader(&reader)
    let scorer = try CSVBlockScorer(model: model, header: header)
    try Self.write(scorer.head(), to: output)

    var summary = Summary()
    var next: CSVBlocks.Block? = first
    var isFirst = true
    // Tasks may end in any order; the answers leave in the order of the file.
    try await withThrowingTaskGroup(of: (Int, CSVBlockScorer.Answer).self) { group in
      var started = 0
      var written = 0
      var waiting: [Int: CSVBlockScorer.Answer] = [:]
      while true {
        while started - written < 2 * threads, let block = next {
          let number = started
          let skipsHeader = isFirst
          group.addTask { (number, try scorer.score(block, skippingHeader: skipsHeader)) }
          started += 1
          isFirst = false
          next = try blocks.next()
        }
        guard let (number, answer) = try await group.next() else { break }
        waiting[number] = answer
        while let answer = waiting.removeValue(forKey: written) {
          try Self.write(answer.bytes, to: output)
          summary.rows += answer.rows
          summary.failures += answer.failures.count
          answer.failures.forEach(onFailure)
          written += 1
        }
      }
    }
    return summary
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) throws(ScoringError) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset)
      }
      if count >= 0 {
        offset += count
      } else if errno != EINTR {
        throw ScoringError(
          .file, "the answer cannot be written: \(String(cString: strerror(errno)))")
      }
    }
  }
}

/// Cuts a file into blocks of whole records.
struct CSVBlocks {
  struct Block: Sendable {
    var bytes: [UInt8]
    /// The one-based line on which the block begins.
    var line: Int
  }

  private let descriptor: Int32
  private let byteCount: Int
  private var rest: [UInt8] = []
  private var line = 1
  private var isOver = false

  init(descriptor: Int32, byteCount: Int) {
    self.descriptor = descriptor
    self.byteCount = byteCount
  }

  /// - Throws: `.file` where reading does not succeed.
  mutating func next() throws(ScoringError) -> Block? {
    var bytes = rest
    rest = []
    var scan = Scan()
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
    bytes.append(contentsOf: chunk)
  }

  private var failure: Int32?

  /// Finds line breaks outside of quotes: an even number of quotes lies before them.
  private struct Scan {
    private var offset = 0
    private var isQuoted = false
    private var linesSeen = 0
    /// Behind the last line break that ends a record.
    private(set) var lastEnd = 0
    /// Line breaks up to there.
    private(set) var lines = 0

    mutating func go(through bytes: [UInt8]) {
      bytes.withUnsafeBufferPointer { bytes in
        while offset < bytes.count {
          switch bytes[offset] {
          case UInt8(ascii: "\""): isQuoted.toggle()
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
}
