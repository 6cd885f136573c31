import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Jobs over HTTP: what they read, what they give back, and whose rights count.
@Suite(.database) struct RemoteJobTests {
  private static func objects(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private static func expectTrainersScores(_ rows: [[String: Any]], id: (Any?) -> Int?) throws {
    let expected = try LenderScene.expected()
    #expect(rows.count == expected.count && !rows.isEmpty)
    for row in rows {
      let number = try #require(id(row["id"]))
      let score = try #require(row["probability"] as? Double, "row \(number)")
      #expect(try abs(score - #require(expected[number])) < 1e-12, "row \(number)")
    }
  }

  /// More rows than pages of one answer of the database have.
  @Test func aTableIsScoredAndReadBackPageByPage() async throws {
    try await LenderScene.run { lender, scene in
      let connection = try lender.connect()
      try connection.run(
        """
        insert into customer select n, n / 100.0, 10, 1, 0.5, n % 7 from generate_series(1, 6000) as n
        """)
      let headers = try await lender.headers(scene)
      try await ServerScene.withWorker {
        let made = try await scene.post(
          "/v1/jobs", #"{"model": "bank", "table": "public.customer"}"#, headers: headers)
        #expect(made.status == 202)
        let path = try #require(made.headers["location"])
        #expect(try made.json["id"].map { "/v1/jobs/\($0)" } == path)
        let job = try await lender.end(of: path, scene, headers)
        #expect(job["state"] as? String == "done")
        #expect(job["rows_done"] as? Int == 6000 && job["done"] as? Double == 1)
        let lines = try await scene.get(path + "/results", headers: headers)
        #expect(lines.status == 200 && lines.headers["content-type"] == "application/x-ndjson")
        let rows = try Self.objects(lines.text)
        #expect(Set(rows.compactMap { $0["id"] as? Int }) == Set(1...6000))
        #expect(rows.allSatisfy { $0["probability"] is Double && $0["model_version"] as? Int == 1 })
        var asCSV = headers
        asCSV["Accept"] = "text/csv"
        let csv = try await scene.get(path + "/results", headers: asCSV)
        #expect(csv.headers["content-type"] == "text/csv")
        #expect(csv.text.split(separator: "\n").count == 6001)
        #expect(csv.text.hasPrefix("id,label,probability,model_name,"))
        // As in the table.
        let stored = try connection.run(
          """
          select sum(probability), count(*) filter (where model_name = 'bank')
          from predictions.\(identifier: "job_\(path.split(separator: "/").last!)")
          """)
        let sum = rows.compactMap { $0["probability"] as? Double }.reduce(0, +)
        #expect(try abs(stored.value(0, 0, as: Double.self) - sum) < 1e-6)
        #expect(try stored.value(0, 1, as: Int64.self) == 6000)
        let list = try await scene.get("/v1/jobs?limit=1", headers: headers).json["jobs"] as? [Any]
        #expect(list?.count == 1)
      }
    }
  }

  @Test func rowsOfABodyAreScoredAsTheirTrainerDoes() async throws {
    try await LenderScene.run { lender, scene in
      let csv = try LenderScene.csv()
      let headers = try await lender.headers(scene, type: "text/csv")
      try await ServerScene.withWorker {
        let made = try await scene.post(
          "/v1/jobs?model=bank", csv.joined(separator: "\n"), headers: headers)
        #expect(made.status == 202, "\(made.text)")
        #expect(try made.json["rows_total"] as? Int == csv.count - 1)
        let path = try #require(made.headers["location"])
        #expect(try await lender.end(of: path, scene, headers)["state"] as? String == "done")
        let results = try await scene.get(path + "/results", headers: headers)
        try Self.expectTrainersScores(Self.objects(results.text)) {
          ($0 as? String).flatMap(Int.init)
        }

        // The same as objects a line.
        let names = csv[0].split(separator: ",").map(String.init)
        let lines = csv.dropFirst().map { line in
          "{"
            + zip(names, line.split(separator: ",", omittingEmptySubsequences: false)).map {
              "\"\($0)\":\(Double($1).map { $0.isFinite } == true ? $1 : "null")"
            }.joined(separator: ",") + "}"
        }
        var asLines = headers
        asLines["Content-Type"] = "application/x-ndjson"
        let again = try await scene.post(
          "/v1/jobs?model=bank&keep=id&version=1", lines.joined(separator: "\n"), headers: asLines)
        #expect(again.status == 202, "\(again.text)")
        let second = try #require(again.headers["location"])
        #expect(try await lender.end(of: second, scene, headers)["state"] as? String == "done")
        let others = try await scene.get(second + "/results", headers: headers)
        try Self.expectTrainersScores(Self.objects(others.text)) {
          ($0 as? String).flatMap(Int.init)
        }
      }
    }
  }

  @Test func rowsThatAreNotReadAreRefusedWhole() async throws {
    try await LenderScene.run({ $0.uploadByteCount = 2000 }) { lender, scene in
      let headers = try await lender.headers(scene, type: "text/csv")
      let csv = try LenderScene.csv(3)
      func refusal(_ body: String, _ query: String = "model=bank") async throws -> (Int, String) {
        let answer = try await scene.post("/v1/jobs?\(query)", body, headers: headers)
        return (answer.status, try answer.json["error"] as? String ?? "")
      }
      let bad = csv[0] + "\n" + csv[1] + "\n7,many,1,1,1,1\n"
      #expect(try await refusal(bad) == (400, "line 3: column \"amount\" is not float64"))
      #expect(try await refusal("") == (400, "the body is empty"))
      #expect(try await refusal(csv[0]) == (400, "the body has no rows"))
      #expect(try await refusal("id,amount\n1,2").0 == 400)
      #expect(try await refusal(csv.joined(separator: "\n"), "model=nobody").0 == 404)
      #expect(
        try await refusal(csv.joined(separator: "\n"), "") == (400, "the query has no \"model\""))
      #expect(try await refusal(csv.joined(separator: "\n"), "model=bank&version=x").0 == 400)
      #expect(try await refusal(csv.joined(separator: "\n"), "model=bank&colour=red").0 == 400)
      #expect(try await refusal(String(repeating: "x", count: 2001)).0 == 413)
      // Nothing is left of them.
      let connection = try lender.connect()
      let left = try connection.run(
        """
        select (select count(*) from rowcast.job),
               (select count(*) from pg_class where relname like 'upload%' and relkind = 'r')
        """)
      #expect(try left.value(0, 0, as: Int64.self) == 0)
      #expect(try left.value(0, 1, as: Int64.self) == 0)
    }
  }

  /// Neither the server's rights nor an administrator's are to be had.
  @Test func aKeyOpensNothingThatItsRoleMayNotRead() async throws {
    try await LenderScene.run { lender, scene in
      let connection = try lender.connect()
      try connection.runScript(
        """
        create schema own; alter schema own owner to \(lender.role);
        set role \(lender.role);
        create function own.become(who text) returns bool immutable language plpgsql as $$
        begin perform set_config('role', who, true); return true; end $$;
        create function own.escape() returns bool immutable language plpgsql as $$
        begin execute 'set session authorization default'; return true; end $$;
        reset role;
        """)
      let headers = try await lender.headers(scene)
      func status(_ source: String, _ text: String) async throws -> Int {
        let body = try JSONSerialization.data(withJSONObject: ["model": "bank", source: text])
        return try await scene.send("POST", "/v1/jobs", headers: headers, body: body).status
      }
      #expect(try await status("table", "public.customer") == 202)
      #expect(try await status("query", "select * from public.customer") == 202)
      for text in ["secret", "rowcast.api_key", "rowcast.model_part", "pg_catalog.pg_authid"] {
        #expect(try await status("table", text) == 403, "\(text)")
        #expect(try await status("query", "select * from \(text)") == 403, "\(text)")
      }
      // What runs while a query is planned stays the role.
      for text in [
        "select * from public.customer where own.become('none')",
        "select * from public.customer where own.become('rowcast_admin')",
        "select * from public.customer where own.escape()",
      ] {
        #expect([403, 422].contains(try await status("query", text)), "\(text)")
      }
      // One statement, and neither files nor statements of another kind.
      for text in [
        "select 1; drop table customer", "select 1) to '/tmp/x'; --",
        "with x as (delete from customer "
          + "returning *) select * from x",
      ] {
        #expect([403, 422].contains(try await status("query", text)), "\(text)")
      }
      #expect(try await status("query", "drop table customer") == 400)
      #expect(try await status("table", "file:/etc/passwd") == 400)
      #expect(try await status("table", "select * from secret") == 400)
      #expect(try await status("query", "file:x") == 400)
      #expect(
        try await scene.post(
          "/v1/jobs", #"{"model": "bank", "table": "customer", "before": "drop table customer"}"#,
          headers: headers
        ).status == 400)
      #expect(
        try await scene.post(
          "/v1/jobs", #"{"model": "bank", "table": "customer", "destination": "file:x.csv"}"#,
          headers: headers
        ).status == 422)
      #expect(try connection.run("select count(*) from customer").count == 1)
      // All of them are the role's, and none the server's.
      let authors = try connection.run("select distinct created_by::text from rowcast.job")
      #expect(authors.count == 1)
      #expect(try authors.value(0, 0, as: String.self) == lender.role)

      let own = try Connection(lender.settings(lender.role))
      #expect(try own.run("select rowcast.reclaim_rights()").value(0, 0, as: Bool.self))
      #expect(try await status("table", "public.customer") == 403)
      #expect(try await scene.get("/v1/jobs", headers: headers).status == 403)
    }
  }

  @Test func rightsAreLentByWhoHasThemAndHandedOnByWhoHasThemToo() async throws {
    try await LenderScene.run { lender, scene in
      let connection = try lender.connect()
      func code(_ connection: Connection, _ query: Query) -> String? {
        do throws(PostgresError) {
          try connection.run(query)
          return nil
        } catch { return error.sqlState }
      }
      // A superuser's are not lent, and nobody lends another's.
      #expect(code(connection, "select rowcast.lend_rights()") == "RC360")
      let other = "other_\(Database.current.name)"
      try connection.runScript(
        "create role \(other) login; grant rowcast_analyst, rowcast_admin to \(other)")
      defer { try? connection.runScript("drop owned by \(other); drop role \(other)") }
      let own = try Connection(lender.settings(lender.role))
      #expect(code(own, "select rowcast.reclaim_rights(\(other)::name)") == "42501")
      // An administrator who is no member of the role makes no key for it.
      let stranger = try Connection(lender.settings(other))
      #expect(
        code(
          stranger,
          "select rowcast.create_key('a', actions => '{jobs}', role => \(lender.role)::name)")
          == "42501")
      #expect(code(stranger, "select rowcast.create_key('a', actions => '{jobs}')") == "RC350")
      #expect(
        code(stranger, "select rowcast.create_key('a', actions => '{read}', role => 'nobody_here')")
          == "RC350")
      // A role of the same name is another one.
      let again = "again_\(Database.current.name)"
      try connection.runScript(
        """
        create role \(again); grant rowcast_analyst to \(again);
        set role \(again); select rowcast.lend_rights(); reset role;
        select rowcast.jobs_for('\(again)');
        drop owned by \(again); drop role \(again); create role \(again)
        """)
      defer { try? connection.runScript("drop role \(again)") }
      #expect(code(connection, "select rowcast.jobs_for(\(again)::name)") == "RC361")
      // A key that reads has no role, and makes no jobs; one for a role that lends nothing makes none either.
      let reads = try await lender.headers(scene, actions: ["read"])
      #expect(try await scene.get("/v1/jobs", headers: reads).status == 403)
      let unlent = try await lender.headers(scene, role: lender.login)
      let refusal = try await scene.post(
        "/v1/jobs", #"{"model": "bank", "table": "public.customer"}"#, headers: unlent)
      #expect(refusal.status == 403)
      #expect(try (refusal.json["error"] as? String)?.contains("does not lend") == true)
    }
  }

  @Test func aJobIsCancelledOnceAndSeenByItsRoleAlone() async throws {
    try await LenderScene.run { lender, scene in
      let connection = try lender.connect()
      try connection.run("insert into customer values (1, 1, 1, 1, 1, 1)")
      try ServerScene.push("lightgbm_multiclass", as: "other")
      // Of an administrator, who is nobody's caller.
      let foreign = try connection.run("select rowcast.submit_job('bank', 'secret')")
        .value(0, 0, as: Int64.self)
      let headers = try await lender.headers(scene)
      let elsewhere = try await lender.headers(scene, models: ["other"])
      let made = try await scene.post(
        "/v1/jobs", #"{"model": "bank", "table": "customer"}"#, headers: headers)
      let path = try #require(made.headers["location"])
      #expect(try made.json["state"] as? String == "running")
      #expect(try await scene.get(path + "/results", headers: headers).status == 409)
      for (path, headers) in [(path, elsewhere), ("/v1/jobs/\(foreign)", headers)] {
        #expect(try await scene.get(path, headers: headers).status == 404)
        #expect(try await scene.get(path + "/results", headers: headers).status == 404)
        #expect(try await scene.post(path + "/cancel", "", headers: headers).status == 404)
      }
      let seen = try await scene.get("/v1/jobs", headers: elsewhere).json["jobs"] as? [Any]
      #expect(seen?.isEmpty == true)
      #expect(
        try await scene.post(
          "/v1/jobs", #"{"model": "bank", "table": "customer"}"#, headers: elsewhere
        ).status == 403)
      let cancelled = try await scene.post(path + "/cancel", "", headers: headers)
      #expect(cancelled.status == 200)
      #expect(try cancelled.json["state"] as? String == "cancelled")
      #expect(try await scene.post(path + "/cancel", "", headers: headers).status == 409)
      let state = try connection.run("select state from rowcast.job where job_id = \(foreign)")
      #expect(try state.value(0, 0, as: String.self) == "running")
    }
  }

  @Test(arguments: [
    "", "[]", "{", "7", #"{"model": 7, "table": "customer"}"#, #"{"table": "customer"}"#,
    #"{"model": "bank"}"#, #"{"model": "bank", "table": "customer", "query": "select 1"}"#,
    #"{"model": "bank", "table": "customer", "colour": "red"}"#,
    #"{"model": "bank", "table": "customer", "keep": "id"}"#,
    #"{"model": "bank", "table": "customer", "features": 7}"#,
    #"{"model": "bank", "table": "customer", "version": 4294967296}"#,
    #"{"model": "bank", "table": ""}"#,
  ])
  func whatIsNoJobIsRefused(body: String) async throws {
    try await LenderScene.run { lender, scene in
      let headers = try await lender.headers(scene)
      let answer = try await scene.post("/v1/jobs", body, headers: headers)
      #expect(answer.status == 400)
      #expect(try (answer.json["error"] as? String)?.isEmpty == false)
    }
  }
}
