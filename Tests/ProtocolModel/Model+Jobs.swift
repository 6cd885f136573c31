/// Jobs that score rows again, and scripts that wait.
extension Model {
  // MARK: Jobs

  /// One job over all keys. Its tick is drawn in the transaction of whoever orders it, and its chunks
  /// are cut when that is committed, one after the other.
  func appendJobSteps(_ state: State, _ successors: inout Successors) {
    switch state.orderer.phase {
    case .idle:
      var next = state
      next.content.lastTick += 1
      next.orderer = State.Orderer(phase: .drawn, tick: next.content.lastTick)
      successors.append(Step(.orderJob), next)
    case .drawn:
      var next = state
      next.content.job.tick = state.orderer.tick
      next.content.job.phase = .running
      next.orderer.phase = .done
      commit(Step(.commitJob), next, &successors)
    case .done:
      break
    }
    guard state.content.job.phase == .running else { return }
    let job = state.content.job
    let keys = (0..<bounds.keys).filter { job.cut & (1 << UInt8($0)) == 0 }
    if let key = keys.first {
      var next = state
      next.content.job.cut |= 1 << UInt8(key)
      next.content.set(Chunk(.available), at: Chunk.place(tick: job.tick, key: key))
      commit(Step(.cutJob, 0, UInt8(key)), next, &successors)
    } else {
      let isOpen = (0..<bounds.keys).contains {
        state.content.chunk(Chunk.place(tick: job.tick, key: $0)).isOpen
      }
      guard !isOpen else { return }
      var next = state
      next.content.job.phase = .done
      commit(Step(.closeJob), next, &successors)
    }
  }

  // MARK: rowcast.wait

  /// Somebody calls at any moment; what he sees then is what he waits for.
  func appendWaitSteps(_ state: State, _ successors: inout Successors) {
    let waiter = state.waiter
    var next = state
    switch waiter.phase {
    case .idle:
      next.waiter = State.Waiter(
        phase: .called, seen: state.content.completed, rows: state.content.rows,
        lastTick: keeps(.waitHoldsLog) ? 0 : state.content.cursorTick,
        waitsForJob: state.content.job.phase == .running)
      successors.append(Step(.callWait), next)
    case .called:
      next.waiter.phase = .waiting
      if keeps(.waitHoldsLog) { next.waiter.lastTick = state.content.cursorTick }
      successors.append(Step(.holdLog), next)
    case .waiting:
      guard let tick = collectingTick(state) else { return }
      next.waiter.collectedBy = tick
      next.waiter.phase = .collected
      successors.append(Step(.findTick, 0, tick), next)
    case .collected:
      let isOpen = state.content.places.contains {
        state.content.chunk($0).isOpen && Chunk.tick(of: $0) <= waiter.collectedBy
      }
      if isOpen, keeps(.waitForChunks) { return }
      if waiter.waitsForJob, state.content.job.phase == .running { return }
      next.waiter = State.Waiter(phase: .done)
      if !showsWhatWasSeen(waiter, state.content) { next.broken = .waitedTooShort }
      successors.append(Step(.returnFromWait), next)
    case .done:
      break
    }
  }

  /// The first tick by which all that the waiter saw is in chunks, as far as the log tells.
  private func collectingTick(_ state: State) -> UInt8? {
    let content = state.content
    for tick in state.waiter.lastTick...content.cursorTick {
      let snapshot = content.snapshot(ofTick: tick)
      guard snapshot != Transactions() else { continue }
      if changes(from: snapshot, to: state.waiter.seen, content).isEmpty { return tick }
    }
    return nil
  }

  /// Whether the outcome of each key is of the row that the waiter saw, or of a later one.
  private func showsWhatWasSeen(_ waiter: State.Waiter, _ content: Content) -> Bool {
    (0..<bounds.keys).allSatisfy { key in
      let outcome = [content.predictions[key], content.failures[key]].first(where: \.exists)
      let version = outcome?.version ?? 0
      if version == waiter.rows[key] { return true }
      if version == 0 { return content.rows[key] != waiter.rows[key] }
      return version != Self.firstVersion && !waiter.seen.contains(version)
    }
  }
}
