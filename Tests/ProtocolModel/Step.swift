/// Something that happens in one piece: what PostgreSQL shows to others all at once, or not at all.
package struct Step: Equatable, CustomStringConvertible {
  package enum Kind: UInt8, CaseIterable, Sendable {
    case start
    // Writers.
    case changeRow, readSlot, append, commit, abort, unlock, ring
    // The dispatcher.
    case elect, takeBell, beginTick, endTick, wake
    // Housekeeping.
    case beginTidy, rotate, endTidy, forgetTombstones
    // Lanes.
    case claim, readRow, fence, lockWrites, decide, finish, release, rescue
    // Jobs, and scripts that wait.
    case orderJob, commitJob, cutJob, closeJob, callWait, holdLog, findTick, returnFromWait
    // What goes wrong.
    case sessionEnds, laneDies, serverCrashes
  }

  package var kind: Kind
  /// Which of the processes of its kind.
  var actor: UInt8 = 0
  /// The key, or the place of the chunk.
  var detail: UInt8 = 0

  init(_ kind: Kind, _ actor: Int = 0) { (self.kind, self.actor) = (kind, UInt8(actor)) }

  init(_ kind: Kind, _ actor: Int, _ detail: some BinaryInteger) {
    (self.kind, self.actor, self.detail) = (kind, UInt8(actor), UInt8(detail))
  }

  package var description: String {
    switch kind {
    case .start, .serverCrashes, .orderJob, .commitJob, .closeJob, .callWait, .holdLog,
      .returnFromWait, .forgetTombstones:
      "\(kind)"
    case .changeRow: "writer \(actor): changeRow of key \(detail)"
    case .append: "writer \(actor): append to child \(detail)"
    case .readSlot, .commit, .abort, .unlock, .ring: "writer \(actor): \(kind)"
    case .elect, .takeBell, .beginTick, .wake: "dispatcher \(actor): \(kind)"
    case .endTick:
      "dispatcher \(actor): endTick" + (detail == 0 ? "" : ", a chunk for lane \(detail - 1)")
    case .beginTidy, .rotate, .endTidy: "tidier \(actor): \(kind)"
    case .lockWrites, .release, .laneDies: "lane \(actor): \(kind)"
    case .claim, .readRow, .fence, .decide, .finish: "lane \(actor): \(kind) of \(chunk)"
    case .rescue: "rescue of \(chunk)"
    case .cutJob: "cutJob of key \(detail)"
    case .findTick: "findTick, which is \(detail)"
    case .sessionEnds: "sessionEnds of \(actor < 2 ? "dispatcher" : "tidier") \(actor % 2)"
    }
  }

  private var chunk: String {
    "tick \(Chunk.tick(of: Int(detail))), key \(Chunk.key(of: Int(detail)))"
  }
}

/// What is promised, and was not kept.
package enum Violation: String, Sendable {
  case lostWakeUp = "the dispatcher sleeps, nobody rang, and a committed change is not collected"
  case lostRow = "a committed change is neither in the log nor in a chunk"
  case unscored = "at the end a row has no prediction of its latest state"
  case stale = "at the end a prediction is not of its row's latest state"
  case orphaned = "at the end there is a prediction of a row that is gone"
  case openForEver = "at the end a change, a chunk or a job is not done"
  case overwritten = "a prediction of an older tick replaced one of a newer tick"
  case writtenTwice = "a lane wrote the result of a chunk that it had lost"
  case givenUp = "a chunk was given up although its lanes lived"
  case waitedTooShort = "rowcast.wait returned before the predictions of what its caller saw"
  case runsForEver = "a run need not end"
}
