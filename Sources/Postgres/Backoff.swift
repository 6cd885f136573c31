/// How long to wait before each new try: doubling from the shortest to the longest, each shortened
/// by a random part so that clients that lost the server together do not come back together.
public struct Backoff: Sendable {
  public var shortest: Duration
  public var longest: Duration

  public init(shortest: Duration = .milliseconds(50), longest: Duration = .seconds(5)) {
    precondition(shortest > .zero && longest >= shortest, "a backoff grows from more than zero")
    self.shortest = shortest
    self.longest = longest
  }

  /// Between half of min(shortest * 2^failures, longest) and all of it.
  ///
  /// - Parameter failures: How often it failed before, from 0.
  public func delay<R: RandomNumberGenerator>(after failures: Int, using random: inout R)
    -> Duration
  {
    var full = shortest
    for _ in 0..<max(0, failures) where full < longest { full *= 2 }
    full = min(full, longest)
    return full * Double.random(in: 0.5...1, using: &random)
  }

  public func delay(after failures: Int) -> Duration {
    var random = SystemRandomNumberGenerator()
    return delay(after: failures, using: &random)
  }
}

extension Connection {
  /// Connects, and tries again until that succeeds or the wake-up is signalled.
  ///
  /// Only what waiting may mend is tried again: an unreachable, starting or full server. A wrong
  /// password or a missing database is thrown at once.
  ///
  /// - Parameter onFailure: Called with each error and the wait that follows it.
  /// - Throws: 57014 when woken up.
  public static func open(
    _ settings: ConnectionSettings, backoff: Backoff = Backoff(), wakeUp: WakeUp? = nil,
    onFailure: (PostgresError, Duration) -> Void = { _, _ in }
  ) throws(PostgresError) -> Connection {
    var failures = 0
    while true {
      do throws(PostgresError) {
        return try Connection(settings, wakeUp: wakeUp)
      } catch {
        guard error.isConnectionLoss || error.sqlState.hasPrefix("53") else { throw error }
        let delay = backoff.delay(after: failures)
        failures += 1
        onFailure(error, delay)
        if let wakeUp {
          if wakeUp.wait(timeout: delay) {
            throw PostgresError(
              sqlState: "57014", message: "the connection attempt was given up",
              detail: error.message)
          }
        } else {
          Poll.sleep(for: delay)
        }
      }
    }
  }
}
