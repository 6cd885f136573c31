import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Signing in to the console by a token, which is believed for as long as it would be with each request.
@Suite(.database) struct ConsoleTokenTests {
  /// A server that takes tokens, and a role of the test's own, which may read and try all models.
  private static func serve(
    _ body: (ServerScene, TokenMint, _ role: String) async throws -> Void
  ) async throws {
    let role = "console_\(Database.current.name)"
    let connection = try Database.current.connect()
    try connection.run("create role \(identifier: role)")
    defer {
      _ = try? connection.run("drop owned by \(identifier: role)")
      _ = try? connection.run("drop role \(identifier: role)")
      connection.close()
    }
    try connection.run("grant rowcast_analyst to \(identifier: role)")
    try await TokenMint.using { mint in
      try await ServerScene.run({
        $0.tokens = mint.configuration
        $0.trustedProxies = [AddressRange("127.0.0.0/8")].compactMap { $0 }
      }) { scene in
        try await body(scene, mint, role)
      }
    }
  }

  private static func signIn(
    _ scene: ServerScene, _ token: String, from client: String = "127.0.0.1"
  ) async throws -> ConsoleBrowser.Page {
    try await ConsoleBrowser(scene: scene).post(
      "/console/sign-in", ["key": token, "way": "/console/models"],
      ["Sec-Fetch-Site": "same-origin", "X-Forwarded-For": client])
  }

  private static func signedIn(
    _ scene: ServerScene, _ token: String
  ) async throws -> ConsoleBrowser {
    let answer = try await signIn(scene, token)
    try #require(answer.status == 303, "\(answer.body)")
    #expect(answer.headers["location"] == "/console/models")
    let field = try #require(answer.headers["set-cookie"])
    #expect(!field.contains(token) && field.contains("; HttpOnly"))
    return ConsoleBrowser(
      scene: scene, cookie: field.split(separator: ";").first.map(String.init))
  }

  @Test func aTokenShowsWhatItsRoleMaySee() async throws {
    try ConsoleBrowser.prepare()
    try await Self.serve { scene, mint, role in
      let page = try await ConsoleBrowser(scene: scene).get("/console/sign-in")
      #expect(page.contains("API key or token</label>"))
      for token in [
        try mint.byRSA(TokenMint.claims(role)), try mint.byCurve(TokenMint.claims(role)),
      ] {
        let browser = try await Self.signedIn(scene, token)
        for path in ConsoleBrowser.paths {
          let page = try await browser.get(path)
          #expect(page.status == (path == "/console/ask/m" ? 422 : 200), "\(path) \(page.body)")
          #expect(!page.contains(token))
        }
        #expect(try await browser.get("/").contains("Role <code>\(role)</code>"))
        let record = ["f0": "1", "f1": "1", "f2": "1", "f3": "1", "f4": "1"]
        #expect(try await browser.post("/console/try/m", record).status == 200)
        #expect(try await browser.post("/console/sign-out", [:]).status == 303)
        #expect(try await browser.get("/").status == 401)
      }
      // A role that may only read tries nothing.
      let reader = try await Self.signedIn(
        scene, try mint.byRSA(TokenMint.claims("rowcast_reader")))
      #expect(try await reader.get("/console/try/m").status == 200)
      #expect(try await reader.post("/console/try/m", ["f0": "1"]).status == 403)
      // Keys sign in beside tokens.
      let key = try ServerScene.key()
      #expect(try await ConsoleBrowser.signedIn(scene, key.key).get("/").status == 200)
    }
  }

  @Test func whatIsNoTokenSignsNobodyIn() async throws {
    try await Self.serve { scene, mint, role in
      // An address may not try as many.
      for (number, (why, token)) in try mint.refused(for: role).enumerated() {
        let page = try await Self.signIn(scene, token, from: "198.51.100.\(number)")
        #expect(page.status == 401 && page.headers["set-cookie"] == nil, "\(why)")
        #expect(page.contains("the token is not valid"), "\(why)")
      }
      let stranger = try await Self.signIn(
        scene, try mint.byRSA(TokenMint.claims("rowcast_worker")))
      #expect(stranger.status == 403 && stranger.headers["set-cookie"] == nil)
    }
  }

  @Test func aSessionEndsWithItsTokensTimeKeyAndRole() async throws {
    try await Self.serve { scene, mint, role in
      let end = ContinuousClock.now + .seconds(60)
      // A minute is allowed for clocks that differ: some seconds of it are left.
      let brief = try await Self.signedIn(
        scene,
        try mint.byRSA(
          TokenMint.claims(role, ["exp": Date().timeIntervalSince1970 - 52])))
      let other = try await Self.signedIn(scene, try mint.byRSA(TokenMint.claims(role)))
      let curve = try await Self.signedIn(scene, try mint.byCurve(TokenMint.claims(role)))
      while try await brief.get("/").status == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await brief.get("/").status == 401)
      #expect(try await other.get("/").status == 200)
      // The issuer takes one of its keys back.
      try mint.publish([mint.curveEntry("curve")])
      while try await other.get("/").status == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await other.get("/").status == 401)
      #expect(try await curve.get("/").status == 200)
      try scene.connect().run("revoke rowcast_analyst from \(identifier: role)")
      while try await curve.get("/").status == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await curve.get("/").status == 403)
    }
  }

  /// A server that takes keys alone says nothing of tokens and takes none.
  @Test func withoutAnIssuerOnlyKeysSignIn() async throws {
    try await TokenMint.using { mint in
      try await ServerScene.run { scene in
        let page = try await ConsoleBrowser(scene: scene).get("/console/sign-in")
        #expect(page.contains("API key</label>") && !page.contains("token"))
        let answer = try await Self.signIn(
          scene, try mint.byRSA(TokenMint.claims("rowcast_admin")))
        #expect(answer.status == 401 && answer.headers["set-cookie"] == nil)
      }
    }
  }
}
