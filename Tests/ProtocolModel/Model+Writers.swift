/// Writers: statements, the triggers they run, and commits.
extension Model {
  func appendWriterSteps(_ index: Int, _ state: State, _ successors: inout Successors) {
    guard bounds.collectsInSteps else {
      return appendWholeTransactions(index, state, &successors)
    }
    let writer = state.writers[index]
    switch writer.phase {
    case .idle:
      if state.budget.transactions > 0 { appendStatements(index, state, &successors) }
    case .changed:
      var next = state
      next.writers[index].slot = state.content.slot
      next.writers[index].phase = .knowsSlot
      successors.append(Step(.readSlot, index), next)
    case .knowsSlot:
      // Nobody sees the append before the commit, so the bell may as well be tried in the same step.
      var next = state
      next.content.log[Int(writer.slot)].insert(writer.number)
      next.content.logged[Int(writer.number)] |= 1 << writer.key
      tryBell(index, &next)
      successors.append(Step(.append, index, writer.slot), next)
    case .betweenStatements:
      appendStatements(index, state, &successors)
      commit(index, state, &successors)
    case .visible:
      var next = state
      next.writers[index].holdsBell = false
      next.writers[index].phase = .unlocked
      if !writer.rings { endTransaction(index, &next) }
      successors.append(Step(.unlock, index), next)
    case .unlocked:
      var next = state
      deliverRing(&next)
      endTransaction(index, &next)
      successors.append(Step(.ring, index), next)
    }
    if bounds.mayAbort, writer.isInTransaction {
      var next = state
      next.content.completed.insert(writer.number)
      endTransaction(index, &next)
      successors.append(Step(.abort, index), next)
    }
  }

  /// Writes a row, where no other transaction holds it. An update or delete of a row that is not there
  /// touches nothing, and its trigger returns before it reads the slot.
  private func appendStatements(_ index: Int, _ state: State, _ successors: inout Successors) {
    guard state.writers[index].statements < bounds.statements else { return }
    for key in 0..<bounds.keys {
      guard state.writers[1 - index].changes[key] == .none else { continue }
      for change in changes(of: key, by: index, state) {
        var next = state
        begin(change, of: key, by: index, &next)
        // Where nobody rotates the log it makes no difference when the slot is read.
        next.writers[index].phase = bounds.tidiers > 0 ? .changed : .knowsSlot
        successors.append(Step(.changeRow, index, UInt8(key)), next)
      }
    }
  }

  private func changes(of key: Int, by index: Int, _ state: State) -> [State.Writer.Change] {
    let own = state.writers[index].changes[key]
    let exists = own == .none ? state.content.rows[key] != 0 : own != .delete
    var changes: [State.Writer.Change] = [.score]
    if bounds.mayDelete, exists { changes.append(.delete) }
    if bounds.mayFail { changes.append(.spoil) }
    return changes
  }

  private func begin(
    _ change: State.Writer.Change, of key: Int, by index: Int, _ state: inout State
  ) {
    if state.writers[index].number == 0 {
      state.lastTransaction += 1
      precondition(state.lastTransaction < Self.firstVersion, "too many transactions")
      state.writers[index].number = state.lastTransaction
      state.budget.transactions -= 1
    }
    state.writers[index].changes[key] = change
    state.writers[index].key = UInt8(key)
    state.writers[index].statements += 1
  }

  private func tryBell(_ index: Int, _ state: inout State) {
    let isHeld = (0..<2).contains { state.dispatchers[$0].holdsBell }
    if isHeld {
      if keeps(.ringWhereBellIsHeld) { state.writers[index].rings = true }
    } else if keeps(.bellHeldToCommit) {
      state.writers[index].holdsBell = true
    }
    state.writers[index].key = 0
    state.writers[index].slot = 0
    state.writers[index].phase = .betweenStatements
  }

  // MARK: The end of a transaction

  private func commit(_ index: Int, _ state: State, _ successors: inout Successors) {
    var next = state
    makeVisible(index, &next)
    next.writers[index].phase = .visible
    if !next.writers[index].holdsBell {
      next.writers[index].phase = .unlocked
      if !next.writers[index].rings { endTransaction(index, &next) }
    }
    commitAsSessionSays(Step(.commit, index), next, &successors)
  }

  private func makeVisible(_ index: Int, _ state: inout State) {
    let writer = state.writers[index]
    state.content.completed.insert(writer.number)
    state.content.committed.insert(writer.number)
    for key in 0..<bounds.keys {
      switch writer.changes[key] {
      case .none: break
      case .score: state.content.rows[key] = writer.number
      case .spoil:
        state.content.rows[key] = writer.number
        state.content.unscorable.insert(writer.number)
      case .delete: state.content.rows[key] = 0
      }
    }
    state.writers[index].changes = Two(.none)
  }

  private func endTransaction(_ index: Int, _ state: inout State) {
    state.writers[index] = State.Writer()
  }

  private func deliverRing(_ state: inout State) {
    for dispatcher in 0..<2 where state.dispatchers[dispatcher].listens {
      state.dispatchers[dispatcher].rung = true
    }
  }

  // MARK: In one step

  /// A transaction of one statement, from its beginning to its ring.
  private func appendWholeTransactions(
    _ index: Int, _ state: State, _ successors: inout Successors
  ) {
    guard state.budget.transactions > 0 else { return }
    for key in 0..<bounds.keys {
      for change in changes(of: key, by: index, state) {
        var next = state
        begin(change, of: key, by: index, &next)
        let number = next.writers[index].number
        next.content.log[Int(next.content.slot)].insert(number)
        next.content.logged[Int(number)] = 1 << UInt8(key)
        makeVisible(index, &next)
        endTransaction(index, &next)
        commitAsSessionSays(Step(.commit, index, key), next, &successors)
      }
    }
  }
}
