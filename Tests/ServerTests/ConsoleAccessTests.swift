import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Who sees the console, and what ends that.
@Suite(.database) struct ConsoleAccessTests {
  @Test func whoIsNotSignedInIsAskedForAKeyAndSeesNothingElse() async throws {
    try ConsoleBrowser.prepare(model: "m", scorer: "s", table: "orders")
    try await ServerScene.run { scene in
      for cookie in [
        nil, "rowcast=", "rowcast=\(String(repeating: "0", count: 64))", "rowcast=rck_a_b",
      ] {
        let browser = ConsoleBrowser(scene: scene, cookie: cookie)
        for path in ConsoleBrowser.paths {
          let page = try await browser.get(path)
          #expect(page.status == 401, "\(path)")
          #expect(page.headers["content-type"] == "text/html; charset=utf-8")
          #expect(page.contains("<label for=\"key\">") && !page.contains("orders"), "\(path)")
        }
        #expect(try await browser.post("/console/try/m", ["f0": "1"]).status == 401)
        #expect(try await browser.post("/console/sign-out", [:]).status == 401)
      }
    }
  }

  @Test func aCookieIsNoKeyAndEndsWithTheSession() async throws {
    try ConsoleBrowser.prepare()
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      let browser = try await ConsoleBrowser.signedIn(scene, key.key)
      let answer = try await ConsoleBrowser(scene: scene).post(
        "/console/sign-in", ["key": " \(key.key)\n", "way": "/console/jobs?before=3"])
      #expect(answer.status == 303 && answer.headers["location"] == "/console/jobs?before=3")
      let field = try #require(answer.headers["set-cookie"])
      for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict"] { #expect(field.contains(part)) }
      let secret = String(try #require(key.key.split(separator: "_", maxSplits: 2).last))
      #expect(!field.contains(secret) && !field.contains(key.id))
      for path in ConsoleBrowser.paths {
        let page = try await browser.get(path)
        #expect(page.status == (path == "/console/ask/m" ? 422 : 200), "\(path) \(page.body)")
        #expect(!page.contains(secret))
      }
      #expect(try await browser.post("/console/sign-out", [:]).status == 303)
      #expect(try await browser.get("/").status == 401)
      // The other session of the key goes on.
      var other = browser
      other.cookie = field.split(separator: ";").first.map(String.init)
      #expect(try await other.get("/").status == 200)
    }
  }

  /// What stands before the server in these tests.
  private static let loopback = [AddressRange("127.0.0.0/8")].compactMap { $0 }

  @Test func overTLSTheCookieIsForTLSAlone() async throws {
    let key = try ServerScene.key()
    try await ServerScene.run({ $0.trustedProxies = Self.loopback }) { scene in
      var browser = try await ConsoleBrowser.signedIn(scene, key.key)
      let answer = try await browser.post(
        "/console/sign-in", ["key": key.key],
        ["Sec-Fetch-Site": "same-origin", "X-Forwarded-Proto": "https"])
      let field = try #require(answer.headers["set-cookie"])
      #expect(field.hasPrefix("__Host-rowcast=") && field.hasSuffix("; Secure"))
      // A name that anybody could have set from plain HTTP is not looked at then.
      #expect(try await browser.get("/", ["X-Forwarded-Proto": "https"]).status == 401)
      browser.cookie = field.split(separator: ";").first.map(String.init)
      #expect(try await browser.get("/", ["X-Forwarded-Proto": "https"]).status == 200)
    }
  }

