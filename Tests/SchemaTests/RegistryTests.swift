import Postgres
import Schema
import TestSupport
import Testing

/// Models, versions and aliases, as SQL and workers see them.
@Suite(.database) struct RegistryTests {
  static let signature = JSON(
    """
    {"features": [{"name": "age", "type": "float32", "missing": "refused"},
                  {"name": "city", "type": "string", "missing": "allowed"}],
     "outputs": [{"name": "label", "type": "int64", "role": "label"},
                 {"name": "probability_1", "type": "float32", "role": "probability",
                  "className": "1"}]}
    """)

  @Test func theSameBytesAndLabelsAreTheSameVersion() throws {
    let connection = try Database.current.connect()
    func register(_ bytes: String, _ labels: [String]) throws -> Int32 {
      try connection.value(
        "select rowcast.register_model('churn', \(Array(bytes.utf8)), labels => \(labels))")
    }
    #expect(try register("tree one", []) == 1)
    #expect(try register("tree two", []) == 2)
    #expect(try register("tree one", []) == 1)
    #expect(try register("tree one", ["no", "yes"]) == 3)
    #expect(try register("tree one", ["no", "yes"]) == 3)
    #expect(try register("tree one", ["yes", "no"]) == 4)
    #expect(
      try connection.texts(
        "select sha256 from rowcast.model_versions where model = 'churn' and version in (1, 3)")
        == Array(
          repeating: connection.value(
            "select encode(sha256('tree one'::bytea), 'hex')", as: String.self), count: 2))
  }

  @Test(arguments: [1, 1_048_575, 1_048_576, 1_048_577, 3_500_000])
  func theBytesComeBackAsTheyWere(byteCount: Int) throws {
    let connection = try Database.current.connect()
    var state: UInt64 = 42
    let bytes = (0..<byteCount).map { _ -> UInt8 in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(state >> 56)
    }
    try connection.run("select rowcast.register_model('big', \(bytes))")

    let rows = try connection.run("select part, bytes from rowcast.load_model(1, 1)")
    #expect(rows.count == (byteCount + 1_048_575) / 1_048_576)
    var read: [UInt8] = []
    for row in 0..<rows.count {
      #expect(try rows.value(row, "part", as: Int32.self) == row)
      read += try rows.value(row, "bytes", as: [UInt8].self)
    }
    #expect(read == bytes)
    #expect(
      try connection.value("select byte_count from rowcast.model_header(1, 1)", as: Int.self)
        == byteCount)
  }

  @Test func manyMayRegisterTheSameAtOnce() async throws {
    let settings = Database.current.settings
    let connection = try Database.current.connect()
    let versions = try await onThreads(8) { number in
      let session = try Connection(settings)
      defer { session.close() }
      return try session.value(
        "select rowcast.register_model('churn', \(Array("tree \(number % 2)".utf8)))",
        as: Int32.self)
    }.map { try $0.get() }
    #expect(Set(versions) == [1, 2])
    #expect(
      try connection.value("select count(*) from rowcast.model_versions", as: Int.self) == 2)
  }

  @Test func anInspectionMakesAVersionReadyAndSetsTheAliasThatWasAskedFor() throws {
    let connection = try Database.current.connect()
    try connection.run(
      "select rowcast.register_model('churn', 'tree'::bytea, alias => 'champion')")
    #expect(
      try connection.texts("select name from rowcast.models_to_inspect()") == ["churn"])
    #expect(try connection.value("select count(*) from rowcast.aliases", as: Int.self) == 0)

    let state: String = try connection.value(
      "select rowcast.record_inspection(1, 1, \(Self.signature), null, 'lightgbm')")

    #expect(state == "ready")
    #expect(try connection.run("select * from rowcast.models_to_inspect()").isEmpty)
    #expect(
      try connection.texts("select concat(alias, '=', version) from rowcast.aliases")
        == ["champion=1"])
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', part, position, name, type, missing, role, class_name)
        from rowcast.signatures where model = 'churn' order by part, position
        """) == [
          "feature 1 age float32 refused", "feature 2 city string allowed",
          "output 1 label int64 label", "output 2 probability_1 float32 probability 1",
        ])
    #expect(
      try connection.texts("select format from rowcast.model_versions") == ["lightgbm"])
    try connection.run("call rowcast.wait_for_model('churn')")
  }

  @Test func aRefusedVersionSaysWhyAndMayBeInspectedAgainByANewerRelease() throws {
    let connection = try Database.current.connect()
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea, 'champion')")
    try connection.run(
      """
      select rowcast.record_inspection(1, 1, null, 'operator "Gather" of opset 19 is not supported')
      """)

    let error = connection.refusal(of: "call rowcast.wait_for_model('churn')")
    #expect(error?.sqlState == "RC102")
    #expect(error?.message == "version 1 of model \"churn\" was refused")
    #expect(error?.detail == "operator \"Gather\" of opset 19 is not supported")
    let alias = connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 1)")
    #expect(alias?.sqlState == "RC102")

    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    try connection.run("select rowcast.record_inspection(1, 1, \(Self.signature), null)")
    #expect(
      try connection.texts("select concat(alias, '=', version) from rowcast.aliases")
        == ["champion=1"])
  }

  @Test func theFirstInspectionCounts() throws {
    let connection = try Database.current.connect()
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    try connection.run("select rowcast.record_inspection(1, 1, \(Self.signature), null)")
    let state: String = try connection.value(
      "select rowcast.record_inspection(1, 1, null, 'a slow worker''s own opinion')")
    #expect(state == "ready")
    #expect(
      try connection.texts("select coalesce(refusal, '') from rowcast.model_versions") == [""])
    let gone: String? = try connection.value(
      "select rowcast.record_inspection(1, 7, \(Self.signature), null)", as: String?.self)
    #expect(gone == nil)
  }

  @Test func waitingEndsWithAClearError() throws {
    let connection = try Database.current.connect()
    #expect(connection.refusal(of: "call rowcast.wait_for_model('none')")?.sqlState == "RC101")
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    let late = connection.refusal(
      of: "call rowcast.wait_for_model('churn', timeout => interval '30 milliseconds')")
    #expect(late?.sqlState == "RC107")
    #expect(late?.message == "version 1 of model \"churn\" was not inspected within 00:00:00.03")
    #expect(
      connection.refusal(of: "call rowcast.wait_for_model('churn', 4)")?.sqlState == "RC101")

    try connection.runScript("begin")
    try connection.run("select rowcast.register_model('churn', 'another tree'::bytea)")
    let own = connection.refusal(of: "call rowcast.wait_for_model('churn')")
    #expect(own?.sqlState == "RC103")
    try connection.runScript("rollback")
  }

  @Test func aWaitEndsWhenAWorkerIsDone() async throws {
    let settings = Database.current.settings
    let connection = try Database.current.connect()
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    async let waits = onThreads(1) { _ in
      try Connection(settings).run("call rowcast.wait_for_model('churn')").count
    }
    try connection.run("select rowcast.record_inspection(1, 1, \(Self.signature), null)")
    #expect(throws: Never.self) { try connection.run("call rowcast.wait_for_model('churn', 1)") }
    _ = try await waits[0].get()
  }

  @Test func aliasesMoveAndTheirHistoryStays() throws {
    let connection = try Database.current.connect()
    for bytes in ["one", "two"] {
      let version: Int32 = try connection.value(
        "select rowcast.register_model('churn', \(Array(bytes.utf8)))")
      try connection.run(
        "select rowcast.record_inspection(1, \(version), \(Self.signature), null)")
    }
    for version in [1, 2, 2, 1] as [Int32] {
      try connection.run("select rowcast.set_alias('churn', 'champion', \(version))")
    }
    try connection.run("select rowcast.set_alias('churn', 'challenger', 2)")
    try connection.run("select rowcast.drop_alias('churn', 'challenger')")

    let history = """
      select concat(alias, ' ', coalesce(old_version::text, '-'), '>',
                    coalesce(new_version::text, '-'))
      from rowcast.alias_history order by changed_at
      """
    let moves = try connection.texts(Query(text: history))
    #expect(
      moves == [
        "champion ->1", "champion 1>2", "champion 2>1", "challenger ->2", "challenger 2>-",
      ])
    #expect(
      connection.refusal(of: "update rowcast.alias_change set new_version = 7")?.sqlState
        == "RC108")
    #expect(connection.refusal(of: "delete from rowcast.alias_change")?.sqlState == "RC108")
    #expect(
      connection.refusal(of: "select rowcast.drop_alias('churn', 'challenger')")?.sqlState
        == "RC101")
  }

  @Test func anAliasIsNotSetToWhatIsNotReady() throws {
    let connection = try Database.current.connect()
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    let early = connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 1)")
    #expect(early?.sqlState == "RC103")
    #expect(early?.hint == "Wait for it: call rowcast.wait_for_model('churn', 1).")
    #expect(
      connection.refusal(of: "select rowcast.set_alias('churn', 'champion', 2)")?.sqlState
        == "RC101")
    #expect(
      connection.refusal(of: "select rowcast.set_alias('nobody', 'champion', 1)")?.message
        == "there is no model \"nobody\"")
  }

  @Test func versionsAreImmutable() throws {
    let connection = try Database.current.connect()
    try connection.run(
      """
      select rowcast.register_model('churn', 'tree'::bytea, golden =>
        '[{"inputs": {"age": 41, "city": null}, "outputs": {"label": 1}}]')
      """)
    try connection.run("select rowcast.record_inspection(1, 1, \(Self.signature), null)")
    for change in [
      "update rowcast.model_version set sha256 = sha256('other')",
      "update rowcast.model_version set labels = '{a,b}'",
      "update rowcast.model_version set metrics = '{}'",
      "update rowcast.model_version set signature = '{}'",
      "update rowcast.model_part set bytes = 'other'",
      "update rowcast.golden_row set outputs = '{}'",
    ] {
      #expect(connection.refusal(of: Query(text: change))?.sqlState == "RC108", "\(change)")
    }
    #expect(
      try connection.texts(
        "select concat(row_number, inputs, outputs) from rowcast.golden_rows(1, 1)")
        == [#"1{"age": 41, "city": null}{"label": 1}"#])
  }

  @Test(arguments: [
    ("select rowcast.register_model('churn', ''::bytea)", "model \"churn\" has no bytes"),
    ("select rowcast.register_model('', 'tree'::bytea)", "the model has no name"),
    (
      "select rowcast.register_model(E'ch\\nurn', 'tree'::bytea)",
      "name of model \"ch\nurn\" is not fit for one"
    ),
    (
      "select rowcast.register_model('churn', 'tree'::bytea, 'my alias')",
      "alias \"my alias\" is not one word"
    ),
    (
      "select rowcast.register_model('churn', 'tree'::bytea, labels => '{a,null}')",
      "labels of model \"churn\" are not a list of names"
    ),
    (
      "select rowcast.register_model('churn', 'tree'::bytea, golden => '[{\"inputs\": {}}]')",
      "golden row 1 lacks an object \"inputs\" or an object \"outputs\""
    ),
    (
      "select rowcast.register_model('churn', 'tree'::bytea, golden => '3')",
      "golden rows are a JSON number, an array is wanted"
    ),
  ])
  func whatCannotBeRegisteredIsRefused(statement: String, message: String) throws {
    let connection = try Database.current.connect()
    let error = connection.refusal(of: Query(text: statement))
    #expect(error?.sqlState == "RC106")
    #expect(error?.message == message)
    #expect(error?.hint?.isEmpty == false)
  }

  @Test func changesAreAnnouncedWhenTheyCommit() throws {
    let connection = try Database.current.connect()
    let worker = try Database.current.connect()
    try worker.listen("rowcast_control")
    let revision: Query = "select last_value from rowcast.registry_revision"
    let before = try worker.value(revision, as: Int.self)

    try connection.runScript("begin")
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    #expect(try worker.value(revision) == before)
    #expect(worker.takeNotifications().isEmpty)
    try connection.runScript("commit")

    #expect(!(try worker.waitForNotifications(timeout: .seconds(10))).isEmpty)
    #expect(try worker.value(revision, as: Int.self) > before)
  }

  @Test func namesResolveInTheOrderGiven() throws {
    let connection = try Database.current.connect()
    for name in ["pump", "valve"] {
      try connection.run(
        "select rowcast.register_model(\(name), 'tree'::bytea, alias => 'champion')")
    }
    try connection.run("select rowcast.record_inspection(1, 1, \(Self.signature), null)")
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', name, model_id, version, state)
        from rowcast.resolve_models(\(["valve", "none", "pump", "pump"]), 'champion')
        """) == ["valve 2", "none", "pump 1 1 ready", "pump 1 1 ready"])
  }
}
