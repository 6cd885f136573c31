/// The transaction in which a lane writes what a chunk came to.
extension Model {
  // MARK: Fence

  /// Locks the chunk's row and marks it done, or finds that it is no longer the lane's.
  func appendFence(_ index: Int, _ state: State, _ successors: inout Successors) {
    let lane = state.lanes[index]
    let chunk = state.content.chunk(Int(lane.place))
    let other = state.lanes[1 - index]
    if other.isWriting, other.place == lane.place { return }  // It waits for the row.
    var next = state
    let isOwn =
      switch broken {
      case .fence: true
      case .attempt: chunk.phase == .running
      default: chunk.phase == .running && chunk.attempt == lane.attempt
      }
    if isOwn {
      next.lanes[index].phase = .fenced
    } else {
      next.lanes[index] = State.Lane()
    }
    successors.append(Step(.fence, index, lane.place), next)
  }

  // MARK: The scorer's lock

  private enum Result { case prediction, failure, absence, nothing }

  private func result(_ lane: State.Lane, _ content: Content) -> Result {
    if lane.version != 0 {
      return content.unscorable.contains(lane.version) ? .failure : .prediction
    }
    // A range has no keys that could be missing.
    return isOfJob(lane, content) || !keeps(.retract) ? .nothing : .absence
  }

  private func isOfJob(_ lane: State.Lane, _ content: Content) -> Bool {
    content.job.phase != .none && content.job.tick == Chunk.tick(of: Int(lane.place))
  }

  /// The chunk's.
  private func outcomeTick(_ lane: State.Lane, _ content: Content) -> UInt8 {
    isOfJob(lane, content) && !keeps(.jobTickBeforeReading)
      ? content.lastTick : Chunk.tick(of: Int(lane.place))
  }

  private func isExclusive(_ lane: State.Lane, _ content: Content) -> Bool {
    switch result(lane, content) {
    case .prediction, .nothing: false
    case .failure: true
    case .absence: keeps(.absenceAlone)
    }
  }

  /// (1919907685, scorer): exclusive for failures and absences, else shared.
  func isWriteLockFree(_ index: Int, _ state: State) -> Bool {
    let other = state.lanes[1 - index]
    guard other.holdsWriteLock else { return true }
    return !isExclusive(state.lanes[index], state.content) && !isExclusive(other, state.content)
  }

  // MARK: Statements

  /// What the statements will have done at commit. They see what was committed when they began; rows
  /// that another transaction has changed they wait for.
  func appendDecision(_ index: Int, _ state: State, _ successors: inout Successors) {
    let lane = state.lanes[index]
    let key = Chunk.key(of: Int(lane.place))
    let tick = outcomeTick(lane, state.content)
    let content = state.content
    let prediction = content.predictions[key]
    let failure = content.failures[key]
    let tombstone = content.tombstones[key]
    var effects = State.Lane.Effects()
    switch result(lane, content) {
    case .nothing:
      break
    case .prediction:
      if isRowTaken(key, by: 1 - index, state, seesNew: true) { return }
      if failure.exists && failure.tick > tick || tombstone > tick { break }
      if !prediction.exists || tick >= prediction.tick || !keeps(.tickGuard) {
        effects.insert(.setPrediction)
      }
      if failure.exists, failure.tick <= tick { effects.insert(.deleteFailure) }
    case .failure:
      let isOlder = prediction.exists && prediction.tick > tick || tombstone > tick
      if isOlder, keeps(.failureBeatsPrediction) { break }
      if !failure.exists || tick >= failure.tick { effects.insert(.setFailure) }
      if prediction.exists, prediction.tick <= tick, keeps(.failureBeatsPrediction) {
        effects.insert(.deletePrediction)
      }
    case .absence:
      if isRowTaken(key, by: 1 - index, state, seesNew: false) { return }
      if prediction.exists, prediction.tick <= tick { effects.insert(.deletePrediction) }
      if failure.exists, failure.tick <= tick { effects.insert(.deleteFailure) }
      if content.oldestOpenTick < tick, keeps(.tombstone) { effects.insert(.setTombstone) }
    }
    var next = state
    next.lanes[index].effects = effects
    next.lanes[index].phase = .decided
    successors.append(Step(.decide, index, lane.place), next)
  }

  /// Whether the key's prediction is locked by the other lane. An insert meets rows that were not
  /// committed yet, in the index; a delete sees none of them.
  private func isRowTaken(_ key: Int, by other: Int, _ state: State, seesNew: Bool) -> Bool {
    let lane = state.lanes[other]
    guard lane.phase == .decided, Chunk.key(of: Int(lane.place)) == key else { return false }
    guard !lane.effects.isDisjoint(with: [.setPrediction, .deletePrediction]) else { return false }
    return seesNew || state.content.predictions[key].exists
  }

  // MARK: Commit

  func appendFinish(_ index: Int, _ state: State, _ successors: inout Successors) {
    let lane = state.lanes[index]
    let key = Chunk.key(of: Int(lane.place))
    let tick = outcomeTick(lane, state.content)
    var next = state
    let chunk = state.content.chunk(Int(lane.place))
    let outcome = Content.Outcome(version: lane.version, tick: tick)
    if lane.effects.contains(.deletePrediction) {
      next.content.predictions[key] = Content.Outcome()
    }
    if lane.effects.contains(.deleteFailure) { next.content.failures[key] = Content.Outcome() }
    if lane.effects.contains(.setPrediction) {
      let old = state.content.predictions[key]
      if old.exists, old.tick > tick { next.broken = .overwritten }
      next.content.predictions[key] = outcome
    }
    if lane.effects.contains(.setFailure) { next.content.failures[key] = outcome }
    if lane.effects.contains(.setTombstone) {
      next.content.tombstones[key] = max(tick, state.content.tombstones[key])
    }
    if broken != .fence, chunk.phase != .running || chunk.claimer != UInt8(index) {
      next.broken = .writtenTwice
    }
    next.content.set(Chunk(.over), at: Int(lane.place))
    next.lanes[index] = State.Lane()
    commitAsSessionSays(Step(.finish, index, lane.place), next, &successors)
  }
}
