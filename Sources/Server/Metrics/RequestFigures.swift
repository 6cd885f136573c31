internal import HTTPTypes
internal import Synchronization

/// What requests came to, by route: counts by status, and how long they took.
///
/// Routes are those that the server has, and one for all other paths, so that nobody can make up more of them.
/// They are kept in several places, which are added up when they are read, so that loops that count do not wait
/// for each other.
final class RequestFigures: Sendable {
  struct Key: Hashable, Sendable, Comparable {
    var route: String
    var method: String

    static func < (a: Key, b: Key) -> Bool { (a.route, a.method) < (b.route, b.method) }
  }

  struct Figures: Sendable {
    var byStatus: [Int: Int] = [:]
    /// Requests by the first bound that they did not exceed; the last is for those beyond all.
    var buckets = [Int](repeating: 0, count: RequestFigures.bounds.count + 1)
    var seconds = 0.0

    fileprivate mutating func count(_ status: Int, _ bucket: Int, _ seconds: Double) {
      byStatus[status, default: 0] += 1
      buckets[bucket] += 1
      self.seconds += seconds
    }

    fileprivate func adding(_ others: Figures) -> Figures {
      Figures(
        byStatus: byStatus.merging(others.byStatus) { $0 + $1 },
        buckets: zip(buckets, others.buckets).map { $0 + $1 }, seconds: seconds + others.seconds)
    }
  }

  /// Seconds.
  static let bounds = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  /// Methods are words that clients may make up, too.
  static func isKnown(_ method: HTTPRequest.Method) -> Bool {
    [.get, .post, .head, .put, .delete, .options, .patch].contains(method)
  }

  private final class Place: Sendable {
    let figures = Mutex<[Key: Figures]>([:])
  }

  private let places = (0..<16).map { _ in Place() }

  /// - Parameter place: Any number.
  func count(_ key: Key, status: Int, duration: Duration, at place: Int = 0) {
    // Dividing one duration by another takes as long as scoring a row.
    let parts = duration.components
    let seconds = Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
    let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    places[place % places.count].figures.withLock { figures in
      figures[key, default: Figures()].count(status, bucket, seconds)
    }
  }

  var all: [(key: Key, figures: Figures)] {
    places.reduce(into: [Key: Figures]()) { sum, place in
      sum.merge(place.figures.withLock { $0 }) { $0.adding($1) }
    }.map { (key: $0.key, figures: $0.value) }.sorted { $0.key < $1.key }
  }
}
