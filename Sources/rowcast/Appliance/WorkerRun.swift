import CMalloc
import Foundation
import Logging
import Scoring
import Synchronization

/// Runs a worker beside a body of blocking work.
enum WorkerRun {
  private enum First<Value: Sendable>: Sendable {
    case body(Result<Value, any Error>)
    case worker(Result<Void, any Error>)
  }

  /// Runs the worker until the body has returned, on a thread of its own, then stops it in order.
  ///
  /// - Throws: The body's error; the worker's, at once, where it ended first.
  static func during<Value: Sendable>(
    _ worker: Worker, _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    // A chunk's columns are some megabytes, chunk after chunk.
    cm_keep_freed(32 << 20)
    let work = Task { try await worker.run() }
    let first: First<Value> = await withCheckedContinuation { continuation in
      let once = Once(continuation)
      let thread = Thread { once.resume(.body(Result { try body() })) }
      thread.stackSize = 8 << 20
      thread.start()
      Task { once.resume(.worker(await work.result)) }
    }
    switch first {
    case .body(let result):
      worker.stop()
      let end = await work.result
      // Where both have something to say, the body said it first.
      let value = try result.get()
      try end.get()
      return value
    case .worker(let result):
      try result.get()
      throw CommandError(.failed, "the worker ended before its time")
    }
  }

  /// Resumes a continuation with the first outcome, and drops the later one.
  private final class Once<Value: Sendable>: Sendable {
    private let continuation: Mutex<CheckedContinuation<First<Value>, Never>?>

    init(_ continuation: CheckedContinuation<First<Value>, Never>) {
      self.continuation = Mutex(continuation)
    }

    func resume(_ value: First<Value>) {
      let continuation = continuation.withLock { held in
        defer { held = nil }
        return held
      }
      continuation?.resume(returning: value)
    }
  }

  /// A logger that writes to standard error, since standard output is for results.
  static func logger(level: Logger.Level) -> Logger {
    var logger = Logger(label: "rowcast") { label in
      ScrubbingLogHandler(StreamLogHandler(label: label, stream: LogWriter.standardError))
    }
    logger.logLevel = level
    LogWriter.standardError.use(logger)
    return logger
  }
}
