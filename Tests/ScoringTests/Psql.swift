import Foundation
import Postgres

/// PostgreSQL's own client, as people use it.
enum Psql {
  /// Runs a script as an analyst, statement by statement, up to the first error.
  static func run(_ script: String, in folder: URL, _ settings: ConnectionSettings) throws
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
