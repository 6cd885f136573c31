internal import Glibc

/// The moment at which a wait ends; none for a wait without end.
struct Deadline {
  private let end: ContinuousClock.Instant?

  init(after timeout: Duration?) {
    end = timeout.map { ContinuousClock.now.advanced(by: $0) }
  }

  func earlier(than other: Deadline) -> Deadline {
    guard let end, let otherEnd = other.end else { return end == nil ? other : self }
    return end < otherEnd ? self : other
  }

  var isOver: Bool { end.map { $0 <= .now } ?? false }

  /// What is left, for poll(2): rounded up, so that a wait never spins; -1 for no end.
  var pollMilliseconds: Int32 {
    guard let end else { return -1 }
    let left = ContinuousClock.now.duration(to: end)
    guard left > .zero else { return 0 }
    let (seconds, attoseconds) = left.components
    let milliseconds = seconds.multipliedReportingOverflow(by: 1000)
    guard !milliseconds.overflow, milliseconds.partialValue < 1_000_000_000 else {
      return 1_000_000_000
    }
    return Int32(
      milliseconds.partialValue + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

func errorNumber() -> Int32 { errno }
