/// Durations in logarithmic buckets: constant memory, quantiles within 5 %.
public struct LatencyHistogram: Sendable {
  /// Sixteen buckets an octave of microseconds, 40 octaves.
  private var counts = [UInt64](repeating: 0, count: 40 * 16)
  public private(set) var count: UInt64 = 0

  public init() {}

  public mutating func add(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let microseconds = max(1, seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    counts[Self.bucket(UInt64(microseconds))] += 1
    count += 1
  }

  /// The middle of the bucket in which the quantile lies; nil when nothing was added.
  public func quantile(_ q: Double) -> Duration? {
    guard count > 0 else { return nil }
    let wanted = UInt64((q * Double(count)).rounded(.up))
    var seen: UInt64 = 0
    for (bucket, inBucket) in counts.enumerated() where inBucket > 0 {
      seen += inBucket
      if seen >= max(1, wanted) { return .microseconds(Self.middle(bucket)) }
    }
    return nil
  }

  private static func bucket(_ microseconds: UInt64) -> Int {
    let octave = 63 - microseconds.leadingZeroBitCount
    let shift = octave - 4
    let part =
      shift >= 0 ? (microseconds >> UInt64(shift)) & 15 : (microseconds << UInt64(-shift)) & 15
    return min(octave * 16 + Int(part), 40 * 16 - 1)
  }

  private static func middle(_ bucket: Int) -> Int64 {
    let low = Double(UInt64(1) << UInt64(bucket / 16))
    return Int64((low * (1 + (Double(bucket % 16) + 0.5) / 16)).rounded())
  }
}
