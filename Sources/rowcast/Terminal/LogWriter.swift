import Foundation
import Logging
import Postgres
import Scoring
import Synchronization

/// Writes lines of the log on a thread of its own: whoever logs never waits for whoever reads.
///
/// Lines wait in memory while a reader is slow. What comes beyond a megabyte of them is dropped, and how many
/// lines that were is logged when there is room again. A reader that is gone costs the lines, nothing else.
final class LogWriter: TextOutputStream, Sendable {
  /// The process' own; what waits at its exit is still written, for a second at most.
  static let standardError: LogWriter = {
    let writer = LogWriter(to: STDERR_FILENO)
    atexit { LogWriter.standardError.finish(within: .seconds(1)) }
    return writer
  }()

  private struct State {
    var waiting: [UInt8] = []
    var dropped = 0
    /// Whether lines that do not wait any more are not all written yet.
    var isWriting = false
    var isOver = false
    /// Says how many lines were dropped.
    var logger: Logger?
  }

  private static let most = 1 << 20
  private let descriptor: Int32
  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let ended = WakeUp()

  private init(to descriptor: Int32) {
    self.descriptor = descriptor
    _ = WorkThread(name: "rowcast log") { self.run() }
  }

  /// Has the number of dropped lines logged as these are.
  func use(_ logger: Logger) { state.withLock { $0.logger = logger } }

  func write(_ line: String) { write(Array(line.utf8)) }

  func write(_ line: [UInt8]) {
    let isFirst = state.withLock { state in
      guard state.waiting.count + line.count <= Self.most else {
        state.dropped += 1
        return false
      }
      defer { state.waiting += line }
      return state.waiting.isEmpty
    }
    if isFirst { wakeUp.signal() }
  }

  /// Writes what waits, for so long at most.
  private func finish(within time: Duration) {
    let isIdle = state.withLock { state in
      state.isOver = true
      return state.waiting.isEmpty && !state.isWriting
    }
    guard !isIdle else { return }
    wakeUp.signal()
    _ = ended.wait(timeout: time)
  }

  private func run() {
    while true {
      wakeUp.clear()
      let (lines, dropped, logger, isOver) = state.withLock { state in
        defer { (state.waiting, state.dropped, state.isWriting) = ([], 0, !state.waiting.isEmpty) }
        return (state.waiting, state.dropped, state.logger, state.isOver)
      }
      if dropped > 0 {
        logger?.warning(
          "lines of the log were dropped, since they were not read in time",
          metadata: ["log.dropped": "\(dropped)"])
      }
      if !lines.isEmpty {
        put(lines)
      } else if isOver {
        return ended.signal()
      } else if dropped == 0 {
        _ = wakeUp.wait()
      }
    }
  }

  /// Waits for whoever reads; the rest is lost where nobody does.
  private func put(_ lines: [UInt8]) {
    var rest = lines[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if count < 0, errno == EAGAIN {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, -1)
      } else if count == 0 || errno != EINTR {
        return
      }
    }
  }
}
