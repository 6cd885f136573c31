internal import HTTPTypes
package import Inference
internal import Postgres
package import Scoring
internal import Synchronization

/// Rows of requests that wait for a thread to score them.
///
/// Threads take what waits for one model at once: while they are busy requests gather and are scored as
/// one batch, and while they are not, none waits for another. Its size is bounded; what comes on top of
/// that is refused at once.
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
    let layout: BatchLayout
    let addedAt = ContinuousClock.now
    let deadline: ContinuousClock.Instant
    let client: ClientPresence?
    private let continuation: CheckedContinuation<Predictions, any Error>
    private let cancelled: Cancelled

    fileprivate init(
      model: LoadedModel, batch: Batch, layout: BatchLayout, deadline: ContinuousClock.Instant,
      client: ClientPresence?, cancelled: Cancelled,
      continuation: CheckedContinuation<Predictions, any Error>
    ) {
      (self.model, self.batch, self.layout) = (model, batch, layout)
      (self.deadline, self.client) = (deadline, client)
      self.cancelled = cancelled
      self.continuation = continuation
    }

    var isAbandoned: Bool { cancelled.isSet || client?.isGone ?? false }

    /// Once.
    package func end(_ result: Result<Predictions, any Error>) { continuation.resume(with: result) }
  }

  fileprivate final class Cancelled: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
  }

  private struct State {
    var entries: [Entry] = []
    var rows = 0
    /// Threads that sleep, the one that did so last at the end: its caches are warmest.
    var idle: [ScoringLane] = []
    var isStopped = false
    var scoredRows = 0
    var batches = 0
    var abandoned = 0
    var refused = 0
  }

  private let state = Mutex(State())
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
    let layout = BatchLayout(batch)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        add(
          Entry(
            model: model, batch: batch, layout: layout, deadline: deadline, client: client,
            cancelled: cancelled, continuation: continuation))
      }
    } onCancel: {
      cancelled.set()
    }
  }

  private func add(_ entry: Entry) {
    let (refusal, lane): (Problem?, ScoringLane?) = state.withLock { state in
      guard !state.isStopped else { return (Self.stopping, nil) }
      let isFull =
        state.entries.count >= limits.requests
        || !state.entries.isEmpty && state.rows + entry.batch.rowCount > limits.rows
      guard !isFull else {
        state.refused += 1
        return (Self.full, nil)
      }
      state.entries.append(entry)
      state.rows += entry.batch.rowCount
      return (nil, state.idle.popLast())
    }
    lane?.wakeUp.signal()
    if let refusal { entry.end(.failure(refusal)) }
  }

  private static let full = Problem(
    .serviceUnavailable, "overloaded", "too many requests wait already", retryAfter: 1)
  private static let stopping = Problem(
    .serviceUnavailable, "unavailable", "the server is stopping", retryAfter: 1)
  private static let late = Problem(
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
    var dropped: [Entry] = []
    let work: Work = state.withLock { state in
      state.idle.removeAll { $0 === lane }
      drop(&dropped, from: &state)
      guard let first = state.entries.first else {
        if state.isStopped { return .stop }
        state.idle.append(lane)
        return .wait(nil)
      }
      var taken: [Entry] = []
      var others: [Entry] = []
      var rows = 0
      for entry in state.entries {
        let fits = entry.model === first.model && entry.layout == first.layout
        if fits, taken.isEmpty || rows + entry.batch.rowCount <= limits.batchRows {
          taken.append(entry)
          rows += entry.batch.rowCount
        } else {
          others.append(entry)
        }
      }
      let patience = first.addedAt.advanced(by: limits.longestWait)
      let mayGrow = limits.longestWait > .zero && rows < limits.batchRows && !state.isStopped
      if mayGrow, .now < patience {
        state.idle.append(lane)
        return .wait(patience)
      }
      state.entries = others
      state.rows -= rows
      state.scoredRows += rows
      state.batches += 1
      return .score(taken)
    }
    for entry in dropped {
      entry.end(.failure(entry.isAbandoned ? CancellationError() : Self.late))
    }
    return work
  }

  /// Removes those that nobody waits for, and those whose time is over.
  private func drop(_ dropped: inout [Entry], from state: inout State) {
    let now = ContinuousClock.now
    state.entries.removeAll { entry in
      guard entry.isAbandoned || entry.deadline <= now else { return false }
      dropped.append(entry)
      state.rows -= entry.batch.rowCount
      if entry.isAbandoned { state.abandoned += 1 }
      return true
    }
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
        waiting: $0.entries.count, waitingRows: $0.rows, scoredRows: $0.scoredRows,
        batches: $0.batches, abandoned: $0.abandoned, refused: $0.refused)
    }
  }
}
