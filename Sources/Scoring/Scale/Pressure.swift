/// How much of a worker's lanes jobs may have while the server is in trouble: a half less at each look
/// that shows a sign of it, an eighth more at each that shows none. Live changes are never held back.
///
/// Reads no clock and sends no query.
package struct Pressure: Sendable, Equatable {
  /// What a look showed; nil where it may not be seen, or is not there.
  package struct Signs: Sendable, Equatable {
    /// How long a statement of a lane runs already, or the look itself took.
    package var statementSeconds: Double?
    /// What the server says that it waits for.
    package var statementWait: String?
    /// The usual time of a statement.
    package var usualSeconds = 0.0
    package var walShare: Double?
    package var replicaSeconds: Double?
    package var replica: String?
    package var transactionSeconds: Double?

    package init() {}
  }

  /// Nil where it is lifted.
  package struct Limits: Sendable, Equatable {
    package var slowdown: Double? = 10
    package var walShare: Double? = 1.25
    package var replicaSeconds: Double? = 30
    package var transactionSeconds: Double? = 7200

    package init() {}
  }

  /// Of the lanes, and of the size of chunks.
  package private(set) var share = 1.0
  /// Why jobs hold back; nil where they do not.
  package private(set) var reason: String?
  private var quietLooks = 0

  package static let leastSeconds = 2.0
  private static let step = 0.125
  /// One look without a sign may be luck.
  private static let patience = 2

  package init() {}

  /// - Returns: Whether the share or the reason changed.
  @discardableResult
  package mutating func look(_ signs: Signs, _ limits: Limits) -> Bool {
    let before = self
    if let (reason, least) = Self.sign(signs, limits) {
      self.reason = reason
      quietLooks = 0
      share = share / 2 < Self.step ? min(share, least) : share / 2
    } else if reason != nil {
      quietLooks += 1
      if quietLooks >= Self.patience { share = min(1, share + Self.step) }
      if share == 1 { (reason, quietLooks) = (nil, 0) }
    }
    return share != before.share || reason != before.reason
  }

  /// Of so many lanes, those that take chunks of jobs: one at least, unless jobs stop.
  package func lanes(of count: Int) -> Int {
    share > 0 ? max(1, Int(Double(count) * share)) : 0
  }

  /// By how much chunks of jobs are smaller than usual.
  package var sizeShare: Double { max(share, Self.step) }

  /// The worst of the signs, and the share that it leaves at least: none where each statement more makes
  /// it worse, some where what is done now must be done anyway.
  private static func sign(_ signs: Signs, _ limits: Limits) -> (String, least: Double)? {
    if let slowdown = limits.slowdown, let seconds = signs.statementSeconds,
      seconds > max(leastSeconds, slowdown * signs.usualSeconds)
    {
      let wait = signs.statementWait.map { ", waiting for \($0)" } ?? ""
      return (
        "a statement takes \(short(seconds)) s, usually \(short(signs.usualSeconds)) s\(wait)", 0
      )
    }
    if let limit = limits.replicaSeconds, let lag = signs.replicaSeconds, lag > limit {
      let name = signs.replica.map { " \"\($0)\"" } ?? ""
      return ("replica\(name) is \(short(lag)) s behind, the limit is \(short(limit)) s", 0)
    }
    if let limit = limits.walShare, let share = signs.walShare, share > limit {
      return (
        "\(short(share)) of max_wal_size is written since the last checkpoint, the limit is \(short(limit))",
        0
      )
    }
    if let limit = limits.transactionSeconds, let age = signs.transactionSeconds, age > limit {
      return ("a transaction is open for \(short(age)) s, the limit is \(short(limit)) s", step)
    }
    return nil
  }

  /// With a tenth where that says something.
  private static func short(_ value: Double) -> String {
    let tenths = Int((min(value, 1e12) * 10).rounded())
    return value >= 10 || tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }
}

/// What a statement usually takes: follows slowly, and never up while the server is in trouble.
package struct UsualTime: Sendable {
  package private(set) var seconds: Double?
  private static let weight = 0.05

  package init() {}

  package mutating func note(_ seconds: Double) {
    self.seconds = self.seconds.map { $0 + Self.weight * (seconds - $0) } ?? seconds
  }
}

/// How long ago a position in the WAL was written, by when looks met it: the server's own measure of a
/// replica's lag stands still while nothing is replayed.
package struct ReplicaClock: Sendable {
  private var looks: [(seconds: Double, position: Int64)] = []
  /// Older ones are dropped: what is behind them is at least that old.
  private static let capacity = 600

  package init() {}

  /// - Returns: How many seconds ago what was replayed last was written at the earliest.
  package mutating func lag(position: Int64, replayed: Int64, at seconds: Double) -> Double {
    looks.append((seconds, position))
    if looks.count > Self.capacity { looks.removeFirst() }
    // The first look at which more was written than is replayed now.
    guard let first = looks.first(where: { $0.position > replayed }) else { return 0 }
    return seconds - first.seconds
  }
}

/// Since when the oldest transaction is the same, where its age may not be seen.
package struct OldestTransaction: Sendable {
  private var number: Int64?
  private var since = 0.0

  package init() {}

  /// - Parameter number: Nil where no transaction is open.
  package mutating func age(_ number: Int64?, at seconds: Double) -> Double {
    if self.number != number { (self.number, since) = (number, seconds) }
    return number == nil ? 0 : seconds - since
  }
}
