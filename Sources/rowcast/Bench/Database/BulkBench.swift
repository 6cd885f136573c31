import Foundation
import Postgres

/// Backfills a table and compares with reading its features and copying its predictions.
///
/// The floor reads with `COPY (select key, features … by key range) TO '/dev/null'` and writes with
/// `COPY … FROM` files of the very predictions that the backfill made, both in binary, by as many
/// connections as lanes, into a table with the same columns and primary key.
struct BulkBench {
  let stage: BenchStage
  let rows: Int
  let repeats: Int

  private let scorer = "rowcast_bench_bulk"

  /// - Parameter features: The model's, quoted as identifiers.
  func run(model: String, features: [String]) throws -> BenchReport.Bulk {
    let connection = try stage.connect()
    try fill(connection, features: features)
    var scored: [Double] = []
    var read: [Double] = []
    var written: [Double] = []
    for round in 1...repeats {
      stage.note("bulk \(round)/\(repeats): backfill")
      scored.append(try backfill(connection, model: model))
      stage.note("bulk \(round)/\(repeats): floor")
      read.append(try floorRead(connection, features: features))
      written.append(try floorWrite(connection))
      try connection.run("select rowcast.drop_scorer(\(scorer))")
    }
    let readRate = Sample(read).median ?? 0
    let writtenRate = Sample(written).median ?? 0
    let rate = Sample(scored).median ?? 0
    let floor = 1 / (1 / readRate + 1 / writtenRate)
    return BenchReport.Bulk(
      rows: rows, features: features.count, scored: scored, read: read, written: written,
      rowsPerSecond: rate, readRowsPerSecond: readRate, writtenRowsPerSecond: writtenRate,
      floorRowsPerSecond: floor, ratio: rate / floor)
  }

  /// Rows of independent standard normal features, the same at each run.
  private func fill(_ connection: Connection, features: [String]) throws {
    stage.note("bulk: \(Format.count(rows)) rows of \(features.count) features")
    let columns = features.map { $0 + " real not null" }.joined(separator: ", ")
    let table = stage.table("bulk")
    try connection.runScript("create table \(table) (id bigint primary key, \(columns))")
    // Twelve uniform numbers make a normal one well enough; one is drawn anew each time.
    let sum = Array(repeating: "random()", count: 4).joined(separator: " + ")
    let values = features.map { _ in "((\(sum) - 2) * 1.7320508)::real" }.joined(separator: ", ")
    try connection.runScript("select setseed(0.5)")
    try connection.run(
      Query(
        text: "insert into \(table) select i, \(values) from generate_series(1, $1::bigint) as i",
        values: [Int64(rows)]))
    try connection.runScript("vacuum analyze \(table)")
  }

  /// Rows per second from the call of create_scorer to the last prediction written.
  private func backfill(_ connection: Connection, model: String) throws -> Double {
    try stage.settle(connection)
    let clock = ContinuousClock()
    let start = clock.now
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => \(scorer), source => \(stage.table("bulk")), model => \(model))
      """)
    while try !isDone(connection) { usleep(2_000) }
    let seconds = Format.seconds(clock.now - start)
    let counts = try connection.run(
      Query(
        text: "select count(*), (select count(*) from predictions.\(scorer)_failure) "
          + "from predictions.\(scorer)"))
    let predictions = try counts.value(0, 0, as: Int64.self)
    let failures = try counts.value(0, 1, as: Int64.self)
    guard predictions == Int64(rows), failures == 0 else {
      throw CommandError(
        .failed, "\(predictions) predictions and \(failures) failures for \(rows) rows")
    }
    return Double(rows) / seconds
  }

  private func isDone(_ connection: Connection) throws -> Bool {
    let status = try connection.run(
      """
      select coalesce(backfill_done >= 1 and backlog_rows = 0, false), state,
             coalesce(state_reason, last_error)
      from rowcast.scorer_status where name = \(scorer)
      """)
    let state = try status.value(0, 1, as: String.self)
    guard state == "active" else {
      throw CommandError(
        .failed, "the scorer is \(state)", detail: try status.value(0, 2, as: String?.self))
    }
    return try status.value(0, 0, as: Bool.self)
  }

  private func ranges() -> [(lower: Int64, upper: Int64)] {
    (0..<stage.lanes).map { lane in
      (
        Int64(rows * lane / stage.lanes + 1), Int64(rows * (lane + 1) / stage.lanes)
      )
    }
  }

  private func floorRead(_ connection: Connection, features: [String]) throws -> Double {
    try stage.settle(connection)
    let columns = (["id"] + features).joined(separator: ", ")
    let ranges = ranges()
    let table = stage.table("bulk")
    let place = stage
    let outcome = try Crew.run(
      place.lanes, prepare: { _ in try place.connect() },
      work: { member, connection in
        try connection.runScript(
          """
          copy (select \(columns) from \(table)
                where id between \(ranges[member].lower) and \(ranges[member].upper))
          to '/dev/null' (format binary)
          """)
      })
    return Double(rows) / Format.seconds(outcome.duration)
  }

  private func floorWrite(_ connection: Connection) throws -> Double {
    let table = stage.table("bulk_floor")
    let ranges = ranges()
    let directory = stage.serverDirectory
    // Literals of SQL.
    let files = try ranges.indices.map {
      try stage.quoted(literal: "\(directory)/rowcast_bench_\($0).bin")
    }
    for (range, file) in zip(ranges, files) {
      try connection.runScript(
        """
        copy (select * from predictions.\(scorer)
              where id between \(range.lower) and \(range.upper) order by id)
        to \(file) (format binary)
        """)
    }
    try connection.runScript(
      """
      drop table if exists \(table);
      create table \(table) (like predictions.\(scorer) including all)
      """)
    try stage.settle(connection)
    let place = stage
    let outcome = try Crew.run(
      place.lanes, prepare: { _ in try place.connect() },
      work: { member, connection in
        try connection.runScript(
          "copy \(table) from \(files[member]) (format binary)")
      })
    try connection.runScript("drop table \(table)")
    return Double(rows) / Format.seconds(outcome.duration)
  }
}
