import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Tokens of an issuer speak for roles of the database, with these roles' rights and no others.
@Suite(.database) struct TokenTests {
  /// Roles belong to the whole server: these are the test's own.
  private static func role(_ name: String) -> String { "token_\(name)_\(Database.current.name)" }

  private static func withRoles(_ body: () async throws -> Void) async throws {
    let connection = try Database.current.connect()
    defer { connection.close() }
    let names = ["reader", "analyst", "member", "buyer", "nobody", "chief"].map(role)
    for name in names { try connection.run("create role \(identifier: name)") }
    defer {
      for name in names {
        _ = try? connection.run("drop owned by \(identifier: name)")
        _ = try? connection.run("drop role \(identifier: name)")
      }
    }
    try connection.run("grant rowcast_reader to \(identifier: role("reader"))")
    try connection.run("grant rowcast_analyst to \(identifier: role("analyst"))")
    try connection.run(
      "grant \(identifier: role("analyst")) to \(identifier: role("member"))")
    try connection.run("alter role \(identifier: role("chief")) superuser")
    try connection.run("select rowcast.grant_model('bank', \(role("buyer")))")
    try await body()
  }

  private static func serve(
    _ mint: TokenMint, _ body: (ServerScene) async throws -> Void
  ) async throws {
    try await ServerScene.run({ $0.tokens = mint.configuration }, body)
  }

  private static func status(
    _ scene: ServerScene, _ path: String, _ token: String
  ) async throws -> Int {
    try await scene.get(path, headers: ["Authorization": "Bearer \(token)"]).status
  }

  /// What becomes of `{}`, sent to be scored: 400 where it is looked at.
  private static func scoring(
    _ scene: ServerScene, _ model: String, _ token: String
  ) async throws -> Int {
    try await scene.post(
      "/v2/models/\(model)/infer", "{}", headers: ["Authorization": "Bearer \(token)"]
    ).status
  }

