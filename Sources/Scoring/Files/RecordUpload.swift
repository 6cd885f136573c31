internal import Glibc
package import Inference
package import Postgres

/// A file of records that is copied into a table, for a job to score: features in the model's types, other
/// columns as texts.
///
/// Unlike a file that is scored where it lies, one that has a value which is not of its feature's type is
/// refused whole: a table has no place for such a value.
package struct RecordUpload {
  /// A column of the table.
  package struct Column: Sendable, Equatable {
    package var name: String
    /// As SQL spells it.
    package var type: String
  }

  package let columns: [Column]
  private var blocks: RecordBlocks
  private let first: RecordBlocks.Block
  private let reader: RecordReader

  /// Bytes of records that are in memory at once.
  private static let blockByteCount = 1 << 20
  /// What a name may have in PostgreSQL.
  private static let mostNameBytes = 63

  /// Reads the beginning of the file.
  ///
  /// - Parameter kept: Columns that the job passes through; nil for those that the model does not read.
  /// - Throws: `.file` for what holds no records, or lacks a column.
  package init(
    descriptor: Int32, format: RecordFormat, signature: Signature, kept: [String]? = nil
  ) throws(ScoringError) {
    if let tensor = signature.features.first(where: { $0.shape != nil && $0.image == nil }) {
      throw ScoringError(
        .file, "feature \"\(tensor.name)\" is a tensor, which records of a job do not bring",
        hint: "Load the rows into a table and submit that.")
    }
    blocks = RecordBlocks(descriptor: descriptor, byteCount: Self.blockByteCount, format: format)
    guard let first = try blocks.next() else { throw ScoringError(.file, "the body is empty") }
    self.first = first
    let names = try RecordReader.names(in: first, format: format)
    let read = try RecordPlan(
      names: names, features: signature.features, kept: [], rewrites: true, format: format)
    let places = Set(read.places.compactMap { $0 })
    let others = kept ?? names.indices.filter { !places.contains($0) }.map { names[$0] }
    let features = signature.features.map(\.name)
    let passed = others.filter { !features.contains($0) }
    for name in features + passed where !(1...Self.mostNameBytes).contains(name.utf8.count) {
      throw ScoringError(
        .file, "\"\(name.prefix(20))…\" is too long for the name of a column",
        hint: "Names have 1 to \(Self.mostNameBytes) bytes.")
    }
    let plan = try RecordPlan(
      names: names, features: signature.features, kept: passed, rewrites: true, format: format)
    reader = RecordReader(format: format, plan: plan)
    columns =
      signature.features.map { Column(name: $0.name, type: $0.type.columnType) }
      + passed.map { Column(name: $0, type: "text") }
  }

  /// Copies all records; with it the file is read.
  ///
  /// - Returns: How many there were.
  /// - Throws: `.scoring` with the line at fault, `.postgres`.
  package mutating func copy(
    into table: String, on connection: Connection
  ) throws(WorkError) -> Int {
    var failure: ScoringError?
    var next: RecordBlocks.Block? = first
    var isFirst = true
    do throws(PostgresError) {
      return try connection.copyIn(
        Query(text: "copy \(table) from stdin (format binary)")
      ) { writer throws(PostgresError) in
        while let block = next {
          let batch: RecordBatch
          do throws(ScoringError) {
            batch = try read(block, isFirst: isFirst)
            next = try blocks.next()
          } catch {
            failure = error
            throw PostgresError(sqlState: "22P04", message: error.message)
          }
          isFirst = false
          let kept = columns.count - batch.columns.count
          try writer.write(batch.columns.map { .values($0.vector) } + batch.texts(kept))
        }
      }
    } catch {
      if let failure { throw .scoring(failure) }
      throw .postgres(error)
    }
  }

  private func read(
    _ block: RecordBlocks.Block, isFirst: Bool
  ) throws(ScoringError) -> RecordBatch {
    let batch = try reader.read(block, isFirst: isFirst)
    if let (row, reason) = batch.unreadable.min(by: { $0.key < $1.key }) {
      throw ScoringError(.file, "line \(batch.lines[row]): \(reason)")
    }
    return batch
  }
}

extension RecordBatch {
  /// What is kept of the records, a column each.
  fileprivate func texts(_ count: Int) -> [CopyColumn] {
    (0..<count).map { column in
      var nulls = [UInt64](repeating: 0, count: (rowCount + 63) / 64)
      let texts = (0..<rowCount).map { row in
        let field = kept[row * count + column]
        if field.form == .missing { nulls[row >> 6] |= 1 << UInt64(row & 63) }
        return field.text(in: bytes)
      }
      return .values(ColumnVector(.string(texts), nulls: nulls))
    }
  }
}

extension ElementType {
  /// The type of a column that holds it without loss.
  fileprivate var columnType: String {
    switch self {
    case .float32: "real"
    case .float64: "double precision"
    case .int64: "bigint"
    case .bool: "boolean"
    case .string: "text"
    case .bytes: "bytea"
    }
  }
}
