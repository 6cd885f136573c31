import Foundation
import Postgres

/// A scorer that is measured: made, waited for, dropped.
struct BenchScorer {
  let stage: BenchStage
  let name: String
  let workers: WorkerProcesses

  /// Where its predictions are.
  var predictions: String { "predictions.\(name)" }

  /// - Parameter part: One of the program's own names.
  init(_ stage: BenchStage, _ part: String, workers: WorkerProcesses) {
    (self.stage, name, self.workers) = (stage, "\(BenchStage.schema)_\(part)", workers)
  }

  func create(_ connection: Connection, source: BenchTable, model: String) throws {
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(
        name => \(name), source => \(source.name), model => \(model))
      """)
  }

  func drop(_ connection: Connection) throws {
    try connection.run("select rowcast.drop_scorer(\(name))")
  }

  /// When the last prediction of a job was there, and how many looks that took, a commit each.
  struct Finish {
    var at: ContinuousClock.Instant
    var looks: Int
  }

  /// Returns once its jobs are done.
  ///
  /// The end is seen up to 25 ms late: who looks more often takes processor time from who works.
  func wait(_ connection: Connection, atMost limit: Duration = .seconds(3600)) throws -> Finish {
    let clock = ContinuousClock()
    let end = clock.now + limit
    var finish: Finish?
    var looks = 0
    while true {
      looks += 1
      // A job that is cut to its end is over with its last chunk; it is called so a little later.
      let rows = try connection.run(
        """
        select s.state, s.state_reason,
               exists (select from rowcast.chunk as c
                       where c.scorer_id = s.scorer_id and c.state in ('available', 'running'))
               or exists (select from rowcast.job as j
                          where j.scorer_id = s.scorer_id and j.state in ('running', 'paused')
                            and not (j.bounded and coalesce(j.next_key = j.last_key, j.last_key is null))),
               exists (select from rowcast.job as j
                       where j.scorer_id = s.scorer_id and j.state in ('running', 'paused'))
        from rowcast.scorer as s where s.name = \(name)
        """)
      let state = try rows.value(0, 0, as: String.self)
      guard state == "active" else {
        throw CommandError(
          .failed, "the scorer is \(state)", detail: try rows.value(0, 1, as: String?.self))
      }
      if finish == nil, try !rows.value(0, 2, as: Bool.self) {
        finish = Finish(at: clock.now, looks: looks)
      }
      if let finish, try !rows.value(0, 3, as: Bool.self) { return finish }
      try stage.check()
      try workers.check()
      guard clock.now < end else {
        throw CommandError(.failed, "scorer \"\(name)\" is not up to date after \(limit)")
      }
      usleep(25_000)
    }
  }

  /// Returns once all that was committed before is scored.
  func drain(_ connection: Connection, atMost seconds: Int = 300) throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    while true {
      try stage.check()
      try workers.check()
      do {
        try connection.run("call rowcast.wait(\(name), '2 seconds')")
        return
      } catch {
        // Not in time: see whether anybody works on it.
        guard error.sqlState == "RC307", clock.now < end else { throw error }
      }
    }
  }

  /// - Throws: Unless each row has a prediction, and none has failed.
  func verify(_ connection: Connection, rows: Int) throws {
    let counts = try connection.run(
      Query(
        text: "select count(*), (select count(*) from \(predictions)_failure) from \(predictions)"))
    let scored = try counts.value(0, 0, as: Int64.self)
    let failures = try counts.value(0, 1, as: Int64.self)
    guard scored == Int64(rows), failures == 0 else {
      throw CommandError(
        .failed, "\(scored) predictions and \(failures) failures for \(rows) rows")
    }
  }
}
