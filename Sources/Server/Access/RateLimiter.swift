internal import Synchronization

/// How often each of many may ask: a bucket of tokens each, filled at a steady rate.
///
/// A bucket that is full again says nothing, and is forgotten when there are many.
package final class RateLimiter: Sendable {
  private struct Bucket {
    var tokens: Double
    var filledAt: ContinuousClock.Instant
  }

  private let buckets = Mutex<[String: Bucket]>([:])
  private let rate: Double
  private let burst: Double
  private static let most = 10_000

  /// - Parameters:
  ///   - rate: Requests a second, more than none.
  ///   - burst: Requests that may come at once.
  package init(rate: Double, burst: Double) {
    precondition(rate > 0 && burst >= 1)
    self.rate = rate
    self.burst = burst
  }

  /// Takes a token.
  ///
  /// - Returns: nil where there was one; else the seconds until there is.
  package func take(_ name: String, at now: ContinuousClock.Instant = .now) -> Double? {
    buckets.withLock { buckets in
      if buckets.count >= Self.most, buckets[name] == nil { forget(&buckets, now) }
      var bucket = buckets[name] ?? Bucket(tokens: burst, filledAt: now)
      bucket.tokens = tokens(bucket, now)
      bucket.filledAt = now
      let missing = 1 - bucket.tokens
      if missing <= 0 { bucket.tokens -= 1 }
      buckets[name] = bucket
      return missing > 0 ? missing / rate : nil
    }
  }

  private func tokens(_ bucket: Bucket, _ now: ContinuousClock.Instant) -> Double {
    min(burst, bucket.tokens + max(0, bucket.filledAt.duration(to: now) / .seconds(1)) * rate)
  }

  /// Those that are full; where none is, all: better a few requests too many than memory without end.
  private func forget(_ buckets: inout [String: Bucket], _ now: ContinuousClock.Instant) {
    let count = buckets.count
    buckets = buckets.filter { tokens($0.value, now) < burst }
    if buckets.count == count { buckets = [:] }
  }
}
