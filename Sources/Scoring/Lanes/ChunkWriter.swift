internal import Postgres

/// Writes what a chunk came to, together with the chunk's end: both or neither are committed.
///
/// Upserts through the scorer's own write function, in one statement. Where a chunk's keys are
/// most likely new it first tries COPY, which costs less than half; a row that is there already
/// refuses the copy, and the upsert follows.
struct ChunkWriter {
  enum Outcome { case upserted, copied, copyRefused }

  /// Smaller chunks gain less than the round trips cost that a copy needs.
  private static let leastCopiedRows = 256

  /// For each scorer, how many chunks to upsert before the next try to copy.
  private var caution: [Int32: (pause: Int, left: Int)] = [:]

  /// - Throws: RC201 where another lane has the chunk by now: nothing was written.
  mutating func write(
    _ result: ChunkResult, of rows: ChunkRows, _ chunk: Chunk, _ plan: ScorerPlan,
    on connection: Connection
  ) throws(WorkError) -> Outcome {
    do throws(PostgresError) {
      guard shouldCopy(result, rows, chunk, plan) else {
        try upsert(result, rows, chunk, plan, connection)
        return .upserted
      }
      if try copy(result, rows, chunk, plan, connection) {
        caution[chunk.scorer] = nil
        return .copied
      }
      let pause = min((caution[chunk.scorer]?.pause ?? 1) * 2, 64)
      caution[chunk.scorer] = (pause, pause)
      try upsert(result, rows, chunk, plan, connection)
      return .copyRefused
    } catch {
      throw .postgres(error)
    }
  }

  // MARK: Upsert

  private func upsert(
    _ result: ChunkResult, _ rows: ChunkRows, _ chunk: Chunk, _ plan: ScorerPlan,
    _ connection: Connection
  ) throws(PostgresError) {
    let scored = result.scoredRows(of: rows.count)
    var values: [any PostgresEncodable] = [chunk.id, chunk.attempt]
    values += keys(rows, scored, plan)
    for column in result.outputs {
      values.append(BinaryArray((scored.map { column.taking(rows: $0) } ?? column).vector))
    }
    switch result.attribution {
    case .all(let name, let version): values += [[name], [version]]
    case .each(let names, let versions):
      values.append(scored.map { $0.map { names[$0] } } ?? names)
      values.append(scored.map { $0.map { versions[$0] } } ?? versions)
    case .none: values += [[String](), [Int32]()]
    }
    values += keys(rows, result.failures.map(\.row), plan)
    values.append(result.failures.map(\.code))
    values.append(result.failures.map(\.reason))
    values.append(result.failures.map(\.model))
    values.append(result.failures.map(\.version))
    values.append(Int32(rows.count))
    try connection.run(Query(text: plan.writeSQL, values: values))
  }

  private func keys(_ rows: ChunkRows, _ taken: [Int]?, _ plan: ScorerPlan)
    -> [any PostgresEncodable]
  {
    zip(rows.keys, plan.keyTypes).map { column, type in
      BinaryArray(
        taken.map { column.taking(rows: $0) } ?? column, elementOID: type.element,
        arrayOID: type.array)
    }
  }

  // MARK: Copy

  private mutating func shouldCopy(
    _ result: ChunkResult, _ rows: ChunkRows, _ chunk: Chunk, _ plan: ScorerPlan
  ) -> Bool {
    // A copy can neither keep failures nor retract keys whose rows are gone.
    guard result.failures.isEmpty, rows.count >= Self.leastCopiedRows, !plan.copySQL.isEmpty,
      chunk.kind == .range
        ? chunk.priority == Chunk.backfillPriority : Int32(rows.count) == chunk.keyCount
    else { return false }
    guard let known = caution[chunk.scorer], known.left > 0 else { return true }
    caution[chunk.scorer]!.left -= 1
    return false
  }

  /// False where a key was there already, or where the scorer's failures and retractions forbid.
  private func copy(
    _ result: ChunkResult, _ rows: ChunkRows, _ chunk: Chunk, _ plan: ScorerPlan,
    _ connection: Connection
  ) throws(PostgresError) -> Bool {
    do throws(PostgresError) {
      let begun = try connection.pipeline([
        "begin", "select rowcast.begin_write(\(chunk.id), \(chunk.attempt), false)",
      ])
      guard try begun[1].value(0, 0, as: Bool.self) else {
        try connection.runScript("rollback")
        return false
      }
      let columns = copyColumns(result, rows, chunk)
      try connection.copyIn(Query(text: plan.copySQL)) { writer throws(PostgresError) in
        try writer.write(columns, rows: 0..<rows.count)
      }
      let count = Int32(rows.count)
      _ = try connection.pipeline([
        "select rowcast.finish_chunk(\(chunk.id), \(chunk.attempt), \(count), \(Int32(0)))",
        "commit",
      ])
      return true
    } catch {
      if connection.isInTransaction { try connection.runScript("rollback") }
      if error.sqlState == "23505" { return false }
      throw error
    }
  }

  /// Keys, outputs, then the model's name and version and the tick; the moment is the default.
  private func copyColumns(_ result: ChunkResult, _ rows: ChunkRows, _ chunk: Chunk)
    -> [CopyColumn]
  {
    var columns = rows.keys.map { CopyColumn.raw($0) }
    columns += result.outputs.map { .values($0.vector) }
    switch result.attribution {
    case .all(let name, let version): columns += [.constant(name), .constant(version)]
    case .each(let names, let versions):
      columns += [
        .values(ColumnVector(.string(names))), .values(ColumnVector(.int32(versions))),
      ]
    case .none: break
    }
    return columns + [.constant(chunk.tick)]
  }
}
