internal import CLibPQ

/// A descriptor by which any thread ends another one's wait.
///
/// Once signalled it stays so until cleared: clear it, look at the shared state, then wait. A
/// signal that comes between is not lost.
public final class WakeUp: Sendable {
  let descriptor: Int32

  public init() {
    descriptor = rowcast_eventfd()
    precondition(descriptor >= 0, "no descriptor is left for a wake-up (errno \(errorNumber()))")
  }

  deinit { close(descriptor) }

  /// Ends the current or the next wait. Safe in a signal handler.
  public func signal() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  public func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }

  public var isSignalled: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  /// Waits until signalled; false when the time was over first.
  public func wait(timeout: Duration? = nil) -> Bool {
    let deadline = Deadline(after: timeout)
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&entry, 1, deadline.pollMilliseconds)
      if ready > 0 { return true }
      if ready == 0 && deadline.isOver { return false }
    }
  }
}
