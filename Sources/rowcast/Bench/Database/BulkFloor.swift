import Foundation
import Postgres

/// What the server does at least for a backfill or a scoring again, when nothing is scored.
struct BulkFloor: Sendable {
  let stage: BenchStage
  let source: BenchTable
  /// Qualified, of a scorer that has scored all rows.
  let predictions: String
  let rows: Int

  /// Has the columns, fillfactor and primary key of the predictions.
  var table: String { stage.table("bulk_floor") }

  /// A server's connections, each with a range of keys.
  private func perLane(
    _ work: @escaping @Sendable (Int, (lower: Int64, upper: Int64), Connection) throws -> Void
  ) throws -> Duration {
    let stage = stage
    let ranges = stage.ranges(rows)
    return try Crew.run(
      stage.lanes,
      prepare: { _ in
        let connection = try stage.connect()
        // What a session reads of the catalog at first is no part of the work.
        try connection.runScript("select count(*) from rowcast.scorer")
        return connection
      },
      work: { member, connection in try work(member, ranges[member], connection) }
    ).duration
  }

  /// Puts the predictions into files of the server, and makes the table.
  func prepare(_ connection: Connection) throws {
    for (member, range) in stage.ranges(rows).enumerated() {
      try connection.runScript(
        """
        copy (select * from \(predictions)
              where id between \(range.lower) and \(range.upper) order by id)
        to \(stage.file(member)) (format binary)
        """)
    }
    try makeTable(connection, table)
  }

  /// An empty table like the predictions.
  func makeTable(_ connection: Connection, _ name: String) throws {
    try connection.runScript(
      "create table \(name) (like \(predictions) including all)")
    // The one thing that LIKE leaves out and that writes depend on.
    let options = try connection.run(
      Query(
        text: "select array_to_string(reloptions, ', ') from pg_class where oid = to_regclass($1)",
        values: [predictions])
    ).value(0, 0, as: String?.self)
    if let options { try connection.runScript("alter table \(name) set (\(options))") }
  }

  func drop(_ connection: Connection) throws {
    try connection.runScript("drop table \(table)")
  }

  /// Takes out what `write` has written.
  func empty() throws { try stage.connect().runScript("truncate \(table)") }

  func read() throws -> Duration {
    let (name, columns) = (source.name, source.scored)
    return try perLane { _, range, connection in
      try connection.runScript(
        """
        copy (select \(columns) from \(name) where id between \(range.lower) and \(range.upper))
        to '/dev/null' (format binary)
        """)
    }
  }

  func write() throws -> Duration {
    let table = table
    let files = try (0..<stage.lanes).map { try stage.file($0) }
    return try perLane { member, _, connection in
      try connection.runScript("copy \(table) from \(files[member]) (format binary)")
    }
  }

  /// Replaces what `write` has written.
  func replace() throws -> Duration {
    let connection = try stage.connect()
    let found = try connection.run(
      """
      select array(select quote_ident(a.attname) from pg_attribute as a
                   where a.attrelid = to_regclass(\(table)) and a.attnum > 0
                     and not a.attisdropped and a.attname <> 'id' order by a.attnum)
      """)
    let columns = try found.value(0, 0, as: [String].self)
    // Constants: those of any one row.
    let constants = try connection.run(
      Query(
        text:
          "select array[\(columns.map { "quote_nullable(\($0)::text)" }.joined(separator: ", "))] "
          + "from \(table) limit 1")
    ).value(0, 0, as: [String].self)
    let list = columns.joined(separator: ", ")
    let values = constants.joined(separator: ", ")
    let updates = columns.map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
    let (name, target) = (source.name, table)
    return try perLane { _, range, connection in
      try connection.runScript(
        """
        insert into \(target) (id, \(list))
        select id, \(values) from \(name) where id between \(range.lower) and \(range.upper)
        on conflict (id) do update set \(updates)
        """)
    }
  }
}
