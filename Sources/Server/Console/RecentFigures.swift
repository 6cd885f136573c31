internal import Synchronization

/// What this server answered lately: figures that grow for ever, as they were a little while ago and are now.
final class RecentFigures: Sendable {
  struct Window: Sendable {
    /// Since when; nil where nothing is known yet.
    var seconds: Double
    var requests = 0
    var refused = 0
    /// Seconds within which half of the requests, and 99 of 100, were answered.
    var half: Double?
    var most: Double?
    var waiting = 0
    var scoredRows = 0
  }

  private struct Sample {
    var at: ContinuousClock.Instant
    var buckets: [Int]
    var refused: Int
    var scoredRows: Int
  }

  private let server: ServerParts
  private let samples: Mutex<[Sample]>
  private static let interval = Duration.seconds(2)
  private static let length = Duration.seconds(60)

  init(server: ServerParts) {
    self.server = server
    samples = Mutex([Self.sample(server)])
  }

  /// The last minute, as far as somebody looked.
  var now: Window {
    let newest = Self.sample(server)
    let oldest = samples.withLock { samples in
      while samples.count > 1, samples[0].at.duration(to: newest.at) > Self.length {
        samples.removeFirst()
      }
      if let last = samples.last, last.at.duration(to: newest.at) >= Self.interval {
        samples.append(newest)
      }
      return samples.first ?? newest
    }
    let buckets = zip(newest.buckets, oldest.buckets).map { $0 - $1 }
    return Window(
      seconds: max(1, oldest.at.duration(to: newest.at) / .seconds(1)),
      requests: buckets.reduce(0, +), refused: newest.refused - oldest.refused,
      half: Self.quantile(0.5, buckets), most: Self.quantile(0.99, buckets),
      waiting: server.queue.figures.waiting, scoredRows: newest.scoredRows - oldest.scoredRows)
  }

  /// Of requests that have rows scored; pages are none of them.
  private static func sample(_ server: ServerParts) -> Sample {
    var buckets = [Int](repeating: 0, count: RequestFigures.bounds.count + 1)
    for (key, figures) in server.figures.all
    where key.method == "POST" && !key.route.hasPrefix("/console") && key.route != "other" {
      for (place, count) in figures.buckets.enumerated() { buckets[place] += count }
    }
    let queue = server.queue.figures
    return Sample(at: .now, buckets: buckets, refused: queue.refused, scoredRows: queue.scoredRows)
  }

  /// As if the requests of a bucket were spread evenly over it.
  static func quantile(_ share: Double, _ buckets: [Int]) -> Double? {
    let count = buckets.reduce(0, +)
    guard count > 0 else { return nil }
    let wanted = share * Double(count)
    var before = 0.0
    for (place, own) in buckets.enumerated() where own > 0 {
      if before + Double(own) >= wanted {
        guard place < RequestFigures.bounds.count else { break }
        let low = place > 0 ? RequestFigures.bounds[place - 1] : 0
        return low + (RequestFigures.bounds[place] - low) * (wanted - before) / Double(own)
      }
      before += Double(own)
    }
    return RequestFigures.bounds.last
  }
}
