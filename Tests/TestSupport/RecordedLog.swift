public import Logging
import Synchronization

/// What was logged, at any level.
public final class RecordedLog: Sendable {
  public struct Line: Sendable {
    public var level: Logger.Level
    public var message: String
    public var metadata: [String: String]
  }

  private let kept = Mutex<[Line]>([])

  public init() {}

  public var lines: [Line] { kept.withLock { $0 } }

  /// What brings lines here.
  public var handler: any LogHandler { Handler(log: self) }

  public var logger: Logger {
    var logger = Logger(label: "test") { [self] _ in handler }
    logger.logLevel = .trace
    return logger
  }

  private struct Handler: LogHandler {
    let log: RecordedLog
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let all = metadata.merging(event.metadata ?? [:]) { $1 }
      log.kept.withLock {
        $0.append(
          Line(
            level: event.level, message: "\(event.message)", metadata: all.mapValues { "\($0)" }))
      }
    }
  }
}
