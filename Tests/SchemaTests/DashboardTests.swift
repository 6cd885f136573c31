import Foundation
import Postgres
import Schema
import TestSupport
import Testing

/// What dashboards read: views that stay what they are, and the queries of the one that is shipped.
@Suite(.database) struct DashboardTests {
  /// Columns of the public views. A line may grow at its end; nothing else may change.
  static let columns = [
    "cost": """
    hour timestamptz, scorer text, model_name text, model_version int4, job_id int8, \
    rows_scored int8, cpu_seconds float8, predict_cpu_seconds float8, cost numeric, currency text
    """,
    "drift": """
    scorer text, column_name text, kind text, hour timestamptz, rows int8, psi float8, \
    mean_shift float8, spread_ratio float8, missing_share float8, baseline_missing_share float8, \
    baseline text, baseline_made_at timestamptz
    """,
    "expectation_results": """
    scorer text, name text, kind text, column_name text, action text, hour timestamptz, \
    checked int8, failed int8, last_observed float8, last_failed_at timestamptz, \
    last_reason text, is_held bool
    """,
    "expectations": """
    scorer text, name text, kind text, column_name text, action text, minimum float8, \
    maximum float8, allowed _text, tolerance float8, minimum_rows int4, held_at timestamptz, \
    held_reason text, created_at timestamptz, created_by text
    """,
    "failures": """
    scorer text, key jsonb, code text, reason text, model_name text, model_version int4, \
    tick int8, failed_at timestamptz
    """,
    "freshness": """
    scorer text, source text, model text, state text, state_reason text, backlog_rows int8, \
    oldest_seconds float8, last_scored_at timestamptz, seconds_since_last_scored float8, \
    failures int8
    """,
    "throughput": """
    scorer text, minute timestamptz, rows_scored int8, rows_failed int8, chunk_count int8, \
    rows_per_second float8, mean_latency_seconds float8, longest_latency_seconds float8
    """,
  ]

  @Test(arguments: columns.keys.sorted())
  func columnsKeepNameTypeAndPlace(view: String) throws {
    let connection = try Database.current.connect()
    let found: String = try connection.value(
      """
      select string_agg(a.attname || ' ' || t.typname, ', ' order by a.attnum) \
      from pg_attribute as a join pg_type as t on t.oid = a.atttypid \
      where a.attrelid = ('rowcast.' || \(view))::regclass and a.attnum > 0
      """)
    #expect(found.hasPrefix(Self.columns[view]!), "\(found)")
  }

  @Test func everyColumnIsTypedAndExplained() throws {
    let connection = try scene()
    #expect(
      try connection.texts(
        """
        select a.attrelid::regclass || '.' || a.attname \
        from pg_attribute as a join pg_class as c on c.oid = a.attrelid \
        where a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null \
        and (c.relnamespace = 'predictions'::regnamespace and c.relkind in ('r', 'p', 'v') \
          or c.relnamespace = 'rowcast'::regnamespace \
          and c.relname in ('freshness', 'throughput', 'drift', 'cost', 'expectations', \
                            'expectation_results'))
        """) == [])
    #expect(
      try connection.texts(
        """
        select a.attrelid::regclass || '.' || a.attname \
        from pg_attribute as a join pg_class as c on c.oid = a.attrelid \
        where a.attnum > 0 and c.relnamespace = 'predictions'::regnamespace \
          and c.relkind in ('r', 'p', 'v') and a.atttypid in ('json'::regtype, 'jsonb'::regtype)
        """) == [])
  }

  /// A scorer with predictions, a failure, counts and an expectation.
  private func scene() throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table item (id int primary key, x real);
      insert into item select i, i from generate_series(1, 50) as i;
      insert into item values (51, null);
      select * from rowcast.create_scorer('item_score', 'item', 'double');
      """)
    try TestLane().settle()
    try connection.runScript(
      """
      select * from rowcast.set_baseline('item_score');
      select rowcast.expect('item_score', 'low', 'range', 'x', 'warn', maximum => 10);
      select rowcast.record_observations('{1,1}', array[p.profile_id, p.profile_id], \
        array[date_trunc('hour', now()), date_trunc('hour', now())], '{1,1}', '{input,output}', \
        '{1,1}', '{50,50}', '{1,0}', '{25.5,51}', '{100,400}', '{1,2}', '{50,100}', \
        array(select '{50' || repeat(',0', cardinality(c.edges)) || '}' from rowcast.profile_column as c \
              where c.profile_id = p.profile_id order by c.kind)) \
      from rowcast.profile as p;
      select rowcast.record_minutes('{1}', array[date_trunc('minute', now())], '{50}', '{1}', '{1}', \
        '{1}', '{0.25}', '{0.25}');
      select rowcast.record_usage(array[date_trunc('hour', now())], '{item_score}', '{double}', '{1}', \
        '{0}', '{51}', '{0.5}', '{0.25}');
      select rowcast.record_expectations('{1}', array[date_trunc('hour', now())], '{51}', '{40}', \
        '{0.8}', '{because}');
      select rowcast.set_price(0.04);
      """)
    return connection
  }

  @Test func theShippedDashboardsQueriesRunAsReader() throws {
    let connection = try scene()
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let data = try Data(
      contentsOf: root.appending(path: "deploy/grafana/dashboards/rowcast.json"))
    let queries = Self.queries(in: try JSONSerialization.jsonObject(with: data))
    #expect(queries.count >= 15)
    try connection.runScript("set role rowcast_reader")
    for query in queries {
      let rows = try connection.run(Query(text: Self.substituted(query)))
      #expect(!query.contains("${") || query.contains("${scorer:sqlstring}"), "\(query)")
      // Only the workers are away.
      #expect(rows.count > 0 || query.contains("rowcast.workers"), "\(query)")
      if query.contains("\"time\"") {
        #expect(rows.columns[0].name == "time" && rows.columns[0].typeOID == 1184, "\(query)")
      }
    }
  }

  /// Every text under `rawSql`, and the queries of variables.
  private static func queries(in node: Any) -> [String] {
    if let list = node as? [Any] { return list.flatMap(queries) }
    guard let object = node as? [String: Any] else { return [] }
    var found = object.values.flatMap { $0 is String ? [] : queries(in: $0) }
    if let sql = object["rawSql"] as? String { found.append(sql) }
    if object["type"] as? String == "query", let sql = object["query"] as? String {
      found.append(sql)
    }
    return found
  }

  /// The query as Grafana would send it, for one scorer and the last six hours.
  private static func substituted(_ query: String) -> String {
    query.replacing("${scorer:sqlstring}", with: "'item_score'")
      .replacing(#/\$__timeFilter\(([a-z_]+)\)/#) { match in
        "\(match.1) between now() - interval '6 hours' and now()"
      }
  }
}
