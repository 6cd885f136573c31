import Foundation
import Inference
import Postgres
import Scoring

/// One job from its submission to its end, watched from outside, with faults on the way.
struct JobRun {
  let appliance: Appliance
  let rows: Int
  let lanes: Int
  let isFaulty: Bool
  let stage: BenchStage

  private let clock = ContinuousClock()

  func measure(model bytes: [UInt8]) throws -> JobBenchReport {
    let workers = WorkerProcesses(database: appliance.database)
    defer { workers.kill() }
    var connection = try stage.connect()
    try connection.runScript("create schema \(BenchStage.schema)")
    try connection.run(
      "select rowcast.register_model(name => 'bench', artifact => \(bytes), alias => 'champion')")
    for number in 0...1 { try workers.start(number, .init(lanes: lanes / 2)) }
    try connection.run("call rowcast.wait_for_model('bench')")
    let features = try stage.quoted(
      identifiers: try Model.load(bytes).signature.features.map(\.name))
    try fill(connection, features)

    stage.note("job")
    let start = clock.now
    let job = try connection.run(
      "select rowcast.submit_job('bench', 'rowcast_bench.bulk', 'rowcast_bench.scored')"
    ).value(0, 0, as: Int64.self)
    let submitted = clock.now
    var watch = Watch()
    var faults: [String] = []
    var faultyUntil = start
    while true {
      guard let look = try? look(job, connection) else {
        // The server is away, or was.
        connection = try reconnected()
        continue
      }
      watch.note(look, at: clock.now, isFaulty: clock.now < faultyUntil)
      if look.isOver {
        guard look.state == "done" else {
          throw CommandError(.failed, "the job was \(look.state)", detail: look.error)
        }
        break
      }
      if isFaulty, faults.isEmpty, look.share >= 0.2 {
        try workers.restart(0)
        faults.append("a worker killed at \(Format.decimal(look.share * 100, places: 0)) %")
        faultyUntil = clock.now.advanced(by: .seconds(3))
      }
      if isFaulty, faults.count == 1, look.share >= 0.35 {
        try appliance.server.stop(.immediate)
        try appliance.server.start()
        faults.append(
          "the server ended at once at \(Format.decimal(look.share * 100, places: 0)) %")
        faultyUntil = clock.now.advanced(by: .seconds(5))
      }
      // Looking takes processor time from the job.
      usleep(25_000)
    }
    let end = clock.now
    let counts = try connection.run(
      "select count(*), count(distinct id) from rowcast_bench.scored")
    let cancelled = try cancel(connection)
    workers.kill()
    stage.note("floor")
    let read = try floorRead(connection, features)
    let written = try floorWrite(connection)
    let halfway = watch.halfway ?? (at: start, eta: 0)
    return JobBenchReport(
      lanes: lanes, rows: rows, faults: faults,
      submitMilliseconds: Format.seconds(submitted - start) * 1000,
      seconds: Format.seconds(end - start),
      rowsPerSecond: Double(rows) / Format.seconds(end - start),
      readRowsPerSecond: read, writtenRowsPerSecond: written,
      floorRowsPerSecond: 1 / (1 / read + 1 / written), stalestSeconds: watch.stalest,
      halfwayETA: halfway.eta, halfwayLeft: Format.seconds(end - halfway.at),
      destinationRows: Int(try counts.value(0, 0, as: Int64.self)),
      destinationKeys: Int(try counts.value(0, 1, as: Int64.self)),
      progressRows: Int(watch.done), cancelSeconds: cancelled)
  }

  private func fill(_ connection: Connection, _ features: [String]) throws {
    stage.note("\(Format.count(rows)) rows of \(features.count) features")
    let columns = features.map { $0 + " real not null" }.joined(separator: ", ")
    let values = features.indices.map { "((hashint4(i # \($0 + 1)) % 1000) / 250.0)::real" }
      .joined(separator: ", ")
    try connection.runScript("create table \(stage.table("bulk")) (id int primary key, \(columns))")
    try connection.run(
      Query(
        text: "insert into \(stage.table("bulk")) "
          + "select i, \(values) from generate_series(1, $1::int) as i", values: [Int32(rows)]))
    try connection.runScript("vacuum analyze \(stage.table("bulk"))")
    try connection.runScript("checkpoint")
  }

