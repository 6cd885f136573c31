import Glibc
import Postgres
import Schema
import Synchronization
import TestSupport
import Testing

/// Writers, lanes and a dispatcher at once, with deaths, releases, pauses and rotations: whatever
/// the interleaving, the predictions equal the source in the end.
@Suite(.database) struct PipelineOracleTests {
  /// What one writer does, drawn from its generator; several of these are one transaction.
  private static func statement(_ random: inout Numbers) -> String {
    let key = random.below(300)
    let x = random.below(10) == 0 ? "null" : "\(random.below(1000))"
    let many = random.below(3) == 0 ? 40 : 0
    switch random.below(12) {
    case 0...2:
      return "insert into t values (\(key), \(x)) on conflict (id) do update set x = excluded.x"
    case 3, 4: return "update t set x = \(x) where id between \(key) and \(key + many)"
    case 5: return "delete from t where id between \(key) and \(key + many)"
    case 6: return "update t set id = id + 1000 where id = \(key)"
    case 7: return "update t set other = other + 1 where id < \(key)"
    case 8:
      return """
        insert into p values (\(key), \(random.below(3)), \(x))
        on conflict (id, r) do update set x = excluded.x
        """
    case 9:
      return "update p set r = \(random.below(3)) where id = \(key) and r = \(random.below(3))"
    case 10: return "delete from p\(random.below(3)) where id between \(key) and \(key + many)"
    default:
      return random.below(10) == 0
        ? "truncate \(["t", "p", "p0", "p1", "p2"][random.below(5)])"
        : "insert into t select g, \(x) from generate_series(\(key), \(key + 200)) as g "
          + "on conflict do nothing"
    }
  }

  private static func write(_ settings: ConnectionSettings, seed: UInt64) throws {
    let connection = try Connection(settings)
    defer { connection.close() }
    var random = Numbers(state: seed)
    for _ in 0..<40 {
      let level = random.below(6) == 0 ? "repeatable read" : "read committed"
      do throws(PostgresError) {
        try connection.runScript("begin isolation level \(level)")
        for _ in 0...random.below(3) {
          let inner = random.below(5) == 0
          if inner { try connection.runScript("savepoint a") }
          try connection.runScript(statement(&random))
          if inner, random.below(2) == 0 { try connection.runScript("rollback to a") }
        }
        try connection.runScript(random.below(7) == 0 ? "rollback" : "commit")
      } catch {
        guard error.isSerializationFailure || error.sqlState == "23505" else { throw error }
        try connection.runScript("rollback")
      }
    }
  }

  static func score(_ database: Database, seed: UInt64, until done: Flag)
    throws
  {
    var random = Numbers(state: seed)
    var lane = try TestLane(database)
    while !done.isSet {
      for claimed in try lane.claim(Int32(1 + random.below(3))) {
        try lane.read(claimed)
        switch random.below(12) {
        case 0:
          lane.die()
          lane = try TestLane(database)
          continue
        case 1: try lane.connection.run("select rowcast.release_chunks(\(lane.lane))")
        default: break
        }
        let refusal = lane.connection.refusal(
          of: "select test.write(\(claimed.chunk), \(claimed.attempt))")
        if let refusal, refusal.sqlState != "RC201" { throw refusal }
      }
    }
    lane.die()
  }

  static func dispatch(
    _ database: Database, seed: UInt64, until done: Flag
  ) throws {
    var random = Numbers(state: seed)
    let connection = try database.connect()
    defer { connection.close() }
    while !done.isSet {
      try connection.tick(lanes: [], laneCount: 2)
      try connection.run("select rowcast.make_job_chunks(4, 2)")
      try connection.run("select * from rowcast.rescue_chunks()")
      let scorer = random.below(2) == 0 ? "a" : "b"
      switch random.below(30) {
      case 0...5:
        try connection.run("select rowcast.rotate_log(1)")
        try connection.run("select * from rowcast.tidy()")
      case 6: try connection.run("select rowcast.rescore(\(scorer), \(random.below(2) == 0))")
      case 7:
        try connection.run("select rowcast.pause_scorer(\(scorer))")
        try connection.tick(lanes: [], laneCount: 2)
        try connection.run("select rowcast.resume_scorer(\(scorer))")
      default: break
      }
    }
  }

  /// Whatever is under way, each row has its outcome or waits for it. Updates that change no column
  /// of a scorer look stale, so these are not counted.
  private static func audit(_ database: Database, until done: Flag) throws {
    let connection = try database.connect()
    defer { connection.close() }
    while !done.isSet {
      for scorer in ["a", "b"] {
        let found = try AuditTests.audit(connection, scorer)
        #expect(found.missing == 0 && found.orphaned == 0, "\(scorer): \(found)")
      }
    }
  }

  @Test(arguments: [1, 2] as [UInt64])
  func predictionsEqualTheSourceAfterAnyInterleaving(seed: UInt64) throws {
    let database = Database.current
    let settings = database.settings
    let connection = try database.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real, other int default 0);
      insert into t select g, g from generate_series(1, 300) as g;
      create table p (id int, r int, x real, primary key (id, r)) partition by list (r);
      create table p0 partition of p for values in (0);
      create table p1 partition of p for values in (1);
      create table p2 partition of p for values in (2);
      insert into p select g, g % 3, g from generate_series(1, 300) as g;
      select rowcast.create_scorer('a', 't', 'double');
      select rowcast.create_scorer('b', 'p', 'double');
      """)

    let done = Flag()
    let others =
      (0..<3).map { number in
        Background { try Self.score(database, seed: seed * 100 + number, until: done) }
      } + [
        Background { try Self.dispatch(database, seed: seed * 1000, until: done) },
        Background { try Self.audit(database, until: done) },
      ]
    let writers = (0..<4).map { number in
      Background { try Self.write(settings, seed: seed * 10 + number) }
    }
    let outcome = Result { for writer in writers { try writer.value(timeout: .seconds(120)) } }
    done.set()
    for other in others { try other.value(timeout: .seconds(60)) }
    try outcome.get()

    #expect(
      try eventually {
        try connection.run("select * from rowcast.rescue_chunks()")
        return try connection.value("select running = 0 from rowcast.open_work()")
      })
    try TestLane().settle()
    #expect(try connection.value("select test.difference('t', 'a', 'id')") == "")
    #expect(try connection.value("select test.difference('p', 'b', 'id, r')") == "")
    #expect(
      try connection.value(
        "select sum(backlog_rows)::bigint from rowcast.scorer_status", as: Int.self)
        == 0)
  }
}

/// Tells threads to come to an end.
final class Flag: Sendable {
  private let state = Mutex(false)
  var isSet: Bool { state.withLock { $0 } }
  func set() { state.withLock { $0 = true } }
}

/// Seeded numbers (SplitMix64).
struct Numbers {
  var state: UInt64

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)) % UInt64(bound))
  }
}
