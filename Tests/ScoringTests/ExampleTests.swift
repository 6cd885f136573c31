import Foundation
import Postgres
import TestSupport
import Testing

/// The scripts of `sql/examples`, each in a database of its own, run by `psql` as an analyst beside
/// a worker. They check their results themselves: an assertion that fails ends the script.
@Suite(.database, .timeLimit(.minutes(3)))
struct ExampleTests {
  private static let folder = TestModel.root.appending(path: "sql/examples")

  static let scripts: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (names ?? []).filter { $0.hasSuffix(".sql") }.sorted()
  }()

  @Test func thereAreScripts() {
    #expect(Self.scripts.contains("insert_and_wait.sql"))
  }

  @Test(arguments: scripts)
  func runsAsItSays(script: String) async throws {
    let scene = try Scene()
    // What an operator has to have given an analyst.
    try Connection(scene.settings).run(
      "grant create on database \(identifier: Database.current.name) to rowcast_analyst")
    let settings = scene.settings
    try await scene.withWorkers(lanes: 2) { _, _ in
      let outcome = try Psql.run(script, in: Self.folder, settings)
      #expect(
        outcome.status == 0,
        "\(script) ended with \(outcome.status):\n\(outcome.output.suffix(4000))")
    }
  }
}
