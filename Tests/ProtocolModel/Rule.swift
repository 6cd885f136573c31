/// The rules that the protocol consists of. A model that breaks one must be caught.
package enum Rule: String, CaseIterable, Sendable {
  // The doorbell.
  case lastTickUnderBell, bellHeldAsleep, bellHeldToCommit, ringWhereBellIsHeld, oldRingsOnly
  case listenFirst
  // Ticks.
  case inProgressList, cursorWithChunks
  // The log.
  case waitForWriters, waitForTick, noteAfterClosing, noteByDrawnNumber, noteUnderLock
  case oneChildEmpty
  // Chunks.
  case claimOnce, fence, attempt, rescue, rescueByLock
  // Results.
  case tickGuard, readAfterClaim, retract, tombstone, tombstoneKept, absenceAlone
  case failureBeatsPrediction, jobTickBeforeReading
  // Scripts that wait.
  case waitHoldsLog, waitForChunks

  /// What a model does that breaks it.
  package var breach: String {
    switch self {
    case .lastTickUnderBell: "sleeps without a tick while holding the doorbell"
    case .bellHeldAsleep: "ticks a last time, but sleeps without the doorbell"
    case .bellHeldToCommit: "a writer's share of the doorbell ends with its statement"
    case .ringWhereBellIsHeld: "a writer that finds the doorbell held does not ring"
    case .oldRingsOnly: "forgets rings when it falls asleep, not before it takes the doorbell"
    case .listenFirst: "listens when it falls asleep, not when it is elected"
    case .inProgressList: "a tick reads only what began after the last one"
    case .cursorWithChunks: "a tick commits its cursor before its chunks"
    case .waitForWriters: "truncates although writers of before the note are in flight"
    case .waitForTick: "truncates although no tick has collected what was committed"
    case .noteAfterClosing: "notes the closing transaction's own number"
    case .noteByDrawnNumber: "notes the xmax of a snapshot, and no number of its own"
    case .noteUnderLock: "draws the number before it has the ticks' lock"
    case .oneChildEmpty: "closes a child while the other one is not empty"
    case .claimOnce: "a claim neither skips nor looks again at what another one takes"
    case .fence: "writes whatever became of the chunk"
    case .attempt: "writes if the chunk is running, whoever runs it"
    case .rescue: "leaves chunks with lanes that died"
    case .rescueByLock: "rescues from lanes whose locks are held"
    case .tickGuard: "an upsert does not compare ticks"
    case .readAfterClaim: "a lane reads before it has a chunk"
    case .retract: "a key without a row retracts nothing"
    case .tombstone: "an absence leaves no tombstone"
    case .tombstoneKept: "tombstones are forgotten while something older is open"
    case .absenceAlone: "an absence shares the lock of the scorer's writes"
    case .failureBeatsPrediction: "a failure does not look at predictions"
    case .jobTickBeforeReading: "the results of a job carry a tick drawn after reading"
    case .waitHoldsLog: "rowcast.wait reads the last tick before it holds the log"
    case .waitForChunks: "rowcast.wait does not look at chunks"
    }
  }

  /// What breaks with it.
  package var violation: Violation {
    switch self {
    case .lastTickUnderBell, .bellHeldAsleep, .bellHeldToCommit, .ringWhereBellIsHeld,
      .oldRingsOnly, .listenFirst, .inProgressList, .cursorWithChunks:
      .lostWakeUp
    case .waitForWriters, .waitForTick, .noteAfterClosing, .noteByDrawnNumber, .noteUnderLock,
      .oneChildEmpty:
      .lostRow
    case .claimOnce, .attempt: .writtenTwice
    case .rescue: .openForEver
    case .rescueByLock: .givenUp
    case .tickGuard: .overwritten
    case .fence, .readAfterClaim, .retract, .tombstone, .tombstoneKept, .absenceAlone: .orphaned
    case .failureBeatsPrediction, .jobTickBeforeReading: .stale
    case .waitHoldsLog, .waitForChunks: .waitedTooShort
    }
  }

  /// Within which bounds that shows.
  package var scope: Scope {
    switch self {
    case .lastTickUnderBell, .bellHeldAsleep, .bellHeldToCommit, .ringWhereBellIsHeld,
      .oldRingsOnly, .listenFirst, .inProgressList, .cursorWithChunks:
      .doorbell
    case .waitForWriters, .waitForTick, .noteAfterClosing, .noteByDrawnNumber, .noteUnderLock:
      .rotation
    case .oneChildEmpty: .twice
    case .claimOnce, .fence, .attempt, .rescue, .rescueByLock, .tickGuard, .readAfterClaim,
      .retract, .tombstone, .tombstoneKept, .absenceAlone:
      .scoring
    case .failureBeatsPrediction: .failing
    case .jobTickBeforeReading: .jobs
    case .waitHoldsLog, .waitForChunks: .waiting
    }
  }
}
