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
      let outcome = try Self.psql(script, settings)
      #expect(
        outcome.status == 0,
        "\(script) ended with \(outcome.status):\n\(outcome.output.suffix(4000))")
    }
  }

  private static func psql(_ script: String, _ settings: ConnectionSettings) throws
    -> (status: Int32, output: String)
  {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.currentDirectoryURL = folder
    process.arguments = [
      "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", script,
    ]
    var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
    for (variable, keyword) in [
      ("PGHOST", "host"), ("PGPORT", "port"), ("PGUSER", "user"), ("PGDATABASE", "dbname"),
    ] {
      if let value = settings[keyword] { variables[variable] = value }
    }
    variables["PGOPTIONS"] = "-c role=rowcast_analyst"
    process.environment = variables
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(
      decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}
