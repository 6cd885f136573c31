import Postgres
import Schema
import TestSupport
import Testing

/// What predictions were, and how long that is kept.
@Suite(.database) struct HistoryTests {
  private func prepare() throws -> (Connection, TestLane) {
    let connection = try Database.current.prepared()
    let lane = try TestLane()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, 500) as i;
      select * from rowcast.create_scorer('s', 't', 'double');
      """)
    try lane.settle()
    return (connection, lane)
  }

  private func now(_ connection: Connection) throws -> String {
    try connection.value("select clock_timestamp()::text")
  }

  @Test func predictionsAreReadAsTheyWere() throws {
    let (connection, lane) = try prepare()
    // All that is there already is known from the time when it was written.
    let first = try now(connection)
    try connection.run("select rowcast.keep_history('s', '1 day')")
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_history") == [0])
    var states = [(first, "2 * id", 500)]
    for (change, score, count) in [
      ("update t set x = 3 * x", "6 * id", 500),
      ("delete from t where id > 400", "6 * id", 400),
      ("update t set x = null where id > 300", "6 * id", 300),
      ("update t set x = id", "2 * id", 400),
      ("insert into t select i, i from generate_series(401, 1000) as i", "2 * id", 1000),
    ] {
      try connection.run(Query(text: change))
      try lane.settle()
      states.append((try now(connection), score, count))
    }
    try connection.runScript("set role rowcast_reader")
    for (moment, score, count) in states {
      #expect(
        try connection.numbers(
          Query(
            text: """
              select count(*)::int from predictions.s_as_of('\(moment)') where score = \(score)
              union all select count(*)::int from predictions.s_as_of('\(moment)')
              union all select count(distinct id)::int from predictions.s_as_of('\(moment)')
              """)) == [count, count, count], "\(moment)")
    }
    try connection.runScript("reset role")
    // A condition on the key reaches the indexes.
    let plan = try connection.texts("explain select * from predictions.s_as_of(now()) where id = 7")
    #expect(plan.contains { $0.contains("Index") && $0.contains("s_pkey") })
    #expect(!plan.contains { $0.contains("Function Scan") })
  }

  @Test func newKeysCostNothing() throws {
    let (connection, lane) = try prepare()
    try connection.run("select rowcast.keep_history('s')")
    try connection.run("insert into t select i, i from generate_series(501, 900) as i")
    try lane.settle()
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_history") == [0])
    try connection.run("update t set x = -1 where id <= 3")
    try lane.settle()
    #expect(
      try connection.texts(
        """
        select format('%s %s %s', h.id, h.score, h.ended_at = p.scored_at)
        from predictions.s_history as h join predictions.s as p using (id) order by id
        """) == ["1 2 t", "2 4 t", "3 6 t"])
  }

  @Test func whatIsOlderThanTheRetentionIsDropped() throws {
    let (connection, _) = try prepare()
    try connection.run("select rowcast.keep_history('s', '30 days')")
    func partitions() throws -> [String] {
      try connection.texts(
        """
        select pg_get_expr(c.relpartbound, c.oid) from pg_inherits as i
        join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'predictions.s_history'::regclass order by c.relname
        """)
    }
    #expect(try partitions().count == 4)
    try connection.runScript(
      """
      set role rowcast_admin;
      create table rowcast.history_1_2020010100 partition of predictions.s_history
          for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00');
      create table rowcast.history_1_2020010200 partition of predictions.s_history
          for values from ('2020-01-02 00:00+00') to ('2020-01-03 00:00+00');
      reset role;
      insert into predictions.s_history
      select id, score, model_name, model_version, tick, '2020-01-01', moment::timestamptz
      from predictions.s cross join unnest(array['2020-01-01 12:00+00', '2020-01-02 12:00+00',
                                                 '2021-01-01 00:00+00']) as m (moment)
      where id <= 10;
      """)
    #expect(try partitions().count == 6)
    try connection.run("select rowcast.tidy_histories()")
    #expect(try partitions().count == 4)
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_history") == [0])
    // A longer one keeps what there is.
    try connection.run("select rowcast.keep_history('s', '90 days')")
    #expect(
      try connection.texts(
        "select retention::text || ' by ' || partition_length from rowcast.histories")
        == ["90 days by day"])
    #expect(
      connection.refusal(of: "select rowcast.keep_history('s', '1 second')")?.sqlState == "RC320")
  }

  @Test func aReaderDoesNotKeepTheDispatcher() throws {
    let (connection, _) = try prepare()
    try connection.run("select rowcast.keep_history('s', '2 hours')")
    func partitions() throws -> [Int] {
      try connection.numbers(
        "select count(*)::int from pg_inherits where inhparent = 'predictions.s_history'::regclass")
    }
    try connection.runScript(
      """
      do $$ begin
          execute 'drop table ' || (select max(inhrelid::regclass::text) from pg_inherits
              where inhparent = 'predictions.s_history'::regclass and inhrelid::regclass::text !~ 'rest');
      end $$
      """)
    #expect(try partitions() == [3])
    let reader = try Database.current.connect()
    try reader.runScript("begin; select count(*) from predictions.s_history")
    // It gives up soon, and comes again.
    try connection.run("select rowcast.tidy_histories()")
    #expect(try partitions() == [3])
    try reader.runScript("rollback")
    try connection.run("select rowcast.tidy_histories()")
    #expect(try partitions() == [4])
  }

  @Test func aHistoryGoesWithItsScorerOrStays() throws {
    let (connection, lane) = try prepare()
    try connection.run("select rowcast.keep_history('s')")
    try connection.run("update t set x = -1")
    try lane.settle()
    try connection.run("select rowcast.drop_scorer('s', keep_predictions => true)")
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_history") == [500])
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_as_of('2020-01-01')") == [0])
    try connection.run("update predictions.s set score = 0")
    #expect(
      try connection.numbers("select count(*)::int from predictions.s_history") == [500])

    try connection.run("select * from rowcast.create_scorer('u', 't', 'double')")
    try connection.run("select rowcast.keep_history('u')")
    try connection.run("select rowcast.drop_history('u')")
    #expect(connection.refusal(of: "select rowcast.drop_history('u')")?.sqlState == "RC320")
    try connection.run("select rowcast.keep_history('u')")
    try connection.run("select rowcast.drop_scorer('u')")
    #expect(
      try connection.texts(
        """
        select relname::text from pg_class where relname ~ '^(u_|history_2_)'
        union all select proname::text from pg_proc where proname ~ '^(u_as_of|keep_history_)'
            and proname <> 'keep_history'
        """) == [])
  }

  @Test func aFormerVersionIsComparedByTheHistory() throws {
    let connection = try Database.current.withRollout()
    try connection.run("select rowcast.stop_shadow('churn')")
    try connection.run("select rowcast.keep_history('churn')")
    try connection.runScript(
      """
      select * from rowcast.promote('churn');
      update predictions.churn
      set probability = probability / 2, model_version = 2, scored_at = clock_timestamp() where id <= 600;
      """)
    #expect(
      try connection.texts(
        """
        select format('%s %s', measure, value) from rowcast.compare('churn', '1', 'champion')
        where measure in ('rows', 'rank correlation', 'rows of base only') order by 1
        """) == ["rank correlation 1", "rows 600", "rows of base only 400"])
  }
}
