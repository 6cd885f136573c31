import Foundation
import Postgres

/// What a measured stretch of work cost beside its time.
struct Cost: Encodable {
  var rows: Int
  /// Processor time of the workers; nil where none worked.
  var workerSeconds: Double?
  /// Of all processes of the server; nil where it is on another machine.
  var serverSeconds: Double?
  var walBytes: Double
  /// Versions of rows that are left for vacuum, in all tables; nil where it was not asked for.
  var deadTuples: Double?
  var commits: Double?

  /// The same a row: microseconds and bytes.
  var perRow: PerRow {
    let rows = Double(rows)
    return PerRow(
      workerMicroseconds: workerSeconds.map { $0 / rows * 1e6 },
      serverMicroseconds: serverSeconds.map { $0 / rows * 1e6 }, walBytes: walBytes / rows,
      deadTuples: deadTuples.map { $0 / rows }, commits: commits.map { $0 / rows })
  }

  struct PerRow: Encodable {
    var workerMicroseconds: Double?
    var serverMicroseconds: Double?
    var walBytes: Double
    var deadTuples: Double?
    var commits: Double?

    /// Of several rounds, each figure for itself.
    static func median(_ costs: [PerRow]) -> PerRow {
      func median(_ values: [Double?]) -> Double? {
        values.contains { $0 == nil } ? nil : Sample(values.compactMap { $0 }).median
      }
      return PerRow(
        workerMicroseconds: median(costs.map(\.workerMicroseconds)),
        serverMicroseconds: median(costs.map(\.serverMicroseconds)),
        walBytes: median(costs.map(\.walBytes)) ?? 0, deadTuples: median(costs.map(\.deadTuples)),
        commits: median(costs.map(\.commits)))
    }

    /// As cells of `titles`.
    var cells: [String] {
      func cell(_ value: Double?, _ places: Int) -> String {
        value.map { Format.decimal($0, places: places) } ?? ""
      }
      return [
        cell(workerMicroseconds, 2), cell(serverMicroseconds, 2),
        cell(walBytes, 0), cell(deadTuples, 2), cell(commits, 4),
      ]
    }

    static let titles: [(title: String, alignment: TextTable.Alignment)] = [
      ("worker us", .right), ("server us", .right), ("WAL bytes", .right), ("dead", .right),
      ("commits", .right),
    ]
  }
}

/// Reads the counters that costs are differences of.
struct Meter {
  private let time: ProcessorTime
  private let workers: [Int32]
  private let connection: Connection

  /// - Parameters:
  ///   - workers: Processes whose time counts as the workers'.
  ///   - connection: Asked between measurements; its own commits do not count.
  init(_ connection: Connection, workers: [Int32] = []) throws {
    self.connection = connection
    self.workers = workers
    let backend = try connection.run("select pg_backend_pid()").value(0, 0, as: Int32.self)
    time = ProcessorTime(backend: backend)
  }

  struct Reading {
    fileprivate var workerSeconds: Double
    fileprivate var serverSeconds: Double?
    fileprivate var wal: Double
  }

  /// Cumulative counters of the server's sessions, which report them within seconds.
  struct Counters {
    fileprivate var commits: Int64
    fileprivate var tables: [Int64: Table]

    fileprivate struct Table {
      var written: Int64
      var replaced: Int64
      var dead: Int64
    }
  }

  func reading() throws -> Reading {
    let workerSeconds = workers.reduce(0) { $0 + ProcessorTime.seconds($1) }
    return Reading(
      workerSeconds: workerSeconds, serverSeconds: time.serverSeconds(),
      wal: try connection.run(
        "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8"
      ).value(0, 0, as: Double.self))
  }

  /// - Parameter isScored: False for floors, in which the workers have nothing to do.
  func cost(since start: Reading, rows: Int, isScored: Bool = true) throws -> Cost {
    let end = try reading()
    return Cost(
      rows: rows, workerSeconds: isScored ? end.workerSeconds - start.workerSeconds : nil,
      serverSeconds: start.serverSeconds.flatMap { start in end.serverSeconds.map { $0 - start } },
      walBytes: end.wal - start.wal)
  }

  func counters() throws -> Counters {
    let rows = try connection.run(
      """
      select relid::bigint, n_tup_ins + n_tup_upd, n_tup_upd + n_tup_del, n_dead_tup,
             (select xact_commit from pg_stat_database where datname = current_database())
      from pg_stat_user_tables
      """)
    var tables: [Int64: Counters.Table] = [:]
    for row in 0..<rows.count {
      tables[try rows.value(row, 0)] = Counters.Table(
        written: try rows.value(row, 1), replaced: try rows.value(row, 2),
        dead: try rows.value(row, 3))
    }
    return Counters(commits: try rows.value(0, 4), tables: tables)
  }

  /// Adds what the counters say once the writers of `table` have reported all rows.
  ///
  /// - Parameter looks: Commits of the measurement itself.
  func complete(
    _ cost: inout Cost, since start: Counters, table: String, looks: Int
  ) throws {
    let table = try connection.run(
      Query(text: "select to_regclass($1)::oid::bigint", values: [table])
    ).value(0, 0, as: Int64.self)
    let clock = ContinuousClock()
    let limit = clock.now + .seconds(15)
    var own = 0
    while true {
      own += 1
      let now = try counters()
      let written = (now.tables[table]?.written ?? 0) - (start.tables[table]?.written ?? 0)
      if written >= Int64(cost.rows) {
        cost.commits = Double(now.commits - start.commits - Int64(looks + own))
        cost.deadTuples = now.tables.reduce(0) { sum, entry in
          let before = start.tables[entry.key]
          // Vacuum takes from the one, what is rolled back adds to it alone.
          return sum
            + Double(
              max(
                entry.value.dead - (before?.dead ?? 0),
                entry.value.replaced - (before?.replaced ?? 0), 0))
        }
        return
      }
      guard clock.now < limit else { return }
      usleep(250_000)
    }
  }
}