  @Test func aTokenHasTheRightsOfItsRole() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try ServerScene.push("lightgbm_binary", as: "other")
    try await Self.withRoles {
      try await TokenMint.using { mint in
        try await Self.serve(mint) { scene in
          // Those who may: [metadata of bank, of other, scoring by bank, by other, metrics].
          let rights: [String: [Bool]] = [
            "reader": [true, true, false, false, true],
            "analyst": [true, true, true, true, true],
            "member": [true, true, true, true, true],
            "buyer": [true, false, true, false, false],
            "nobody": [false, false, false, false, false],
            "chief": [false, false, false, false, false],
            "absent": [false, false, false, false, false],
          ]
          for (name, allowed) in rights {
            let claims = TokenMint.claims(Self.role(name))
            for token in [try mint.byRSA(claims), try mint.byCurve(claims)] {
              let found = [
                try await Self.status(scene, "/v2/models/bank", token),
                try await Self.status(scene, "/v2/models/other", token),
                try await Self.scoring(scene, "bank", token),
                try await Self.scoring(scene, "other", token),
                try await Self.status(scene, "/metrics", token),
              ]
              let wanted = zip(allowed, [200, 200, 400, 400, 200]).map { $0 ? $1 : 403 }
              #expect(found == wanted, "\(name)")
            }
          }
          for name in ["rowcast_admin", "rowcast_analyst"] {
            let token = try mint.byRSA(TokenMint.claims(name))
            #expect(try await Self.scoring(scene, "other", token) == 400)
          }
          for name in ["postgres", "rowcast_worker", "", "ROWCAST_ADMIN", "\"rowcast_admin\""] {
            let token = try mint.byRSA(TokenMint.claims(name))
            #expect(try await Self.status(scene, "/v2", token) == 403, "\(name)")
          }
        }
      }
    }
  }

  @Test func whatIsWrongWithATokenIsFoundAndNotTold() async throws {
    try await TokenMint.using { mint in
      try await Self.serve(mint) { scene in
        for (why, token) in try mint.refused(for: "rowcast_admin") {
          let answer = try await scene.get(
            "/v2", headers: ["Authorization": "Bearer \(token)"])
          #expect(answer.status == 401, "\(why)")
          #expect(
            answer.text == #"{"code":"unauthorized","error":"the token is not valid"}"#, "\(why)")
          #expect(answer.headers["www-authenticate"] == "Bearer")
        }
        // Within the leeway of a minute, for several audiences, and as another type of token.
        let now = Int(Date().timeIntervalSince1970)
        for changes: [String: Any?] in [
          [:], ["exp": now - 20], ["nbf": now + 20], ["aud": ["other", TokenMint.audience]],
          ["sub": nil], ["exp": Double(now) + 20.5],
        ] {
          let token = try mint.byRSA(TokenMint.claims("rowcast_reader", changes))
          #expect(try await Self.status(scene, "/v2", token) == 200, "\(changes)")
        }
        let token = try mint.byCurve(
          TokenMint.claims("rowcast_reader"), header: ["typ": "at+jwt"])
        #expect(try await Self.status(scene, "/v2", token) == 200)
        // Keys stay beside tokens, and a token is no key.
        #expect(try await scene.get("/v2", headers: ["X-API-Key": token]).status == 401)
        let key = try ServerScene.key()
        let end = ContinuousClock.now + .seconds(60)
        while try await Self.status(scene, "/v2", key.key) != 200 {
          try #require(ContinuousClock.now < end)
        }
      }
    }
  }

  /// A token that the server knows already is no more than one that it sees for the first time.
  @Test func aKnownTokenEndsWithItsTimeItsRoleAndItsKey() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await Self.withRoles {
      try await TokenMint.using { mint in
        try await Self.serve(mint) { scene in
          let end = ContinuousClock.now + .seconds(60)
          let token = try mint.byRSA(TokenMint.claims(Self.role("analyst")))
          let other = try mint.byCurve(TokenMint.claims(Self.role("analyst")))
          let brief = try mint.byRSA(
            TokenMint.claims(
              Self.role("analyst"), ["exp": Date().timeIntervalSince1970 - 58]))
          #expect(try await Self.status(scene, "/v2", brief) == 200)
          for _ in 0..<2 { #expect(try await Self.status(scene, "/v2", token) == 200) }
          while try await Self.status(scene, "/v2", brief) == 200 {
            try #require(ContinuousClock.now < end)
          }
          let connection = try scene.connect()
          try connection.run(
            "revoke rowcast_analyst from \(identifier: Self.role("analyst"))")
          while try await Self.status(scene, "/v2", token) == 200 {
            try #require(ContinuousClock.now < end)
          }
          #expect(try await Self.status(scene, "/v2", token) == 403)
          // The other key goes; a file that is damaged changes nothing.
          try mint.publish([mint.curveEntry("curve")])
          while try await Self.status(scene, "/v2", token) == 403 {
            try #require(ContinuousClock.now < end)
          }
          #expect(try await Self.status(scene, "/v2", token) == 401)
          try Data("{".utf8).write(to: URL(filePath: mint.path))
          try await Task.sleep(for: .milliseconds(1200))
          #expect(try await Self.status(scene, "/v2", other) == 403)
          try mint.publish()
          while try await Self.status(scene, "/v2", token) == 401 {
            try #require(ContinuousClock.now < end)
          }
        }
      }
    }
  }

  @Test func unfitKeysAreRefused() async throws {
    try await TokenMint.using { mint in
      var small = try mint.rsaEntry("small")
      small["n"] = TokenMint.text(Data(repeating: 0xC1, count: 128))
      var point = mint.curveEntry("point")
      point["y"] = point["x"]
      var encryption = try mint.rsaEntry("encryption")
      encryption["use"] = "enc"
      var unnamed = mint.curveEntry("unnamed")
      unnamed["kid"] = nil
      let secret: [String: Any] = ["kty": "oct", "kid": "secret", "k": "AAAA", "alg": "HS256"]
      for keys in [
        [], [small], [point], [encryption], [unnamed], [secret],
        [try mint.rsaEntry("a"), try mint.rsaEntry("a")],
      ] {
        try mint.publish(keys)
        await #expect(throws: (any Error).self, "\(keys)") {
          try await Self.serve(mint) { _ in }
        }
      }
      // What is of no use here does no harm.
      try mint.publish([
        secret, encryption, ["kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AA"], ["a": 1],
        try mint.rsaEntry("rsa"),
      ])
      try await Self.serve(mint) { scene in
        let token = try mint.byRSA(TokenMint.claims("rowcast_reader"))
        #expect(try await Self.status(scene, "/v2", token) == 200)
      }
      try FileManager.default.removeItem(atPath: mint.path)
      await #expect(throws: (any Error).self) { try await Self.serve(mint) { _ in } }
      await #expect(throws: (any Error).self) {
        try await ServerScene.run({
          $0.tokens = mint.configuration
          $0.needsKeys = false
        }) { _ in }
      }
    }
  }
}
