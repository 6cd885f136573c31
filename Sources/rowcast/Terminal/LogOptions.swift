import ArgumentParser
import Logging

/// What is logged to standard error, and how.
struct LogOptions: ParsableArguments {
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  @Option(
    help: ArgumentHelp(
      "What is logged to standard error: trace, debug, info, notice, warning, error.",
      valueName: "level"),
    transform: level)
  var logLevel = Logger.Level.notice

  @Option(
    help: ArgumentHelp(
      "How it is logged: text, or json, an object a line. At level info there is a line for each request over HTTP.",
      valueName: "format"))
  var logFormat = Format.text

  var logger: Logger {
    switch logFormat {
    case .text: WorkerRun.logger(level: logLevel)
    case .json: JSONLogHandler.logger(level: logLevel)
    }
  }

  private static func level(_ text: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
      throw ValidationError("\"\(text)\" is no level of the log")
    }
    return level
  }
}
