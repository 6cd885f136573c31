import Glibc
import Postgres
import Schema
import TestSupport
import Testing

/// Audits beside writers, lanes that die and a dispatcher: none reports a row that is on its way.
@Suite(.database) struct AuditOracleTests {
  /// Each update changes a column that the scorer reads.
  private static func write(_ settings: ConnectionSettings, seed: UInt64) throws {
    let connection = try Connection(settings)
    defer { connection.close() }
    var random = Numbers(state: seed)
    for _ in 0..<60 {
      let key = random.below(300)
      do throws(PostgresError) {
        try connection.runScript(random.below(3) == 0 ? "begin; savepoint a" : "begin")
        for _ in 0...random.below(2) {
          switch random.below(4) {
          case 0:
            try connection.runScript(
              "insert into t select g, 1 from generate_series(\(key), \(key + 30)) as g "
                + "on conflict (id) do update set x = t.x + 1")
          case 1: try connection.runScript("delete from t where id between \(key) and \(key + 9)")
          default: try connection.runScript("update t set x = x + 1 where id % 50 = \(key % 50)")
          }
        }
        // Long enough that ticks, reads and audits pass by.
        if random.below(4) == 0 { usleep(20_000) }
        try connection.runScript(random.below(7) == 0 ? "rollback" : "commit")
      } catch {
        guard ["40P01", "23505"].contains(error.sqlState) else { throw error }
        try connection.runScript("rollback")
      }
    }
  }

  @Test(arguments: [1, 2] as [UInt64])
  func rowsOnTheirWayAreNoFindings(seed: UInt64) throws {
    let database = Database.current
    let settings = database.settings
    let connection = try database.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, g from generate_series(1, 300) as g;
      create table u (id int primary key, x real);
      select rowcast.create_scorer('a', 't', 'double');
      select rowcast.create_scorer('b', 'u', 'double');
      """)
    let done = Flag()
    let others =
      (0..<2).map { number in
        Background {
          try PipelineOracleTests.score(database, seed: seed * 100 + number, until: done)
        }
      } + [
        Background { try PipelineOracleTests.dispatch(database, seed: seed * 1000, until: done) }
      ]
    let auditor = Background {
      let connection = try database.connect()
      defer { connection.close() }
      var audits = 0
      while !done.isSet {
        let found = try AuditTests.audit(connection, "a")
        #expect(found.isConsistent, "\(found)")
        audits += 1
      }
      return audits
    }
    let writers = (0..<3).map { number in
      Background { try Self.write(settings, seed: seed * 10 + number) }
    }
    let outcome = Result { for writer in writers { try writer.value(timeout: .seconds(120)) } }
    done.set()
    for other in others { try other.value(timeout: .seconds(60)) }
    #expect(try auditor.value(timeout: .seconds(60)) > 0)
    try outcome.get()
    try connection.run("select * from rowcast.rescue_chunks()")
    try TestLane().settle()
    #expect(try connection.value("select test.difference('t', 'a', 'id')") == "")
    #expect(try AuditTests.audit(connection, "a").isConsistent)
  }
}
