internal import Inference

/// Reads the records of blocks, by a plan that the first block's beginning gave.
struct RecordReader: Sendable {
  let format: RecordFormat
  let plan: RecordPlan
  /// For each column its number, by name.
  private let numbers: [String: Int]
  /// Names that a member may not have, because the answer adds members of that name.
  private let reserved: Set<String>

  /// - Parameter reserved: Names of members that a record of NDJSON, kept whole, may not bring.
  init(format: RecordFormat, plan: RecordPlan, reserved: Set<String> = []) {
    self.format = format
    self.plan = plan
    self.reserved = reserved
    numbers = Dictionary(
      plan.names.enumerated().map { ($0.element, $0.offset) },
      uniquingKeysWith: { first, _ in first })
  }

  /// The columns' names: those in the first line, or those of the first object's members.
  ///
  /// - Throws: `.file` for an empty file, and where a name comes twice.
  static func names(
    in block: RecordBlocks.Block, format: RecordFormat
  ) throws(ScoringError) -> [String] {
    switch format {
    case .csv:
      var reader = CSVReader(block.bytes, line: block.line)
      return try CSVHeader(&reader).names
    case .ndjson:
      var reader = NDJSONReader(block.bytes, line: block.line)
      var members: [NDJSONReader.Member] = []
      guard try reader.next(into: &members) else {
        throw ScoringError(.file, "the file is empty", hint: "Each line must hold an object.")
      }
      let names = members.map { $0.key.text(in: block.bytes) }
      var seen: Set<String> = []
      for name in names where !seen.insert(name).inserted {
        throw ScoringError(.file, "line \(reader.line) has member \"\(name)\" twice")
      }
      return names
    }
  }

  /// - Parameter isFirst: Whether the block begins with the first line of a CSV file.
  /// - Throws: `.file` with the line that is not a record, or has other columns.
  func read(_ block: RecordBlocks.Block, isFirst: Bool) throws(ScoringError) -> RecordBatch {
    var gathering = Gathering(bytes: block.bytes, plan: plan)
    switch format {
    case .csv: try readCSV(block, skippingHeader: isFirst, &gathering)
    case .ndjson: try readNDJSON(block, &gathering)
    }
    return gathering.batch()
  }

  private func readCSV(
    _ block: RecordBlocks.Block, skippingHeader: Bool, _ gathering: inout Gathering
  ) throws(ScoringError) {
    var reader = CSVReader(block.bytes, line: block.line)
    var fields: [CSVReader.Field] = []
    if skippingHeader { _ = try reader.next(into: &fields) }
    while try reader.next(into: &fields) {
      // An empty line, as some programs leave at the end.
      if fields.count == 1, reader.isMissing(fields[0]), plan.names.count > 1 { continue }
      guard fields.count == plan.names.count else {
        throw ScoringError(
          .file,
          "line \(reader.line) has \(fields.count) fields, the first line \(plan.names.count)")
      }
      for (feature, place) in plan.places.enumerated() {
        gathering.add(place.map { RecordField(fields[$0]) } ?? .missing, to: feature)
      }
      switch plan.keep {
      case .wholeRecords:
        gathering.keep(RecordField(range: Self.extent(of: fields), form: .plain))
      case .columns(let columns):
        for column in columns { gathering.keep(RecordField(fields[column])) }
      }
      gathering.end(line: reader.line)
    }
  }

  /// From the record's first byte to its last, quotes included.
  private static func extent(of fields: [CSVReader.Field]) -> Range<Int> {
    let (first, last) = (fields[0], fields[fields.count - 1])
    let start = first.range.lowerBound - (first.isQuoted ? 1 : 0)
    let end = last.range.upperBound + (last.isQuoted ? 1 : 0)
    return start..<end
  }

  private func readNDJSON(
    _ block: RecordBlocks.Block, _ gathering: inout Gathering
  ) throws(ScoringError) {
    var reader = NDJSONReader(block.bytes, line: block.line)
    var members: [NDJSONReader.Member] = []
    let keys = plan.names.map { Array($0.utf8) }
    var fields = Array(repeating: RecordField.missing, count: keys.count)
    var seen = Array(repeating: false, count: keys.count)
    while try reader.next(into: &members) {
      for column in fields.indices {
        fields[column] = .missing
        seen[column] = false
      }
      for (index, member) in members.enumerated() {
        // Most files have the members of all objects in the same order.
        let key = member.key
        let isNext =
          index < keys.count && key.form == .string
          && block.bytes[key.range].elementsEqual(keys[index])
        guard let column = isNext ? index : try number(of: key, block.bytes, line: reader.line)
        else { continue }
        guard !seen[column] else {
          throw ScoringError(
            .file, "line \(reader.line) has member \"\(plan.names[column])\" twice")
        }
        seen[column] = true
        fields[column] = member.value
      }
      for (feature, place) in plan.places.enumerated() {
        gathering.add(place.map { fields[$0] } ?? .missing, to: feature)
      }
      switch plan.keep {
      case .wholeRecords: gathering.keep(RecordField(range: reader.content, form: .nested))
      case .columns(let columns): for column in columns { gathering.keep(fields[column]) }
      }
      gathering.end(line: reader.line)
    }
  }

  /// The column of a member; nil where the answer does not need it.
  private func number(
    of key: RecordField, _ bytes: [UInt8], line: Int
  ) throws(ScoringError) -> Int? {
    let name = key.text(in: bytes)
    if let number = numbers[name] { return number }
    if plan.keepsAll, plan.keep != .wholeRecords {
      throw ScoringError(
        .file, "line \(line) has member \"\(name)\", the first object has none",
        hint: "Name the columns of the answer with --keep.")
    }
    guard !reserved.contains(name) else {
      throw ScoringError(
        .file, "line \(line) has member \"\(name)\", which is also an output's name",
        hint: "Name the members of the answer with --keep.")
    }
    return nil
  }

  /// What the records of a block come to, while they are read.
  private struct Gathering {
    private var result: RecordBatch
    private var columns: [FeatureColumn]
    private let features: [Signature.Feature]

    init(bytes: [UInt8], plan: RecordPlan) {
      result = RecordBatch(bytes: bytes)
      features = plan.features
      columns = features.map { FeatureColumn($0.type) }
    }

    mutating func add(_ field: RecordField, to feature: Int) {
      if !columns[feature].append(field, in: result.bytes) {
        result.unreadable[result.lines.count] =
          "column \"\(features[feature].name)\" is not \(features[feature].type)"
      }
    }

    mutating func keep(_ field: RecordField) { result.kept.append(field) }

    mutating func end(line: Int) { result.lines.append(line) }

    func batch() -> RecordBatch {
      var result = result
      result.columns = columns.map { $0.column() }
      return result
    }
  }
}
