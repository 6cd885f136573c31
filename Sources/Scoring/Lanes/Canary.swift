internal import Inference
internal import Postgres
internal import Synchronization

/// Another version of a scorer's model, which scores a share of its rows.
struct Canary {
  var id: Int64
  var model: ModelVersionID
  /// Whether a row belongs to it, over the key columns `c0`, `c1`, ….
  var armSQL: String

  /// The canary of a scorer; nil where none runs.
  static func load(_ scorer: Int32, on connection: Connection) throws(PostgresError) -> Canary? {
    let rows = try connection.run("select * from rowcast.load_canary(\(scorer))")
    guard rows.count > 0 else { return nil }
    return Canary(
      id: try rows.value(0, "canary_id"),
      model: ModelVersionID(
        model: try rows.value(0, "model_id"), version: try rows.value(0, "version")),
      armSQL: try rows.value(0, "arm_sql"))
  }
}

/// What a canary and its scorer's own version did since it was last written down.
struct CanaryCount: Sendable, Equatable {
  /// Of one of the two versions.
  struct Arm: Sendable, Equatable {
    var rows: Int64 = 0
    /// Of `rows`.
    var failures: Int64 = 0
    /// In the engine alone.
    var time: Duration = .zero

    static func += (sum: inout Arm, other: Arm) {
      sum.rows += other.rows
      sum.failures += other.failures
      sum.time += other.time
    }
  }

  var canary = Arm()
  var champion = Arm()

  static func += (sum: inout CanaryCount, other: CanaryCount) {
    sum.canary += other.canary
    sum.champion += other.champion
  }
}

/// Where the lanes of a process count for canaries, until the control thread writes it down.
///
/// What a worker counted and did not write down is lost with it.
final class CanaryLedger: Sendable {
  private let counts = Mutex<[Int64: CanaryCount]>([:])

  func add(_ count: CanaryCount, to canary: Int64) {
    counts.withLock { $0[canary, default: CanaryCount()] += count }
  }

  /// Writes down what was counted; the database judges, and stops a canary that does worse than it
  /// may. What cannot be written is kept for the next time.
  func flush(to connection: Connection, events: EventSink) throws(PostgresError) {
    let taken = counts.withLock { counts in
      defer { counts = [:] }
      return counts
    }
    for (canary, count) in taken {
      let (own, champion) = (count.canary, count.champion)
      do throws(PostgresError) {
        let problem = try connection.run(
          """
          select rowcast.count_canary(\(canary), \(own.rows), \(own.failures), \(own.time.seconds), \
          \(champion.rows), \(champion.failures), \(champion.time.seconds))
          """
        ).value(0, 0, as: String?.self)
        if let problem { events(.canaryStopped(canary: canary, reason: problem)) }
      } catch {
        add(count, to: canary)
        throw error
      }
    }
  }
}
