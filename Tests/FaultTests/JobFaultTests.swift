import Foundation
import Glibc
import Inference
import Postgres
import Testing

/// Jobs whose workers are killed and whose server ends without a word: each row once, all the same.
@Suite(.serialized) struct JobFaultTests {
  static let rows = 400_000

  @Test func eachRowIsWrittenOnceWhateverDies() throws {
    let scene = try FaultScene("job-faults")
    defer { scene.tearDown() }
    try scene.prepare()
    var connection = try Connection(scene.settings)
    try connection.runScript(
      """
      create table source (id int primary key, f0 float8, f1 float8, f2 float8, f3 float8, f4 float8);
      insert into source
      select i, nullif(i % 1000, 0), sin(i), cos(i), i % 7, i % 11 from generate_series(1, \(Self.rows)) as i;
      create table guarded (id int, score real, job bigint);
      create function pass() returns trigger language plpgsql as 'begin return new; end';
      create trigger pass before insert on guarded for each row execute function pass();
      """)
    try scene.startWorkers(3)
    // Four ways to write: copied, through a function because of a trigger, staged until the end, as
    // segments.
    var jobs: [Int64] = []
    for arguments in [
      "'source', 'copied'", "'source', 'guarded', mode => 'append'",
      "'select * from source', 'replaced', mode => 'replace', key => array['id']",
      "'source', 'packed', mode => 'segments'",
    ] {
      if arguments.contains("replaced") {
        try connection.runScript(
          "create table replaced (id int, score real); insert into replaced values (-1, 0)")
      }
      jobs.append(
        try connection.run(
          Query(text: "select rowcast.submit_job('reading', \(arguments))")
        ).value(0, 0))
    }
    let faults: [Fault] = [
      .kill(worker: 0), .terminate, .kill(worker: 1), .restartServer, .kill(worker: 2), .terminate,
      .restartServer, .kill(worker: 0),
    ]
    var inflicted = 0
    for fault in faults {
      // Each when something was done since the last one, while there is something left to do.
      let before = try progress(jobs, &connection, scene)
      if before.isOver { break }
      let end = Date().addingTimeInterval(10)
      while try progress(jobs, &connection, scene).rows <= before.rows, Date() < end {
        usleep(10_000)
      }
      try scene.inflict(fault)
      inflicted += 1
    }
    #expect(inflicted >= 5, "the jobs were over before the faults")
    let end = Date().addingTimeInterval(120)
    while try !progress(jobs, &connection, scene).isOver, Date() < end { usleep(50_000) }

    let report = try connection.run(
      "select state, rows_done, rows_failed, error from rowcast.job_progress where job_id = any(\(jobs)) order by job_id"
    )
    for row in 0..<report.count {
      #expect(try report.value(row, 0, as: String.self) == "done")
      #expect(try report.value(row, 1, as: Int64.self) == Int64(Self.rows))
      #expect(try report.value(row, 2, as: Int64.self) == Int64(Self.rows / 1000))
    }
    for table in ["copied", "guarded", "replaced", "packed"] {
      let counts = try connection.run(
        Query(
          text: """
            select count(*), count(distinct d.id), count(s.id) filter (where s.f0 is not null)
            from \(table) as d left join source as s on s.id = d.id
            """))
      let wanted = Int64(Self.rows - Self.rows / 1000)
      for column in 0..<3 {
        #expect(try counts.value(0, column, as: Int64.self) == wanted, "\(table)")
      }
    }
    #expect(
      try connection.run(
        "select count(*), count(distinct key) from rowcast.job_failures where job_id = \(jobs[0])"
      ).value(0, 1, as: Int64.self) == Int64(Self.rows / 1000))
    #expect(
      try connection.run(
        """
        select count(*) from copied as a join replaced as b using (id) join guarded as c using (id)
        join packed as d using (id) where a.score = b.score and b.score = c.score and c.score = d.score
        """
      ).value(0, 0, as: Int64.self) == Int64(Self.rows - Self.rows / 1000))
    // One that was started while the server was away has said so, and left.
    let statuses = scene.stopWorkers()
    #expect(statuses.filter { $0 != 69 } == statuses.filter { $0 != 69 }.map { _ in 0 })
  }

  private func progress(
    _ jobs: [Int64], _ connection: inout Connection, _ scene: FaultScene
  ) throws -> (rows: Int64, isOver: Bool) {
    let end = Date().addingTimeInterval(30)
    while true {
      do {
        let rows = try connection.run(
          """
          select sum(rows_done)::int8, bool_and(finished_at is not null) from rowcast.job_progress
          where job_id = any(\(jobs))
          """)
        return (try rows.value(0, 0), try rows.value(0, 1))
      } catch {
        guard Date() < end else { throw error }
        usleep(50_000)
        if let fresh = try? Connection(scene.settings) { connection = fresh }
      }
    }
  }
}
