import Foundation
import Glibc
import Postgres

/// A `rowcast worker` of the built product, which a test may kill, stop and continue.
final class WorkerProcess {
  let name: String
  private let process = Process()

  /// - Parameters:
  ///   - log: Gets the standard error of each process of that name, one after another.
  ///   - prefix: A command line that ends by becoming the worker, as `ip netns exec`.
  ///   - lanes: Nil for as many as the worker thinks right.
  init(
    name: String, database: ConnectionSettings, log: URL, prefix: [String] = [],
    binary: URL = WorkerProcess.binary, lanes: Int? = 2
  ) throws {
    self.name = name
    let command =
      prefix + [binary.path, "worker", "--name", name] + (lanes.map { ["--lanes", "\($0)"] } ?? [])
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
    for (keyword, variable) in [
      ("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("dbname", "PGDATABASE"),
      ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ] {
      environment[variable] = database[keyword]
    }
    process.environment = environment
    if !FileManager.default.fileExists(atPath: log.path) {
      _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    }
    let handle = try FileHandle(forWritingTo: log)
    try handle.seekToEnd()
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  /// The product beside the test bundle, in the same build folder.
  static var binary: URL {
    URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      .deletingLastPathComponent().appendingPathComponent("rowcast")
  }

  var isRunning: Bool { process.isRunning }

  var processID: Int32 { process.processIdentifier }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  func killAndWait() {
    send(SIGKILL)
    process.waitUntilExit()
  }

  /// Asks it to stop, and ends it where it does not.
  ///
  /// - Returns: Its exit status, or nil where it had to be killed.
  func stop(within seconds: Double) -> Int32? {
    send(SIGTERM)
    let end = Date().addingTimeInterval(seconds)
    while process.isRunning, Date() < end { usleep(20_000) }
    guard !process.isRunning else {
      killAndWait()
      return nil
    }
    return process.terminationStatus
  }
}
