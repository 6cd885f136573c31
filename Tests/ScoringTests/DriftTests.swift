import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// Histograms kept while rows are scored, and drift as a query.
@Suite(.database, .timeLimit(.minutes(3)))
struct DriftTests {
  /// Waits until as many rows of a column were counted.
  static func waitForRows(
    _ count: Int64, of column: String, in scorer: String, _ connection: Connection
  ) throws {
    let deadline = ContinuousClock.now.advanced(by: Scene.patience)
    var found: Int64 = 0
    while ContinuousClock.now < deadline {
      found = try connection.run(
        """
        select coalesce(sum(o.value_count + o.missing_count), 0)::bigint \
        from rowcast.observation as o \
        join rowcast.scorer as s on s.scorer_id = o.scorer_id, \
        rowcast.profile_columns(s.scorer_id) as c \
        where s.name = \(scorer) and c.kind = o.kind and c.place = o.place \
        and c.column_name = \(column)
        """
      ).value(0, 0)
      if found >= count { break }
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(found == count)
  }

  private static func texts(_ rows: Rows, column: Int) throws -> [String] {
    guard case .string(let texts) = try rows.column(column).values else { return [] }
    return texts
  }

  @Test func firstRowsAreTheBaselineAndDriftIsSeen() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 3000)
      try scene.settle(connection)
      try Self.waitForRows(3000, of: "a", in: "item_score", connection)
      let profile = try connection.run(
        """
        select p.origin, p.row_count, c.column_name, cardinality(c.edges), c.value_count \
        from rowcast.profile as p join rowcast.profile_column as c using (profile_id) \
        where p.is_current order by c.kind, c.place
        """)
      #expect(try Self.texts(profile, column: 2) == ["a", "b", "c", "score"])
      #expect(try profile.value(0, 0, as: String.self) == "first rows")
      #expect(try profile.value(0, 1, as: Int64.self) >= 1000)
      #expect(try profile.value(0, 3, as: Int32.self) == 9)

      // Reference rows of one's own: exact, because they are fewer than the sample.
      try connection.run("select * from rowcast.set_baseline('item_score')")
      try connection.runScript(
        """
        insert into item select i, sin(i) * 12 + 20, case when i % 4 > 0 then cos(i) * 24 end, \
        i % 23 - 11, 'n' from generate_series(10001, 14000) as i
        """)
      try scene.settle(connection)
      try Self.waitForRows(7000, of: "a", in: "item_score", connection)
      let drift = try connection.run(
        """
        select column_name, kind, rows, psi, mean_shift, spread_ratio, missing_share \
        from rowcast.drift where scorer = 'item_score' and baseline = 'now' \
        order by kind, column_name
        """)
      try #require(Self.texts(drift, column: 0) == ["a", "b", "c", "score"])
      func value(_ row: Int, _ column: Int) throws -> Double { try drift.value(row, column) }
      #expect(try drift.value(0, 2, as: Int64.self) == 4000)
      // a moved by 20, which is 20 / (12 / sqrt 2) of its standard deviation.
      #expect(try abs(value(0, 4) - 20 / (12 / 2.0.squareRoot())) < 0.01)
      #expect(try value(0, 3) > 1)
      // b's spread doubled and a quarter of it is missing.
      #expect(try abs(value(1, 5) - 2) < 0.02 && abs(value(1, 4)) < 0.05)
      #expect(try value(1, 6) == 0.25)
      #expect(try value(1, 3) > 0.25)
      #expect(try value(2, 3) < 0.01 && abs(value(2, 4)) < 0.02)

      // The view and the definition agree.
      let psi: Double = try connection.run(
        """
        with n as (select b.bins || b.missing_count as e, o.bins || o.missing_count as a \
          from rowcast.profile as p join rowcast.profile_column as b using (profile_id) \
          join rowcast.observation as o using (profile_id, kind, place) \
          where p.is_current and b.column_name = 'a') \
        select sum((greatest(a.n / a.total, 0.0001) - greatest(e.n / e.total, 0.0001)) \
                   * ln(greatest(a.n / a.total, 0.0001) / greatest(e.n / e.total, 0.0001))) \
        from n, lateral (select x::float8 as n, sum(x) over ()::float8 as total, place \
            from unnest(n.e) with ordinality as u (x, place)) as e, \
          lateral (select x::float8 as n, sum(x) over ()::float8 as total, place \
            from unnest(n.a) with ordinality as u (x, place)) as a \
        where a.place = e.place
        """
      ).value(0, 0)
      #expect(try abs(psi - value(0, 3)) < 1e-9)

