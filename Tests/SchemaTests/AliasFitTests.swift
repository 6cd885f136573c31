import Postgres
import Schema
import TestSupport
import Testing

/// Which versions an alias may move to while a scorer follows it.
@Suite(.database) struct AliasFitTests {
  /// A database with the scorer `churn` on `customer (id, age, city)`, which follows the champion.
  private func scene() throws -> Connection {
    let connection = try Database.current.connect()
    try connection.runScript(
      "create table customer (id int primary key, age int, city text, extra float8)")
    try add("one", to: connection)
    try connection.run("select rowcast.set_alias('churn', 'champion', 1)")
    try connection.run("select * from rowcast.create_scorer('churn', 'customer', 'churn')")
    return connection
  }

  /// A version with the signature; features and outputs are written as `name type`.
  @discardableResult
  private func add(
    _ bytes: String, features: [String] = ["age float32", "city string"],
    outputs: [String] = ["score float32"], alias: String = "", to connection: Connection
  ) throws -> Int32 {
    let version: Int32 = try connection.value(
      "select rowcast.register_model('churn', \(Array(bytes.utf8)), nullif(\(alias), ''))")
    try connection.run(
      """
      select rowcast.record_inspection(1, \(version), jsonb_build_object(
          'features', (select jsonb_agg(jsonb_build_object(
              'name', split_part(f, ' ', 1), 'type', split_part(f, ' ', 2), 'missing', 'refused'))
            from unnest(\(features)) as f),
          'outputs', (select jsonb_agg(jsonb_build_object(
              'name', split_part(o, ' ', 1), 'type', split_part(o, ' ', 2), 'role', 'score'))
            from unnest(\(outputs)) as o)), null)
      """)
    return version
  }

  @Test(arguments: [
    ["age float32", "city string"], ["city string", "age float32"], ["age float64"],
    ["city string"],
  ])
  func fewerWiderOrReorderedFeaturesFit(features: [String]) throws {
    let connection = try scene()
    let version = try add("two", features: features, to: connection)
    try connection.run("select rowcast.set_alias('churn', 'champion', \(version))")
    #expect(try connection.value("select version from rowcast.aliases", as: Int32.self) == 2)
  }

  @Test func moreOutputsAreAppendedAndStay() throws {
    let connection = try scene()
    try add("two", outputs: ["spread float64", "score float32", "tick int64"], to: connection)
    try connection.run("select rowcast.set_alias('churn', 'champion', 2)")
    let columns =
      "select string_agg(attname || ' ' || atttypid::regtype, ', ' order by attnum) "
      + "from pg_attribute where attrelid = 'predictions.churn'::regclass and attnum > 0"
    let wide =
      "id integer, score real, model_name text, model_version integer, tick bigint, "
      + "scored_at timestamp with time zone, spread double precision, tick_output bigint"
    #expect(try connection.value(Query(text: columns), as: String.self) == wide)
    try connection.run("select rowcast.set_alias('churn', 'champion', 1)")
    #expect(try connection.value(Query(text: columns), as: String.self) == wide)
    try add("three", outputs: ["score float32", "spread float32"], to: connection)
    #expect(
      connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 3)")?.sqlState
        == "RC104")
    try add("four", outputs: ["score float32", "more bool"], to: connection)
    try connection.run("select rowcast.set_alias('churn', 'champion', 4)")
    #expect(
      try connection.value(Query(text: columns), as: String.self) == wide + ", more boolean")
    #expect(
      try connection.value(
        "select count(*) from pg_proc where proname = 'write_1'", as: Int.self) == 2)
    try connection.run("select rowcast.drop_scorer('churn')")
  }

  @Test(arguments: [
    (
      ["age float32", "income float32"], ["score float32"],
      "model \"churn\" 2 wants a feature \"income\", which scorer \"churn\" does not have"
    ),
    (
      ["age string"], ["score float32"],
      "feature \"age\" of model \"churn\" 2 is string, scorer \"churn\" gives column \"age\" as "
        + "float32"
    ),
    (
      ["age float32"], ["score float64"],
      "outputs of model \"churn\" 2 differ from those of scorer \"churn\""
    ),
    (
      ["age float32"], ["label float32"],
      "outputs of model \"churn\" 2 differ from those of scorer \"churn\""
    ),
  ])
  func whatDoesNotFitIsRefused(features: [String], outputs: [String], message: String) throws {
    let connection = try scene()
    try add("two", features: features, outputs: outputs, to: connection)
    let error = connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 2)")
    #expect(error?.sqlState == "RC104")
    #expect(error?.message == message)
    #expect(error?.hint?.isEmpty == false)
    #expect(try connection.value("select version from rowcast.aliases", as: Int32.self) == 1)
    #expect(
      connection.refusal(of: "select rowcast.set_alias('churn', 'challenger', 2)") == nil)
  }

  @Test func anAliasThatWasAskedForAndDoesNotFitLeavesTheVersionReady() throws {
    let connection = try scene()
    try add("two", features: ["income float32"], alias: "champion", to: connection)
    #expect(try connection.value("select version from rowcast.aliases", as: Int32.self) == 1)
    #expect(
      try connection.value(
        "select alias_refusal from rowcast.model_versions where version = 2", as: String.self
      ).hasPrefix("model \"churn\" 2 wants a feature \"income\""))
    let error = connection.refusal(of: "call rowcast.wait_for_model('churn', 2)")
    #expect(error?.sqlState == "RC104")
    #expect(
      error?.message == "version 2 of model \"churn\" is ready, but alias \"champion\" was not set")
  }

  @Test func whatIsInUseIsNotDropped() throws {
    let connection = try scene()
    for statement in [
      "select rowcast.drop_model_version('churn', 1)", "select rowcast.drop_model('churn')",
      "select rowcast.drop_alias('churn', 'champion')",
    ] {
      let error = connection.refusal(of: Query(text: statement))
      #expect(error?.sqlState == "RC105", "\(statement)")
      #expect(error?.hint?.isEmpty == false)
    }
  }

  @Test func aDroppedVersionsNumberIsNotGivenAgain() throws {
    let connection = try scene()
    try add("two", to: connection)
    try connection.run("select rowcast.drop_model_version('churn', 2)")
    #expect(try add("three", to: connection) == 3)
    #expect(try connection.run("select * from rowcast.load_model(1, 2)").isEmpty)
    try connection.run("select rowcast.drop_scorer('churn')")
    try connection.run("select rowcast.drop_model('churn')")
    #expect(try connection.value("select count(*) from rowcast.models", as: Int.self) == 0)
    #expect(try connection.value("select count(*) from rowcast.alias_history", as: Int.self) == 2)
  }
}
