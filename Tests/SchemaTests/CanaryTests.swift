import Postgres
import Schema
import TestSupport
import Testing

/// How a canary is started, judged and ended, without lanes.
@Suite(.database) struct CanaryTests {
  private func state(_ connection: Connection) throws -> String {
    try connection.value(
      """
      select concat_ws(' ', state, version, share) from rowcast.rollouts
      where kind = 'canary' order by started_at desc limit 1
      """)
  }

  @Test func whatMakesNoSenseIsRefused() throws {
    let connection = try Database.current.withRollout()
    func refusal(_ arguments: String) -> String? {
      connection.refusal(of: Query(text: "select rowcast.start_canary('churn'\(arguments))"))?
        .sqlState
    }
    #expect(refusal(", share => 0") == "RC320")
    #expect(refusal(", share => 1.01") == "RC320")
    #expect(refusal(", share => null") == "RC320")
    #expect(refusal(", min_rows => 0") == "RC320")
    #expect(refusal(", max_latency_ratio => 0.5") == "RC320")
    #expect(refusal(", 'nobody'") == "RC101")
    #expect(refusal(", version => 9") == "RC101")
    #expect(refusal(", 'champion'") == "RC320")
    try connection.run(
      """
      select test.version('churn', 'other', null,
          outputs => '[{"name": "score", "type": "float64", "role": "score"}]')
      """)
    #expect(refusal(", version => 3") == "RC104")
    #expect(
      connection.refusal(of: "select rowcast.start_canary('churn_shadow')")?.sqlState == "RC320")
    try connection.runScript(
      """
      create table flags (id bit(8) primary key, x real);
      select * from rowcast.create_scorer('flags', 'flags', 'churn');
      """)
    #expect(
      connection.refusal(of: "select rowcast.start_canary('flags')")?.message
        == "the key of scorer \"flags\" cannot be hashed")
    #expect(refusal("") == nil)
    #expect(refusal(", version => 2, share => 0.5") == nil)
    try connection.run("select test.version('churn', 'four', 'challenger')")
    #expect(refusal("") == "RC320")
    #expect(
      connection.refusal(of: "select rowcast.drop_model_version('churn', 2)")?.sqlState == "RC105")
  }

  @Test func whoMayNotMoveTheAliasMayNotPutACanaryBesideIt() throws {
    let connection = try Database.current.withRollout()
    try connection.run(
      "select rowcast.set_alias_rule('champion', setters => array['rowcast_admin'])")
    try connection.runScript("set role rowcast_analyst")
    #expect(
      connection.refusal(of: "select rowcast.start_canary('churn')")?.sqlState == "42501")
  }

  @Test func boundsAreOfBothVersionsAndOfEnoughRows() throws {
    let connection = try Database.current.withRollout()
    func judge(_ counts: String) throws -> String? {
      try connection.run("select rowcast.start_canary('churn', max_latency_ratio => 2)")
      defer { _ = try? connection.run("delete from rowcast.canary") }
      return try connection.run(
        Query(
          text: """
            select rowcast.count_canary((select canary_id from rowcast.canary where state = 'running'),
                \(counts))
            """)
      ).value(0, 0, as: String?.self)
    }
    #expect(try judge("199, 199, 9, 1000, 0, 0") == nil)
    #expect(try judge("200, 4, 0, 1000, 0, 0") == nil)
    #expect(
      try judge("200, 5, 0, 1000, 0, 0")
        == "5 of 200 rows failed (2.50 %), of the scorer's own version 0 of 1000 (0.00 %)")
    // Rows that the scorer's own version cannot score either are not held against it.
    #expect(try judge("200, 20, 0, 1000, 100, 0") == nil)
    #expect(try judge("200, 25, 0, 1000, 100, 0") != nil)
    #expect(try judge("200, 25, 0, 0, 0, 0") != nil)
    // Twice as slow and no more; a slowness that nobody notices.
    #expect(try judge("1000, 0, 2.04, 1000, 0, 1") == nil)
    #expect(
      try judge("1000, 0, 2.1, 1000, 0, 1")
        == "a row takes 2100.0 us, with the scorer's own version 1000.0 us")
    #expect(try judge("1000, 0, 0.04, 1000, 0, 0.001") == nil)
    #expect(try judge("1000, 0, 2.1, 199, 0, 0.1") == nil)
  }

  @Test func endingScoresItsRowsAgain() throws {
    let connection = try Database.current.withRollout()
    try connection.run("select rowcast.stop_shadow('churn')")
    let before: Int64 = try connection.value(
      "select revision from rowcast.load_scorer((select scorer_id from rowcast.scorer))")
    try connection.run("select rowcast.start_canary('churn', share => 0.25)")
    #expect(try state(connection) == "running 2 0.25")
    try connection.run("update predictions.churn set model_version = 2 where id <= 30")
    try connection.run(
      "insert into predictions.churn_failure values (2000, 'missing', 'x', 'churn', 2, 1)")
    try connection.run("select rowcast.stop_canary('churn')")
    #expect(
      try connection.value(
        "select revision from rowcast.load_scorer((select scorer_id from rowcast.scorer))",
        as: Int64.self) == before + 2)
    #expect(connection.refusal(of: "select rowcast.stop_canary('churn')")?.sqlState == "RC320")
    #expect(connection.refusal(of: "select rowcast.start_canary('churn')")?.sqlState == "RC320")
    // Not while chunks of before may be running.
    try connection.run("select rowcast.tidy_canaries()")
    #expect(try connection.numbers("select count(*)::int from rowcast.job_progress") == [0])
    try connection.run("update rowcast.canary set changed_at = now() - interval '1 minute'")
    try connection.run(
      """
      insert into rowcast.chunk (scorer_id, tick_id, key_count, priority, kind, keys, state, attempt,
                                 claimed_by, claimed_at)
      select scorer_id, 1, 1, 0, 'keys', '{1}', 'running', 1, 1, now() - interval '2 minutes'
      from rowcast.scorer
      """)
    try connection.run("select rowcast.tidy_canaries()")
    #expect(try connection.numbers("select count(*)::int from rowcast.job_progress") == [0])
    try connection.run("delete from rowcast.chunk")
    try connection.run("select rowcast.tidy_canaries()")
    #expect(try connection.texts("select kind from rowcast.job_progress") == ["rescore"])
    #expect(try state(connection) == "stopping 2 0.25")
    try connection.run("select rowcast.make_job_chunks(4, 1)")
    #expect(try connection.numbers("select sum(key_count)::int from rowcast.chunk") == [31])
    try connection.runScript(
      """
      update predictions.churn set model_version = 1;
      delete from predictions.churn_failure;
      update rowcast.chunk set state = 'done', finished_at = now();
      select rowcast.make_job_chunks(4, 1);
      select rowcast.tidy_canaries();
      """)
    #expect(try state(connection) == "stopped 2 0.25")
    #expect(try connection.numbers("select rowcast.start_canary('churn', share => 0.3)") == [2])
    try connection.run("select rowcast.set_alias('churn', 'champion', 2)")
    #expect(try state(connection) == "promoted 2 0.3")
    try connection.run("select rowcast.drop_scorer('churn')")
    #expect(
      try connection.texts("select relname from pg_class where relname like 'canary_row%'") == [])
  }
}
