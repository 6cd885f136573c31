internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Writes what a job's chunk came to, together with the chunk's end: both or neither are committed,
/// and only while the chunk is this lane's.
struct JobWriter {
  let connection: Connection
  let chunk: Chunk
  let plan: JobPlan
  let model: LoadedModel

  /// - Returns: Whether the rows were copied.
  /// - Throws: RC201 where another lane has the chunk by now, or its job is over: nothing was
  ///   written.
  func write(_ result: ChunkResult, of rows: JobRows) throws(WorkError) -> Bool {
    do throws(PostgresError) {
      let begun = try connection.pipeline([
        "begin", "select rowcast.begin_job_write(\(chunk.id), \(chunk.attempt))",
      ])
      let way = try begun[1].value(0, 0, as: String.self)
      let scored = result.scoredRows(of: rows.count)
      let scoredCount = scored?.count ?? rows.count
      var queries: [Query] = []
      if scoredCount > 0 {
        switch way {
        case "copy": try copy(result, rows, scored, by: plan.copySQL)
        case "stage": try copy(result, rows, scored, by: plan.stageSQL)
        case "call": queries.append(call(result, rows, scored))
        case "segments": queries += segments(result, rows, scored)
        case "part": break
        default:
          throw PostgresError(
            sqlState: "0A000", message: "rows of job \(plan.job) are to be written by \"\(way)\"",
            hint: "The database is of a newer release; update this worker.")
        }
      }
      if way == "part", let export = rows.export, rows.count > 0 {
        queries.append(
          "select rowcast.keep_part(\(chunk.id), \(Int32(0)), \(lines(export, result, rows.count)))"
        )
      }
      if !result.failures.isEmpty {
        queries.append(
          """
          select rowcast.keep_failures(\(chunk.id), \
          \(result.failures.map { rows.place(of: $0.row) }), \(result.failures.map(\.code)), \
          \(result.failures.map(\.reason)))
          """)
      }
      queries.append(
        """
        select rowcast.finish_chunk(\(chunk.id), \(chunk.attempt), \(Int32(scoredCount)), \
        \(Int32(result.failures.count)))
        """)
      queries.append("commit")
      _ = try connection.pipeline(queries)
      return way == "copy" || way == "stage"
    } catch {
      throw .postgres(error)
    }
  }

  /// The rows as lines of the exported file: all of them, failed ones with their reason.
  private func lines(_ export: JobRows.Export, _ result: ChunkResult, _ count: Int) -> [UInt8] {
    func all(_ text: String) -> Column { Column(.string(Array(repeating: text, count: count))) }
    func all(_ number: Int64) -> Column { Column(.int64(Array(repeating: number, count: count))) }
    let audit = [
      all(model.name), all(Int64(model.id.version)), all(plan.job),
      all(Date.now.formatted(.iso8601)),
    ]
    return export.writer.answer(
      export.batch, Predictions(columns: result.outputs + audit, failures: []),
      failures: Dictionary(uniqueKeysWithValues: result.failures.map { ($0.row, $0.reason) }))
  }

  private func kept(_ rows: JobRows, _ scored: [Int]?) -> [CopyColumn] {
    switch rows.kept {
    case .columns(let columns):
      columns.map { column in .raw(scored.map { column.taking(rows: $0) } ?? column) }
    case .texts(let columns):
      columns.map { column in .values((scored.map { column.taking(rows: $0) } ?? column).vector) }
    }
  }

  private func outputs(_ result: ChunkResult, _ scored: [Int]?) -> [ColumnVector] {
    result.outputs.map { column in (scored.map { column.taking(rows: $0) } ?? column).vector }
  }

  private func copy(_ result: ChunkResult, _ rows: JobRows, _ scored: [Int]?, by copySQL: String?)
    throws(PostgresError)
  {
    guard let copySQL else {
      throw PostgresError(sqlState: "RC201", message: "job \(plan.job) was changed")
    }
    let audit: [CopyColumn] = [
      .constant(model.name), .constant(model.id.version), .constant(plan.job), .constant(Date.now),
    ]
    let columns =
      kept(rows, scored)
      + outputs(result, scored).map { CopyColumn.values($0) }
      + plan.auditColumns.map { audit[$0] }
    let count = scored?.count ?? rows.count
    try connection.copyIn(Query(text: copySQL)) { writer throws(PostgresError) in
      try writer.write(columns, rows: 0..<count)
    }
  }

  private func call(_ result: ChunkResult, _ rows: JobRows, _ scored: [Int]?) -> Query {
    let count = scored?.count ?? rows.count
    return Query(
      text: plan.writeSQL ?? "",
      values: values(kept(rows, scored), outputs(result, scored), rows: 0..<count))
  }

  /// Rows of one segment at most.
  private static let segmentRows = 4096

  /// A call a segment, each with where among its rows the bounds of its columns are.
  private func segments(_ result: ChunkResult, _ rows: JobRows, _ scored: [Int]?) -> [Query] {
    let columns = kept(rows, scored)
    let outputs = outputs(result, scored)
    let count = scored?.count ?? rows.count
    return stride(from: 0, to: count, by: Self.segmentRows).map { first in
      let slice = first..<min(first + Self.segmentRows, count)
      var places: [Int32?] = []
      for (column, kept) in zip(columns, plan.kept) where kept.bounds != nil {
        guard case .raw(let raw) = column, let bounds = raw.bounds(in: slice) else {
          places += [nil, nil]
          continue
        }
        places += [bounds.least, bounds.greatest].map { Int32($0 - first + 1) }
      }
      return Query(
        text: plan.writeSQL ?? "",
        values: values(columns, outputs, rows: slice) + [places as any PostgresEncodable])
    }
  }

  private func values(_ kept: [CopyColumn], _ outputs: [ColumnVector], rows: Range<Int>)
    -> [any PostgresEncodable]
  {
    var values: [any PostgresEncodable] = []
    for (column, type) in zip(kept, plan.base.keyTypes) {
      switch column {
      case .raw(let raw):
        values.append(
          BinaryArray(raw, elementOID: type.element, arrayOID: type.array, rows: rows))
      case .values(let vector): values.append(BinaryArray(vector, rows: rows))
      case .constant(let value): values.append(value)
      }
    }
    values += outputs.map { BinaryArray($0, rows: rows) as any PostgresEncodable }
    return values + [model.name, model.id.version, plan.job, Date.now]
  }
}
