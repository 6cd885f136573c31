import Glibc
import Postgres
import Synchronization

/// Work on a thread of its own, so that a test may block in it and beside it.
public final class Background<Value: Sendable>: Sendable {
  private let outcome = Mutex<Result<Value, any Error>?>(nil)
  private let ended = WakeUp()

  public init(_ body: @escaping @Sendable () throws -> Value) {
    let order = Order { [self] in
      let result = Result { try body() }
      outcome.withLock { $0 = result }
      ended.signal()
    }
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Order>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(order).toOpaque())
    precondition(code == 0, "no thread is left for a test")
    pthread_detach(thread)
  }

  /// Waits for the end; throws what the body threw, or 57014 after the time.
  public func value(timeout: Duration = .seconds(120)) throws -> Value {
    guard ended.wait(timeout: timeout), let result = outcome.withLock({ $0 }) else {
      throw PostgresError(
        sqlState: "57014", message: "a test's thread has not ended within \(timeout)")
    }
    return try result.get()
  }
}

private final class Order: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Waits until the condition holds; for states of the server that no event tells of.
public func eventually(
  within timeout: Duration = .seconds(60), _ condition: () throws -> Bool
) throws -> Bool {
  let end = ContinuousClock.now.advanced(by: timeout)
  while try !condition() {
    guard ContinuousClock.now < end else { return false }
    usleep(2000)
  }
  return true
}
