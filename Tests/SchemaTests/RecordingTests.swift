import Postgres
import Schema
import TestSupport
import Testing

/// Records of what the HTTP server answered: switched by model, read a prediction a row, forgotten and pruned.
@Suite(.database) struct RecordingTests {
  /// As servers add them: a request of three rows, the second of which was not scored, each day.
  private static func add(_ connection: Connection, days: Int) throws {
    try connection.run(
      """
      select rowcast.add_request_records(
          array_agg(now() - d * interval '1 day'), array_agg('double'::text), array_agg(7), array_agg('r' || d),
          array_agg('/predict'::text), array_agg(null::text), array_agg(null::text), array_agg(1500::bigint),
          array_agg(256), array_agg(case d when 0 then '[{"x": 1}, {"x": null}, {"x": 3}]'::jsonb end),
          array_agg('[{"y": 2}, null, {"y": 6}]'::jsonb), array_agg('{"1": "x is null"}'::jsonb))
      from generate_series(0, \(Int32(days)) - 1) as d
      """)
  }

  @Test func modelsAreSwitchedOnAndOff() throws {
    let connection = try Database.current.prepared()
    func refusal(_ arguments: String) -> String? {
      connection.refusal(of: Query(text: "select rowcast.record_requests(\(arguments))"))?.sqlState
    }
    for share in ["0", "-1", "1.01", "'NaN'", "null", "'infinity'"] {
      #expect(refusal("'double', share => \(share)") == "RC357", "\(share)")
    }
    #expect(refusal("'absent'") == "RC101")
    #expect(refusal("null") == "RC101")
    func catalog() throws -> [String] {
      try connection.texts(
        "select format('%s %s', share, with_inputs) from rowcast.recording_catalog()")
    }
    #expect(try catalog() == [])
    let before: Int64 = try connection.value("select rowcast.catalog_revision()")
    try connection.run("select rowcast.record_requests('double', 0.5)")
    #expect(try catalog() == ["0.5 f"])
    #expect(try connection.value("select rowcast.catalog_revision()", as: Int64.self) > before)
    try connection.run("select rowcast.record_requests('double', with_inputs => true)")
    #expect(try catalog() == ["1 t"])
    #expect(try connection.texts("select model from rowcast.recordings") == ["double"])
    #expect(try connection.value("select rowcast.stop_recording('double')") == true)
    #expect(try connection.value("select rowcast.stop_recording('double')") == false)
    #expect(try catalog() == [])
  }

  @Test func eachPredictionIsARow() throws {
    let connection = try Database.current.prepared()
    try Self.add(connection, days: 1)
    #expect(
      try connection.texts(
        """
        select concat_ws(' ', model, model_version, request_id, row_number, latency, inputs, outputs, failure)
        from rowcast.recorded_predictions order by row_number
        """) == [
          #"double 7 r0 256 00:00:00.0015 {"x": 1} {"y": 2}"#,
          #"double 7 r0 257 00:00:00.0015 {"x": null} x is null"#,
          #"double 7 r0 258 00:00:00.0015 {"x": 3} {"y": 6}"#,
        ])
  }

  @Test func recordsGoWhenTheirTimeIsOverOrSomebodyWantsThemGone() throws {
    let connection = try Database.current.prepared()
    try Self.add(connection, days: 40)
    func count() throws -> Int64 {
      try connection.value("select count(*) from rowcast.request_record")
    }
    let worker = try Database.current.connect()
    try worker.runScript("set role rowcast_worker")
    #expect(
      try worker.texts(
        "select format('%s %s', pruned_kind, freed) from rowcast.prune('request_records')")
        == ["request_records 10"])
    #expect(try count() == 30)
    #expect(
      try connection.value(
        "select rowcast.forget_requests('double', now() - interval '9 days 1 hour')", as: Int64.self
      )
        == 20)
    #expect(try connection.value("select rowcast.forget_requests('absent')", as: Int64.self) == 0)
    #expect(try connection.value("select rowcast.forget_requests('double')", as: Int64.self) == 10)
    #expect(try count() == 0)
  }

  @Test func forgettingIsBounded() throws {
    let connection = try Database.current.prepared()
    try Self.add(connection, days: 10)
    try connection.runScript(
      "update rowcast.request_record set model = 'other' where request_id in ('r2', 'r8')")
    func forget(_ arguments: String) throws -> Int64 {
      try connection.value(Query(text: "select rowcast.forget_requests(\(arguments))"))
    }
    #expect(try forget("'double', max_records => 3") == 3)
    #expect(
      try connection.texts("select request_id from rowcast.request_record order by 1")
        == ["r0", "r1", "r2", "r3", "r4", "r5", "r8"])
    #expect(try forget("'double', now() - interval '4 days 1 hour', 3") == 1)
    #expect(try forget("'double', null, 3") == 3)
    #expect(try forget("'double', null, 3") == 1)
    #expect(try forget("'double', null, 3") == 0)
    #expect(
      try connection.texts("select request_id from rowcast.request_record order by 1")
        == ["r2", "r8"])
    for most in ["0", "-1", "null"] {
      #expect(
        connection.refusal(
          of: Query(text: "select rowcast.forget_requests('other', null, \(most))"))?.sqlState
          == "RC357")
    }
  }

  /// The oldest first, and no more than asked for.
  @Test func pruningIsBounded() throws {
    let connection = try Database.current.prepared()
    try Self.add(connection, days: 10)
    #expect(
      try connection.value("select rowcast.prune_request_records(now(), 4)", as: Int64.self) == 4)
    #expect(
      try connection.texts("select request_id from rowcast.request_record order by 1")
        == ["r0", "r1", "r2", "r3", "r4", "r5"])
  }
}
