internal import Glibc
public import Inference

/// Scores a file of CSV or NDJSON without a database, on all cores, in constant memory.
///
/// Answers each record with what is kept of it, then the model's outputs, then `failure`: missing,
/// or why the row could not be scored. Records stay in order.
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

  /// How far a run is.
  public struct Progress: Sendable {
    public var summary: Summary
    /// Of the input, up to the block that is read ahead.
    public var bytesRead: Int
  }

  /// What is read, and what the answer looks like.
  public struct Options: Sendable {
    /// nil: the cores.
    public var threads: Int?
    /// nil: told from the first bytes.
    public var from: RecordFormat?
    /// nil: as the input.
    public var to: RecordFormat?
    /// Columns of the input that the answer begins with; nil keeps all, each record in its words.
    public var keep: [String]?
    /// Whether the answer tells of failures in a column of that name.
    public var hasFailures = true
    /// Bytes that one task takes; large enough that handing them out costs nothing.
    public var blockByteCount = 1 << 20

    public init() {}
  }

  private let model: Model
  private let options: Options

  /// - Precondition: A block has bytes, and there is a thread.
  public init(model: Model, options: Options = Options()) {
    precondition(options.blockByteCount > 0 && options.threads ?? 1 > 0)
    self.model = model
    self.options = options
  }

  /// - Parameters:
  ///   - input: A descriptor to read from.
  ///   - output: A descriptor to write to.
  ///   - onFailure: Called for each record that could not be scored, in the file's order.
  ///   - onProgress: Called after each block that was written.
  /// - Throws: `ScoringError` of code `.file` with the line at fault, or where reading or writing
  ///   does not succeed; `ModelError` where the batch cannot be scored at all.
  public func run(
    from input: Int32, to output: Int32, onFailure: (Failure) -> Void = { _ in },
    onProgress: (Progress) -> Void = { _ in }
  ) async throws -> Summary {
    var blocks = RecordBlocks(
      descriptor: input, byteCount: options.blockByteCount, format: options.from)
    guard let first = try blocks.next(), let format = blocks.format else {
      throw ScoringError(
        .file, "the file is empty", hint: "Its first line must name the columns.")
    }
    let scorer = try BlockScorer(model: model, first: first, format: format, options: options)
    try Self.write(scorer.writer.head(), to: output)

    var summary = Summary()
    var next: RecordBlocks.Block? = first
    // Tasks may end in any order; the answers leave in the order of the file.
    try await withThrowingTaskGroup(of: (Int, BlockScorer.Answer).self) { group in
      var started = 0
      var written = 0
      var waiting: [Int: BlockScorer.Answer] = [:]
      let mostAhead = 2 * (options.threads ?? Machine.coreCount)
      while true {
        while started - written < mostAhead, let block = next {
          let number = started
          group.addTask { (number, try scorer.score(block, isFirst: number == 0)) }
          started += 1
          next = try blocks.next()
        }
        guard let (number, answer) = try await group.next() else { break }
        waiting[number] = answer
        while let answer = waiting.removeValue(forKey: written) {
          try Self.write(answer.bytes, to: output)
          summary.rows += answer.rows
          summary.failures += answer.failures.count
          answer.failures.forEach(onFailure)
          onProgress(Progress(summary: summary, bytesRead: blocks.bytesRead))
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

/// Scores a block of a file's records and writes them out with their predictions.
private struct BlockScorer: Sendable {
  struct Answer: Sendable {
    var bytes: [UInt8] = []
    var rows = 0
    /// In the order of the rows.
    var failures: [FilePrediction.Failure] = []
  }

  let model: Model
  let reader: RecordReader
  let writer: AnswerWriter

  /// - Throws: `.file` where a feature or a kept column is not in the first record.
  init(
    model: Model, first: RecordBlocks.Block, format: RecordFormat, options: FilePrediction.Options
  ) throws(ScoringError) {
    self.model = model
    let to = options.to ?? format
    let plan = try RecordPlan(
      names: RecordReader.names(in: first, format: format), features: model.signature.features,
      kept: options.keep, rewrites: to != format, format: format)
    writer = AnswerWriter(
      format: to, plan: plan, outputs: model.signature.outputs, hasFailures: options.hasFailures)
    reader = RecordReader(
      format: format, plan: plan, reserved: plan.keep == .wholeRecords ? writer.reserved : [])
  }

  func score(_ block: RecordBlocks.Block, isFirst: Bool) throws -> Answer {
    let batch = try reader.read(block, isFirst: isFirst)
    guard batch.rowCount > 0 else { return Answer() }
    let predictions = try model.predict(
      Batch(rowCount: batch.rowCount, columns: batch.columns), workspace: Workspace())
    var reasons = batch.unreadable
    for failure in predictions.failures where reasons[failure.row] == nil {
      reasons[failure.row] = failure.reason
    }
    return Answer(
      bytes: writer.answer(batch, predictions, failures: reasons), rows: batch.rowCount,
      failures: reasons.sorted { $0.key < $1.key }
        .map { FilePrediction.Failure(line: batch.lines[$0.key], reason: $0.value) })
  }
}
