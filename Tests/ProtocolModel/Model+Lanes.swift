/// Lanes: claim, read, predict, write; and rescue of what dead ones held.
extension Model {
  func appendLaneSteps(_ index: Int, _ state: State, _ successors: inout Successors) {
    let lane = state.lanes[index]
    switch lane.phase {
    case .idle:
      appendClaims(index, state, &successors)
      if !keeps(.readAfterClaim), lane.version == 0 {
        var next = state
        next.lanes[index].version = state.content.rows[0]
        successors.append(Step(.readRow, index), next)
      }
    case .holding:
      var next = state
      next.lanes[index].version = state.content.rows[Chunk.key(of: Int(lane.place))]
      next.lanes[index].phase = .hasRead
      successors.append(Step(.readRow, index, lane.place), next)
    case .hasRead:
      appendFence(index, state, &successors)
    case .fenced:
      guard isWriteLockFree(index, state) else { break }
      var next = state
      next.lanes[index].phase = .locked
      successors.append(Step(.lockWrites, index), next)
    case .locked:
      appendDecision(index, state, &successors)
    case .decided:
      appendFinish(index, state, &successors)
    }
    if state.budget.laneDeaths > 0, lane.phase != .idle {
      var next = state
      next.budget.laneDeaths -= 1
      loseLane(index, &next)
      successors.append(Step(.laneDies, index), next)
    }
    if state.budget.releases > 0 { appendRelease(index, state, &successors) }
  }

  /// The session ends: what it was writing is rolled back, and its lock is free. The thread connects
  /// again, as another lane.
  private func loseLane(_ index: Int, _ state: inout State) {
    state.lanes[index] = State.Lane()
    loseLanes(&state.content) { $0 == UInt8(index) }
  }

  func hold(_ place: Int, attempt: UInt8, _ index: Int, _ state: inout State) {
    // A lane that read before it claimed has a row already.
    state.lanes[index].phase = state.lanes[index].version == 0 ? .holding : .hasRead
    state.lanes[index].place = UInt8(place)
    state.lanes[index].attempt = attempt
  }

  // MARK: Claims

  /// Any available chunk: priorities and ages may put any one first.
  private func appendClaims(_ index: Int, _ state: State, _ successors: inout Successors) {
    for place in state.content.places {
      var chunk = state.content.chunk(place)
      let isFree = chunk.phase == .available
      // Two claims at once, where the first one's row is neither locked nor looked at again.
      let isTakenTwice =
        !keeps(.claimOnce) && chunk.phase == .running && chunk.attempt == 1
        && chunk.claimer == UInt8(1 - index) && state.lanes[1 - index].phase == .holding
      guard isFree || isTakenTwice else { continue }
      var next = state
      if isFree { chunk.attempt = (chunk.attempt + 1) & 3 }
      (chunk.phase, chunk.claimer) = (.running, UInt8(index))
      next.content.set(chunk, at: place)
      hold(place, attempt: chunk.attempt, index, &next)
      commit(Step(.claim, index, UInt8(place)), next, &successors)
    }
  }

  /// What a lane runs is given back while it lives: it leaves, or the answer to a tick was lost, or
  /// the scorer is suspended. Rows that are being written are waited for.
  private func appendRelease(_ index: Int, _ state: State, _ successors: inout Successors) {
    var next = state
    var isAnyReleased = false
    for place in state.content.places {
      var chunk = state.content.chunk(place)
      guard chunk.phase == .running, chunk.claimer == UInt8(index) else { continue }
      if isLocked(place, state) { return }
      (chunk.phase, chunk.claimer) = (.available, 0)
      next.content.set(chunk, at: place)
      isAnyReleased = true
    }
    guard isAnyReleased else { return }
    next.budget.releases -= 1
    commitFlushed(Step(.release, index), next, &successors)
  }

  private func isLocked(_ place: Int, _ state: State) -> Bool {
    (0..<2).contains { state.lanes[$0].isWriting && Int(state.lanes[$0].place) == place }
  }

  // MARK: Rescue

  func appendChunkSteps(_ state: State, _ successors: inout Successors) {
    appendForgetting(state, &successors)
    guard keeps(.rescue), state.dispatchers[0].isElected || state.dispatchers[1].isElected else {
      return
    }
    for place in state.content.places {
      var chunk = state.content.chunk(place)
      guard chunk.phase == .running, !isLocked(place, state) else { continue }
      guard chunk.claimer == Chunk.dead || !keeps(.rescueByLock) else { continue }
      var next = state
      chunk.deaths += 1
      (chunk.phase, chunk.claimer) = (.available, 0)
      if chunk.deaths >= Self.deadlyDeaths { chunk.phase = .over }
      if chunk.phase == .over { next.broken = .givenUp }
      next.content.set(chunk, at: place)
      commitFlushed(Step(.rescue, 0, UInt8(place)), next, &successors)
    }
  }

  /// After how many deaths a chunk of one key is given up: more than the bounds have.
  private static let deadlyDeaths: UInt8 = 3

  /// Tombstones go where nothing older is open.
  private func appendForgetting(_ state: State, _ successors: inout Successors) {
    let oldest = keeps(.tombstoneKept) ? state.content.oldestOpenTick : .max
    var next = state
    for key in 0..<bounds.keys where state.content.tombstones[key] <= oldest {
      next.content.tombstones[key] = 0
    }
    commit(Step(.forgetTombstones), next, &successors)
  }
}