  /// Whoever says that he is behind TLS, without a proxy that is trusted, is not.
  @Test func strangersAreNotBelievedThatTheySpeakTLS() async throws {
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      var browser = try await ConsoleBrowser.signedIn(scene, key.key)
      for headers in [["X-Forwarded-Proto": "https"], ["Forwarded": "for=1.2.3.4;proto=https"]] {
        #expect(try await browser.get("/", headers).status == 200)
        let answer = try await browser.post(
          "/console/sign-in", ["key": key.key],
          headers.merging(["Sec-Fetch-Site": "same-origin"]) { $1 })
        let field = try #require(answer.headers["set-cookie"])
        #expect(field.hasPrefix("rowcast=") && !field.contains("Secure"))
        browser.cookie = field.split(separator: ";").first.map(String.init)
      }
    }
  }

  @Test func aRevokedKeyEndsItsSessions() async throws {
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      let browser = try await ConsoleBrowser.signedIn(scene, key.key)
      #expect(try await browser.get("/").status == 200)
      try scene.connect().run("select rowcast.revoke_key(\(key.id))")
      let end = ContinuousClock.now + .seconds(60)
      while try await browser.get("/").status == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await browser.get("/").status == 401)
    }
  }

  @Test func otherSitesPostNothing() async throws {
    try ConsoleBrowser.prepare()
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      let browser = try await ConsoleBrowser.signedIn(scene, key.key)
      let record = ["f0": "1", "f1": "1", "f2": "1", "f3": "1", "f4": "1"]
      for headers in [
        [:], ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"],
        ["Origin": "https://evil.example"], ["Origin": "null"],
        ["Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"],
      ] {
        #expect(
          try await browser.post("/console/try/m", record, headers).status == 403, "\(headers)")
        #expect(
          try await browser.post("/console/sign-out", [:], headers).status == 403, "\(headers)")
      }
      #expect(
        try await browser.post(
          "/console/sign-in", ["key": key.key], ["Origin": "https://evil.example"]
        )
        .status == 403)
      #expect(try await browser.get("/").status == 200)
      for headers in [["Sec-Fetch-Site": "same-origin"], ["Origin": "http://127.0.0.1"]] {
        #expect(try await browser.post("/console/try/m", record, headers).status == 200)
      }
    }
  }

  @Test func keysAreNotTriedWithoutEnd() async throws {
    try await ServerScene.run { scene in
      let browser = ConsoleBrowser(scene: scene)
      var statuses: [Int] = []
      for _ in 0..<30 {
        let page = try await browser.post("/console/sign-in", ["key": "rck_a_b"])
        statuses.append(page.status)
        if page.status == 429 {
          #expect(page.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0)
          break
        }
      }
      #expect(statuses.first == 401 && statuses.last == 429)
    }
  }

  /// Attempts are the client's, not the proxy's; who is no proxy cannot pass for many.
  @Test func eachClientOfAProxyHasAttemptsOfItsOwn() async throws {
    for isTrusted in [true, false] {
      try await ServerScene.run({ $0.trustedProxies = isTrusted ? Self.loopback : [] }) { scene in
        let browser = ConsoleBrowser(scene: scene)
        func status(_ client: String) async throws -> Int {
          try await browser.post(
            "/console/sign-in", ["key": "rck_a_b"],
            ["Sec-Fetch-Site": "same-origin", "X-Forwarded-For": client]
          ).status
        }
        // At least ten at once; they come back one by one, every five seconds.
        var tried = 0
        while try await status("198.51.100.7") == 401, tried < 30 { tried += 1 }
        #expect((10..<30).contains(tried), "\(tried)")
        let others = ["198.51.100.8", "2001:db8:1:2::1", "203.0.113.1, 198.51.100.9"]
        for other in others { #expect(try await status(other) == (isTrusted ? 401 : 429)) }
        // What stands before the last hop anybody may have written.
        #expect(try await status("203.0.113.1, 198.51.100.7") == 429)
      }
    }
  }

  @Test func onlyKeysThatMayReadSignIn() async throws {
    let figures = try ServerScene.key("figures", actions: ["metrics"])
    try await ServerScene.run { scene in
      let browser = ConsoleBrowser(scene: scene)
      let end = ContinuousClock.now + .seconds(60)
      while try await scene.get("/metrics", headers: ["X-API-Key": figures.key]).status != 200 {
        try #require(ContinuousClock.now < end)
      }
      let page = try await browser.post("/console/sign-in", ["key": figures.key])
      #expect(page.status == 403 && page.headers["set-cookie"] == nil)
      #expect(page.contains("does not allow to read"))
    }
  }

  @Test func theWayBackStaysHere() async throws {
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      let browser = try await ConsoleBrowser.signedIn(scene, key.key)
      for way in [
        "https://evil.example/", "//evil.example", "/\\evil.example", "/console/\r\nX: y",
        "/console/sign-out", "",
        "javascript:alert(1)",
      ] {
        let answer = try await browser.post("/console/sign-in", ["key": key.key, "way": way])
        #expect(answer.status == 303 && answer.headers["location"] == "/", "\(way)")
        #expect(answer.headers["x"] == nil)
      }
    }
  }

  @Test func withoutKeysEverythingIsOpenButToOtherSites() async throws {
    try ConsoleBrowser.prepare()
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let browser = ConsoleBrowser(scene: scene)
      let page = try await browser.get("/")
      #expect(page.status == 200 && !page.contains("Sign out"))
      let record = ["f0": "1", "f1": "1", "f2": "1", "f3": "1", "f4": "1"]
      #expect(try await browser.post("/console/try/m", record).status == 200)
      #expect(
        try await browser.post("/console/try/m", record, ["Sec-Fetch-Site": "cross-site"]).status
          == 403)
    }
  }
}
