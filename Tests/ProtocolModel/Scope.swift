/// Bounds within which all interleavings are tried, and the rules whose breach shows within them.
///
/// One part of the protocol is in small steps in each; `whole` has all parts, and less of everything.
package enum Scope: String, CaseIterable, Sendable {
  /// Writers with aborts and lost flushes, two dispatchers, deaths and a crash.
  case doorbell
  /// The log's rotation by two who tidy at once, while writers and ticks go on.
  case rotation
  /// One writer, and enough housekeeping for both children of the log to be emptied.
  case twice
  /// Updates and deletes of two keys, two lanes, a death, a chunk given back.
  case scoring
  /// Rows that cannot be scored, deletes, a death and a crash.
  case failing
  /// A job over all keys beside live changes.
  case jobs
  /// A script that waits while the log is rotated.
  case waiting
  /// All parts at once.
  case whole

  /// - Parameter isWide: More of everything: minutes, and some gigabytes.
  package func bounds(isWide: Bool) -> Model.Bounds {
    var bounds = Model.Bounds()
    switch self {
    case .doorbell:
      bounds.keys = 2
      bounds.statements = isWide ? 2 : 1
      bounds.transactions = 3
      bounds.mayAbort = true
      bounds.mayCommitLazily = true
      bounds.dispatchers = 2
      bounds.sessionEnds = 1
      bounds.crashes = 1
    case .rotation:
      bounds.keys = 2
      bounds.transactions = 3
      bounds.sleeps = false
      bounds.tidiers = 2
      bounds.tidies = isWide ? 4 : 3
      bounds.crashes = isWide ? 1 : 0
    case .twice:
      bounds.writers = isWide ? 2 : 1
      bounds.transactions = 3
      bounds.sleeps = false
      bounds.tidiers = 1
      bounds.tidies = 7
    case .scoring:
      bounds.keys = 2
      bounds.transactions = 3
      bounds.mayDelete = true
      bounds.lanes = 2
      bounds.laneDeaths = 1
      bounds.releases = 1
      bounds.collectsInSteps = false
      bounds.sleeps = false
      bounds.crashes = isWide ? 1 : 0
    case .failing:
      bounds.transactions = 3
      bounds.mayDelete = true
      bounds.mayFail = true
      bounds.mayCommitLazily = isWide
      bounds.lanes = 2
      bounds.laneDeaths = 1
      bounds.releases = isWide ? 1 : 0
      bounds.crashes = 1
      bounds.collectsInSteps = false
      bounds.sleeps = false
    case .jobs:
      bounds.keys = isWide ? 2 : 1
      bounds.transactions = 2
      bounds.mayDelete = true
      bounds.lanes = 2
      bounds.laneDeaths = 1
      bounds.jobs = true
      bounds.collectsInSteps = false
      bounds.sleeps = false
      bounds.crashes = 1
    case .waiting:
      bounds.writers = isWide ? 2 : 1
      bounds.transactions = 2
      bounds.sleeps = false
      bounds.tidiers = 1
      bounds.tidies = 3
      bounds.lanes = 1
      bounds.waits = true
    case .whole:
      bounds.writers = 2
      bounds.transactions = 2
      bounds.mayDelete = true
      bounds.tidiers = 1
      bounds.tidies = 3
      bounds.lanes = 1
      bounds.laneDeaths = isWide ? 1 : 0
      bounds.crashes = isWide ? 1 : 0
    }
    return bounds
  }
}
