/// The dispatcher: election, ticks, and sleep by the doorbell.
///
/// When it ticks and when it tries to sleep is left open: it may do either whenever it is awake, which
/// includes whatever `DispatcherState` decides. Only the safety poll is left out, so nothing here is
/// found by it.
extension Model {
  func appendDispatcherSteps(_ index: Int, _ state: State, _ successors: inout Successors) {
    let dispatcher = state.dispatchers[index]
    switch dispatcher.phase {
    case .standby:
      guard !state.dispatchers[1 - index].isElected else { break }
      var next = state
      next.dispatchers[index].phase = .awake
      next.dispatchers[index].listens = keeps(.listenFirst)
      successors.append(Step(.elect, index), next)
    case .awake:
      // A tick that would find nothing changes nothing.
      if hasNews(state), !state.isTickLocked(self) {
        if bounds.collectsInSteps {
          successors.append(Step(.beginTick, index), afterTickBegins(index, state, .ticking))
        } else {
          appendTickEnds(index, afterTickBegins(index, state, .ticking), &successors)
        }
      }
      if bounds.sleeps, isBellFree(state) {
        var next = state
        if keeps(.oldRingsOnly) { next.dispatchers[index].rung = false }
        next.dispatchers[index].holdsBell = keeps(.bellHeldAsleep)
        if keeps(.lastTickUnderBell) {
          next.dispatchers[index].phase = .bellTaken
        } else {
          fallAsleep(index, &next)
        }
        successors.append(Step(.takeBell, index), next)
      }
    case .bellTaken:
      guard !state.isTickLocked(self) else { break }
      successors.append(Step(.beginTick, index), afterTickBegins(index, state, .lastTicking))
    case .ticking, .lastTicking:
      appendTickEnds(index, state, &successors)
    case .asleep:
      guard dispatcher.rung else { break }
      var next = state
      next.dispatchers[index].rung = false
      next.dispatchers[index].holdsBell = false
      next.dispatchers[index].phase = .awake
      successors.append(Step(.wake, index), next)
    }
    if dispatcher.isElected, state.budget.sessionEnds > 0 {
      var next = state
      next.budget.sessionEnds -= 1
      next.dispatchers[index] = State.Dispatcher()
      successors.append(Step(.sessionEnds, index), next)
    }
  }

  private func isBellFree(_ state: State) -> Bool {
    !(0..<2).contains { state.writers[$0].holdsBell || state.dispatchers[$0].holdsBell }
  }

  private func fallAsleep(_ index: Int, _ state: inout State) {
    if !keeps(.oldRingsOnly) { state.dispatchers[index].rung = false }
    state.dispatchers[index].listens = true
    state.dispatchers[index].phase = .asleep
  }

  // MARK: Ticks

  /// `changes_between`: whose changes, as its caller's later statement sees them.
  func changes(
    from last: Transactions, to this: Transactions, _ content: Content
  ) -> Transactions {
    var read = this.subtracting(last)
    if !keeps(.inProgressList) { read = this.from(last.end) }
    return read.intersection(content.committed)
      .intersection(content.log[0].union(content.log[1]))
  }

  func hasNews(_ state: State) -> Bool {
    !changes(from: state.content.cursor, to: state.content.completed, state.content).isEmpty
  }

  /// The lock, then the cursor, then the snapshot.
  private func afterTickBegins(
    _ index: Int, _ state: State, _ phase: State.Dispatcher.Phase
  ) -> State {
    var state = state
    state.dispatchers[index].phase = phase
    state.dispatchers[index].last = state.content.cursor
    state.dispatchers[index].this = state.content.completed
    return state
  }

  private func appendTickEnds(_ index: Int, _ state: State, _ successors: inout Successors) {
    let dispatcher = state.dispatchers[index]
    var next = state
    next.dispatchers[index].last = Transactions()
    next.dispatchers[index].this = Transactions()
    next.dispatchers[index].phase = .awake
    let fresh = changes(from: dispatcher.last, to: dispatcher.this, state.content)
    guard !fresh.isEmpty else {
      if dispatcher.phase == .lastTicking { fallAsleep(index, &next) }
      successors.append(Step(.endTick, index), next)
      return
    }
    next.dispatchers[index].holdsBell = false
    next.content.appendTick(dispatcher.this, keepsSnapshot: bounds.waits)
    if !keeps(.cursorWithChunks) {
      // What a crash leaves where the cursor is committed by itself, before the chunks.
      flush(&next)
    }
    next.content.collected = next.content.collected.union(fresh)
    let made = makeChunks(fresh, &next)
    commit(Step(.endTick, index), next, &successors)
    // The first chunk may be handed to a lane that was idle when the tick began.
    guard let first = made.first else { return }
    for lane in 0..<bounds.lanes where next.lanes[lane].phase == .idle {
      var handed = next
      var chunk = handed.content.chunk(first)
      (chunk.phase, chunk.attempt, chunk.claimer) = (.running, 1, UInt8(lane))
      handed.content.set(chunk, at: first)
      hold(first, attempt: 1, lane, &handed)
      commit(Step(.endTick, index, lane + 1), handed, &successors)
    }
  }

  /// One for each key, however often it changed.
  private func makeChunks(_ fresh: Transactions, _ state: inout State) -> [Int] {
    guard bounds.lanes > 0 else { return [] }
    var keys: UInt8 = 0
    fresh.forEach { keys |= state.content.logged[Int($0)] }
    var made: [Int] = []
    for key in 0..<bounds.keys where keys & (1 << UInt8(key)) != 0 {
      let place = Chunk.place(tick: state.content.lastTick, key: key)
      state.content.set(Chunk(.available), at: place)
      made.append(place)
    }
    return made
  }
}
