import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Who may do what: keys made, shown, scoped, expired and revoked in the database.
@Suite(.database) struct KeyTests {
  private static func bearer(_ key: String) -> [String: String] {
    ["Authorization": "Bearer \(key)", "Content-Type": "application/json"]
  }

  /// Every route, with everything that is no right to it.
  @Test func everyRouteRefusesWhoHasNoRight() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try ServerScene.push("lightgbm_binary", as: "other")
    let all = ["read", "score", "metrics", "jobs", "push"]
    let lender = LenderScene()
    let connection = try Database.current.connect()
    try connection.runScript(
      """
      create role \(lender.role) login; grant rowcast_analyst to \(lender.role);
      set role \(lender.role); select rowcast.lend_rights(); reset role
      """)
    defer {
      try? connection.runScript("drop owned by \(lender.role) cascade; drop role \(lender.role)")
    }
    let right = try ServerScene.key("right", actions: all, role: lender.role)
    let expired = try ServerScene.key("expired", expires: "1 microsecond")
    let revoked = try ServerScene.key("revoked")
    let elsewhere = try ServerScene.key(
      "elsewhere", models: ["other"], actions: all, role: lender.role)
    try connection.run("select rowcast.revoke_key(\(revoked.id))")
    let secret = right.key.split(separator: "_", maxSplits: 2).last.map(String.init) ?? ""
    let foreign = "rck_\(elsewhere.id)_\(secret)"
    let cut = String(right.key.dropLast())

    try await ServerScene.run { scene in
      let routes = scene.server.endpoints
      #expect(routes.count >= 9)
      for route in routes {
        let path = route.path.replacing("{model}", with: "bank").replacing("{name}", with: "bank")
          .replacing("{version}", with: "1").replacing("{job}", with: "1").replacing(
            "{scorer}", with: "bank")
        let body = route.method == "POST" ? Data("{}".utf8) : nil
        func status(_ headers: [String: String]) async throws -> Int {
          try await scene.send(route.method, path, headers: headers, body: body).status
        }
        guard let action = route.action else {
          #expect(
            [
              "/v2/health/live", "/v2/health/ready", "/openapi.json", "/console/sign-in",
              "/console/style.css", "/console/script.js", "/console/icon.svg",
            ].contains(route.path))
          #expect(try await status([:]) == (route.method == "POST" ? 401 : 200))
          continue
        }
        for headers in [
          [:], Self.bearer(""), Self.bearer("secret"), Self.bearer("rck__"), Self.bearer("rck_a_b"),
          Self.bearer(expired.key), Self.bearer(revoked.key), Self.bearer(foreign),
          Self.bearer(cut),
          Self.bearer(right.key + "0"), ["Authorization": "Basic \(right.key)"],
          ["Authorization": right.key], ["X-API-Key": expired.key],
          // {"alg":"none"}
          Self.bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."),
        ] {
          #expect(try await status(headers) == 401, "\(route.path) \(headers)")
        }
        let others = Set(all).subtracting([action])
        let unfit = try ServerScene.key(
          "unfit for \(route.path) \(UUID())", actions: others.sorted(), role: lender.role)
        let end = ContinuousClock.now + .seconds(60)
        var refusal = 401
        while refusal == 401, ContinuousClock.now < end {
          refusal = try await status(Self.bearer(unfit.key))
        }
        #expect(refusal == 403, "\(route.path)")
        if route.path.contains("{model}") || route.path.contains("{name}") {
          #expect(try await status(Self.bearer(elsewhere.key)) == 403, "\(route.path)")
        }
        #expect(![401, 403].contains(try await status(Self.bearer(right.key))), "\(route.path)")
        #expect(![401, 403].contains(try await status(["X-API-Key": right.key])), "\(route.path)")
      }
    }
  }

  @Test func aRevokedKeyIsRefusedAtOnce() async throws {
    try await ServerScene.run { scene in
      let key = try ServerScene.key()
      func status() async throws -> Int {
        try await scene.get("/v2", headers: Self.bearer(key.key)).status
      }
      let end = ContinuousClock.now + .seconds(60)
      while try await status() != 200 { try #require(ContinuousClock.now < end) }
      let connection = try scene.connect()
      #expect(
        try connection.run("select rowcast.revoke_key(\(key.id))").value(0, 0, as: Bool.self))
      #expect(
        try connection.run("select rowcast.revoke_key(\(key.id))").value(0, 0, as: Bool.self)
          == false)
      while try await status() == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await status() == 401)
    }
  }

  @Test func theDatabaseKeepsNoSecret() throws {
    let connection = try Database.current.connect()
    let made = try ServerScene.key("shop", expires: "1 day")
    let parts = made.key.split(separator: "_", maxSplits: 2).map(String.init)
    #expect(parts.count == 3 && parts[0] == "rck" && parts[1] == made.id)
    #expect(parts[2].utf8.count == 43)
    let row = try connection.run(
      """
      select k.digest = sha256(convert_to(\(parts[2]), 'UTF8')), \
      strpos(k::text, \(parts[2])) = 0, \
      (select state from rowcast.keys where key_id = k.key_id) from rowcast.api_key as k
      """)
    #expect(try row.value(0, 0, as: Bool.self))
    #expect(try row.value(0, 1, as: Bool.self))
    #expect(try row.value(0, 2, as: String.self) == "live")
  }

  @Test func aClientHasTwoLiveKeysAtMost() throws {
    let connection = try Database.current.connect()
    let first = try ServerScene.key("shop")
    _ = try ServerScene.key("shop")
    func code(_ query: Query) -> String? {
      do throws(PostgresError) {
        try connection.run(query)
        return nil
      } catch { return error.sqlState }
    }
    #expect(code("select rowcast.create_key('shop')") == "RC351")
    try connection.run("select rowcast.revoke_key(\(first.id))")
    #expect(code("select rowcast.create_key('shop')") == nil)
    #expect(code("select rowcast.create_key('')") == "RC350")
    #expect(code("select rowcast.create_key(null)") == "RC350")
    #expect(code("select rowcast.create_key('a', actions => '{fly}')") == "RC350")
    #expect(code("select rowcast.create_key('a', actions => '{}')") == "RC350")
    #expect(code("select rowcast.create_key('a', models => '{none}')") == "RC101")
    #expect(code("select rowcast.create_key('a', expires_in => '-1 day')") == "RC350")
    #expect(code("select rowcast.revoke_key('none')") == "RC352")
  }

  @Test func plainTextStaysOnThisMachine() async throws {
    await #expect(throws: (any Error).self) {
      try await ServerScene.run({ $0.host = "0.0.0.0" }) { _ in }
    }
    await #expect(throws: (any Error).self) {
      try await ServerScene.run({
        $0.host = "0.0.0.0"
        $0.allowsPlainHTTP = true
        $0.needsKeys = false
      }) { _ in }
    }
  }
}
