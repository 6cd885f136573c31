internal import Foundation
internal import Inference
internal import Postgres

/// Reads a job's files and writes what it exports.
struct JobFiles {
  let folder: FileFolder

  /// Bytes that one chunk takes: some ten thousand records.
  private static let pieceByteCount = 2 << 20

  /// A piece of a file: records as a whole.
  struct Piece {
    var path: String
    var first: Int64
    var size: Int64
    var line: Int64
    /// Line breaks in it: its records, unless some have line breaks themselves.
    var lines: Int64
  }

  /// Cuts a job's files into pieces; reads all of them once.
  ///
  /// - Throws: `.file` for what cannot be opened, and for records that go on for ever.
  func scan(_ pattern: String) throws(ScoringError) -> [Piece] {
    var pieces: [Piece] = []
    for path in try folder.files(pattern) {
      let descriptor = try folder.open(path)
      defer { close(descriptor) }
      var blocks = RecordBlocks(
        descriptor: descriptor, byteCount: Self.pieceByteCount, format: nil)
      var first: Int64 = 0
      var isHeader = true
      while let block = try blocks.next() {
        let hasHeader = isHeader && blocks.format == .csv
        let breaks = block.bytes.reduce(into: Int64(0)) { if $1 == UInt8(ascii: "\n") { $0 += 1 } }
        let open: Int64 = block.bytes.last == UInt8(ascii: "\n") ? 0 : 1
        pieces.append(
          Piece(
            path: path, first: first, size: Int64(block.bytes.count), line: Int64(block.line),
            lines: max(0, breaks + open - (hasHeader ? 1 : 0))))
        first += Int64(block.bytes.count)
        isHeader = false
      }
    }
    guard !pieces.isEmpty else { throw ScoringError(.file, "\"\(pattern)\" is empty") }
    return pieces
  }

  /// What a file's records are, told by its beginning.
  struct Shape {
    var format: RecordFormat
    var names: [String]
  }

  func shape(of path: String) throws(ScoringError) -> Shape {
    let descriptor = try folder.open(path)
    defer { close(descriptor) }
    var blocks = RecordBlocks(descriptor: descriptor, byteCount: 1 << 16, format: nil)
    guard let first = try blocks.next(), let format = blocks.format else {
      throw ScoringError(.file, "file \"\(path)\" is empty")
    }
    return Shape(format: format, names: try RecordReader.names(in: first, format: format))
  }

  /// The first line of an export, where its format has one.
  func head(of plan: JobPlan, source: String) throws(WorkError) -> [UInt8] {
    do throws(ScoringError) {
      guard plan.expressions.isEmpty else {
        return plan.answerWriter(try plan.tableRecordPlan()).head()
      }
      guard let first = try folder.files(source).first else { return [] }
      let reads = Array(repeating: true, count: plan.base.features.count)
      return plan.answerWriter(try plan.recordPlan(shape(of: first), reading: reads)).head()
    } catch {
      throw .scoring(error)
    }
  }

  /// The records of a chunk, read by a plan.
  func records(
    of chunk: Chunk, _ plan: RecordPlan, _ format: RecordFormat, reserved: Set<String>
  ) throws(ScoringError) -> RecordBatch {
    let bounds = (chunk.upperKey ?? "").split(separator: " ").compactMap { Int($0) }
    guard let path = chunk.keys, let first = chunk.lowerKey.flatMap({ Int($0) }), bounds.count == 2
    else { throw ScoringError(.file, "chunk \(chunk.id) names no part of a file") }
    let bytes = try folder.read(path, from: first, to: bounds[0])
    return try RecordReader(format: format, plan: plan, reserved: reserved).read(
      .init(bytes: bytes, line: bounds[1]), isFirst: first == 0)
  }
}

extension JobPlan {
  /// What is read of a file's records: the features by the names of their columns, and what is
  /// kept, all of it where nothing is named and the destination is a file.
  func recordPlan(_ shape: JobFiles.Shape, reading reads: [Bool]) throws(ScoringError)
    -> RecordPlan
  {
    let features = zip(base.features, reads).map {
      Signature.Feature(name: $0.column, type: $0.type, missing: .allowed, isUsed: $1)
    }
    let keepsAll = destination == .file && kept.isEmpty
    return try RecordPlan(
      names: shape.names, features: features, kept: keepsAll ? nil : kept.map(\.column),
      rewrites: destination == .file && format != shape.format, format: shape.format)
  }

  /// Writes records of an export: what is kept, the outputs, the audit columns, the failure.
  func answerWriter(_ plan: RecordPlan) -> AnswerWriter {
    let audit = [
      ("model_name", ElementType.string), ("model_version", .int64), ("job", .int64),
      ("scored_at", .string),
    ]
    return AnswerWriter(
      format: format ?? .csv, plan: plan,
      outputs: base.outputs.map {
        Signature.Output(name: $0.column, type: $0.type.element, role: .score)
      } + audit.map { Signature.Output(name: $0.0, type: $0.1, role: .score) },
      hasFailures: true)
  }

  /// The same for rows of a table, whose kept columns are texts.
  func tableRecordPlan() throws(ScoringError) -> RecordPlan {
    try RecordPlan(
      names: kept.map(\.column), features: [], kept: kept.map(\.column), rewrites: true,
      format: format ?? .csv)
  }

  /// Rows of a table as records: each value in the words of its type's output function.
  func records(_ columns: [RawColumn], count: Int) -> RecordBatch {
    var batch = RecordBatch(bytes: [])
    batch.lines = Array(1...max(count, 1)).dropLast(count == 0 ? 1 : 0).map { $0 }
    let forms = kept.map { column in
      form(of: OID(rawValue: UInt32(truncatingIfNeeded: column.oid)))
    }
    for row in 0..<count {
      for (column, form) in zip(columns, forms) {
        guard !column.isNull(row) else {
          batch.kept.append(.missing)
          continue
        }
        let start = batch.bytes.count
        batch.bytes.append(contentsOf: column.bytes[column.offsets[row]..<column.offsets[row + 1]])
        batch.kept.append(RecordField(range: start..<batch.bytes.count, form: form))
      }
    }
    return batch
  }

  /// How a value is written: in CSV whatever it is, quoted where it must be; in NDJSON numbers,
  /// truth values and JSON as they are.
  private func form(of type: OID) -> RecordField.Form {
    guard format == .ndjson else { return .nested }
    switch type {
    case .int2, .int4, .int8, .float4, .float8, .numeric: return .plain
    case .bool: return .bool
    case .json, .jsonb: return .nested
    default: return .quoted
    }
  }
}
