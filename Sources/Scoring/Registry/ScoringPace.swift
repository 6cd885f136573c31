internal import Glibc
internal import Synchronization

/// How much of a processor a model takes for a row, as those who score with it measure.
///
/// Where a measure is above what is known, it counts whole, where below, by an eighth: so a model that is
/// sometimes slow counts as slow. Time in which the thread does not run does not count.
package final class ScoringPace: Sendable {
  /// A row's; the highest until there is a measure.
  private let nanoseconds = Atomic<UInt64>(.max)

  package init() {}

  /// What the rows are likely to take together; nil before the first measure.
  package func expected(rows: Int) -> Duration? {
    let known = nanoseconds.load(ordering: .relaxed)
    guard known != .max else { return nil }
    let (time, isLong) = known.multipliedReportingOverflow(by: UInt64(max(rows, 0)))
    return .nanoseconds(isLong ? .max : Int64(clamping: time))
  }

  /// Calls and measures. Costs two system calls.
  package func measure<Value, Failure: Error>(
    rows: Int, _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let start = Self.now
    let value = try body()
    note(Self.now &- start, rows: rows)
    return value
  }

  package func note(_ time: UInt64, rows: Int) {
    let measured = time / UInt64(max(rows, 1))
    let known = nanoseconds.load(ordering: .relaxed)
    let next = known == .max || measured > known ? measured : known - (known - measured) / 8
    nanoseconds.store(next, ordering: .relaxed)
  }

  private static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
