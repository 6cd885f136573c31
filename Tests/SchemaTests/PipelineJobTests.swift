import Postgres
import TestSupport
import Testing

/// Jobs as people see and steer them.
@Suite(.database) struct PipelineJobTests {
  /// A table of 1,000 rows, every hundredth of which cannot be scored, and the job of its backfill.
  private func prepared(chunkRows: Int32 = 100) throws -> (Connection, Int64) {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, nullif(i % 100, 0) from generate_series(1, 1000) as i;
      select rowcast.create_scorer('s', 't', 'double');
      """)
    try connection.run("update rowcast.scorer set chunk_rows = \(chunkRows)")
    return (connection, try connection.value("select job_id from rowcast.job"))
  }

  private func work(_ lane: TestLane, chunks: Int) throws {
    for _ in 0..<chunks {
      let claimed = try #require(try lane.claim().first)
      try lane.read(claimed)
      try lane.write(claimed)
    }
  }

  private func cut(_ connection: Connection, open: Int32 = 4) throws -> Int {
    try connection.value("select rowcast.make_job_chunks(\(open), 4)")
  }

  /// State, rows done, failed and of how many.
  private func progress(_ connection: Connection) throws -> [String] {
    try connection.texts(
      """
      select concat_ws(' ', state, rows_done, rows_failed, rows_total,
                       round((100 * done)::numeric)) from rowcast.job_progress
      """)
  }

  @Test func progressIsCounted() throws {
    let (connection, job) = try prepared()
    let lane = try TestLane()
    #expect(try cut(connection) == 4)
    // Never analysed, so the planner goes by the size of the table.
    let estimate: Int64 = try connection.value("select rows_total from rowcast.job_progress")
    #expect((500...3000).contains(estimate))
    #expect(try progress(connection) == ["running 0 0 \(estimate) 0"])
    #expect(
      try connection.value("select eta is null from rowcast.job_progress", as: Bool.self))
    try work(lane, chunks: 3)
    #expect(
      try connection.texts(
        "select concat_ws(' ', rows_done, rows_failed, eta > '0') from rowcast.job_progress")
        == ["300 3 t"])

    // What was deleted since is not forgotten.
    try connection.run("update rowcast.chunk set finished_at = finished_at - interval '1 hour'")
    try connection.run("select rowcast.tidy()")
    #expect(
      try connection.value("select count(*) from rowcast.chunk where state = 'done'", as: Int.self)
        == 0)
    #expect(
      try connection.texts(
        "select concat_ws(' ', rows_done, rows_failed) from rowcast.job_progress") == ["300 3"])
    try lane.settle()
    #expect(try progress(connection) == ["done 1000 10 1000 100"])
    #expect(connection.refusal(of: "select rowcast.pause_job(\(job))")?.sqlState == "RC310")
    #expect(connection.refusal(of: "select rowcast.cancel_job(77)")?.sqlState == "RC310")
  }

  @Test func aPausedJobStopsAfterItsOpenChunks() throws {
    let (connection, job) = try prepared()
    let lane = try TestLane()
    #expect(try cut(connection) == 4)
    try connection.run("select rowcast.pause_job(\(job))")
    #expect(try cut(connection) == 0)
    #expect(try lane.work() == 4)
    #expect(try cut(connection) == 0)
    #expect(
      connection.refusal(of: "call rowcast.wait_for_job(\(job))")?.message == "job \(job) is paused"
    )
    #expect(connection.refusal(of: "call rowcast.wait('s')")?.sqlState == "RC310")
    // A row deleted meanwhile has no prediction when the job goes on.
    try connection.run("delete from t where id in (1, 999)")
    try lane.settle()
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 395)

    try connection.run("select rowcast.resume_job(\(job))")
    try lane.settle()
    #expect(try connection.texts("select test.difference('t', 's', 'id')") == [""])
    #expect(try connection.texts("select state from rowcast.job_progress") == ["done"])
    try connection.run("call rowcast.wait_for_job(\(job))")
  }

  @Test func aCancelledJobLeavesNothingToDo() throws {
    let (connection, job) = try prepared()
    let lane = try TestLane()
    #expect(try cut(connection) == 4)
    let claimed = try #require(try lane.claim().first)
    try lane.read(claimed)
    try connection.run("select rowcast.cancel_job(\(job))")
    #expect(try lane.claim() == [])
    #expect(try cut(connection) == 0)
    // The chunk that a lane has is finished.
    try lane.write(claimed)
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', state, rows_done, rows_failed, finished_at is not null)
        from rowcast.job_progress
        """) == ["cancelled 100 1 t"])
    #expect(
      connection.refusal(of: "call rowcast.wait_for_job(\(job))")?.message
        == "job \(job) was cancelled")
    // Changes are scored as ever, and another job does all.
    try connection.run("update t set x = 7 where id = 1000")
    try connection.run("select rowcast.rescore('s')")
    try lane.settle()
    #expect(try connection.texts("select test.difference('t', 's', 'id')") == [""])
  }

  @Test func waitingEndsWithTheJob() throws {
    let (connection, job) = try prepared()
    let late = connection.refusal(of: "call rowcast.wait_for_job(\(job), interval '20 ms')")
    #expect(late?.sqlState == "RC307")
    try connection.runScript("begin; select rowcast.rescore('s')")
    let own: Int64 = try connection.value("select max(job_id) from rowcast.job")
    #expect(connection.refusal(of: "call rowcast.wait_for_job(\(own))")?.sqlState == "RC308")
    try connection.run("rollback")

    let settings = Database.current.settings
    let waiter = Background {
      try Connection(settings).run("call rowcast.wait_for_job(\(job))").count
    }
    try TestLane().settle()
    _ = try waiter.value()
    #expect(try connection.texts("select test.difference('t', 's', 'id')") == [""])
  }

  @Test func analystsSteerAndReadersLook() throws {
    let (connection, job) = try prepared()
    try connection.run("set role rowcast_reader")
    #expect(try connection.texts("select scorer from rowcast.job_progress") == ["s"])
    for deed in ["pause_job", "resume_job", "cancel_job"] {
      #expect(
        connection.refusal(of: Query(text: "select rowcast.\(deed)(\(job))"))?.sqlState == "42501")
    }
    try connection.run("set role rowcast_analyst")
    try connection.run("select rowcast.pause_job(\(job))")
    try connection.run("select rowcast.resume_job(\(job))")
    try connection.run("select rowcast.cancel_job(\(job))")
  }
}
