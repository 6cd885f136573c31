import Postgres
import Schema
import TestSupport
import Testing

/// Registers a version of the features `x` and of the outputs given, ready.
private let versionSQL = """
  create function test.version(
      name text, bytes text, alias text, metrics jsonb default null, golden jsonb default null,
      outputs jsonb default '[{"name": "label", "type": "int64", "role": "label"},
          {"name": "probability", "type": "float64", "role": "probability"}]') returns int
  language plpgsql as $$
  declare
      version int := rowcast.register_model(
          name, convert_to(bytes, 'UTF8'), alias, metrics => metrics, golden => golden);
  begin
      perform rowcast.record_inspection(
          (select m.model_id from rowcast.model as m where m.name = $1), version, jsonb_build_object(
              'features', '[{"name": "x", "type": "float32", "missing": "refused"}]'::jsonb,
              'outputs', outputs), null, 'onnx');
      return version;
  end
  $$;
  """

extension Database {
  /// A scorer `churn` of version 1 beside its shadow of version 2, whose 1,000 predictions are put
  /// there: 146 of their labels differ.
  func withRollout() throws -> Connection {
    let connection = try prepared()
    try connection.runScript(versionSQL)
    try connection.runScript(
      """
      select test.version('churn', 'one', 'champion', '{"auc": 0.8, "log_loss": 0.4}');
      select test.version('churn', 'two', 'challenger', '{"auc": 0.85, "log_loss": 0.35}');
      create table t (id int primary key, x real);
      select * from rowcast.create_scorer('churn', 't', 'churn', backfill => false);
      select * from rowcast.start_shadow('churn', backfill => false);
      insert into predictions.churn (id, label, probability, model_name, model_version, tick)
      select i, (p > 0.5)::int, p, 'churn', 1, 1
      from (select i, i * 37 % 100 / 100.0::float8 as p from generate_series(1, 1000) as i) as r;
      insert into predictions.churn_shadow (id, label, probability, model_name, model_version, tick)
      select i, (p > 0.5)::int, p, 'churn', 2, 1
      from (select i, (i * 37 + i % 7 * 3) % 100 / 125.0::float8 as p
            from generate_series(1, 1000) as i) as r;
      """)
    return connection
  }
}

/// Shadows, comparisons, promotions and rollbacks, by predictions that are put there.
@Suite(.database) struct RolloutTests {
  private func figures(_ connection: Connection, _ query: Query) throws -> [String: Double] {
    let rows = try connection.run(query)
    var figures: [String: Double] = [:]
    for row in 0..<rows.count {
      figures[try rows.value(row, "measure", as: String.self)] = try rows.value(
        row, "value", as: Double?.self)
    }
    return figures
  }

  // MARK: Comparing

