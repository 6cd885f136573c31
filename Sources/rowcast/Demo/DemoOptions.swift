import ArgumentParser
import Foundation
import Logging
import Postgres
import Scoring

/// Where a demo's appliance lives, and how many lanes it has.
struct DemoOptions: ParsableArguments {
  @Option(help: "Threads that score. Default: the cores.")
  var lanes: Int?

  @Option(
    help: ArgumentHelp(
      "Keep the database here. Default: a temporary directory, removed at the end.",
      valueName: "dir"))
  var dataDir: String?

  func validate() throws {
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }

  /// Runs a demo on an appliance with a worker, which are stopped in order afterwards.
  ///
  /// - Parameter show: Returns whether all came out as it should.
  /// - Throws: `ExitCode` 1 where it did not.
  func during(_ show: @escaping @Sendable (Appliance, Worker) throws -> Bool) async throws {
    let place = try DemoPlace(keeping: dataDir)
    defer { place.remove() }
    let appliance = try Appliance(.init(directory: place.clusterPath))
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance.server.stop(.fast) }
    try place.publish(appliance)
    var configuration = WorkerConfiguration(settings: appliance.database)
    if let lanes { configuration.laneCount = lanes }
    let worker = Worker(configuration, logger: WorkerRun.logger(level: .error))
    let isComplete = try await WorkerRun.during(worker) { try show(appliance, worker) }
    try appliance.server.stop(.fast)
    if !isComplete { throw ExitCode(CommandError.Status.failed.rawValue) }
  }
}

/// Where the demo's database lives: a directory of the user's, or one that goes away.
private final class DemoPlace {
  private let kept: DataDirectory?
  private let lock: DataDirectoryLock?
  private let temporary: String?

  init(keeping path: String?) throws {
    kept = path.map { DataDirectory(path: $0) }
    lock = try kept?.acquire()
    temporary = try path == nil ? TemporaryDirectory.make("demo") : nil
  }

  var clusterPath: String { kept?.clusterPath ?? temporary! + "/postgres" }

  /// Lets `rowcast status --data-dir` and `rowcast down` find a demo that keeps its data.
  func publish(_ appliance: Appliance) throws {
    try lock?.publish(
      .init(
        pid: getpid(), connection: appliance.connectionKeywords, startedAt: Date(),
        release: Rowcast.release))
  }

  func remove() {
    if let temporary { TemporaryDirectory.remove(temporary) }
  }
}