  // MARK: Watching

  private struct Look {
    var state: String
    var done: Int64
    var share: Double
    var eta: Double?
    var isOver: Bool
    var error: String?
  }

  private func look(_ job: Int64, _ connection: Connection) throws -> Look {
    let rows = try connection.run(
      """
      select state, rows_done, done, extract(epoch from eta)::float8, finished_at is not null, error
      from rowcast.job_progress where job_id = \(job)
      """)
    return Look(
      state: try rows.value(0, 0), done: try rows.value(0, 1), share: try rows.value(0, 2),
      eta: try rows.value(0, 3), isOver: try rows.value(0, 4), error: try rows.value(0, 5))
  }

  private struct Watch {
    var done: Int64 = 0
    var changedAt: ContinuousClock.Instant?
    var stalest = 0.0
    var halfway: (at: ContinuousClock.Instant, eta: Double)?

    mutating func note(_ look: Look, at now: ContinuousClock.Instant, isFaulty: Bool) {
      if let changedAt, done > 0, !look.isOver, !isFaulty {
        stalest = max(stalest, Format.seconds(now - changedAt))
      }
      if look.done != done || isFaulty { changedAt = now }
      done = look.done
      if halfway == nil, look.share >= 0.5, let eta = look.eta { halfway = (now, eta) }
    }
  }

  private func reconnected() throws -> Connection {
    let deadline = clock.now.advanced(by: .seconds(60))
    while true {
      if let connection = try? stage.connect() { return connection }
      guard clock.now < deadline else {
        throw CommandError(.failed, "the server did not come back")
      }
      usleep(100_000)
    }
  }

  /// Seconds from the call until no lane works and no row comes any more.
  private func cancel(_ connection: Connection) throws -> Double {
    stage.note("cancel")
    let job = try connection.run(
      "select rowcast.submit_job('bench', 'rowcast_bench.bulk', 'rowcast_bench.cancelled')"
    ).value(0, 0, as: Int64.self)
    while try look(job, connection).done == 0 { usleep(2_000) }
    let start = clock.now
    try connection.run("select rowcast.cancel_job(\(job))")
    while try connection.run(
      """
      select exists (select from pg_stat_activity where application_name = 'rowcast lane'
                     and (state <> 'idle' or xact_start is not null))
      """
    ).value(0, 0, as: Bool.self) { usleep(2_000) }
    return Format.seconds(clock.now - start)
  }

  // MARK: The floor

  private func floorRead(_ connection: Connection, _ features: [String]) throws -> Double {
    try stage.settle(connection)
    let columns = (["id"] + features).joined(separator: ", ")
    let (rows, stage) = (rows, stage)
    let outcome = try Crew.run(
      stage.lanes, prepare: { _ in try stage.connect() },
      work: { member, connection in
        let (first, last) = (rows * member / stage.lanes, rows * (member + 1) / stage.lanes)
        try connection.runScript(
          """
          copy (select \(columns) from \(stage.table("bulk")) where id > \(first) and id <= \(last))
          to '/dev/null' (format binary)
          """)
      })
    return Double(rows) / Format.seconds(outcome.duration)
  }

  private func floorWrite(_ connection: Connection) throws -> Double {
    let (rows, stage) = (rows, stage)
    var files: [String] = []
    for member in 0..<stage.lanes {
      let (first, last) = (rows * member / stage.lanes, rows * (member + 1) / stage.lanes)
      files.append(
        try stage.quoted(literal: "\(stage.serverDirectory)/rowcast_bench_\(member).bin"))
      try connection.runScript(
        """
        copy (select * from \(stage.table("scored")) where id > \(first) and id <= \(last))
        to \(files[member]) (format binary)
        """)
    }
    try connection.runScript(
      "create table \(stage.table("floor")) (like \(stage.table("scored")) including all)")
    try stage.settle(connection)
    let paths = files
    let outcome = try Crew.run(
      stage.lanes, prepare: { _ in try stage.connect() },
      work: { member, connection in
        try connection.runScript(
          "copy \(stage.table("floor")) from \(paths[member]) (format binary)")
      })
    return Double(rows) / Format.seconds(outcome.duration)
  }
}
