import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// What pages say, to whom, and at what cost.
@Suite(.database) struct ConsolePageTests {
  private static func look(
    models: [String]? = nil, _ body: (ConsoleBrowser) async throws -> Void
  ) async throws {
    let key = try ServerScene.key("looker", models: models)
    try await ServerScene.run { scene in
      try await body(try await ConsoleBrowser.signedIn(scene, key.key))
    }
  }

  @Test func namesThatAreMarkupStayText() async throws {
    let hostile = ConsoleBrowser.hostile
    try ConsoleBrowser.prepare()
    try ConsoleBrowser.prepare(model: hostile, scorer: "odd", table: hostile)
    let connection = try Database.current.connect()
    try connection.run("select rowcast.rescore('odd')")
    try connection.run(
      "select rowcast.register_worker(\(hostile), \(hostile), 1, \(hostile), 2)")
    try connection.run("update rowcast.scorer set state = 'suspended', state_reason = \(hostile)")
    let path = try #require(hostile.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
    try await Self.look { browser in
      let paths =
        ConsoleBrowser.paths + [
          "/console/scorers/odd", "/console/models/\(path)", "/console/try/\(path)",
          "/console/failures?scorer=odd", "/console/scorers/\(path)", "/console/models/\(path)%22",
          "/console/failures?scorer=\(path)", "/console/jobs?before=\(path)",
          "/console/try/m?version=\(path)",
        ]
      var escapedCount = 0
      for path in paths {
        let page = try await browser.get(path)
        #expect(page.status < 500, "\(path)")
        #expect(!page.contains("<script>alert") && !page.contains("alert(\""), "\(path)")
        if page.contains(ConsoleBrowser.escaped) { escapedCount += 1 }
      }
      #expect(escapedCount >= 12)
      let given = try await browser.post("/console/try/m", ["f0": hostile, "f1": "\"><b>"])
      #expect(given.status == 400 && given.contains("value=\"\(ConsoleBrowser.escaped)\""))
      #expect(!given.contains("<b>") && !given.contains("<script>alert"))
      let way = try await ConsoleBrowser(scene: browser.scene).get("/console/jobs?x=\"><b>")
      #expect(!way.contains("<b>"))
    }
  }

