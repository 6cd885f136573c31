import Postgres
import Schema
import TestSupport
import Testing

/// Claims, fences, the outcome of overtaken chunks, rescue.
@Suite(.database) struct PipelineChunkTests {
  private func source(_ connection: Connection, rows: Int32, backfill: Bool = false) throws {
    try connection.run("create table t (id int primary key, x real)")
    try connection.run("insert into t select g, g from generate_series(1, \(rows)) as g")
    try connection.run("select rowcast.create_scorer('s', 't', 'double', backfill => \(backfill))")
  }

  @Test func twoLanesNeverGetTheSameChunk() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    for row in 1...6 {
      try connection.run("insert into t values (\(Int32(row)), 1)")
      try connection.tick()
    }
    let first = try TestLane()
    let second = try TestLane()
    try first.connection.run("begin")
    let taken = try first.claim(2)
    let others = try second.claim(10)
    try first.connection.run("commit")
    #expect(taken.count == 2 && others.count == 4)
    #expect(Set((taken + others).map(\.chunk)).count == 6)
    #expect(try second.claim(1).isEmpty)
  }

  @Test func liveChunksComeFirstAndNothingStarves() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 1000, backfill: true)
    try connection.run("update rowcast.scorer set chunk_rows = 10")
    try connection.run("select rowcast.make_job_chunks(100, 4)")
    var live = 0
    let lane = try TestLane()
    for row in 1...60 {
      try connection.run("update t set x = -1 where id = \(Int32(row))")
      try connection.tick()
      let claimed = try #require(try lane.claim().first)
      live += try connection.value(
        "select (priority = 0)::int from rowcast.chunk where chunk_id = \(claimed.chunk)")
      try lane.read(claimed)
      try lane.write(claimed)
    }
    // One in eight goes by age; 60 in a row of either kind has a chance below 1 in 3,000.
    #expect((30..<60).contains(live))
  }

  @Test func claimsBeginAtTheLowestOpenChunkAndMissNone() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 30, backfill: true)
    try connection.run("update rowcast.scorer set chunk_rows = 10")
    let lane = try TestLane()
    for row in 100...104 {
      try connection.run("insert into t values (\(Int32(row)), 1)")
      try connection.tick()
    }
    for claimed in try lane.claim(4) {
      try lane.read(claimed)
      try lane.write(claimed)
    }
    let raised: Int = try connection.value("select rowcast.raise_floor()")
    let lowest: Int = try connection.value(
      "select min(chunk_id) from rowcast.chunk where state = 'available'")
    #expect(raised == lowest)

    // Chunks that are inserted but not committed have numbers already.
    let cutter = try Database.current.connect()
    try cutter.runScript("begin; select rowcast.make_job_chunks(8, 1)")
    try lane.work()
    #expect(try connection.value("select rowcast.raise_floor()", as: Int.self) == lowest)
    try cutter.run("commit")
    #expect(try connection.value("select rowcast.raise_floor()", as: Int.self) > lowest)
    try lane.settle()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aStaleAttemptIsRefused() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    let slow = try TestLane()
    let late = try #require(try slow.claim().first)
    try slow.read(late)
    #expect(
      try connection.value("select rowcast.release_chunks(\(slow.lane))", as: Int.self) == 1)
    let fast = try TestLane()
    let again = try #require(try fast.claim().first)
    #expect(again == Claimed(chunk: late.chunk, attempt: late.attempt + 1))

    for statement: Query in [
      "select test.write(\(late.chunk), \(late.attempt))",
      "select rowcast.begin_write(\(late.chunk), \(late.attempt), false)",
      "select rowcast.finish_chunk(\(late.chunk), \(late.attempt), 1, 0)",
      "select rowcast.fail_chunk(\(late.chunk), \(late.attempt), 'why')",
    ] {
      let refusal = slow.connection.refusal(of: statement)
      #expect(refusal?.sqlState == "RC201")
      #expect(
        refusal?.message
          == "chunk \(late.chunk) is at attempt 2, this lane holds attempt 1")
      #expect(refusal?.hint == "Drop the result.")
    }
    try fast.read(again)
    try fast.write(again)
    #expect(
      fast.connection.refusal(of: "select test.write(\(again.chunk), 2)")?.sqlState == "RC201")
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  /// An older chunk reads, the row changes, the newer chunk is written first, then the older one.
  @Test(
    arguments: ["insert into t values (1, 5)", "insert into t values (1, null)"],
    [
      "update t set x = 50 where id = 1", "update t set x = null where id = 1",
      "delete from t where id = 1", "truncate t", "update t set id = 2 where id = 1",
      "delete from t; insert into t values (1, null)", "truncate t; insert into t values (1, 7)",
    ])
  func anOvertakenChunkChangesNothing(start: String, change: String) throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.runScript(start)
    try connection.tick()
    let old = try TestLane()
    let older = try #require(try old.claim().first)
    try old.read(older)

    try connection.runScript(change)
    let new = try TestLane()
    try new.settle()
    try old.write(older)
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    // Nothing older is open: no tombstone is of use.
    try connection.run("select rowcast.tidy()")
    #expect(try connection.value("select count(*) from rowcast.retraction_1", as: Int.self) == 0)
  }

  @Test func aTruncatedPartitionSpareOthersOverdueRows() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table p (id int, r int, x real, primary key (id, r)) partition by list (r);
      create table p1 partition of p for values in (1);
      create table p2 partition of p for values in (2);
      select rowcast.create_scorer('s', 'p', 'double', backfill => false);
      insert into p values (1, 1, 1), (2, 2, 2);
      """)
    try connection.tick()
    let old = try TestLane()
    let older = try #require(try old.claim().first)
    try old.read(older)
    try connection.run("truncate p1")
    try TestLane().settle()
    try old.write(older)
    #expect(try connection.numbers("select id from predictions.s") == [2])
  }

  @Test func aWriteWithoutFailuresWaitsForOneThatLeavesAbsences() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1), (2, 2)")
    try connection.tick()
    let old = try TestLane()
    let older = try #require(try old.claim().first)
    try old.read(older)
    try connection.run("delete from t where id = 1")
    try connection.tick()
    let new = try TestLane()
    let newer = try #require(try new.claim().first)
    try new.read(newer)

    try new.connection.run("begin")
    try new.write(newer)
    let waiting = Background { try old.write(older) }
    let settings = Database.current.settings
    #expect(
      try eventually {
        let watcher = try Connection(settings)
        defer { watcher.close() }
        return try watcher.value(
          "select exists (select from pg_locks where classid = 1919907685 and not granted)")
      })
    try new.connection.run("commit")
    try waiting.value()
    #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
  }

  @Test func aPlainCopyIsSafeOnlyWithoutFailuresAndLaterAbsences() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 100, backfill: true)
    try connection.run("select rowcast.make_job_chunks(1, 1)")
    let lane = try TestLane()
    let claimed = try #require(try lane.claim().first)
    func safe() throws -> Bool {
      try lane.connection.value(
        "select rowcast.begin_write(\(claimed.chunk), \(claimed.attempt), false)")
    }
    #expect(try safe())
    try connection.run("delete from t where id = 5")
    try TestLane().settleLive()
    #expect(try safe() == false)
    try connection.run("delete from rowcast.retraction_1")
    #expect(try safe())
    try connection.run("update t set x = null where id = 6")
    try TestLane().settleLive()
    #expect(try safe() == false)
  }

  @Test func aDeadLanesChunksAreAvailableAtOnce() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    let lane = try TestLane()
    let claimed = try #require(try lane.claim().first)
    #expect(try connection.run("select * from rowcast.rescue_chunks()").isEmpty)
    lane.die()
    #expect(
      try eventually {
        try connection.texts("select action from rowcast.rescue_chunks()") == ["available"]
      })
    let heir = try TestLane()
    #expect(try heir.claim() == [Claimed(chunk: claimed.chunk, attempt: 2)])
  }

  @Test func aRowThatKillsIsCorneredAndItsNeighboursAreScored() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 500, backfill: true)
    try connection.run("select rowcast.make_job_chunks(4, 4)")
    var deaths = 0
    while deaths < 100 {
      let lane = try TestLane()
      guard let claimed = try lane.claim().first else { break }
      try lane.read(claimed)
      let deadly: Bool = try lane.connection.value(
        Query(text: "select exists (select from rows_\(claimed.chunk) where id = 333)"))
      if deadly {
        deaths += 1
        lane.die()
        #expect(
          try eventually { try !connection.run("select * from rowcast.rescue_chunks()").isEmpty })
      } else {
        try lane.write(claimed)
        lane.connection.close()
      }
    }
    #expect(deaths == 10)
    #expect(
      try connection.texts("select code from predictions.s_failure where id = 333") == ["crashed"])
    #expect(try connection.value("select count(*) from predictions.s", as: Int.self) == 499)
    #expect(
      try connection.texts("select last_error from rowcast.scorer_status")
        == ["a row ended the worker 4 times"])
  }

  /// Operators, timeouts and cuts end sessions; that is no fault of what these were doing.
  @Test func aChunkIsNotBlamedForASessionThatOthersEnd() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    let control = try Database.current.connect()
    let worker: Int32 = try control.value("select rowcast.register_worker('w', 'h', 1, 'r', 1)")
    func loseALane() throws -> [String] {
      let session = try Database.current.connect()
      let lane: Int32 = try session.value("select rowcast.register_lane(\(worker))")
      #expect(
        try session.numbers("select chunk_id from rowcast.claim_chunks(\(lane), 1)").count == 1)
      session.close()
      var actions: [String] = []
      #expect(
        try eventually {
          actions = try connection.texts("select action from rowcast.rescue_chunks()")
          return !actions.isEmpty
        })
      return actions
    }
    for _ in 0..<6 {
      try control.run("select rowcast.beat(\(worker), false)")
      #expect(try loseALane() == ["available"])
    }
    #expect(try connection.numbers("select deaths from rowcast.chunk") == [0])
    // Where the worker's own session went with it, so did the worker, or the server.
    control.close()
    #expect(
      try eventually {
        try connection.run(
          "select from pg_stat_activity where pid = (select backend_pid from rowcast.worker)"
        ).isEmpty
      })
    #expect(try loseALane() == ["available"])
    #expect(try connection.numbers("select deaths from rowcast.chunk") == [1])
  }

  @Test func aClockThatWasSetBackHidesNoStalledWorker() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    let lane = try TestLane()
    #expect(try lane.claim().count == 1)
    let stalled = "select lane_id from rowcast.stalled_lanes('10 s')"
    #expect(try connection.numbers(Query(text: stalled)).isEmpty)
    try connection.run("update rowcast.worker set seen_at = clock_timestamp() + interval '1 h'")
    #expect(try connection.numbers(Query(text: stalled)) == [Int(lane.lane)])
  }

  @Test func aSuspectRunsAlone() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    for row in 1...3 {
      try connection.run("insert into t values (\(Int32(row)), 1)")
      try connection.tick()
    }
    let worker: Int32 = try connection.value("select rowcast.register_worker('w', 'h', 1, 'r', 2)")
    let lanes = [try Database.current.connect(), try Database.current.connect()]
    let numbers: [Int32] = try lanes.map {
      try $0.value("select rowcast.register_lane(\(worker))")
    }
    func claim(_ lane: Int) throws -> [Int] {
      try lanes[lane].numbers("select chunk_id from rowcast.claim_chunks(\(numbers[lane]), 1)")
    }
    let innocent = try #require(try claim(0).first)
    try connection.run(
      "update rowcast.chunk set deaths = 2 where chunk_id = (select max(chunk_id) from rowcast.chunk)"
    )
    #expect(try claim(1).isEmpty)
    try connection.run("insert into t values (4, 1)")
    #expect(try connection.tick(lanes: [numbers[1]]).handed.isEmpty)
    try lanes[0].run("select test.read(\(innocent)), test.write(\(innocent), 1)")
    let suspect = try #require(try claim(1).first)
    #expect(
      try connection.numbers("select deaths from rowcast.chunk where chunk_id = \(suspect)") == [2])
    #expect(try claim(0).isEmpty)
    try lanes[1].run("select test.read(\(suspect)), test.write(\(suspect), 1)")
    #expect(try claim(0).count == 1)
  }

  @Test func sessionsOfAStoppedWorkerAreEnded() throws {
    let connection = try Database.current.prepared()
    try source(connection, rows: 0)
    try connection.run("insert into t values (1, 1)")
    try connection.tick()
    let lane = try TestLane()
    let pid = lane.connection.backendPID
    _ = try lane.claim()
    #expect(try connection.run("select * from rowcast.end_stalled('1 minute')").isEmpty)
    try connection.run("update rowcast.worker set seen_at = now() - interval '1 hour'")
    #expect(try connection.numbers("select pid from rowcast.end_stalled('1 minute')") == [Int(pid)])
    #expect(
      try eventually { try !connection.run("select * from rowcast.rescue_chunks()").isEmpty })
  }
}

extension TestLane {
  /// Works on changes only, and leaves the chunks of jobs to others.
  func settleLive() throws {
    try connection.tick()
    while true {
      let rows = try connection.run(
        """
        update rowcast.chunk set state = 'running', attempt = attempt + 1, claimed_by = \(lane)
        where chunk_id = (select min(chunk_id) from rowcast.chunk
                          where state = 'available' and priority = 0)
        returning chunk_id, attempt
        """)
      guard !rows.isEmpty else { return }
      let claimed = Claimed(chunk: try rows.value(0, 0), attempt: try rows.value(0, 1))
      try read(claimed)
      try write(claimed)
    }
  }
}
