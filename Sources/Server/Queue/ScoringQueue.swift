internal import HTTPTypes
package import Inference
internal import NIOCore
internal import Postgres
package import Scoring
internal import Synchronization

/// Rows of requests that wait for a thread to score them.
///
/// Threads take what waits for one model at once: while they are busy requests gather and are scored as
/// one batch, and while they are not, none waits for another. Models take turns, so that none keeps the others
/// waiting. Its size is bounded; what comes on top of that is refused at once.
///
/// Adding costs the same however many wait, and taking only what is taken.
package final class ScoringQueue: Sendable {
  package struct Limits: Sendable {
    /// Rows that are scored at once, if several requests bring them.
    package var batchRows = 256
    /// How long a request may wait for others to be scored with.
    package var longestWait = Duration.zero
    /// Requests, and rows, that wait at most.
    package var requests = 1024
    package var rows = 1 << 20

    package init() {}
  }

  package final class Entry: Sendable {
    let model: LoadedModel
    package let batch: Batch
    let addedAt = ContinuousClock.now
    fileprivate let key: Key
    private let deadline: ContinuousClock.Instant
    private let client: ClientPresence?
    private let cancelled: Cancelled?
    /// Where the caller hears of the end; nil for wherever it ends.
    let loop: (any EventLoop)?
    /// Called once.
    let end: @Sendable (Result<Predictions, any Error>) -> Void

    init(
      model: LoadedModel, batch: Batch, deadline: ContinuousClock.Instant, client: ClientPresence?,
      cancelled: Cancelled? = nil, loop: (any EventLoop)?,
      end: @escaping @Sendable (Result<Predictions, any Error>) -> Void
    ) {
      (self.model, self.batch) = (model, batch)
      key = Key(model: ObjectIdentifier(model), layout: BatchLayout(batch))
      (self.deadline, self.client, self.cancelled) = (deadline, client, cancelled)
      (self.loop, self.end) = (loop, end)
    }

    var isAbandoned: Bool { cancelled?.isSet ?? false || client?.isGone ?? false }

    /// Why it is not scored any more; nil where it is.
    fileprivate func refusal(at now: ContinuousClock.Instant) -> (any Error)? {
      if isAbandoned { return CancellationError() }
      return deadline <= now ? ScoringQueue.late : nil
    }
  }

  final class Cancelled: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
  }

  /// What entries must have in common to be scored at once.
  fileprivate struct Key: Hashable {
    var model: ObjectIdentifier
    var layout: BatchLayout
  }

  /// Entries that can be scored at once, the first that came first.
  private final class Line {
    let key: Key
    var entries = CircularBuffer<Entry>()
    var rows = 0

    init(_ key: Key) { self.key = key }
  }

  private struct State {
    /// Those in which entries wait.
    var lines: [Key: Line] = [:]
    /// They too, the next to be taken from first.
    var turns = CircularBuffer<Line>()
    var waiting = 0
    var rows = 0
    /// Threads that sleep, the one that did so last at the end: its caches are warmest.
    var idle: [ScoringLane] = []
    var isStopped = false
    var abandoned = 0
    var refused = 0

    /// The line of the key, which has its turn after all others where it is new.
    mutating func line(_ key: Key) -> Line {
      if let line = lines[key] { return line }
      let line = Line(key)
      lines[key] = line
      turns.append(line)
      return line
    }
  }

  private let state = Mutex(State())
  private let scoredRows = Atomic<Int>(0)
  private let batches = Atomic<Int>(0)
  let limits: Limits

  package init(_ limits: Limits) { self.limits = limits }

  // MARK: Requests

  /// Waits until the rows are scored.
  ///
  /// - Throws: `Problem`: 503 where too many wait already, 504 when the deadline passed first, 400 where
  ///   the rows do not fit the model. `CancellationError` where nobody waits for the answer any more.
  package func predict(
    _ model: LoadedModel, _ batch: Batch, by deadline: ContinuousClock.Instant,
    for client: ClientPresence?
  ) async throws -> Predictions {
    let cancelled = Cancelled()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let entry = Entry(
          model: model, batch: batch, deadline: deadline, client: client, cancelled: cancelled,
          loop: nil, end: { continuation.resume(with: $0) })
        do throws(Problem) {
          try add(entry)
        } catch {
          continuation.resume(throwing: error)
        }
      }
    } onCancel: {
      cancelled.set()
    }
  }

  /// Has the rows scored; its end is called later, from another thread or on its loop.
  ///
  /// - Throws: 503 where too many wait already: then the end is not called.
  func add(_ entry: Entry) throws(Problem) {
    let (refusal, lane): (Problem?, ScoringLane?) = state.withLock { state in
      if let problem = problem(with: entry.batch.rowCount, &state) { return (problem, nil) }
      let line = state.line(entry.key)
      line.entries.append(entry)
      line.rows += entry.batch.rowCount
      state.waiting += 1
      state.rows += entry.batch.rowCount
      return (nil, state.idle.popLast())
    }
    lane?.wakeUp.signal()
    if let refusal { throw refusal }
  }

  /// - Throws: 503 where not one row more would be taken: its reader need not look at a request's body.
  func requireRoom() throws(Problem) {
    if let refusal = state.withLock({ problem(with: 1, &$0) }) { throw refusal }
  }

  private func problem(with rowCount: Int, _ state: inout State) -> Problem? {
    guard !state.isStopped else { return Self.stopping }
    let isFull =
      state.waiting >= limits.requests || state.waiting > 0 && state.rows + rowCount > limits.rows
    guard isFull else { return nil }
    state.refused += 1
    return Self.full
  }

  private static let full = Problem(
    .serviceUnavailable, "overloaded", "too many requests wait already", retryAfter: 1)
  static let stopping = Problem(
    .serviceUnavailable, "unavailable", "the server is stopping", retryAfter: 1)
  fileprivate static let late = Problem(
    .gatewayTimeout, "timeout", "the rows were not scored in time",
    hint: "Ask for fewer rows at once, or later.")

  // MARK: Threads

  package enum Work {
    /// Of one model and layout.
    case score([Entry])
    /// Nothing to do until woken, or until then.
    case wait(ContinuousClock.Instant?)
    case stop
  }

  package func work(for lane: ScoringLane) -> Work {
    var dropped: [Outcome] = []
    let now = ContinuousClock.now
    let work: Work = state.withLock { state in
      state.idle.removeAll { $0 === lane }
      var soonest: ContinuousClock.Instant?
      var turn = 0
      while turn < state.turns.count {
        let place = state.turns.index(state.turns.startIndex, offsetBy: turn)
        let line = state.turns[place]
        if let patience = patience(of: line, state.isStopped), now < patience {
          soonest = soonest.map { min($0, patience) } ?? patience
          turn += 1
          continue
        }
        _ = turn == 0 ? state.turns.removeFirst() : state.turns.remove(at: place)
        let taken = take(from: line, &state, now, &dropped)
        if line.entries.isEmpty {
          state.lines[line.key] = nil
        } else {
          state.turns.append(line)
        }
        if !taken.isEmpty { return .score(taken) }
      }
      if state.isStopped, state.turns.isEmpty { return .stop }
      state.idle.append(lane)
      return .wait(soonest)
    }
    Self.end(dropped)
    if case .score(let entries) = work { count(rows: entries.reduce(0) { $0 + $1.batch.rowCount }) }
    return work
  }

  /// Until when a line may gather more rows; nil where it may not.
  private func patience(of line: Line, _ isStopped: Bool) -> ContinuousClock.Instant? {
    guard limits.longestWait > .zero, line.rows < limits.batchRows, !isStopped else { return nil }
    return line.entries.first!.addedAt.advanced(by: limits.longestWait)
  }

  /// Takes the rows of a batch from a line, and with them those that nobody waits for any more.
  private func take(
    from line: Line, _ state: inout State, _ now: ContinuousClock.Instant,
    _ dropped: inout [Outcome]
  ) -> [Entry] {
    var taken: [Entry] = []
    var rows = 0
    var (count, left) = (0, 0)
    for entry in line.entries {
      if let refusal = entry.refusal(at: now) {
        dropped.append(Outcome(entry: entry, result: .failure(refusal)))
        if entry.isAbandoned { state.abandoned += 1 }
      } else if taken.isEmpty || rows + entry.batch.rowCount <= limits.batchRows {
        taken.append(entry)
        rows += entry.batch.rowCount
      } else {
        break
      }
      count += 1
      left += entry.batch.rowCount
    }
    state.waiting -= count
    state.rows -= left
    line.entries.removeFirst(count)
    line.rows -= left
    return taken
  }

  /// What became of an entry.
  struct Outcome: Sendable {
    let entry: Entry
    let result: Result<Predictions, any Error>
  }

  /// Tells those who wait: by one call on each loop, however many of its connections do.
  static func end(_ outcomes: [Outcome]) {
    var loops: [(loop: any EventLoop, outcomes: [Outcome])] = []
    for outcome in outcomes {
      guard let loop = outcome.entry.loop else {
        outcome.entry.end(outcome.result)
        continue
      }
      if let index = loops.firstIndex(where: { $0.loop === loop }) {
        loops[index].outcomes.append(outcome)
      } else {
        loops.append((loop, [outcome]))
      }
    }
    for (loop, outcomes) in loops {
      loop.execute { for outcome in outcomes { outcome.entry.end(outcome.result) } }
    }
  }

  /// Counts a batch that is scored, by a thread or by whoever has it.
  func count(rows: Int) {
    scoredRows.add(rows, ordering: .relaxed)
    batches.add(1, ordering: .relaxed)
  }

  /// Refuses what comes, and ends threads when nothing waits any more.
  package func stop() {
    let idle = state.withLock { state in
      state.isStopped = true
      defer { state.idle = [] }
      return state.idle
    }
    for lane in idle { lane.wakeUp.signal() }
  }

  // MARK: Figures

  package struct Figures: Sendable, Equatable {
    package var waiting = 0
    package var waitingRows = 0
    package var scoredRows = 0
    package var batches = 0
    package var abandoned = 0
    package var refused = 0
  }

  package var figures: Figures {
    state.withLock {
      Figures(
        waiting: $0.waiting, waitingRows: $0.rows,
        scoredRows: scoredRows.load(ordering: .relaxed), batches: batches.load(ordering: .relaxed),
        abandoned: $0.abandoned, refused: $0.refused)
    }
  }
}