  @Test func pagesHaveAStrictPolicyAndKeepIt() async throws {
    try ConsoleBrowser.prepare()
    try await Self.look { browser in
      let inline = try Regex(#"<style|\sstyle=|\son[a-z]+="|<script>|<script (?!src=)|javascript:"#)
      let foreign = try Regex(#"(src|href|action)="(https?:)?//"#)
      for path in ConsoleBrowser.paths + ["/console/sign-in"] {
        let page = try await browser.get(path)
        let policy = try #require(page.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; ") && !policy.contains("unsafe"), "\(path)")
        #expect(policy.contains("frame-ancestors 'none'"))
        #expect(page.headers["cache-control"] == "no-store")
        #expect(page.headers["x-content-type-options"] == "nosniff")
        #expect(page.body.firstMatch(of: inline) == nil, "\(path)")
        #expect(page.body.firstMatch(of: foreign) == nil, "\(path)")
        #expect(page.contains("<html lang=\"en\">") && page.contains("<h1>"), "\(path)")
        for asset in try page.assets() {
          let file = try await ConsoleBrowser(scene: browser.scene).get(asset)
          #expect(
            file.status == 200 && file.headers["cache-control"]?.contains("immutable") == true)
          let tag = try #require(file.headers["etag"])
          let again = try await browser.get(asset, ["If-None-Match": tag])
          #expect(again.status == 304 && again.body.isEmpty)
        }
      }
    }
  }

  @Test func aKeyForSomeModelsShowsTheseAlone() async throws {
    try ConsoleBrowser.prepare(model: "m", scorer: "s", table: "orders")
    try ConsoleBrowser.prepare(model: "secret", scorer: "veiled", table: "salaries")
    let connection = try Database.current.connect()
    try connection.run("select rowcast.rescore('s'), rowcast.rescore('veiled')")
    try connection.run("select rowcast.create_service('riddle', 'secret')")
    try await Self.look { browser in
      let page = try await browser.get("/")
      #expect(page.contains("salaries"))
    }
    try await Self.look(models: ["m"]) { browser in
      for path in ConsoleBrowser.paths {
        let page = try await browser.get(path)
        for name in ["salaries", "veiled", "secret", "riddle"] {
          #expect(!page.contains(name), "\(path) \(name)")
        }
      }
      for path in ["/", "/console/jobs", "/console/failures"] {
        #expect(try await browser.get(path).contains("/console/scorers/s\""), "\(path)")
      }
      for path in [
        "/console/scorers/veiled", "/console/models/secret", "/console/failures?scorer=veiled",
        "/console/drift?scorer=veiled", "/console/try/secret", "/console/ask/riddle",
        "/console/scorers/none",
      ] {
        #expect(try await browser.get(path).status == 403, "\(path)")
      }
      #expect(try await browser.post("/console/try/secret", ["f0": "1"]).status == 403)
    }
  }

  @Test func listsComeInPages() async throws {
    try ConsoleBrowser.prepare()
    let connection = try Database.current.connect()
    for number in 1...52 {
      try connection.run("select rowcast.rescore('s')")
      try connection.run(
        Query(
          text: """
            insert into rowcast.model (name, created_by) values ($1, 'test')
            """, values: ["p\(number)"]))
    }
    try await Self.look { browser in
      func rows(_ page: ConsoleBrowser.Page) -> Int {
        page.body.components(separatedBy: "<th role=\"rowheader\"").count - 1
      }
      let models = try await browser.get("/console/models")
      #expect(rows(models) == 50 && models.contains("/console/models?after="))
      let rest = try await browser.get(try #require(models.link("after=")))
      #expect(rows(rest) == 3 && rest.link("after=") == nil)
      let jobs = try await browser.get("/console/jobs")
      let older = try await browser.get(try #require(jobs.link("before=")))
      let count = try connection.run("select count(*) from rowcast.job").value(0, 0, as: Int64.self)
      #expect(rows(jobs) == 50 && rows(older) == Int(count) - 50)
      // Of 60 failures; a row says how many there are of each code.
      let failures = try await browser.get("/console/failures?scorer=s")
      #expect(rows(failures) == 51)
      let others = try await browser.get(
        try #require(failures.link("skip=")?.replacing("&amp;", with: "&")))
      #expect(rows(others) == 11)
      #expect(try await browser.get("/console/failures?skip=1001").status == 400)
      #expect(try await browser.get("/console/jobs?before=-1").status == 400)
    }
  }

  /// The database has no character 0, and is not asked for one.
  @Test(arguments: ["models?after=%00", "models/%00", "scorers/a%00", "drift?scorer=%00"])
  func namesHaveNoCharacterZero(path: String) async throws {
    try ConsoleBrowser.prepare()
    try await Self.look { browser in
      let page = try await browser.get("/console/" + path)
      #expect([400, 404].contains(page.status))
    }
  }

  @Test func whatMayNotBeReadIsNotShown() async throws {
    try ConsoleBrowser.prepare()
    let connection = try Database.current.connect()
    try connection.run("select rowcast.protect_predictions('s')")
    try await Self.look { browser in
      for path in ["/console/failures", "/console/scorers/s"] {
        let page = try await browser.get(path)
        #expect(page.contains("unseen_category") && page.contains("protected"), "\(path)")
        #expect(!page.contains("<code>id 1"), "\(path)")
        // The expectation's name is shown, the failures' reason is not.
        #expect(page.body.components(separatedBy: ConsoleBrowser.escaped).count - 1 <= 1, "\(path)")
      }
    }
  }

  @Test func allWhoLookShareWhatIsRead() async throws {
    try ConsoleBrowser.prepare()
    let connection = try Database.current.connect()
    let name = try connection.run("select current_database()").value(0, 0, as: String.self)
    try connection.runScript("alter database \"\(name)\" set track_functions = 'all'")
    try await Self.look { browser in
      let start = ContinuousClock.now
      try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<60 { group.addTask { try await browser.get("/").status } }
        for try await status in group { #expect(status == 200) }
      }
      let seconds = start.duration(to: .now) / .seconds(1)
      let sessions = try connection.run(
        "select count(*) from pg_stat_activity where application_name = 'rowcast console' and datname = current_database()"
      )
      #expect(try sessions.value(0, 0, as: Int64.self) == 1)
      // Figures of a session appear when it has been idle for a while.
      var calls: Int64 = 0
      let end = ContinuousClock.now + .seconds(60)
      while calls == 0 {
        calls = try connection.run(
          "select coalesce(sum(calls), 0)::int8 from pg_stat_user_functions where funcname = 'console_overview'"
        ).value(0, 0)
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(Double(calls) <= seconds + 2)
    }
  }

  @Test func aPartIsThePageWithoutItsFrame() async throws {
    try ConsoleBrowser.prepare()
    try await Self.look { browser in
      let part = try await browser.get("/", ["Rowcast-Part": "1"])
      #expect(part.body.hasPrefix("<div id=\"part\" data-live>"))
      #expect(part.contains("/console/scorers/s") && !part.contains("<html"))
      let whole = try await browser.get("/")
      #expect(whole.contains("<div id=\"part\" data-live>") && whole.contains("<main id=\"main\""))
    }
  }
}

extension ConsoleBrowser.Page {
  /// What the page loads.
  fileprivate func assets() throws -> Set<String> {
    let pattern = try Regex(#"(?:src|href)="(/console/[a-z]+\.[a-z]+\?v=[0-9a-f]+)""#)
    return Set(body.matches(of: pattern).compactMap { $0.output[1].substring.map(String.init) })
  }

  /// The first link with a parameter.
  fileprivate func link(_ parameter: String) -> String? {
    body.components(separatedBy: "href=\"").dropFirst()
      .compactMap { $0.split(separator: "\"").first.map(String.init) }
      .first { $0.hasPrefix("/console/") && $0.contains(parameter) }
  }
}
