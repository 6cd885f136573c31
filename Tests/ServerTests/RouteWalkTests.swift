import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Every route that the server has, with everything that is no right to it.
@Suite(.database) struct RouteWalkTests {
  /// For anybody: nothing else is. Health, and the page that asks for a key with what it is made of.
  private static let open: Set = [
    "GET /v2/health/live", "GET /v2/health/ready", "GET /console/sign-in", "POST /console/sign-in",
    "GET /console/style.css", "GET /console/script.js", "GET /console/icon.svg",
  ]

  private struct Walk {
    let scene: ServerScene
    let route: HTTPServer.Endpoint
    /// What no refusal may say.
    let secrets: [String]

    /// The route's own path, for model "bank".
    var path: String {
      route.path.replacing("{model}", with: "bank").replacing("{name}", with: "bank")
        .replacing(#/\{[^}]*\}/#, with: "1")
    }

    func answer(
      _ headers: [String: String], method: String? = nil
    ) async throws -> ServerScene.Answer {
      try await scene.send(
        method ?? route.method, path,
        headers: headers.merging(["Content-Type": "application/json"]) { $1 },
        body: ["POST", "PUT", "PATCH"].contains(route.method) ? Data("{}".utf8) : nil)
    }

    /// Expects a refusal that says what kind it is, and nothing that its reader did not know.
    func refuse(
      _ wanted: Int, _ headers: [String: String], _ why: String,
      _ location: SourceLocation = #_sourceLocation
    ) async throws {
      let answer = try await answer(headers)
      let what: Comment = "\(route.method) \(route.path): \(why), \(answer.status) \(answer.text)"
      #expect(answer.status == wanted, what, sourceLocation: location)
      #expect(!answer.headers.keys.contains { $0.hasPrefix("access-control") }, what)
      // Pages of the console say it in words, and ask for a key.
      guard answer.headers["content-type"]?.hasPrefix("text/html") != true else {
        for secret in secrets.prefix(5) { #expect(!answer.text.contains(secret), what) }
        return
      }
      let members = try JSONDecoder().decode([String: String].self, from: answer.data)
      #expect(Set(members.keys).isSubset(of: ["code", "error", "hint"]), what)
      #expect(members["code"] == (wanted == 401 ? "unauthorized" : "forbidden"), what)
      let text = answer.text + answer.headers.map { "\($0.key): \($0.value)" }.joined()
      for secret in secrets { #expect(!text.contains(secret), what) }
    }
  }

  private static func bearer(_ key: String) -> [String: String] {
    ["Authorization": "Bearer \(key)"]
  }

  @Test func everyRouteRefusesWhoHasNoRight() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try ServerScene.push("lightgbm_binary", as: "unheard-of")
    let lender = LenderScene()
    let connection = try Database.current.connect()
    try connection.runScript(
      """
      create role \(lender.role) login; grant rowcast_analyst to \(lender.role);
      set role \(lender.role); select rowcast.lend_rights(); reset role
      """)
    defer {
      try? connection.runScript("drop owned by \(lender.role) cascade; drop role \(lender.role)")
      connection.close()
    }
    try await TokenMint.using { mint in
      try await ServerScene.run({ $0.tokens = mint.configuration }) { scene in
        let routes = scene.server.endpoints
        #expect(routes.count >= 9)
        let open = routes.filter { $0.action == nil }
        #expect(Self.open == Set(open.map { "\($0.method) \($0.path)" }))
        let actions = Set(routes.compactMap(\.action))

        let right = try ServerScene.key("right", actions: actions.sorted(), role: lender.role)
        let expired = try ServerScene.key("expired", expires: "1 microsecond")
        let revoked = try ServerScene.key(
          "revoked", actions: actions.sorted(), role: lender.role)
        try connection.run("select rowcast.revoke_key(\(revoked.id))")
        let elsewhere = try ServerScene.key(
          "elsewhere", models: ["unheard-of"], actions: actions.sorted(), role: lender.role)
        var unfit: [String: String] = [:]
        for action in actions {
          let others = actions.subtracting([action])
          unfit[action] = try ServerScene.key(
            "not to \(action)", actions: others.sorted(), role: lender.role
          ).key
        }
        let secret = right.key.split(separator: "_", maxSplits: 2).last.map(String.init) ?? ""
        let keys = [
          "nothing": [:], "an empty key": Self.bearer(""), "a word": Self.bearer("secret"),
          "an empty secret": Self.bearer("rck__"), "a short key": Self.bearer("rck_a_b"),
          "an expired key": Self.bearer(expired.key), "a revoked key": Self.bearer(revoked.key),
          "another's secret": Self.bearer("rck_\(elsewhere.id)_\(secret)"),
          "a secret cut short": Self.bearer(String(right.key.dropLast())),
          "a secret too long": Self.bearer(right.key + "0"),
          "a key as a password": ["Authorization": "Basic \(right.key)"],
          "a key without a scheme": ["Authorization": right.key],
          "an expired key in its own field": ["X-API-Key": expired.key],
          "a wrong key before a right one": [
            "Authorization": "Bearer \(expired.key)", "X-API-Key": right.key,
          ],
        ]
        let tokens = try mint.refused(for: "rowcast_admin")
        let powerless = try [
          "pg_monitor", "postgres", "rowcast_worker", "absent", "",
        ].map { try mint.byRSA(TokenMint.claims($0)) }
        let token = try mint.byRSA(TokenMint.claims(lender.role))
        let secrets = [
          secret, lender.role, "unheard-of", TokenMint.issuer, TokenMint.audience, "rowcast_",
          "postgres",
          "select", "/tmp/", ".swift",
        ]
        // The server knows the keys once it takes the last that was made.
        let end = ContinuousClock.now + .seconds(60)
        for key in [right.key, elsewhere.key] + unfit.values {
          while try await scene.get("/v2/models/none", headers: Self.bearer(key)).status == 401 {
            try #require(ContinuousClock.now < end)
          }
        }

        for route in routes {
          let walk = Walk(scene: scene, route: route, secrets: secrets)
          guard let action = route.action else {
            #expect(try await walk.answer([:]).status == (route.method == "POST" ? 401 : 200))
            continue
          }
          for (why, headers) in keys { try await walk.refuse(401, headers, why) }
          if route.method == "GET" {
            #expect(try await walk.answer([:], method: "HEAD").status == 401)
          }
          for (why, token) in tokens { try await walk.refuse(401, Self.bearer(token), why) }
          for token in powerless { try await walk.refuse(403, Self.bearer(token), "its role") }
          try await walk.refuse(403, Self.bearer(try #require(unfit[action])), "its actions")
          if route.path.contains("{model}") || route.path.contains("{name}") {
            try await walk.refuse(403, Self.bearer(elsewhere.key), "its models")
          }
          for headers in [Self.bearer(right.key), ["X-API-Key": right.key], Self.bearer(token)] {
            let status = try await walk.answer(headers).status
            #expect(![401, 403].contains(status), "\(route.method) \(route.path)")
          }
        }
      }
    }
  }

  /// Browsers of other origins are told nothing: no field of CORS is ever in an answer.
  @Test func noOtherOriginIsAllowed() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run { scene in
      let headers = [
        "Origin": "https://evil.test", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
      ]
      for route in scene.server.endpoints {
        let path = Walk(scene: scene, route: route, secrets: []).path
        for method in ["OPTIONS", route.method] {
          let answer = try await scene.send(method, path, headers: headers)
          #expect(!answer.headers.keys.contains { $0.hasPrefix("access-control") }, "\(path)")
          if method == "OPTIONS" { #expect([401, 404, 405].contains(answer.status), "\(path)") }
        }
      }
    }
  }
}
