import Dispatch
import Foundation
import Synchronization

/// Threads that prepare each for themselves, then start together; the time is taken between.
///
/// Measured work blocks in libpq, so each member has a thread of its own.
struct Crew {
  /// What the members came to, and how long the slowest took from the common start.
  struct Outcome<Value: Sendable>: Sendable {
    var values: [Value]
    var duration: Duration
  }

  /// Runs `count` members and waits for all of them.
  ///
  /// - Parameters:
  ///   - prepare: Called on the member's thread before the start, as to connect.
  ///   - work: What is timed; gets the member's number and what it prepared.
  /// - Throws: The first error of a member, once all have ended.
  static func run<Tools, Value: Sendable>(
    _ count: Int, prepare: @escaping @Sendable (Int) throws -> Tools,
    work: @escaping @Sendable (Int, inout Tools) throws -> Value
  ) throws -> Outcome<Value> {
    let state = CrewState<Value>()
    let ready = DispatchSemaphore(value: 0)
    let go = DispatchSemaphore(value: 0)
    let done = DispatchSemaphore(value: 0)
    for member in 0..<count {
      let thread = Thread {
        var tools: Tools?
        do { tools = try prepare(member) } catch { state.fail(error) }
        ready.signal()
        go.wait()
        if var tools, !state.hasFailed {
          do { state.finish(member, try work(member, &tools)) } catch { state.fail(error) }
        }
        done.signal()
      }
      thread.name = "crew \(member)"
      thread.start()
    }
    for _ in 0..<count { ready.wait() }
    let clock = ContinuousClock()
    let start = clock.now
    for _ in 0..<count { go.signal() }
    for _ in 0..<count { done.wait() }
    let duration = clock.now - start
    return Outcome(values: try state.values(count), duration: duration)
  }
}

/// What members report, from any thread.
private final class CrewState<Value: Sendable>: Sendable {
  private struct Contents {
    var values: [Int: Value] = [:]
    var failure: (any Error)?
  }

  private let contents = Mutex(Contents())

  var hasFailed: Bool { contents.withLock { $0.failure != nil } }

  func finish(_ member: Int, _ value: Value) {
    contents.withLock { $0.values[member] = value }
  }

  func fail(_ error: any Error) {
    contents.withLock { if $0.failure == nil { $0.failure = error } }
  }

  func values(_ count: Int) throws -> [Value] {
    try contents.withLock { contents in
      if let failure = contents.failure { throw failure }
      return (0..<count).compactMap { contents.values[$0] }
    }
  }
}
