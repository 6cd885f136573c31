import ArgumentParser
import Foundation
import Postgres

/// Which database a command works on.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: [.customLong("database"), .customShort("d")],
    help: ArgumentHelp(
      "The database, as a URI or keywords. Default: the PG* environment, else the appliance.",
      valueName: "uri"))
  var database: String?

  @OptionGroup var directory: DataDirectoryOptions

  /// Where the command connects: `--database`, else the PG* environment, else the appliance that
  /// runs on the data directory.
  ///
  /// - Throws: `CommandError` with status 69 where none of the three is there.
  func settings(application: String) throws -> ConnectionSettings {
    try base().setting("application_name", to: application)
  }

  private func base() throws -> ConnectionSettings {
    if let database { return try ConnectionSettings(database) }
    let environment = ProcessInfo.processInfo.environment
    let names = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"]
    if names.contains(where: { environment[$0] != nil }) { return try ConnectionSettings() }
    if let running = try directory.dataDirectory.running() {
      return try ConnectionSettings(running.connection)
    }
    throw CommandError(
      .noDatabase, "no database given, and no appliance runs on \"\(directory.path)\"",
      hint: "Give --database, set PGHOST and PGDATABASE, or run \"rowcast up\" first.")
  }
}

/// Where the appliance lives.
struct DataDirectoryOptions: ParsableArguments {
  @Option(
    name: .customLong("data-dir"),
    help: ArgumentHelp("The appliance's data directory.", valueName: "dir"))
  var path = ".data"

  var dataDirectory: DataDirectory { DataDirectory(path: path) }
}

/// How a command prints what it found.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON for scripts.")
  var json = false
}
