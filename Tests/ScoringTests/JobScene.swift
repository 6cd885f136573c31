import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// A table, a model over it and what a job's destination must hold.
extension Scene {
  /// `item` as LiveScoringTests has it, where every `gap`-th row lacks a feature that must be there.
  func prepareItems(_ connection: Connection, rows: Int, gap: Int = 0) throws {
    try push("sum", LiveScoringTests.bytes)
    try connection.runScript(
      """
      create table item (id bigint primary key, a real, b double precision, c integer, note text);
      insert into item select i, sin(i) * 12, cos(i) * 12, i % 23 - 11, 'n' || i
      from generate_series(1, \(rows)) as i;
      """)
  }

  /// Waits for a job's end, whatever it is; its state and error.
  @discardableResult
  func end(of job: Int64, _ connection: Connection) throws -> (state: String, error: String?) {
    let isOver = try eventually(within: Self.patience) {
      try connection.run(
        "select finished_at is not null from rowcast.job where job_id = \(job)"
      ).value(0, 0, as: Bool.self)
    }
    let row = try connection.run("select state, error from rowcast.job where job_id = \(job)")
    guard isOver else {
      let chunks = try connection.run(
        """
        select coalesce(string_agg(distinct concat_ws(' ', kind, keys, state, attempt, error), '; '), '')
        from rowcast.chunk where job_id = \(job)
        """)
      throw Overdue(
        "job \(job) is \(try row.value(0, 0, as: String.self)): "
          + "\(try chunks.value(0, 0, as: String.self)), \(events.suffix(5))")
    }
    return (try row.value(0, 0), try row.value(0, 1))
  }

  func submit(_ query: Query, _ connection: Connection) throws -> Int64 {
    try connection.run(query).value(0, 0)
  }

  /// Expects that a table has each row of `item` once, with the engine's score.
  static func expectItems(
    in table: String, _ connection: Connection, where condition: String = "true",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.load(LiveScoringTests.bytes)
    let rows = try connection.run(
      Query(text: "select id, a, b, c from item where \(condition) order by id"))
    let batch = Batch(
      rowCount: rows.count,
      columns: try (1...3).map { try LiveScoringTests.column(rows.column($0)) })
    let wanted = try model.predict(batch, workspace: Workspace())
    let found = try connection.run(
      Query(text: "select id, score from \(table) order by id"))
    let ids = try LiveScoringTests.ids(rows)
    #expect(
      try ids == LiveScoringTests.ids(found), "keys of rows and predictions",
      sourceLocation: sourceLocation)
    guard rows.count == found.count, rows.count > 0 else { return }
    #expect(
      try found.column(1).values == .float64(Self.doubles(wanted.columns[0])),
      sourceLocation: sourceLocation)
  }

  private static func doubles(_ column: Column) -> [Double] {
    if case .float64(let values) = column.values { values } else { [] }
  }
}
