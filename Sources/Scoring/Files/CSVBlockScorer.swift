internal import Inference

/// Scores a block of a file's records and writes them out with their predictions.
struct CSVBlockScorer: Sendable {
  struct Answer: Sendable {
    var bytes: [UInt8] = []
    var rows = 0
    /// In the order of the rows.
    var failures: [FilePrediction.Failure] = []
  }

  private let model: Model
  private let header: [String]
  /// The file's column, for each feature.
  private let columns: [Int]

  /// - Throws: `.file` where a feature has no column.
  init(model: Model, header: CSVHeader) throws(ScoringError) {
    self.model = model
    self.header = header.names
    var columns: [Int] = []
    for feature in model.signature.features { columns.append(try header.index(of: feature.name)) }
    self.columns = columns
  }

  /// The first line of the answer.
  func head() -> [UInt8] {
    var bytes: [UInt8] = []
    // A column of the file may have an output's name already.
    let outputs = model.signature.outputs.map(\.name) + ["failure"]
    for (index, name) in header.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      Self.append(text: name, to: &bytes)
    }
    for name in outputs {
      bytes.append(UInt8(ascii: ","))
      Self.append(text: header.contains(name) ? "predicted_\(name)" : name, to: &bytes)
    }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  func score(_ block: CSVBlocks.Block, skippingHeader: Bool) throws -> Answer {
    var reader = CSVReader(block.bytes, line: block.line)
    var fields: [CSVReader.Field] = []
    if skippingHeader { _ = try reader.next(into: &fields) }
    var builders = model.signature.features.map { CSVColumnBuilder($0.type) }
    var records: [Range<Int>] = []
    var lines: [Int] = []
    var unreadable: [Int: String] = [:]
    while try reader.next(into: &fields) {
      // An empty line, as some programs leave at the end.
      if fields.count == 1, reader.isMissing(fields[0]), header.count > 1 { continue }
      guard fields.count == header.count else {
        throw ScoringError(
          .file,
          "line \(reader.line) has \(fields.count) fields, the first line \(header.count)")
      }
      for (index, column) in columns.enumerated()
      where !builders[index].append(fields[column], of: reader) {
        let feature = model.signature.features[index]
        unreadable[records.count] = "column \"\(feature.name)\" is not \(feature.type)"
        builders[index].appendMissing()
      }
      records.append(Self.extent(of: fields))
      lines.append(reader.line)
    }
    return try answer(reader, records, lines, builders.map { $0.column() }, unreadable)
  }

  private func answer(
    _ reader: CSVReader, _ records: [Range<Int>], _ lines: [Int], _ columns: [Column],
    _ unreadable: [Int: String]
  ) throws -> Answer {
    var answer = Answer()
    answer.rows = records.count
    guard !records.isEmpty else { return answer }
    let predictions = try model.predict(
      Batch(rowCount: records.count, columns: columns), workspace: Workspace())
    var failures = unreadable
    for failure in predictions.failures where failures[failure.row] == nil {
      failures[failure.row] = failure.reason
    }
    answer.failures = failures.sorted { $0.key < $1.key }
      .map { FilePrediction.Failure(line: lines[$0.key], reason: $0.value) }
    answer.bytes.reserveCapacity(reader.bytes.count + records.count * 24)
    for (row, record) in records.enumerated() {
      answer.bytes.append(contentsOf: reader.bytes[record])
      let failure = failures[row]
      for column in predictions.columns {
        answer.bytes.append(UInt8(ascii: ","))
        if failure == nil { Self.append(column, row, to: &answer.bytes) }
      }
      answer.bytes.append(UInt8(ascii: ","))
      if let failure { Self.append(text: failure, to: &answer.bytes) }
      answer.bytes.append(UInt8(ascii: "\n"))
    }
    return answer
  }

  /// From the record's first byte to its last, quotes included.
  private static func extent(of fields: [CSVReader.Field]) -> Range<Int> {
    let first = fields[0]
    let last = fields[fields.count - 1]
    let start = first.range.lowerBound - (first.isQuoted ? 1 : 0)
    let end = last.range.upperBound + (last.isQuoted ? 1 : 0)
    return start..<end
  }

  private static func append(_ column: Column, _ row: Int, to bytes: inout [UInt8]) {
    guard !column.isNull(row) else { return }
    switch column.values {
    // The shortest digits that read back as the same value.
    case .float32(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .float64(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int16(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int32(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .int64(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .bool(let v): bytes.append(contentsOf: v[row].description.utf8)
    case .string(let v): append(text: v[row], to: &bytes)
    }
  }

  private static func append(text: String, to bytes: inout [UInt8]) {
    let special: [UInt8] = [0x22, 0x2C, 0x0A, 0x0D]
    guard text.utf8.contains(where: { special.contains($0) }) else {
      bytes.append(contentsOf: text.utf8)
      return
    }
    bytes.append(0x22)
    for byte in text.utf8 {
      if byte == 0x22 { bytes.append(0x22) }
      bytes.append(byte)
    }
    bytes.append(0x22)
  }
}
