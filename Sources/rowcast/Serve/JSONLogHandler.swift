import Foundation
import Logging
import Scoring

/// Writes each event as an object of JSON on a line of standard error, for programs that gather logs.
struct JSONLogHandler: LogHandler {
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]

  /// A logger that writes so.
  static func logger(level: Logger.Level) -> Logger {
    var logger = Logger(label: "rowcast") { _ in ScrubbingLogHandler(JSONLogHandler()) }
    logger.logLevel = level
    LogWriter.standardError.use(logger)
    return logger
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var members: [String: String] = [:]
    for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
      members[key] = "\(value)"
    }
    members["time"] = Date().formatted(.iso8601.time(includingFractionalSeconds: true))
    members["level"] = event.level.rawValue
    members["message"] = "\(event.message)"
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings only: encoding cannot fail.
    guard let line = try? encoder.encode(members) else { return }
    LogWriter.standardError.write(Array(line) + [0x0A])
  }
}
