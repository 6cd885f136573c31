internal import FoundationEssentials
internal import Inference
internal import Postgres

/// What a lane must know of a job that has no scorer, as `load_job` tells it.
struct JobPlan {
  /// A column of the source that is passed through.
  struct Kept: Decodable {
    var column: String
    var oid: Int64
    var array: Int64
    /// The columns for the least and the greatest value of a segment.
    var bounds: [String]?
  }

  enum Destination: String { case table, file }

  var job: Int64
  /// Features and outputs, as a scorer has them.
  var base: ScorerPlan
  var kept: [Kept]
  /// What is read of a row `t` of the source: kept columns, then features.
  var expressions: [String]
  var destination: Destination
  /// Of an exported file.
  var format: RecordFormat?
  var copySQL: String?
  /// Copies into the job's own table, which is delivered at the end.
  var stageSQL: String?
  var writeSQL: String?
  /// Which of model, version, job and moment the destination has columns for, by number.
  var auditColumns: [Int]
}

extension JobPlan {
  /// The features that the model uses.
  private func features(reading reads: [Bool]) -> [String] {
    zip(expressions[kept.count...], reads).filter(\.1).map(\.0)
  }

  /// Kept columns, then features that the model uses.
  private func columns(reading reads: [Bool]) -> [String] {
    Array(expressions[..<kept.count]) + features(reading: reads)
  }

  /// The query that reads a chunk's rows: kept columns, features that the model uses, ctid.
  func readQuery(_ chunk: Chunk, reading reads: [Bool]) -> Query {
    let columns = (columns(reading: reads) + ["t.ctid"]).joined(separator: ", ")
    if chunk.lowerKey?.hasPrefix("{") == true {
      return Query(
        text: "select \(columns) from only \(chunk.keys ?? "") as t where t.ctid "
          + "operator(pg_catalog.=) any (($1::pg_catalog.text)::pg_catalog.tid[])",
        values: [chunk.lowerKey])
    }
    return Query(
      text: "select \(columns) \(Self.range(chunk))", values: [chunk.lowerKey, chunk.upperKey])
  }

  /// A query without rows that has the types of `readQuery`; keeps the table as it is until its
  /// transaction is over.
  func shapeQuery(_ chunk: Chunk, reading reads: [Bool]) -> Query {
    let columns = (columns(reading: reads) + ["t.ctid"]).joined(separator: ", ")
    return Query(text: "select \(columns) from only \(chunk.keys ?? "") as t limit 0")
  }

  /// As `readQuery`, packed and without ctid, for a chunk that is a range.
  func copyQuery(_ chunk: Chunk, reading reads: [Bool], packing: FloatPacking) -> Query {
    let columns = (expressions[..<kept.count] + packing.expressions(features(reading: reads)))
      .joined(separator: ", ")
    return Query(
      inlining: [chunk.lowerKey, chunk.upperKey],
      into: "copy (select \(columns) \(Self.range(chunk))) to stdout (format binary)")
  }

  private static func range(_ chunk: Chunk) -> String {
    "from only \(chunk.keys ?? "") as t where t.ctid operator(pg_catalog.>=) "
      + "($1::pg_catalog.text)::pg_catalog.tid and t.ctid operator(pg_catalog.<) "
      + "($2::pg_catalog.text)::pg_catalog.tid"
  }

  /// - Throws: RC201 where it was dropped meanwhile.
  static func load(_ job: Int64, on connection: Connection) throws(WorkError) -> JobPlan {
    let rows = try database { () throws(PostgresError) in
      try connection.run("select * from rowcast.load_job(\(job))")
    }
    guard rows.count == 1 else {
      throw .postgres(PostgresError(sqlState: "RC201", message: "job \(job) was dropped"))
    }
    do throws(PostgresError) {
      let kept: [Kept] = try ScorerPlan.decode(rows.value(0, "kept", as: String.self), "columns")
      let base = ScorerPlan(
        scorer: 0, revision: 0, name: "job \(job)", isRouted: false, alias: "",
        keyTypes: kept.map {
          (
            OID(rawValue: UInt32(truncatingIfNeeded: $0.oid)),
            OID(rawValue: UInt32(truncatingIfNeeded: $0.array))
          )
        },
        features: try ScorerPlan.decode(rows.value(0, "features", as: String.self), "features"),
        outputs: try ScorerPlan.decode(rows.value(0, "outputs", as: String.self), "outputs"),
        readKeysSQL: "", readRangeSQL: "", writeSQL: "", copySQL: "", readsQuery: false)
      return JobPlan(
        job: job, base: base, kept: kept,
        expressions: try rows.value(0, "expressions", as: [String]?.self) ?? [],
        destination: Destination(
          rawValue: try rows.value(0, "destination_kind", as: String.self)) ?? .table,
        format: try rows.value(0, "format", as: String?.self).flatMap(RecordFormat.init),
        copySQL: try rows.value(0, "copy_sql", as: String?.self),
        stageSQL: try rows.value(0, "stage_sql", as: String?.self),
        writeSQL: try rows.value(0, "write_sql", as: String?.self),
        auditColumns: try rows.value(0, "audit_columns", as: [String].self).enumerated()
          .filter { !$0.element.isEmpty }.map(\.offset))
    } catch {
      throw .postgres(error)
    }
  }
}
