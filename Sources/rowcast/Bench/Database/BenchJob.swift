import Foundation
import Postgres

/// A job that is measured: submitted, waited for, compared, dropped.
struct BenchJob {
  let stage: BenchStage
  /// Qualified.
  let destination: String
  let workers: WorkerProcesses

  /// - Parameter table: One of the program's own names.
  init(_ stage: BenchStage, _ table: String, workers: WorkerProcesses) {
    (self.stage, destination, self.workers) = (stage, stage.table(table), workers)
  }

  /// From the call of `submit_job` until the job is done.
  ///
  /// The end is seen up to 10 ms late.
  func run(_ connection: Connection, model: String, source: BenchTable, mode: String) throws
    -> Duration
  {
    let clock = ContinuousClock()
    let start = clock.now
    let job = try connection.run(
      "select rowcast.submit_job(\(model), \(source.name), \(destination), mode => \(mode))"
    ).value(0, 0, as: Int64.self)
    while true {
      let rows = try connection.run(
        "select state, finished_at is not null, error from rowcast.job where job_id = \(job)")
      if try rows.value(0, 1, as: Bool.self) {
        let state = try rows.value(0, 0, as: String.self)
        guard state == "done" else {
          throw CommandError(
            .failed, "the job was \(state)", detail: try rows.value(0, 2, as: String?.self))
        }
        return clock.now - start
      }
      try stage.check()
      try workers.check()
      guard clock.now < start + .seconds(3600) else {
        throw CommandError(.failed, "job \(job) is not done after an hour")
      }
      usleep(10_000)
    }
  }

  /// - Throws: Unless it has each prediction of a scorer of the same rows, and no other.
  func verify(_ connection: Connection, like scorer: BenchScorer, rows: Int) throws {
    let outputs = try connection.run(
      Query(
        text: """
          select array(select quote_ident(o.value ->> 'column') from rowcast.scorer as s,
                       jsonb_array_elements(s.outputs) as o (value) where s.name = $1)
          """, values: [scorer.name])
    ).value(0, 0, as: [String].self)
    let same = outputs.map { "j.\($0) is not distinct from p.\($0)" }.joined(separator: " and ")
    let counts = try connection.run(
      Query(
        text: "select count(*), count(*) filter (where \(same)) from \(destination) as j "
          + "left join \(scorer.predictions) as p using (id)"))
    let written = try counts.value(0, 0, as: Int64.self)
    let equal = try counts.value(0, 1, as: Int64.self)
    guard written == Int64(rows), equal == Int64(rows) else {
      throw CommandError(
        .failed, "a job wrote \(written) rows for \(rows), \(equal) as the backfill has them")
    }
  }

  func drop(_ connection: Connection) throws {
    try connection.runScript(
      """
      drop function if exists \(destination)_lookup(bigint);
      drop view \(destination);
      drop table \(destination)_segments
      """)
  }
}
