/// Housekeeping: rotation of the log, removal of tombstones. Anybody may run it, also two at once.
extension Model {
  func appendTidySteps(_ index: Int, _ state: State, _ successors: inout Successors) {
    let tidier = state.tidiers[index]
    switch tidier.phase {
    case .idle:
      appendBegin(index, state, &successors)
    case .begun:
      appendRotation(index, state, &successors)
    case .decided:
      appendEnd(index, state, &successors)
    }
    if tidier.phase != .idle, state.budget.sessionEnds > 0 {
      var next = state
      next.budget.sessionEnds -= 1
      next.content.completed.insert(tidier.number)
      next.tidiers[index] = State.Tidier()
      successors.append(Step(.sessionEnds, 2 + index), next)
    }
  }

  /// Its transaction has a number before it comes to the log: it writes other tables first.
  private func appendBegin(_ index: Int, _ state: State, _ successors: inout Successors) {
    let log = state.content.log
    guard state.budget.tidies > 0, !log[0].isEmpty || !log[1].isEmpty else { return }
    // Where it takes the ticks' lock first and does not get it, it leaves the log alone.
    if keeps(.noteUnderLock), state.isTickLocked(self) { return }
    var next = state
    next.budget.tidies -= 1
    next.lastTransaction += 1
    precondition(next.lastTransaction < Self.firstVersion, "too many transactions")
    next.tidiers[index].number = next.lastTransaction
    next.tidiers[index].phase = .begun
    successors.append(Step(.beginTidy, index), next)
  }

  // MARK: Rotation

  private func appendRotation(_ index: Int, _ state: State, _ successors: inout Successors) {
    var next = state
    if !keeps(.noteUnderLock), state.isTickLocked(self) {
      endTidy(index, &next)  // Busy.
    } else {
      let decision = decide(index, &next)
      if decision == .nothing {
        endTidy(index, &next)
      } else {
        next.tidiers[index].decision = decision
        next.tidiers[index].phase = .decided
      }
    }
    successors.append(Step(.rotate, index), next)
    if !keeps(.oneChildEmpty) {
      var closed = state
      closed.content.slot = 1 - state.content.slot
      endTidy(index, &closed)
      successors.append(Step(.rotate, index, 1), closed)
    }
  }

  /// One step of the rotation. The sequence is set at once, whatever becomes of the transaction.
  private func decide(_ index: Int, _ state: inout State) -> State.Tidier.Decision {
    let content = state.content
    let current = Int(content.slot)
    let old = 1 - current
    if content.log[old].isEmpty {
      if content.log[current].isEmpty { return .nothing }
      if content.notes[current] != 0 { return .removeNote }
      state.content.slot = UInt8(old)
      guard !keeps(.noteAfterClosing) else { return .nothing }
      state.content.notes[current] = state.tidiers[index].number
      return .nothing
    }
    if content.notes[old] == 0 { return .note }
    let this = content.completed
    if keeps(.waitForWriters), this.firstMissing < content.notes[old] { return .nothing }
    state.tidiers[index].this = this
    guard content.cursor.firstMissing < content.notes[old], keeps(.waitForTick) else {
      return .truncate
    }
    return changes(from: content.cursor, to: this, content).isEmpty ? .tickAndTruncate : .nothing
  }

  private func appendEnd(_ index: Int, _ state: State, _ successors: inout Successors) {
    let tidier = state.tidiers[index]
    let old = 1 - Int(state.content.slot)
    var next = state
    endTidy(index, &next)
    switch tidier.decision {
    case .nothing:
      break
    case .note:
      next.content.notes[old] =
        keeps(.noteByDrawnNumber) ? tidier.number : state.content.completed.end
    case .removeNote:
      next.content.notes[1 - old] = 0
    case .truncate, .tickAndTruncate:
      // The table's lock: where somebody who appended has not ended, or waits, it gives up.
      guard !isAppendedTo(old, state), !state.waiter.holdsLog else { break }
      if tidier.decision == .tickAndTruncate {
        next.content.appendTick(tidier.this, keepsSnapshot: bounds.waits)
      }
      next.content.log[old] = Transactions()
      next.content.notes[old] = 0
      // Truncations are flushed, whatever synchronous_commit says: their files go.
      commitFlushed(Step(.endTidy, index), next, &successors)
      return
    }
    commit(Step(.endTidy, index), next, &successors)
  }

  private func endTidy(_ index: Int, _ state: inout State) {
    state.content.completed.insert(state.tidiers[index].number)
    state.tidiers[index] = State.Tidier()
  }

  private func isAppendedTo(_ child: Int, _ state: State) -> Bool {
    (0..<bounds.writers).contains {
      let writer = state.writers[$0]
      return writer.isInTransaction && state.content.log[child].contains(writer.number)
    }
  }
}
