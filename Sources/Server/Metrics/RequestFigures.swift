internal import HTTPTypes
internal import Synchronization

/// What requests came to, by route: counts by status, and how long they took.
///
/// Routes are those that the server has, and one for all other paths, so that nobody can make up more of them.
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
  }

  /// Seconds.
  static let bounds = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  /// Methods are words that clients may make up, too.
  static func isKnown(_ method: HTTPRequest.Method) -> Bool {
    [.get, .post, .head, .put, .delete, .options, .patch].contains(method)
  }

  private let figures = Mutex<[Key: Figures]>([:])

  func count(_ key: Key, status: Int, duration: Duration) {
    let seconds = duration / .seconds(1)
    let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    figures.withLock { figures in
      figures[key, default: Figures()].byStatus[status, default: 0] += 1
      figures[key]!.buckets[bucket] += 1
      figures[key]!.seconds += seconds
    }
  }

  var all: [(key: Key, figures: Figures)] {
    figures.withLock { $0.map { (key: $0.key, figures: $0.value) } }.sorted { $0.key < $1.key }
  }
}
