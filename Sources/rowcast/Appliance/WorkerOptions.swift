import ArgumentParser
import Foundation
import Postgres
import Scoring

/// How a worker is run.
struct WorkerOptions: ParsableArguments {
  @Option(
    help: """
      Threads that score, each with a connection; one more is kept free for live changes. Default: \
      the cores that the process may use, also when these change.
      """)
  var lanes: Int?

  @Option(
    help: ArgumentHelp(
      """
      Connections of this worker at most. Default: its share of what all may have, which \
      rowcast.set_limit('connections', …) sets.
      """, valueName: "count"))
  var connections: Int?

  @Option(
    help: ArgumentHelp(
      "Let jobs read and write files in this directory. Default: none.", valueName: "directory"))
  var files: String?

  @Option(
    help: ArgumentHelp(
      "Megabytes of models that are kept loaded. Default: a quarter of the memory.",
      valueName: "megabytes"))
  var modelMemory: Int?

  func validate() throws {
    if let modelMemory, !(1...1_048_576).contains(modelMemory) {
      throw ValidationError("--model-memory must be from 1 to 1048576")
    }
    if let connections, connections < Allowance.leastUseful {
      throw ValidationError("--connections must be \(Allowance.leastUseful) or more")
    }
    if let files {
      var isDirectory: ObjCBool = false
      guard FileManager.default.fileExists(atPath: files, isDirectory: &isDirectory),
        isDirectory.boolValue
      else { throw ValidationError("--files: \"\(files)\" is not a directory") }
    }
    if let lanes, !(1...1024).contains(lanes) {
      throw ValidationError("--lanes must be from 1 to 1024")
    }
  }

  func configuration(_ settings: ConnectionSettings) -> WorkerConfiguration {
    var configuration = WorkerConfiguration(settings: settings)
    if let lanes { configuration.laneCount = lanes }
    configuration.connectionLimit = connections
    if let modelMemory { configuration.modelByteCount = modelMemory << 20 }
    configuration.filesDirectory = files
    return configuration
  }
}