      let bins = try connection.run(
        "select share, label, lower_edge, upper_edge from rowcast.histogram('item_score', 'b')")
      #expect(bins.count == 11)
      #expect(try bins.value(10, 0, as: Double.self) == 0.25)
      #expect(try bins.value(10, 1, as: String.self) == "missing")
    }
    // What was counted last is written when the worker stops.
    let connection = try Connection(scene.settings)
    let cost = try connection.run(
      """
      select sum(rows_scored) filter (where job_id is null)::bigint, \
      sum(rows_scored) filter (where job_id is not null)::bigint, min(model_name), \
      min(cpu_seconds) > 0, bool_and(cpu_seconds >= predict_cpu_seconds) from rowcast.cost
      """)
    #expect(try cost.value(0, 0, as: Int64.self) == 4000)
    #expect(try cost.value(0, 1, as: Int64.self) == 3000)
    #expect(try cost.value(0, 2, as: String.self) == "sum")
    #expect(try cost.value(0, 3, as: Bool.self) && cost.value(0, 4, as: Bool.self))
    let minutes = try connection.run(
      "select sum(rows_scored)::bigint, sum(rows_failed)::bigint from rowcast.throughput")
    #expect(try minutes.value(0, 0, as: Int64.self) == 7000)
    #expect(try minutes.value(0, 1, as: Int64.self) == 0)
  }

  @Test func processorTimeHasAPrice() throws {
    let connection = try Connection(Database.current.settings)
    try connection.runScript(
      """
      select rowcast.record_usage(array[timestamptz '2026-01-01 10:00+00', '2026-01-01 10:00+00'], \
        '{s,s}', '{m,n}', '{1,2}', '{0,7}', '{10,20}', '{1800,3600}', '{900,3000}');
      select rowcast.record_usage(array[timestamptz '2026-01-01 10:00+00'], \
        '{s}', '{m}', '{1}', '{0}', '{10}', '{1800}', '{900}');
      """)
    #expect(
      try connection.run("select count(*) from rowcast.cost where cost is null")
        .value(0, 0, as: Int64.self) == 2)
    try connection.run("select rowcast.set_price(0.05, 'EUR')")
    let rows = try connection.run(
      """
      select model_name, job_id, rows_scored, cost::float8, currency from rowcast.cost \
      order by model_name
      """)
    #expect(try rows.value(0, 1, as: Int64?.self) == nil)
    #expect(try rows.value(1, 1, as: Int64?.self) == 7)
    #expect(try rows.value(0, 2, as: Int64.self) == 20)
    #expect(try rows.value(0, 3, as: Double.self) == 0.05)
    #expect(try rows.value(1, 4, as: String.self) == "EUR")
    #expect(throws: PostgresError.self) { try connection.run("select rowcast.set_price(-1)") }
  }

  /// Computed with numpy from the definition.
  @Test func theStabilityIndexIsAsByHand() throws {
    let connection = try Connection(Database.current.settings)
    let rows = try connection.run(
      """
      select rowcast.psi('{100,200,300,400}', '{150,150,400,300}'), \
      rowcast.psi('{10,20,30,40,0}', '{7,0,33,50,10}'), rowcast.psi('{1,2}', '{2,4}'), \
      rowcast.psi('{0,0}', '{1,2}')
      """)
    #expect(try abs(rows.value(0, 0, as: Double.self) - 0.0921937735183535) < 1e-14)
    #expect(try abs(rows.value(0, 1, as: Double.self) - 2.2453790628764905) < 1e-13)
    #expect(try rows.value(0, 2, as: Double.self) == 0)
    #expect(try rows.value(0, 3, as: Double?.self) == nil)
  }
}
