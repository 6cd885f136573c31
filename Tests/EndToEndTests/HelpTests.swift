import Foundation
import Testing

/// Help texts are snapshots: a change of one is seen in review.
@Suite("Help")
struct HelpTests {
  static let commands = [
    "", "up", "down", "demo", "bench", "migrate", "worker", "serve", "keys", "status",
    "doctor", "push", "models",
    "scorers", "inspect", "predict", "bench database", "bench ask", "bench engine", "bench load",
    "bench job", "bench models", "bench images", "demo images",
    "jobs",
    "jobs list", "jobs watch",
  ]

  /// Set `ROWCAST_UPDATE_SNAPSHOTS=1` to write them anew.
  @Test("equals its snapshot", arguments: commands)
  func helpEqualsItsSnapshot(command: String) throws {
    let arguments = command.split(separator: " ").map(String.init) + ["--help"]
    let help = try Program.run(arguments)
    #expect(help.status == 0)
    #expect(help.errors == "")
    let name = command.isEmpty ? "rowcast" : command.replacing(" ", with: "_")
    let snapshot = Program.root + "/Tests/EndToEndTests/Snapshots/\(name).txt"
    if ProcessInfo.processInfo.environment["ROWCAST_UPDATE_SNAPSHOTS"] == "1" {
      try help.output.write(toFile: snapshot, atomically: true, encoding: .utf8)
    }
    #expect(help.output == (try String(contentsOfFile: snapshot, encoding: .utf8)))
  }

  @Test("has an example for each command", arguments: commands)
  func helpHasAnExample(command: String) throws {
    let help = try Program.run(["help"] + command.split(separator: " ").map(String.init))
    let example = command == "bench database" ? "bench" : command
    #expect(help.output.contains("EXAMPLE\n  rowcast \(example)"))
  }
}
