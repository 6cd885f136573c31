import Foundation
import Inference
import ModelFixtures
import Postgres
import Scoring
import Server
import TestSupport
import Testing

/// What requests were answered stands in the database, where that is wanted, and keeps no request waiting.
@Suite(.database) struct RecordingTests {
  private static let good = #"{"amount":1,"age_days":2,"ratio":0.5,"phase":1,"balance":-1}"#
  private static let bad = #"{"amount":"much","age_days":1,"ratio":1,"phase":1,"balance":1}"#

  private static func record(
    _ model: String, in scene: ServerScene, share: Double = 1, withInputs: Bool = false
  ) throws {
    let connection = try scene.connect()
    defer { connection.close() }
    try connection.run("select rowcast.record_requests(\(model), \(share), \(withInputs))")
  }

  /// Asks, under a name for each time, until a request of the name is recorded.
  private static func askUntilRecorded(
    _ scene: ServerScene, _ connection: Connection, path: String = "/v1/models/bank/predict",
    body: String = good, headers: [String: String] = [:]
  ) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try connection.run("select exists (select from rowcast.request_record)")
      .value(0, 0, as: Bool.self) == false
    {
      try #require(ContinuousClock.now < end)
      let answer = try await scene.post(
        path, body, headers: ["Content-Type": "application/json"].merging(headers) { $1 })
      try #require(answer.status == 200, "\(answer.text)")
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private static func count(
    _ connection: Connection, _ condition: String = "true"
  ) throws -> Int {
    let query = Query(text: "select count(*) from rowcast.recorded_predictions where \(condition)")
    return Int(try connection.run(query).value(0, 0, as: Int64.self))
  }

  private static func wait(
    for count: Int, _ connection: Connection, _ condition: String = "true"
  ) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while true {
      let now = try Self.count(connection, condition)
      if now == count { return }
      try #require(ContinuousClock.now < end && now < count, "\(now) of \(count)")
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  private static func figure(_ name: String, _ scene: ServerScene) async throws -> Double {
    let line = try await scene.get("/metrics").text.split(separator: "\n")
      .first { $0.hasPrefix(name + " ") }
    return try #require(line?.split(separator: " ").last.flatMap { Double($0) })
  }

  private static func object(_ json: String) throws -> NSDictionary {
    try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSDictionary)
  }

  /// As a worker's login, and with a key.
  @Test func whatWasAnsweredIsThereWithWhoAskedAndWhen() async throws {
    try await LenderScene.run { lender, scene in
      let connection = try lender.connect()
      let headers = try await lender.headers(scene, actions: ["read", "score", "jobs"])
      try Self.record("bank", in: scene, withInputs: true)
      try await Self.askUntilRecorded(scene, connection, headers: headers)
      let answer = try await scene.post(
        "/v1/models/bank/predict", "[\(Self.good),\(Self.bad)]",
        headers: headers.merging(["X-Request-ID": "order-17"]) { $1 })
      #expect(answer.status == 200)
      try await Self.wait(for: 2, connection, "request_id = 'order-17'")
      let rows = try connection.run(
        """
        select p.model = 'bank' and p.model_version = 1 and p.latency between '0' and '1 minute'
               and p.scored_at between now() - interval '5 minutes' and clock_timestamp(),
               p.route, p.key_id = k.key_id, p.role_name = k.role, p.inputs::text, p.outputs::text, p.failure
        from rowcast.recorded_predictions as p left join rowcast.keys as k on k.key_id = p.key_id
        where p.request_id = 'order-17' order by p.row_number
        """)
      let given = try #require(
        JSONSerialization.jsonObject(with: answer.data) as? [[String: Any]])
      for row in 0..<2 {
        #expect(try rows.value(row, 0, as: Bool.self))
        #expect(try rows.value(row, 1, as: String.self) == "/v1/models/{model}/predict")
        #expect(try rows.value(row, 2, as: Bool.self) && rows.value(row, 3, as: Bool.self))
      }
      #expect(try Self.object(rows.value(0, 4)) == Self.object(Self.good))
      var outputs = given[0]
      #expect(outputs.removeValue(forKey: "failure") is NSNull)
      #expect(try Self.object(rows.value(0, 5)) == outputs as NSDictionary)
      #expect(try rows.value(0, 6, as: String?.self) == nil)
      #expect(try rows.value(1, 5, as: String?.self) == nil)
      #expect(try rows.value(1, 6, as: String?.self) == given[1]["failure"] as? String)
      // An analyst switches it; whoever reads predictions reads these; nobody else does.
      try connection.runScript("set role \(lender.role)")
      #expect(try Self.count(connection) > 0)
      #expect(
        try connection.run("select rowcast.stop_recording('bank')").value(0, 0, as: Bool.self))
      try connection.runScript("set role pg_signal_backend")
      #expect(throws: PostgresError.self) { try Self.count(connection) }
    }
  }

  @Test func onlyModelsThatAreToBeAreRecordedAndOnlyWhileTheyAre() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try ServerScene.push("lightgbm_multiclass", as: "other")
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      _ = try await scene.post("/v1/models/bank/predict", Self.good)
      try Self.record("bank", in: scene)
      try await Self.askUntilRecorded(scene, connection)
      let json = ["Content-Type": "application/json", "X-Request-ID": "elsewhere"]
      #expect(
        try await scene.post("/v1/models/other/predict", Self.good, headers: json).status == 200)
      let tensors =
        "{\"inputs\":["
        + ["amount", "age_days", "ratio", "phase", "balance"].map {
          "{\"name\":\"\($0)\",\"datatype\":\"FP64\",\"shape\":[2],\"data\":[1,2]}"
        }.joined(separator: ",") + "]}"
      let inferred = try await scene.post(
        "/v2/models/bank/infer", tensors,
        headers: ["Content-Type": "application/json", "X-Request-ID": "tensors"])
      #expect(inferred.status == 200, "\(inferred.text)")
      // What is refused was not answered.
      let refused = try await scene.post(
        "/v1/models/bank/predict", "{}",
        headers: ["Content-Type": "application/json", "X-Request-ID": "refused"])
      #expect(refused.status == 400)
      try await Self.wait(for: 2, connection, "request_id = 'tensors' and inputs is null")
      try connection.run("select rowcast.stop_recording('bank')")
      // The server knows when it knows of what was changed after it.
      try ServerScene.push("lightgbm_binary", as: "later")
      let end = ContinuousClock.now + .seconds(60)
      while try await scene.get("/v2/models/later/ready").status == 404 {
        try #require(ContinuousClock.now < end)
      }
      let before = try await Self.figure("rowcast_http_recorded_requests_total", scene)
      _ = try await scene.post(
        "/v1/models/bank/predict", Self.good,
        headers: ["Content-Type": "application/json", "X-Request-ID": "stopped"])
      #expect(try await Self.figure("rowcast_http_waiting_records", scene) == 0)
      #expect(try await Self.figure("rowcast_http_recorded_requests_total", scene) == before)
      #expect(
        try Self.count(connection, "request_id in ('elsewhere', 'refused', 'stopped')") == 0)
      // Records outlive their model.
      try connection.run("select rowcast.drop_model('bank')")
      #expect(try Self.count(connection, "model = 'bank'") > 0)
    }
  }

  @Test func aShareIsDrawnAndLargeRequestsAreWhole() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      try Self.record("bank", in: scene)
      try await Self.askUntilRecorded(scene, connection)
      let rows = Array(repeating: Self.good, count: 600).joined(separator: ",")
      let large = try await scene.post(
        "/v1/models/bank/predict", "[\(rows)]",
        headers: ["Content-Type": "application/json", "X-Request-ID": "large"])
      #expect(large.status == 200)
      try await Self.wait(for: 600, connection, "request_id = 'large'")
      #expect(
        try connection.run(
          """
          select count(distinct row_number) = 600 and min(row_number) = 0 and max(row_number) = 599
          from rowcast.recorded_predictions where request_id = 'large'
          """
        ).value(0, 0, as: Bool.self))
      #expect(
        try connection.run("select count(*) from rowcast.request_record where request_id = 'large'")
          .value(0, 0, as: Int64.self) == 3)

      try Self.record("bank", in: scene, share: 0.25)
      // Until a request is passed over, all are recorded.
      try ServerScene.push("lightgbm_binary", as: "later")
      let end = ContinuousClock.now + .seconds(60)
      while try await scene.get("/v2/models/later/ready").status == 404 {
        try #require(ContinuousClock.now < end)
      }
      let before = try await Self.figure("rowcast_http_recorded_requests_total", scene)
      for _ in 0..<400 { _ = try await scene.post("/v1/models/bank/predict", Self.good) }
      while try await Self.figure("rowcast_http_waiting_records", scene) > 0 {
        try #require(ContinuousClock.now < end)
      }
      let share =
        (try await Self.figure("rowcast_http_recorded_requests_total", scene) - before) / 400
      // Eight standard deviations.
      #expect(abs(share - 0.25) < 0.175, "\(share)")
    }
  }

  /// While the database does not take them, requests are answered as ever; those that may wait are written when it
  /// does, once each, and what was answered before the server stopped is there after it.
  @Test func aSlowDatabaseKeepsNobodyWaitingAndLosesNothing() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    let connection = try Database.current.connect()
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      try Self.record("bank", in: scene)
      try await Self.askUntilRecorded(scene, connection)
      let blocker = try scene.connect()
      try blocker.runScript("begin; lock table rowcast.request_record in access exclusive mode")
      for number in 0..<200 {
        let answer = try await scene.post(
          "/v1/models/bank/predict", Self.good,
          headers: ["Content-Type": "application/json", "X-Request-ID": "slow-\(number)"])
        #expect(answer.status == 200)
      }
      #expect(try await Self.figure("rowcast_http_waiting_records", scene) >= 200)
      // Whoever was writing is gone, and begins again.
      let end = ContinuousClock.now + .seconds(60)
      while try blocker.run(
        """
        select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = 'rowcast record' and datname = current_database()
        """
      ).value(0, 0, as: Int64.self) == 0 { try #require(ContinuousClock.now < end) }
      try blocker.runScript("rollback")
      try await Self.wait(for: 200, connection, "request_id like 'slow-%'")
      #expect(try await Self.figure("rowcast_http_unrecorded_requests_total", scene) == 0)
      for number in 0..<50 {
        _ = try await scene.post(
          "/v1/models/bank/predict", Self.good,
          headers: ["Content-Type": "application/json", "X-Request-ID": "last-\(number)"])
      }
    }
    #expect(try Self.count(connection, "request_id like 'last-%'") == 50)
    #expect(
      try connection.run(
        "select count(distinct request_id) from rowcast.request_record where request_id like 'slow-%'"
      ).value(0, 0, as: Int64.self) == 200)
  }

  @Test func whatTheDatabaseRefusesIsCountedAndNoRequestFails() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      try Self.record("bank", in: scene)
      try await Self.askUntilRecorded(scene, connection)
      try connection.runScript(
        "alter table rowcast.request_record add constraint closed check (request_id !~ '^no') not valid"
      )
      let answer = try await scene.post(
        "/v1/models/bank/predict", Self.good,
        headers: ["Content-Type": "application/json", "X-Request-ID": "no-1"])
      #expect(answer.status == 200)
      let end = ContinuousClock.now + .seconds(60)
      while try await Self.figure("rowcast_http_unrecorded_requests_total", scene) < 1 {
        try #require(ContinuousClock.now < end)
      }
      _ = try await scene.post(
        "/v1/models/bank/predict", Self.good,
        headers: ["Content-Type": "application/json", "X-Request-ID": "yes-1"])
      try await Self.wait(for: 1, connection, "request_id = 'yes-1'")
    }
  }

  /// Texts with zero characters, secrets and megabytes, images, and numbers that are none.
  @Test func anyInputCanBeRecorded() async throws {
    try ServerScene.pushColours()
    try ServerScene.push(FaqFixture.madeUp().model, as: "faq")
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      for model in ["faq", "colours"] {
        try Self.record(model, in: scene, withInputs: true)
      }
      let picture = Data(ColourModel.picture((10, 240, 30)))
      try await Self.askUntilRecorded(
        scene, connection, path: "/v1/models/faq/predict",
        body: #"{"question": "first", "entry": "b"}"#)
      let image = try await scene.send(
        "POST", "/api/v1/service/colours/score",
        headers: ["Content-Type": "image/jpeg", "X-Request-ID": "image"], body: picture)
      #expect(image.status == 200, "\(image.text)")
      try await Self.wait(for: 1, connection, "request_id = 'image'")
      let row = try connection.run(
        """
        select (inputs -> 'picture' ->> 'bytes')::int, inputs -> 'picture' ->> 'sha256',
               encode(sha256(\([UInt8](picture))), 'hex'), outputs::text
        from rowcast.recorded_predictions where request_id = 'image'
        """)
      #expect(try Int(row.value(0, 0, as: Int32.self)) == picture.count)
      #expect(try row.value(0, 1, as: String.self) == row.value(0, 2, as: String.self))
      let long = String(repeating: "where is my order ", count: 60_000)
      let texts = [
        "zero": (#"a\u0000b"#, "a\u{FFFD}b"), "quote": (#"\"\\ 🎉 مرحبا"#, "\"\\ 🎉 مرحبا"),
        "card": ("pay 4111 1111 1111 1111", "pay [redacted]"),
        "password": ("my password=hush", "my password=[redacted]"), "empty": ("", ""),
      ]
      for (name, text) in texts {
        let answer = try await scene.post(
          "/v1/models/faq/predict", #"{"question": "\#(text.0)", "entry": "b"}"#,
          headers: ["Content-Type": "application/json", "X-Request-ID": name])
        #expect(answer.status == 200, "\(answer.text)")
        try await Self.wait(for: 1, connection, "request_id = '\(name)'")
        #expect(
          try connection.run(
            """
            select inputs ->> 'question' from rowcast.recorded_predictions where request_id = \(name)
            """
          ).value(0, 0, as: String.self) == text.1)
      }
      _ = try await scene.post(
        "/v1/models/faq/predict", "{\"question\": \"\(long)\", \"entry\": \"b\"}",
        headers: ["Content-Type": "application/json", "X-Request-ID": "long"])
      try await Self.wait(
        for: 1, connection,
        "request_id = 'long' and (inputs -> 'question' ->> 'bytes')::int = \(long.utf8.count)")
      // A request may be called anything.
      _ = try await scene.post(
        "/v1/models/faq/predict", #"{"question": "a", "entry": "b"}"#,
        headers: ["Content-Type": "application/json", "X-Request-ID": "4111111111111111"])
      try await Self.wait(for: 1, connection, "request_id = '[redacted]'")
      #expect(try await Self.figure("rowcast_http_unrecorded_requests_total", scene) == 0)
    }
  }
}
