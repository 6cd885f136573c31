import Foundation
import Postgres
import Synchronization

/// Connections that write single rows at a given rate until they are stopped.
///
/// Each keeps a timetable of its own: a commit that comes late is made up for, so the rate holds on
/// the average as long as the server can.
final class PacedWriters: Sendable {
  /// What a writer does next; the number counts its own rows from 0.
  typealias Step = @Sendable (Connection, _ row: Int) throws -> Void

  private let isOver = Atomic(false)
  private let written = Atomic(0)
  private let failure = Mutex<(any Error)?>(nil)
  private let ended = DispatchSemaphore(value: 0)
  private let count: Int

  /// - Parameters:
  ///   - rate: Rows per second of all together.
  ///   - step: Makes what one writer does, by its number.
  init(_ stage: BenchStage, count: Int, rate: Int, step: @escaping @Sendable (Int) -> Step) {
    self.count = count
    for member in 0..<count {
      let thread = Thread { [self] in
        do {
          try write(stage.connect(), interval: .seconds(count) / rate, step(member))
        } catch {
          failure.withLock { $0 = $0 ?? error }
        }
        ended.signal()
      }
      thread.name = "writer \(member)"
      thread.start()
    }
  }

  /// Rows committed so far.
  var rows: Int { written.load(ordering: .relaxed) }

  /// - Throws: Where a writer has failed.
  func check() throws {
    if let error = failure.withLock({ $0 }) { throw error }
  }

  private func write(_ connection: Connection, interval: Duration, _ step: Step) throws {
    let clock = ContinuousClock()
    var due = clock.now
    var row = 0
    while !isOver.load(ordering: .acquiring) {
      let early = due - clock.now
      if early > .zero { usleep(UInt32(min(Format.seconds(early) * 1e6, 100_000))) }
      if early > .milliseconds(100) { continue }
      try step(connection, row)
      written.add(1, ordering: .relaxed)
      row += 1
      due += interval
      // Who is a second behind cannot keep the rate, and does not try to make up for more.
      if clock.now - due > .seconds(1) { due = clock.now }
    }
  }

  /// Returns once all have committed their last row.
  func stop() throws {
    isOver.store(true, ordering: .releasing)
    for _ in 0..<count { ended.wait() }
    try check()
  }
}
