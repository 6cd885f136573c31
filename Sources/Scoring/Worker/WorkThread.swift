internal import Glibc
internal import Postgres
internal import Synchronization

/// A thread of its own, which threads and asynchronous code can wait for.
///
/// Scoring and libpq block, and Swift's pool has a thread a core: work that blocked there would
/// starve timers and control.
package final class WorkThread: Sendable {
  private enum State {
    case running(waiter: CheckedContinuation<Void, Never>?)
    case over
  }

  private let state = Mutex(State.running(waiter: nil))
  private let ended = WakeUp()

  /// Starts at once. `name` is cut to the 15 bytes that Linux keeps.
  ///
  /// - Parameter yields: Whether other threads of the machine come first where all want a core.
  package init(name: String, yields: Bool = false, _ body: @escaping @Sendable () -> Void) {
    let start = Unmanaged.passRetained(
      Start(name: name) {
        // A ninth of what others get; of the calling thread alone, as Linux has it.
        if yields { setpriority(.init(PRIO_PROCESS.rawValue), 0, 10) }
        body()
        self.end()
      })
    let code = withUnsafeTemporaryAllocation(of: pthread_attr_t.self, capacity: 1) { memory in
      let attributes = memory.baseAddress!
      pthread_attr_init(attributes)
      pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
      pthread_attr_setstacksize(attributes, 8 << 20)
      defer { pthread_attr_destroy(attributes) }
      var thread = pthread_t()
      return pthread_create(
        &thread, attributes,
        { context in
          let start = Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
          WorkThread.name(start.name)
          start.body()
          return nil
        }, start.toOpaque())
    }
    precondition(code == 0, "no thread could be started (errno \(code))")
  }

  /// Names the calling thread, for `top -H` and debuggers; harmless where that cannot be done.
  private static func name(_ name: String) {
    guard let file = fopen("/proc/thread-self/comm", "w") else { return }
    fputs(String(name.prefix(15)), file)
    fclose(file)
  }

  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Returns when the body has returned. One waiter at a time.
  package func wait() async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        guard case .running = state else { return true }
        state = .running(waiter: continuation)
        return false
      }
      if isOver { continuation.resume() }
    }
  }

  /// Blocks until the body has returned; false when the time was over first.
  package func wait(timeout: Duration) -> Bool { ended.wait(timeout: timeout) }

  private func end() {
    ended.signal()
    let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard case .running(let waiter) = state else { return nil }
      state = .over
      return waiter
    }
    waiter?.resume()
  }

  /// Blocks the calling thread; exact to a tenth of a millisecond.
  static func pause(_ duration: Duration) {
    guard duration > .zero else { return }
    let (seconds, attoseconds) = duration.components
    var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var rest = timespec()
    while nanosleep(&left, &rest) != 0 { left = rest }
  }
}
