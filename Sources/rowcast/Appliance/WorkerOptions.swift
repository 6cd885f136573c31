import ArgumentParser
import Logging
import Postgres
import Scoring

/// How a worker is run.
struct WorkerOptions: ParsableArguments {
  @Option(help: "Threads that score, each with a connection. Default: the cores.")
  var lanes: Int?

  @Option(
    help: ArgumentHelp(
      "What is logged to standard error: trace, debug, info, notice, warning, error.",
      valueName: "level"),
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("\"\(text)\" is no level of the log")
      }
      return level
    })
  var logLevel = Logger.Level.notice

  func validate() throws {
    if let lanes, !(1...1024).contains(lanes) {
      throw ValidationError("--lanes must be from 1 to 1024")
    }
  }

  func configuration(_ settings: ConnectionSettings) -> WorkerConfiguration {
    var configuration = WorkerConfiguration(settings: settings)
    if let lanes { configuration.laneCount = lanes }
    return configuration
  }
}
