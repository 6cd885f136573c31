import Postgres
import TestSupport
import Testing

/// Whoever counts waits for nobody who holds a scorer, and nobody drops a scorer under him.
@Suite(.database) struct BusyScorerTests {
  @Test func scorersThatSomebodyHoldsAreTold() throws {
    let connection = try Database.current.prepared()
    for name in ["a", "b", "c"] {
      try connection.runScript(
        """
        create table \(name) (id int primary key, x real);
        select * from rowcast.create_scorer('\(name)', '\(name)', 'double', backfill => false);
        """)
    }
    let worker = try Database.current.connect()
    try worker.runScript("set role rowcast_worker; set statement_timeout = '10s'")
    func busy() throws -> [Int] {
      try worker.numbers("select unnest(rowcast.busy_scorers('{0,1,2,3,4711}'))")
    }
    #expect(try busy() == [])
    let (dropper, changer) = (try Database.current.connect(), try Database.current.connect())
    try dropper.runScript("begin; select rowcast.drop_scorer('a')")
    try changer.runScript("begin; select from rowcast.scorer where name = 'c' for update")
    #expect(try busy() == [1, 3])
    // Others are counted meanwhile, and stay until that is over.
    try worker.runScript("begin")
    #expect(try busy() == [1, 3])
    try worker.runScript(
      """
      select rowcast.record_minutes('{2}', array[date_trunc('minute', now())], '{5}', '{0}', '{1}', '{1}', '{1}', '{1}');
      select rowcast.record_totals('{2}', '{5}', '{0}', '{1}', '{1}', '{1}', '{1}', '{1}', '{"{1}"}');
      """)
    try changer.runScript("rollback; set lock_timeout = '100ms'")
    #expect(changer.refusal(of: "select rowcast.drop_scorer('b')")?.sqlState == "55P03")
    try worker.runScript("commit")
    #expect(try connection.numbers("select sum(rows_scored)::int from rowcast.throughput") == [5])
    #expect(try busy() == [1])
    try dropper.runScript("commit")
    // What is gone is nobody's, and its counts are written nowhere.
    #expect(try busy() == [])
  }

  @Test func anExpectationThatIsDroppedKeepsNoOtherWaiting() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      select rowcast.expect('s', 'one', 'range', column_name => 'x', minimum => 0);
      select rowcast.expect('s', 'two', 'range', column_name => 'x', minimum => 0);
      """)
    let holder = try Database.current.connect()
    try holder.runScript("begin; delete from rowcast.expectation where name = 'one'")
    try connection.runScript(
      """
      set statement_timeout = '10s';
      select rowcast.record_expectations(
          array_agg(e.expectation_id), array_agg(now()), array_agg(5::bigint), array_agg(0::bigint),
          array_agg(null::float8), array_agg(null::text))
      from rowcast.expectation as e;
      """)
    #expect(
      try connection.texts("select name from rowcast.expectation_results where checked = 5") == [
        "two"
      ])
  }
}
