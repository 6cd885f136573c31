/// The protocol of capture, ticks, chunks and writes as processes whose steps interleave in every
/// order; PostgreSQL as it behaves in READ COMMITTED.
///
/// What is taken from PostgreSQL: a statement sees what was committed when it began; a snapshot is the
/// set of transactions that were over; a commit is flushed, then seen, and only then are its locks let
/// go and its notifications sent; what a session held is free when the session has ended, after its
/// transaction is rolled back; sequences and advisory locks follow no snapshot; after a crash there is
/// what a prefix of the write-ahead log says that reaches at least to the last flush.
package struct Model: Sendable {
  /// How much of everything there is.
  package struct Bounds: Sendable {
    var keys = 1
    var writers = 2
    /// All writers' together.
    var transactions = 2
    /// Of each transaction, at most.
    var statements = 1
    /// Writers and lanes may have `synchronous_commit` off.
    var mayCommitLazily = false
    var mayAbort = false
    var mayDelete = false
    var mayFail = false
    /// Capture, doorbell and ticks in single steps; or a transaction and a tick in one each.
    var collectsInSteps = true
    var sleeps = true
    var dispatchers = 1
    var tidiers = 0
    /// Transactions of housekeeping, all together.
    var tidies = 0
    var lanes = 0
    var jobs = false
    var waits = false
    var sessionEnds = 0
    var laneDeaths = 0
    var crashes = 0
    var releases = 0

    package init() {}

    /// The kinds of steps that must be taken within these bounds: a model whose parts do not move
    /// proves nothing.
    package var kinds: Set<Step.Kind> {
      var kinds: Set<Step.Kind> = [.commit, .elect, .endTick]
      if collectsInSteps { kinds.formUnion([.changeRow, .append, .unlock, .beginTick]) }
      if mayAbort { kinds.insert(.abort) }
      if sleeps { kinds.formUnion([.takeBell, .ring, .wake]) }
      if tidiers > 0 { kinds.formUnion([.readSlot, .beginTidy, .rotate, .endTidy]) }
      if lanes > 0 {
        kinds.formUnion([.claim, .readRow, .fence, .lockWrites, .decide, .finish])
        if mayDelete, lanes > 1 { kinds.insert(.forgetTombstones) }
      }
      if jobs { kinds.formUnion([.orderJob, .commitJob, .cutJob, .closeJob]) }
      if waits { kinds.formUnion([.callWait, .holdLog, .findTick, .returnFromWait]) }
      if sessionEnds > 0 { kinds.insert(.sessionEnds) }
      if laneDeaths > 0 { kinds.formUnion([.laneDies, .rescue]) }
      if releases > 0 { kinds.insert(.release) }
      if crashes > 0 { kinds.insert(.serverCrashes) }
      return kinds
    }
  }

  let bounds: Bounds
  /// The rule that this model breaks; nil for the protocol as it is.
  let broken: Rule?

  package init(_ bounds: Bounds, breaking rule: Rule? = nil) {
    (self.bounds, broken) = (bounds, rule)
    precondition(MemoryLayout<State>.alignment == 1, "padding would tell equal states apart")
  }

  func keeps(_ rule: Rule) -> Bool { rule != broken }

  /// Transaction 15 wrote the rows that are there at the beginning. It is in no snapshot, because it is
  /// in no log.
  static let firstVersion: UInt8 = 15

  /// The first key has a row with its prediction, the second one has neither.
  var initial: State {
    var state = State()
    state.content.completed = Transactions(0)
    state.content.cursor = state.content.completed
    if bounds.waits { state.content.snapshots[0][0] = state.content.cursor }
    state.content.rows[0] = Self.firstVersion
    state.content.predictions[0].version = Self.firstVersion
    state.budget = State.Budget(
      sessionEnds: UInt8(bounds.sessionEnds), laneDeaths: UInt8(bounds.laneDeaths),
      crashes: UInt8(bounds.crashes), releases: UInt8(bounds.releases),
      transactions: UInt8(bounds.transactions), tidies: UInt8(bounds.tidies))
    flush(&state)
    return state
  }

  func appendSuccessors(of state: State, to successors: inout Successors) {
    guard state.broken == .nothing else { return }
    for writer in 0..<bounds.writers { appendWriterSteps(writer, state, &successors) }
    for dispatcher in 0..<bounds.dispatchers {
      appendDispatcherSteps(dispatcher, state, &successors)
    }
    for tidier in 0..<bounds.tidiers { appendTidySteps(tidier, state, &successors) }
    for lane in 0..<bounds.lanes { appendLaneSteps(lane, state, &successors) }
    if bounds.lanes > 0 { appendChunkSteps(state, &successors) }
    if bounds.jobs { appendJobSteps(state, &successors) }
    if bounds.waits { appendWaitSteps(state, &successors) }
    if state.budget.crashes > 0 { appendCrash(state, &successors) }
  }

  // MARK: Commits

  /// A commit that is flushed before others see it.
  func commitFlushed(_ step: Step, _ state: State, _ successors: inout Successors) {
    var state = state
    flush(&state)
    successors.append(step, state)
  }

  /// A commit that others see, flushed or not.
  func commit(_ step: Step, _ state: State, _ successors: inout Successors) {
    successors.append(step, state)
    if state.budget.crashes > 0 { commitFlushed(step, state, &successors) }
  }

  /// A commit that waits for its flush unless the session was told not to.
  func commitAsSessionSays(_ step: Step, _ state: State, _ successors: inout Successors) {
    if bounds.mayCommitLazily {
      commit(step, state, &successors)
    } else {
      commitFlushed(step, state, &successors)
    }
  }

  func flush(_ state: inout State) {
    // Without a crash to come nobody looks at it again.
    guard state.budget.crashes > 0 else {
      state.durable = Content()
      return
    }
    state.durable = state.content
    // What a crash ends it ends whatever is flushed.
    state.durable.completed = Transactions()
    loseLanes(&state.durable) { _ in true }
  }

  /// What lanes run whose sessions have ended: their locks are free.
  func loseLanes(_ content: inout Content, where isLost: (UInt8) -> Bool) {
    for place in content.places {
      var chunk = content.chunk(place)
      guard chunk.phase == .running, isLost(chunk.claimer) else { continue }
      chunk.claimer = Chunk.dead
      content.set(chunk, at: place)
    }
  }

  // MARK: Crash

  /// The server ends at once and starts again: sessions, locks and notifications are gone, and what
  /// was under way is rolled back.
  private func appendCrash(_ state: State, _ successors: inout Successors) {
    var state = state
    state.budget.crashes -= 1
    state.content = state.durable
    if state.budget.crashes == 0 { state.durable = Content() }
    for number in 0...state.lastTransaction { state.content.completed.insert(number) }
    state.writers = Two(State.Writer())
    state.dispatchers = Two(State.Dispatcher())
    state.tidiers = Two(State.Tidier())
    state.lanes = Two(State.Lane())
    if state.orderer.phase == .drawn { state.orderer.phase = .done }
    if state.waiter.phase != .idle { state.waiter = State.Waiter(phase: .done) }
    successors.append(Step(.serverCrashes), state)
  }
}
