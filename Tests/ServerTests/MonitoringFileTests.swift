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
        return try Figures.samples(of: text)["rowcast_latency_seconds_count{scorer=\"item\"}"] == 2
      }
      let result = try await Self.run(["check", "metrics"], input: text)
      #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
    }
  }
}