  /// Wanted figures are SciPy's and NumPy's.
  @Test func figuresAreThoseOfTheTextbooks() throws {
    let connection = try Database.current.withRollout()
    try connection.runScript("set role rowcast_reader")
    let found = try figures(
      connection, "select * from rowcast.compare('churn') where measure <> 'label change'")
    #expect(found["rows"] == 1000)
    #expect(found["rows of base only"] == 0)
    #expect(found["labels changed"] == 0.146)
    let wanted = [
      "rank correlation": 0.5302160870132555,
      "stability index": 1.0127035240712914,
      "mean difference": -0.098928,
      "mean absolute difference": 0.137232,
      "median absolute difference": 0.062,
      "p95 absolute difference": 0.8661,
      "largest difference": 0.974,
    ]
    for (measure, value) in wanted {
      #expect(abs(try #require(found[measure]) - value) < 1e-12, "\(measure)")
    }
    #expect(
      try connection.texts(
        """
        select format('%s to %s: %s', detail ->> 'base', detail ->> 'other', value)
        from rowcast.compare('churn') where measure = 'label change' order by 1
        """) == ["0 to 1: 12", "1 to 0: 134"])
    #expect(
      try connection.numbers(
        """
        select count(*)::int from rowcast.compare('churn', examples => 3)
        where measure = 'example' and abs((detail ->> 'other')::float8 - (detail ->> 'base')::float8)
            = value and detail -> 'key' ? 'id'
        """) == [3])
  }

  @Test func sidesMayBeSwappedAndNamedByNumber() throws {
    let connection = try Database.current.withRollout()
    let there = try figures(connection, "select * from rowcast.compare('churn', '1', '2')")
    let back = try figures(
      connection, "select * from rowcast.compare('churn', 'challenger', 'champion')")
    #expect(there["mean difference"]! == -back["mean difference"]!)
    #expect(abs(there["rank correlation"]! - back["rank correlation"]!) < 1e-12)
    #expect(
      connection.refusal(of: "select * from rowcast.compare('churn', 'champion', '1')")?.sqlState
        == "RC320")
    #expect(
      connection.refusal(of: "select * from rowcast.compare('churn', 'champion', 'novice')")?
        .sqlState == "RC101")
    try connection.run("select rowcast.stop_shadow('churn')")
    #expect(
      connection.refusal(of: "select * from rowcast.compare('churn')")?.message
        == "scorer \"churn\" has no rows of \"challenger\"")
  }

  @Test func rowsOfOtherVersionsAreLeftOut() throws {
    let connection = try Database.current.withRollout()
    try connection.run("update predictions.churn_shadow set model_version = 7 where id <= 100")
    try connection.run("delete from predictions.churn where id > 990")
    let found = try figures(connection, "select * from rowcast.compare('churn')")
    #expect(found["rows"] == 890)
    #expect(found["rows of base only"] == 100)
    #expect(found["rows of other only"] == 10)
    #expect(found["compared"] == 890)
  }

  @Test func labelsAloneCompareToo() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(versionSQL)
    try connection.runScript(
      """
      select test.version('kind', v, a, outputs => '[{"name": "label", "type": "string", "role": "label"}]')
      from (values ('one', 'champion'), ('two', 'challenger')) as m (v, a);
      create table t (a text, b int, x real, primary key (a, b));
      select * from rowcast.create_scorer('kind', 't', 'kind', backfill => false);
      select * from rowcast.start_shadow('kind', backfill => false);
      insert into predictions.kind select 'a', i, 'k' || i % 3, 'kind', 1, 1 from generate_series(1, 30) as i;
      insert into predictions.kind_shadow
      select 'a', i, 'k' || least(i % 3, 1), 'kind', 2, 1 from generate_series(1, 30) as i;
      """)
    let found = try figures(connection, "select * from rowcast.compare('kind', examples => 2)")
    #expect(found["labels changed"] == 10.0 / 30)
    #expect(found["label change"] == 10)
    #expect(found["rank correlation"] == nil)
    #expect(
      try connection.texts(
        "select detail::text from rowcast.compare('kind', examples => 1) where measure = 'example'")
        == [#"{"key": {"a": "a", "b": 2}, "base": "k2", "other": "k1"}"#])
  }

  // MARK: Shadows

  @Test func aShadowBelongsToItsScorer() throws {
    let connection = try Database.current.withRollout()
    #expect(
      try connection.texts("select scorer || ' ' || kind || ' ' || version from rowcast.rollouts")
        == ["churn shadow 2"])
    #expect(
      connection.refusal(of: "select * from rowcast.start_shadow('churn')")?.sqlState == "RC320")
    #expect(
      connection.refusal(of: "select * from rowcast.start_shadow('churn_shadow')")?.sqlState
        == "RC320")
    try connection.run("insert into t values (1, 2)")
    #expect(try connection.tick().chunks == 2)
    #expect(
      try connection.numbers("select count(distinct tick_id)::int from rowcast.chunk") == [1])
    try connection.run("select rowcast.drop_scorer('churn')")
    #expect(try connection.texts("select name from rowcast.scorer_status") == [])
    #expect(
      try connection.texts(
        """
        select relname from pg_class
        where relnamespace = 'predictions'::regnamespace and relname like 'churn%'
        """) == [])
  }

  @Test func aShadowReadsItsInputsFromTheScorersColumns() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(versionSQL)
    try connection.runScript(
      """
      select test.version('m', 'one', 'champion'), test.version('m', 'two', 'challenger');
      create table t (id int primary key, amount real, x text);
      select * from rowcast.create_scorer('s', 't', 'm', features => '{"amount": "x"}');
      """)
    #expect(
      try connection.texts("select column_name from rowcast.start_shadow('s')") == ["amount"])
    // What another version wants beside is found by name; where it is not there, nothing is made.
    try connection.run("select rowcast.stop_shadow('s')")
    try connection.runScript(
      """
      select rowcast.register_model('m', 'three'::bytea);
      select rowcast.record_inspection(m.model_id, 3, '{"features": [
          {"name": "x", "type": "float32", "missing": "refused"},
          {"name": "age", "type": "int64", "missing": "refused"}],
          "outputs": [{"name": "score", "type": "float32", "role": "score"}]}', null, 'onnx')
      from rowcast.model as m where m.name = 'm';
      """)
    #expect(
      connection.refusal(of: "select * from rowcast.start_shadow('s', version => 3)")?.sqlState
        == "RC303")
    try connection.run("alter table t add column age int")
    #expect(
      try connection.texts(
        "select column_name from rowcast.start_shadow('s', version => 3) order by 1")
        == ["age", "amount"])
  }

  @Test func aShadowReadsTheSameQueryAndWatchesTheSame() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(versionSQL)
    try connection.runScript(
      """
      create schema shop;
      set search_path = shop;
      create table customer (id int primary key, plan int);
      create table faq (f int primary key, w real);
      insert into customer values (1, 10), (2, 20);
      insert into faq values (1, 1), (2, 0.5);
      select * from rowcast.create_scorer('s', 'customer', 'double', result_key => array['f'],
          feature_query => 'select c.id, f.f, (c.plan * f.w)::real as x from customer c cross join faq f');
      select rowcast.also_watch('s', 'faq', mapping => 'select id from customer cross join (select from changed) q');
      select rowcast.set_alias('double', 'challenger', 1);
      select * from rowcast.start_shadow('s');
      select rowcast.keep_history('s');
      """)
    #expect(
      try connection.texts("select scorer || ' ' || relation from rowcast.watches order by 1")
        == ["s shop.faq", "s_shadow shop.faq"])
    #expect(
      try connection.texts(
        """
        select string_agg(attname, ' ' order by attnum) from pg_attribute
        where attrelid = 'predictions.s_shadow'::regclass and attnum in (1, 2)
        """) == ["id f"])
    // A key's results are told apart in comparisons and histories too.
    try connection.runScript(
      """
      insert into predictions.s values (1, 1, 10, 'double', 1, 1), (1, 2, 5, 'double', 1, 1);
      update predictions.s set score = 6, scored_at = clock_timestamp() where f = 2;
      """)
    #expect(
      try connection.texts(
        """
        select format('%s %s %s', id, f, score) from predictions.s_as_of(
            (select scored_at from predictions.s where f = 1)) order by f
        """) == ["1 1 10", "1 2 5"])
  }

  // MARK: Promotion

  private func failed(_ connection: Connection, _ query: Query) throws -> [String] {
    try connection.texts(query)
  }

  @Test func eachCheckCanFail() throws {
    let connection = try Database.current.withRollout()
    func promote(_ arguments: String) -> PostgresError? {
      connection.refusal(of: Query(text: "select * from rowcast.promote('churn'\(arguments))"))
    }
    #expect(
      promote(", min_rows => 1001")?.message
        == "version 2 of model \"churn\" is not promoted to \"champion\": compared_rows")
    #expect(promote(", max_label_change => 0.1")?.message.hasSuffix(": label_changes") == true)
    #expect(
      promote(", max_stability_index => 0.0001")?.message.hasSuffix(": stability_index") == true)
    #expect(promote(", metric => 'f1'")?.message.hasSuffix(": metric_not_worse") == true)
    #expect(
      promote(", metric => 'auc', higher_is_better => false")?.detail
        == "metric_not_worse: auc was 0.8, is 0.85, which is worse.")
    #expect(promote(", metric => 'zeal'")?.message.contains("\"zeal\" is better") == true)
    #expect(promote(", candidate => 'nobody'")?.sqlState == "RC101")
    #expect(promote(", force => true")?.message == "a promotion is forced without a reason")

    // A worse version, one without the golden rows that the present one has, one that does not fit.
    try connection.runScript(
      """
      select test.version('churn', 'three', null, '{"auc": 0.7, "log_loss": 0.3}');
      select test.version('churn', 'four', null, null,
          '[{"inputs": {"x": 1}, "outputs": {"probability": 0.5}}]');
      select test.version('churn', 'five', null,
          outputs => '[{"name": "score", "type": "float64", "role": "score"}]');
      select rowcast.register_model('churn', 'six'::bytea);
      """)
    #expect(promote(", candidate => '3'")?.message.hasSuffix(": metric_not_worse") == true)
    #expect(promote(", candidate => '5'")?.message.hasSuffix(": fits") == true)
    #expect(
      promote(", candidate => '5', force => true, reason => 'x'")?.hint
        == "These cannot be forced.")
    #expect(promote(", candidate => '6'")?.message.hasSuffix(": ready") == true)
    // It has no metrics to compare, and golden rows.
    #expect(promote(", candidate => '4'") == nil)
    #expect(promote("")?.message.hasSuffix(": golden_rows") == true)
    #expect(try connection.numbers("select count(*)::int from rowcast.promotions") == [1])
  }

  @Test func aPromotionIsOneMoveAndIsRecorded() throws {
    let connection = try Database.current.withRollout()
    let dry = try connection.texts(
      """
      select check_name || ' ' || coalesce(passed::text, 'null')
      from rowcast.promote('churn', max_label_change => 0.5, dry_run => true)
      """)
    #expect(
      dry == [
        "ready true", "fits true", "golden_rows null", "metric_not_worse true",
        "compared_rows true",
        "label_changes true",
      ])
    #expect(
      try connection.numbers(
        "select version from rowcast.aliases where alias = 'champion' and model = 'churn'") == [1])
    try connection.run(
      """
      select * from rowcast.promote('churn', max_label_change => 0.1, force => true,
          reason => 'fewer false alarms', rescore => true)
      """)
    #expect(
      try connection.texts(
        """
        select format('%s %s %s %s %s', kind, old_version, new_version, forced, reason)
        from rowcast.promotions
        """) == ["promotion 1 2 t fewer false alarms"])
    #expect(
      try connection.numbers(
        "select version from rowcast.aliases where alias = 'champion' and model = 'churn'") == [2])
    // Of the scorer that follows the alias, and not of its shadow.
    #expect(
      try connection.texts("select scorer || ' ' || kind from rowcast.job_progress")
        == ["churn rescore"])
  }

  @Test func rollingBackGoesBackEachTime() throws {
    let connection = try Database.current.withRollout()
    try connection.run("select test.version('churn', 'three', null)")
    try connection.run("select rowcast.stop_shadow('churn')")
    for version in ["2", "3"] {
      try connection.run("select * from rowcast.promote('churn', \(version))")
    }
    func rollback() throws -> Int32 { try connection.value("select rowcast.rollback('churn')") }
    #expect(try rollback() == 2)
    #expect(try rollback() == 1)
    #expect(
      connection.refusal(of: "select rowcast.rollback('churn')")?.message
        == "alias \"champion\" of model \"churn\" points at version 1, and at none before")
    // After a rollback another promotion is what is rolled back next.
    try connection.run("select rowcast.set_alias('churn', 'champion', 3)")
    #expect(try rollback() == 1)
    #expect(
      try connection.numbers("select new_version from rowcast.promotions where kind = 'rollback'")
        == [2, 1, 1])
  }

  // MARK: Rules of aliases

  @Test func aRuleHoldsWhicheverWayTheAliasIsMoved() throws {
    let connection = try Database.current.withRollout()
    try connection.runScript(
      """
      select rowcast.set_alias_rule('production', array['was_qa', 'golden_rows']);
      select test.version('churn', 'three', null, null,
          '[{"inputs": {"x": 1}, "outputs": {"probability": 0.5}}]');
      """)
    let refusal = connection.refusal(of: "select rowcast.set_alias('churn', 'production', 2)")
    #expect(refusal?.sqlState == "RC122")
    #expect(refusal?.message.hasSuffix("alias \"production\": golden_rows, was_qa") == true)
    #expect(
      connection.refusal(of: "select * from rowcast.promote('churn', '3', 'production')")?.detail
        == "was_qa: version 3 never was \"qa\".")
    try connection.run("select rowcast.set_alias('churn', 'qa', 3)")
    try connection.run("select rowcast.set_alias('churn', 'qa', 2)")
    try connection.run("select * from rowcast.promote('churn', '3', 'production')")
    // A version that is pushed for the alias is ready, and does not get it.
    try connection.run("select test.version('churn', 'four', 'production')")
    #expect(
      try connection.texts(
        "select alias_refusal from rowcast.model_versions where model = 'churn' and version = 4"
      )
      .first?.contains("does not pass the rule of alias \"production\"") == true)
    #expect(
      connection.refusal(
        of: "select rowcast.set_alias_rule('production', array['was_qa', 'luck'])")?
        .message == "there is no check \"luck\"")
    try connection.run("select rowcast.drop_alias_rule('production')")
    try connection.run("select rowcast.set_alias('churn', 'production', 2)")
  }

  @Test func boundsOfARuleHoldForPromotions() throws {
    let connection = try Database.current.withRollout()
    try connection.run(
      "select rowcast.set_alias_rule('champion', max_label_change => 0.1, min_rows => 500)")
    #expect(
      connection.refusal(of: "select * from rowcast.promote('churn')")?.message
        .hasSuffix(": label_changes") == true)
    #expect(
      connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 2)")?.sqlState
        == "RC122")
    let loosened: Query = "select * from rowcast.promote('churn', max_label_change => 0.5)"
    #expect(connection.refusal(of: loosened)?.message.hasSuffix(": label_changes") == true)
    try connection.run(
      "select * from rowcast.promote('churn', force => true, reason => 'seen, and wanted')")
  }

  @Test func onlyThoseWhomTheRuleNamesMoveTheAlias() throws {
    let connection = try Database.current.withRollout()
    let role = "releaser_\(Database.current.name)"
    try connection.runScript("create role \(role); grant rowcast_analyst to \(role)")
    defer { try? connection.runScript("reset role; drop owned by \(role); drop role \(role)") }
    try connection.run("select rowcast.set_alias_rule('champion', setters => array[\(role)])")
    try connection.runScript("set role rowcast_analyst")
    for statement: Query in [
      "select rowcast.set_alias('churn', 'champion', 2)",
      "select * from rowcast.promote('churn')",
      "select rowcast.rollback('churn')",
      "select rowcast.drop_alias('churn', 'champion')",
      "select rowcast.register_model('churn', 'nine'::bytea, 'champion')",
      "select rowcast.set_alias_rule('champion')",
      "select rowcast.drop_alias_rule('champion')",
    ] {
      #expect(connection.refusal(of: statement)?.sqlState == "42501", "\(statement)")
    }
    try connection.run("select * from rowcast.promote('churn', dry_run => true)")
    try connection.runScript("set role \(role)")
    try connection.run("select * from rowcast.promote('churn')")
    try connection.run("select rowcast.rollback('churn')")
  }

  // MARK: Provenance

  @Test func whatScoredARowIsKnown() throws {
    let connection = try Database.current.prepared()
    let lane = try TestLane()
    try connection.runScript(
      """
      create table t (a text, b int, x real, primary key (a, b));
      insert into t values ('it''s "a", (b)', 1, 2), ('n', 2, null);
      select * from rowcast.create_scorer('s', 't', 'double');
      """)
    func state(_ key: String) throws -> String {
      try connection.runScript("set role rowcast_reader")
      defer { try? connection.runScript("reset role") }
      return try connection.value(
        """
        select concat_ws(' ', state, model, version, job_id is not null, code)
        from rowcast.what_scored('s', \(key)::text::jsonb)
        """)
    }
    let first = #"{"a": "it's \"a\", (b)", "b": 1}"#
    #expect(try state(first) == "pending f")
    try lane.settle()
    #expect(try state(first) == "scored double 1 t")
    #expect(try state(#"{"a": "n", "b": 2}"#) == "failed double 1 t missing")
    #expect(try state(#"{"a": "n", "b": 3}"#) == "absent f")
    try connection.run("update t set x = 5 where b = 1")
    #expect(try state(first) == "pending double 1 t")
    try connection.tick()
    #expect(try state(first) == "pending double 1 t")
    try lane.settle()
    #expect(try state(first) == "scored double 1 f")
    #expect(
      try connection.texts("select state from rowcast.what_scored('s', array['n', '2'])")
        == ["failed"])
    #expect(
      connection.refusal(of: "select * from rowcast.what_scored('s', 1)")?.message
        == "the key of scorer \"s\" is (a, b), 1 values are given")
    #expect(
      connection.refusal(of: "select * from rowcast.what_scored('s', '{\"c\": 1}'::jsonb)")?
        .message == "\"c\" is no key column of scorer \"s\"")
  }
}
