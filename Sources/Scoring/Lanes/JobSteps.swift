internal import FoundationEssentials
internal import Postgres

/// Runs the steps of jobs: SQL of their authors, and work on files.
///
/// Each has a session of its own, since somebody's SQL may leave settings behind.
struct JobSteps {
  let context: WorkerContext

  /// The step and its end are one transaction.
  ///
  /// - Throws: RC201 where another lane has the chunk by now, or its job is over.
  func run(_ chunk: Chunk) throws(WorkError) {
    do throws(PostgresError) {
      let connection = try Connection(context.settings(for: "step"))
      defer { connection.close() }
      let begun = try connection.pipeline([
        "begin", "select rowcast.begin_step(\(chunk.id), \(chunk.attempt))",
      ])
      var rows: Int64 = 0
      if let statement = try begun[1].value(0, 0, as: String?.self) {
        rows = try authorsOwn { () throws(PostgresError) in
          try connection.run(Query(text: statement)).value(0, 0, as: Int64.self)
        }
      }
      _ = try connection.pipeline([
        "select rowcast.finish_step(\(chunk.id), \(chunk.attempt), \(rows))", "commit",
      ])
    } catch {
      throw .postgres(error)
    }
  }

  /// Errors of somebody's SQL are his, whatever code they have: none tells of the chunk.
  private func authorsOwn<R>(_ body: () throws(PostgresError) -> R) throws(PostgresError) -> R {
    do throws(PostgresError) {
      return try body()
    } catch  where error.sqlState.hasPrefix("RC") || error.sqlState.hasPrefix("42") {
      throw PostgresError(sqlState: "P0001", message: error.message)
    }
  }
}
