import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Rows that name their model, and rows that cannot be scored.
@Suite(.database, .timeLimit(.minutes(3)))
struct RoutedScoringTests {
  /// A table of readings routed over four anomaly detectors.
  private static func prepare(_ scene: Scene, _ connection: Connection) throws {
    for device in 1...2 {
      for sensor in 1...2 {
        try scene.push(
          "anomaly_\(device)_\(sensor)", TestModel.anomaly(device: device, sensor: sensor))
      }
    }
    try connection.runScript(
      """
      create table reading (
        device int, sensor int, at timestamptz, value real, primary key (device, sensor, at));
      """)
    try connection.run(
      """
      select * from rowcast.create_scorer('anomaly', 'public.reading', \
      route => 'anomaly_{device}_{sensor}')
      """)
  }

  private struct Answer: Equatable {
    var label: Int64
    var decision: Float
    var model: String
  }

  private static func answers(_ connection: Connection) throws -> [String: Answer] {
    let rows = try connection.run(
      """
      select device || '/' || sensor || '/' || extract(epoch from at)::int as key, label, decision, \
      model_name from predictions.anomaly
      """)
    var answers: [String: Answer] = [:]
    for row in 0..<rows.count {
      answers[try rows.value(row, "key", as: String.self)] = Answer(
        label: try rows.value(row, "label"), decision: try rows.value(row, "decision"),
        model: try rows.value(row, "model_name"))
    }
    return answers
  }

  private static func oracle(_ connection: Connection) throws -> [String: Answer] {
    var models: [String: Model] = [:]
    let rows = try connection.run(
      """
      select device || '/' || sensor || '/' || extract(epoch from at)::int as key, \
      'anomaly_' || device || '_' || sensor as model, value from reading \
      where device in (1, 2) and sensor in (1, 2) and value is not null
      """)
    var answers: [String: Answer] = [:]
    for row in 0..<rows.count {
      let name = try rows.value(row, "model", as: String.self)
      if models[name] == nil {
        let digits = name.split(separator: "_").compactMap { Int($0) }
        models[name] = try Model.load(TestModel.anomaly(device: digits[0], sensor: digits[1]))
      }
      let predictions = try models[name]!.predict(
        Batch(
          rowCount: 1, columns: [Column(.float32([try rows.value(row, "value", as: Float.self)]))]),
        workspace: Workspace())
      guard case .int64(let labels) = predictions.columns[0].values,
        case .float32(let decisions) = predictions.columns[1].values
      else { throw Scene.Overdue("unexpected outputs") }
      answers[try rows.value(row, "key", as: String.self)] = Answer(
        label: labels[0], decision: decisions[0], model: name)
    }
    return answers
  }

  @Test func rowsGoToTheModelTheyName() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      try connection.run(
        """
        insert into reading select 1 + i % 2, 1 + (i / 2) % 2, to_timestamp(i), 20 + (i * 37) % 60 \
        from generate_series(1, 2000) as i
        """)
      try scene.settle(connection)
      let answers = try Self.answers(connection)
      #expect(answers.count == 2000)
      #expect(try answers == Self.oracle(connection))
      // A changed route is another model for the same key's new row.
      try connection.run(
        "update reading set device = 3 - device where extract(epoch from at) <= 100")
      try scene.settle(connection)
      #expect(try Self.answers(connection) == Self.oracle(connection))
    }
  }

  @Test func rowsThatCannotBeScoredBecomeFailures() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      try connection.run(
        """
        insert into reading values (1, 1, to_timestamp(1), 50), (9, 9, to_timestamp(2), 50), \
        (1, 2, to_timestamp(3), null), (1, 2, to_timestamp(4), 'Infinity'), (2, 2, to_timestamp(5), 'NaN')
        """)
      try scene.settle(connection)
      #expect(try Self.answers(connection).count == 1)
      let failures = try connection.run(
        """
        select extract(epoch from at)::int as at, code, reason, model_name from \
        predictions.anomaly_failure order by at
        """)
      var codes: [String] = []
      for row in 0..<failures.count { codes.append(try failures.value(row, "code")) }
      #expect(codes == ["unknown_model", "missing", "not_finite", "missing"])
      #expect(try failures.value(0, "model_name", as: String?.self) == "anomaly_9_9")
      for row in 0..<failures.count {
        #expect(try !failures.value(row, "reason", as: String.self).isEmpty)
      }

      // Mended rows leave the failures; a model that appears is found by the next change.
      try connection.run("update reading set value = 40 where value is null or value = 'NaN'")
      try scene.push("anomaly_9_9", TestModel.anomaly(device: 3, sensor: 1))
      try connection.run("update reading set value = 51 where device = 9")
      try scene.settle(connection)
      #expect(
        try connection.run("select count(*) from predictions.anomaly_failure")
          .value(0, 0, as: Int64.self) == 1)
      #expect(try Self.answers(connection).count == 4)
      // And a scored row whose value becomes unusable leaves the predictions.
      try connection.run("update reading set value = null where device = 9")
      try scene.settle(connection)
      #expect(try Self.answers(connection).count == 3)
    }
  }

  @Test func anAliasThatMovesIsFollowed() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      try connection.run("insert into reading values (1, 1, to_timestamp(1), 50)")
      try scene.settle(connection)
      let pushed = try scene.push("anomaly_1_1", TestModel.anomaly(device: 2, sensor: 2))
      #expect(pushed.version == 2)
      try connection.run("insert into reading values (1, 1, to_timestamp(2), 50)")
      try scene.settle(connection)
      let rows = try connection.run(
        "select model_version, decision from predictions.anomaly order by at")
      #expect(try rows.value(0, 0, as: Int32.self) == 1)
      #expect(try rows.value(1, 0, as: Int32.self) == 2)
      #expect(try rows.value(0, 1, as: Float.self) != rows.value(1, 1, as: Float.self))
    }
  }
}
