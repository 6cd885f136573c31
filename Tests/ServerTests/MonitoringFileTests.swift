import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Rules and dashboards beside what the server tells.
@Suite(.database) struct MonitoringFileTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  private static let prometheus = root.appending(path: "deploy/prometheus")

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// What looks like the name of a figure. Roles of the database look so, too.
  private static func names(in text: String) -> Set<String> {
    Set(
      text.matches(of: #/\b(?:rowcast|process)_[a-z_]+\b/#).map { String($0.output) }
    ).subtracting(["rowcast_worker"])
  }

  @Test func everyFigureThatRulesAndPanelsNameIsTold() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({
      $0.needsKeys = false
      $0.figureInterval = .milliseconds(50)
    }) { scene in
      var text = ""
      try await ServerScene.eventually {
        text = try await scene.get("/metrics").text
        return try Figures.samples(of: text)["rowcast_schema_version"] != nil
      }
      // The article has a row for each, and for no other.
      let documented = try Self.text("Sources/Server/Server.docc/Monitoring.md")
        .matches(of: #/\n\| `([a-z_]+)`/#).map { String($0.1) }
      #expect(documented.sorted() == Figures.kinds(of: text).keys.sorted())
      let told = Figures.names(of: text)
      #expect(told.count > 80)
      for path in [
        "deploy/prometheus/rules.yaml", "deploy/prometheus/rules_test.yaml",
        "deploy/grafana/dashboards/rowcast-metrics.json",
      ] {
        let named = Self.names(in: try Self.text(path))
        #expect(named.count > 30, "\(path)")
        #expect(named.subtracting(told) == [], "\(path)")
      }
    }
  }

  @Test func everyRuleIsTriedAndSaysWhatToDo() throws {
    // What is folded over lines is one.
    let rules = try Self.text("deploy/prometheus/rules.yaml").replacing(#/\n {12,}/#, with: " ")
    let tests = try Self.text("deploy/prometheus/rules_test.yaml")
    let parts = rules.components(separatedBy: "- alert: ").dropFirst()
    #expect(parts.count >= 30)
    for part in parts {
      let name = String(part.prefix { !$0.isNewline })
      #expect(tests.contains(name), "\(name)")
      for wanted in ["expr:", "for:", "severity:", "summary:", "description:"] {
        #expect(part.contains(wanted), "\(name) \(wanted)")
      }
      #expect(part.contains("select ") || part.contains("nothing in SQL is needed"), "\(name)")
    }
  }

  /// Each statement that an alert gives is one that the database takes.
  @Test func theStatementsOfAlertsAreRight() throws {
    let connection = try Database.current.connect()
    defer { connection.close() }
    // A description is folded, so its lines are one.
    let text = try Self.text("deploy/prometheus/rules.yaml")
      .replacing(#/\n +/#, with: " ").replacing("{{ $labels.scorer }}", with: "s")
    let statements = text.matches(of: #/\b(?:select|set|show) [^;{}]*;/#).map {
      String($0.output)
    }
    #expect(statements.count >= 30)
    for statement in statements {
      #expect(throws: Never.self, "\(statement)") {
        if statement.hasPrefix("select") {
          try connection.run(Query(text: "explain \(statement.dropLast())"))
        } else {
          try connection.runScript("begin; \(statement) rollback")
        }
      }
    }
  }

  // MARK: promtool

  static let promtool = "/usr/bin/promtool"
  static let hasPromtool = FileManager.default.isExecutableFile(atPath: promtool)

  private static func run(
    _ arguments: [String], input: String? = nil
  ) async throws -> (status: Int32, output: String) {
    let file = URL(filePath: "/tmp/rowcast-test-\(getpid())-\(UUID()).txt")
    try Data((input ?? "").utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    return try await offThePool {
      Result { () throws -> (Int32, String) in
        let process = Process()
        process.executableURL = URL(filePath: promtool)
        process.arguments = arguments
        process.currentDirectoryURL = prometheus
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = try FileHandle(forReadingFrom: file)
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
      }
    }.get()
  }

  @Test(.enabled(if: hasPromtool, "promtool is not here"))
  func promtoolTakesRulesAndTheirTests() async throws {
    for arguments in [
      ["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"],
      ["check", "config", "--syntax-only", "prometheus.yaml"],
    ] {
      let result = try await Self.run(arguments)
      #expect(result.status == 0, "\(result.output)")
    }
  }

  @Test(.enabled(if: hasPromtool, "promtool is not here"))
  func promtoolHasNothingToSayOfAScrape() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({
      $0.needsKeys = false
      $0.figureInterval = .milliseconds(50)
    }) { scene in
      let connection = try scene.connect()
      defer { connection.close() }
      try connection.runScript(
        """
        create table item (id int primary key, amount real, age_days real, ratio real, phase real,
                           balance real);
        select rowcast.create_scorer('item', 'item', 'bank');
        """)
      // A histogram with samples, too.
      try connection.run(
        Query(
          text: """
            select rowcast.record_totals(array[s.scorer_id], '{5}', '{1}', '{2}', '{0.1}', '{0.1}', \
              '{0.1}', '{0.5}', $1) from rowcast.scorer as s
            """, values: [["{0,0,0,0,0,0,1,1,0,0,0,0,0,0,0,0,0}"]]))
      _ = try await scene.get("/v2")
      var text = ""
      try await ServerScene.eventually {
        text = try await scene.get("/metrics").text
        return try Figures.samples(of: text)["rowcast_latency_seconds_count{scorer=\"item\"}"] == 2
      }
      let result = try await Self.run(["check", "metrics"], input: text)
      #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
    }
  }
}
