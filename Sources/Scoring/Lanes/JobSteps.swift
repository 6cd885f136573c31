internal import FoundationEssentials
internal import Postgres

/// Runs the steps of jobs: SQL of their authors, and work on files.
///
/// Each has a session of its own, since somebody's SQL may leave settings behind.
struct JobSteps {
  let context: WorkerContext
  /// nil where this worker was given no directory.
  let files: JobFiles?

  /// The step and its end are one transaction.
  ///
  /// - Throws: RC201 where another lane has the chunk by now, or its job is over.
  func run(_ chunk: Chunk) throws(WorkError) {
    let connection = try database { () throws(PostgresError) in
      try Connection(context.settings(for: "step"))
    }
    defer { connection.close() }
    context.noteBatchSession(connection)
    let begun = try database { () throws(PostgresError) in
      try connection.pipeline([
        "begin", "select rowcast.begin_step(\(chunk.id), \(chunk.attempt))",
      ])[1].value(0, 0, as: String?.self)
    }
    if let statement = begun {
      try database { () throws(PostgresError) in
        let rows = try authorsOwn { () throws(PostgresError) in
          try connection.run(Query(text: statement)).value(0, 0, as: Int64.self)
        }
        try finish(chunk, rows: rows, connection)
      }
    } else {
      try workOnFiles(chunk, connection)
    }
  }

  private func finish(_ chunk: Chunk, rows: Int64, _ connection: Connection) throws(PostgresError) {
    _ = try connection.pipeline([
      "select rowcast.finish_step(\(chunk.id), \(chunk.attempt), \(rows))", "commit",
    ])
  }

  /// Errors of somebody's SQL are his, whatever code they have: none tells of the chunk.
  private func authorsOwn<R>(_ body: () throws(PostgresError) -> R) throws(PostgresError) -> R {
    do throws(PostgresError) {
      return try body()
    } catch  where error.sqlState.hasPrefix("RC") || error.sqlState.hasPrefix("42") {
      throw PostgresError(sqlState: "P0001", message: error.message)
    }
  }

  // MARK: Files

  private func workOnFiles(_ chunk: Chunk, _ connection: Connection) throws(WorkError) {
    guard let files else {
      throw .scoring(ScoringError(.file, "this worker was given no directory of files"))
    }
    let order = try database { () throws(PostgresError) in
      let row = try connection.run("select * from rowcast.file_step(\(chunk.id))")
      return (
        step: try row.value(0, "step", as: String.self),
        job: try row.value(0, "job_id", as: Int64.self),
        source: try row.value(0, "source_path", as: String.self),
        destination: try row.value(0, "destination_path", as: String.self),
        replaces: try row.value(0, "replaces", as: Bool.self)
      )
    }
    switch order.step {
    case "scan":
      let pieces: [JobFiles.Piece]
      do throws(ScoringError) {
        pieces = try files.scan(order.source)
      } catch {
        throw .scoring(error)
      }
      try database { () throws(PostgresError) in
        let rows = try connection.run(
          """
          select rowcast.add_file_parts(\(chunk.id), \(pieces.map(\.path)), \(pieces.map(\.first)), \
          \(pieces.map(\.size)), \(pieces.map(\.line)), \(pieces.map(\.lines)))
          """
        ).value(0, 0, as: Int64.self)
        try finish(chunk, rows: rows, connection)
      }
    case "deliver":
      let plan = try JobPlan.load(order.job, on: connection)
      try files.folder.write(
        order.destination, mark: "job-\(order.job)", replaces: order.replaces
      ) { append throws(WorkError) in
        try append(try files.head(of: plan, source: order.source))
        var place: (part: Int32, first: Int64) = (0, -1)
        while true {
          let rows = try database { () throws(PostgresError) in
            try connection.run(
              "select * from rowcast.export_parts(\(order.job), \(place.part), \(place.first))")
          }
          guard rows.count > 0 else { break }
          for row in 0..<rows.count {
            let part = try database { () throws(PostgresError) in
              (
                part: try rows.value(row, "next_part", as: Int32.self),
                first: try rows.value(row, "next_first", as: Int64.self),
                bytes: try rows.value(row, "bytes", as: [UInt8].self)
              )
            }
            try append(part.bytes)
            place = (part.part, part.first)
          }
        }
      } commit: { () throws(WorkError) in
        try database { () throws(PostgresError) in try finish(chunk, rows: 0, connection) }
      }
    default:
      throw .postgres(
        PostgresError(
          sqlState: "0A000", message: "step \"\(order.step)\" is not known",
          hint: "The database is of a newer release; update this worker."))
    }
  }
}
