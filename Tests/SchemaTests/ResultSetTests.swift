import Postgres
import Schema
import TestSupport
import Testing

/// Several results for a key: of two sets the later stands as a whole.
@Suite(.database) struct ResultSetTests {
  private func prepared() throws -> (Connection, TestLane, TestLane) {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table item (id int primary key, note int);
      create table part (item_id int, part_id text, x real);
      insert into item values (1), (2);
      insert into part values (1, 'a', 1), (1, 'b', 2), (2, 'a', 3);
      select rowcast.create_scorer('s', 'item', 'double', feature_query =>
        'select item_id as id, part_id, x from part', result_key => '{part_id}');
      """)
    let lane = try TestLane()
    try lane.settle()
    return (connection, lane, try TestLane())
  }

  private func sets(_ connection: Connection) throws -> [String] {
    try connection.texts(
      "select id || part_id || ' ' || score from predictions.s order by id, part_id")
  }

  /// Makes the item's parts known and gives a lane the chunk, read.
  private func touch(_ connection: Connection, _ lane: TestLane, _ change: String) throws -> Claimed
  {
    try connection.runScript(
      "begin; \(change); update item set note = coalesce(note, 0) + 1; commit")
    try connection.tick()
    let claimed = try #require(try lane.claim().first)
    try lane.read(claimed)
    return claimed
  }

  @Test func anOvertakenSetLeavesNothing() throws {
    let (connection, slow, fast) = try prepared()
    #expect(try sets(connection) == ["1a 2", "1b 4", "2a 6"])
    let older = try touch(connection, slow, "insert into part values (1, 'c', 5)")
    let newer = try touch(
      connection, fast, "delete from part where part_id in ('b', 'c'); update part set x = x * 10")
    try fast.write(newer)
    #expect(try sets(connection) == ["1a 20", "2a 60"])
    try slow.write(older)
    #expect(try sets(connection) == ["1a 20", "2a 60"])
  }

  @Test func failuresAndPredictionsAreOneSet() throws {
    let (connection, lane, _) = try prepared()
    try lane.write(try touch(connection, lane, "update part set x = null where part_id = 'a'"))
    #expect(try sets(connection) == ["1b 4"])
    #expect(
      try connection.texts("select id || part_id || code from predictions.s_failure order by 1")
        == ["1amissing", "2amissing"])
    #expect(
      try connection.texts(
        "select key ->> 'part_id' from rowcast.failures order by failed_at limit 1")
        == ["a"])
    try lane.write(try touch(connection, lane, "delete from part where x is null"))
    #expect(try connection.value("select count(*) from predictions.s_failure", as: Int.self) == 0)
    #expect(try sets(connection) == ["1b 4"])
    try lane.write(try touch(connection, lane, "insert into part values (2, 'z', 1)"))
    #expect(try sets(connection) == ["1b 4", "2z 2"])
  }

  @Test func anEmptySetBeatsAnOlderOne() throws {
    let (connection, slow, fast) = try prepared()
    let older = try touch(connection, slow, "insert into part values (1, 'c', 5)")
    let newer = try touch(connection, fast, "delete from part where item_id = 1")
    try fast.write(newer)
    try slow.write(older)
    #expect(try sets(connection) == ["2a 6"])
    #expect(try connection.value("select is_empty from rowcast.set_1 where key_1 = 1"))
    try connection.run("select * from rowcast.tidy()")
    #expect(
      try connection.value("select count(*) from rowcast.set_1 where key_1 = 1", as: Int.self) == 0)
  }

  @Test func truncationRemovesSetsAndWhatComesLate() throws {
    let (connection, slow, fast) = try prepared()
    let older = try touch(connection, slow, "insert into part values (1, 'c', 5)")
    try connection.run("truncate item")
    try connection.run("insert into item values (2)")
    try connection.tick()
    try fast.work()
    #expect(try sets(connection) == ["2a 6"])
    try slow.write(older)
    #expect(try sets(connection) == ["2a 6"])
  }

  @Test func aKeyThatEndsWorkersIsOneFailure() throws {
    let (connection, _, _) = try prepared()
    try connection.run("update item set note = 1 where id = 1")
    try connection.tick()
    for _ in 1...4 {
      let lane = try TestLane()
      #expect(try lane.claim().count == 1)
      lane.die()
      #expect(
        try eventually {
          try connection.run("select * from rowcast.rescue_chunks()").count > 0
        })
    }
    #expect(try sets(connection) == ["2a 6"])
    #expect(
      try connection.texts("select id || code || (part_id is null) from predictions.s_failure")
        == ["1crashedtrue"])
    // Scored again, the failure leaves.
    try connection.run("select rowcast.rescore('s', failures_only => true)")
    try TestLane().settle()
    #expect(try sets(connection) == ["1a 2", "1b 4", "2a 6"])
    #expect(try connection.value("select count(*) from predictions.s_failure", as: Int.self) == 0)
  }

  @Test func aShadowReadsAndWatchesTheSame() throws {
    let (connection, lane, _) = try prepared()
    try connection.runScript(
      """
      select rowcast.also_watch('s', 'part', key => '{item_id}');
      select rowcast.register_model('double', 'another', 'challenger');
      select rowcast.record_inspection(1, 2, (select v.signature from rowcast.model_version as v
                                              where v.version = 1), null, 'onnx');
      select rowcast.start_shadow('s');
      """)
    try lane.settle()
    try connection.run("insert into part values (2, 'q', 9)")
    try lane.settle()
    #expect(try sets(connection) == ["1a 2", "1b 4", "2a 6", "2q 18"])
    #expect(
      try connection.texts(
        "select id || part_id || ' ' || score from predictions.s_shadow order by id, part_id")
        == sets(connection))
    try connection.run("select rowcast.stop_shadow('s')")
    try connection.run("delete from part where part_id = 'q'")
    try lane.settle()
    #expect(try sets(connection) == ["1a 2", "1b 4", "2a 6"])
  }
}
