import Postgres
import Schema
import TestSupport
import Testing

/// What chunks cost while a session somewhere holds an old snapshot, so that nothing of them is vacuumed.
@Suite(.database) struct HeldSnapshotTests {
  /// Work on a chunk reads a few entries of the indexes, not one for each chunk since the snapshot: not even when
  /// the planner was told that the table holds no open chunk.
  @Test func chunksOfThePastCostNothing() throws {
    let connection = try Database.current.prepared()
    // Older servers count when they like.
    guard
      try connection.value(
        "select current_setting('server_version_num')::int >= 150000", as: Bool.self)
    else { return }
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      insert into t select g, g from generate_series(1, 100) as g;
      """)
    let lane = try TestLane()
    try lane.settle()
    let holder = try Database.current.connect()
    try holder.runScript("begin isolation level repeatable read; select count(*) from t")
    // Entries of indexes and rows of scans that these sessions read for a chunk.
    func cost(chunks: ClosedRange<Int>) throws -> Int {
      let reader = try Database.current.connect()
      let worker = try TestLane()
      try reader.runScript("set enable_seqscan = off")
      try worker.connection.runScript("set enable_seqscan = off")
      let before = try reads(connection)
      for number in chunks {
        try connection.run("update t set x = x + 1 where id = \(number % 100 + 1)")
        let handed = number % 2 == 0 ? [worker.lane] : []
        var claimed = try reader.tick(lanes: handed).handed
        if claimed.isEmpty { claimed = try worker.claim() }
        #expect(claimed.count == 1)
        for chunk in claimed {
          try worker.read(chunk)
          try worker.write(chunk)
        }
        if number % 10 == 0 {
          try reader.runScript(
            """
            select rowcast.raise_floor(); select from rowcast.open_work(); select from rowcast.rescue_chunks();
            select rowcast.lanes_are_behind(); select from rowcast.lag_rows();
            """)
        }
      }
      try reader.runScript("select pg_stat_force_next_flush()")
      try worker.connection.runScript("select pg_stat_force_next_flush()")
      return try (reads(connection) - before) / chunks.count
    }
    let first = try cost(chunks: 1...30)
    try connection.run("analyze rowcast.chunk")
    try lane.connection.runScript("vacuum rowcast.chunk")
    _ = try cost(chunks: 31...130)
    try lane.connection.runScript("vacuum analyze rowcast.chunk")
    let last = try cost(chunks: 131...160)
    #expect(last <= first + 20, "\(first) entries a chunk at first, \(last) after 130 of them")
    try holder.runScript("commit")
  }

  /// Chunks that are over stay for ten minutes, and housekeeping comes by each second.
  @Test func tidyingPassesOverChunksThatAreKept() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      "create table t (id int primary key, x real); select rowcast.create_scorer('s', 't', 'double')"
    )
    func cost() throws -> Int {
      let before = try reads(connection)
      try connection.runScript("select rowcast.tidy()")
      return try reads(connection) - before
    }
    let first = try cost()
    try connection.runScript(
      """
      insert into rowcast.chunk (tick_id, priority, key_count, kind, state, scorer_id, rows_scored, rows_failed,
                                 claimed_at, finished_at)
      select 1, 0, 500, 'keys', 'done', s.scorer_id, 500, 0, clock_timestamp() - interval '1 minute',
             clock_timestamp() - g * interval '100 milliseconds' - interval '40 seconds'
      from rowcast.scorer as s, generate_series(1, 5000) as g;
      analyze rowcast.chunk;
      select rowcast.raise_floor();
      """)
    let last = try cost()
    #expect(last <= first + 100, "\(first) rows read at first, \(last) beside 5,000 chunks")
  }

  /// What an addition to totals reads grows by no more than 100 pages a scorer in an hour of additions: the versions
  /// of a row stay on few pages.
  @Test func totalsOfAnHourAreOnFewPages() throws {
    let connection = try Database.current.prepared()
    guard
      try connection.value(
        "select current_setting('server_version_num')::int >= 150000", as: Bool.self)
    else { return }
    try connection.runScript("create table t (id int primary key, x real)")
    let scorers = 20
    for number in 1...scorers {
      try connection.run(
        "select from rowcast.create_scorer(\("s\(number)"), 't', 'double', backfill => false)")
    }
    try connection.runScript("vacuum analyze rowcast.scorer")
    let holder = try Database.current.connect()
    // As workers write it: five seconds apart.
    func add(_ times: Int) throws -> Int {
      func pages() throws -> Int {
        try connection.runScript(
          "select pg_stat_force_next_flush(); select pg_stat_clear_snapshot()")
        return try connection.value(
          """
          select sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint
          from pg_statio_user_tables
          where relid in ('rowcast.scorer_total'::regclass, 'rowcast.event_total'::regclass)
          """)
      }
      let before = try pages()
      for _ in 0..<times {
        try connection.runScript(
          """
          select rowcast.record_totals(
              array_agg(s.scorer_id), array_agg(1::bigint), array_agg(0::bigint), array_agg(1::bigint),
              array_agg(1::float8), array_agg(1::float8), array_agg(1::float8), array_agg(1::float8),
              array_agg(array_fill(1::bigint, '{17}')::text))
          from rowcast.scorer as s;
          select rowcast.record_events('{ticks,doorbell_rings,doorbell_sleeps}', '{1,1,1}')
          """)
      }
      return try (pages() - before) / times
    }
    _ = try add(1)
    try holder.runScript(
      "begin isolation level repeatable read; select from rowcast.scorer_total limit 1")
    let first = try add(10)
    _ = try add(720)
    let last = try add(10)
    #expect(last <= first + 100 * scorers, "\(first) pages at first, \(last) after an hour")
    #expect(last > first, "the snapshot was not held")
  }

  private func reads(_ connection: Connection) throws -> Int {
    try connection.runScript("select pg_stat_force_next_flush(); select pg_stat_clear_snapshot()")
    return try connection.value(
      """
      select (sum(i.idx_tup_read) + (select t.seq_tup_read from pg_stat_user_tables as t
                                     where t.relid = 'rowcast.chunk'::regclass))::bigint
      from pg_stat_user_indexes as i where i.relid = 'rowcast.chunk'::regclass
      """)
  }
}
