/// What is promised.
extension Model {
  /// What no state may show.
  func violation(in state: State) -> Violation? {
    switch state.broken {
    case .nothing: break
    case .overwritten: return .overwritten
    case .writtenTwice: return .writtenTwice
    case .givenUp: return .givenUp
    case .waitedTooShort: return .waitedTooShort
    }
    let content = state.content
    var isLost = false
    var isOverheard = false
    uncollected(content).forEach { number in
      if !content.log[0].union(content.log[1]).contains(number) { isLost = true }
      let isRinging = (0..<2).contains {
        state.writers[$0].number == number && state.writers[$0].rings
      }
      if !isRinging { isOverheard = true }
    }
    if isLost { return .lostRow }
    if isOverheard {
      let sleeps = (0..<2).contains {
        state.dispatchers[$0].phase == .asleep && !state.dispatchers[$0].rung
      }
      if sleeps { return .lostWakeUp }
    }
    return nil
  }

  /// What is wrong with a state in which nothing more happens.
  func shortcoming(atTheEnd state: State) -> Violation? {
    let content = state.content
    if !uncollected(content).isEmpty { return .openForEver }
    guard bounds.lanes > 0 else { return nil }
    if content.places.contains(where: { content.chunk($0).isOpen }) { return .openForEver }
    if content.job.phase == .running { return .openForEver }
    if bounds.waits, state.waiter.phase != .done { return .openForEver }
    for key in 0..<bounds.keys {
      let row = content.rows[key]
      let (prediction, failure) = (content.predictions[key], content.failures[key])
      if row == 0 {
        if prediction.exists || failure.exists { return .orphaned }
        continue
      }
      let isFailure = content.unscorable.contains(row)
      let (own, other) = isFailure ? (failure, prediction) : (prediction, failure)
      if other.exists { return .stale }
      if !own.exists { return .unscored }
      if own.version != row { return .stale }
    }
    return nil
  }

  /// Transactions that others see, whose keys are in no chunk.
  private func uncollected(_ content: Content) -> Transactions {
    var result = Transactions()
    content.committed.subtracting(content.collected).forEach {
      if content.logged[Int($0)] != 0 { result.insert($0) }
    }
    return result
  }
}
