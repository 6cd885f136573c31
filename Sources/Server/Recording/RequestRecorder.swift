package import Inference
package import Logging
package import Postgres
package import Scoring
internal import Synchronization

/// Writes what requests were answered to the database, for the models of which that is wanted, on a thread of its
/// own.
///
/// No request waits for it: what does not fit into its bounds, because the database is slow or away, is lost, and
/// counted. What does waits until the database takes it, or refuses it for what it is: then that request alone
/// is lost.
package final class RequestRecorder: Sendable {
  package struct Limits: Sendable {
    /// Requests that wait to be written, and their memory.
    package var requests = 16_384
    package var byteCount = 64 << 20

    package init() {}
  }

  private struct State {
    /// What the thread has not taken yet.
    var fresh: [RequestRecord] = []
    /// What is neither written nor lost, what the thread has too.
    var waiting = 0
    var byteCount = 0
    var figures = Figures()
    /// Whether something went wrong since all that waited was written.
    var isInTrouble = false
    /// Whether the thread does nothing until it is woken.
    var isAsleep = false
    var isStopped = false

    /// Whether it had gone well until now.
    mutating func getIntoTrouble() -> Bool {
      defer { isInTrouble = true }
      return !isInTrouble
    }
  }

  private let state = Mutex(State())
  private let recordings = Mutex<[Int32: Recording]>([:])
  /// A bit for the models of some numbers: where it is not set, none of them is recorded, and nobody asks
  /// further.
  private let recorded = Atomic<UInt64>(0)
  private let wakeUp = WakeUp()
  private let stopping = WakeUp()
  private let settings: ConnectionSettings
  private let limits: Limits
  private let logger: Logger

  package init(settings: ConnectionSettings, limits: Limits = Limits(), logger: Logger) {
    self.settings = settings.setting("application_name", to: "rowcast record")
    self.limits = limits
    self.logger = logger
  }

  // MARK: Requests

  /// Takes what is to be recorded from now on, by model.
  package func replace(with recordings: [Int32: Recording]) {
    self.recordings.withLock { $0 = recordings }
    recorded.store(recordings.keys.reduce(0) { $0 | Self.bit(of: $1) }, ordering: .relaxed)
  }

  private static func bit(of model: Int32) -> UInt64 { 1 << UInt64(model & 63) }

  /// Takes note of a request that was scored, if its model is recorded.
  ///
  /// - Parameter unreadable: Rows that could not be read, and so were not answered, with the reason.
  /// - Complexity: Nothing where the model is not recorded; else a look at the lengths of texts, and no copy.
  package func add(
    _ model: LoadedModel, _ batch: Batch, _ predictions: Predictions, unreadable: [Int: String],
    from origin: @autoclosure () -> RequestOrigin
  ) {
    guard recorded.load(ordering: .relaxed) & Self.bit(of: model.id.model) != 0,
      let recording = recordings.withLock({ $0[model.id.model] }),
      recording.share >= 1 || Double.random(in: 0..<1) < recording.share
    else { return }
    let record = RequestRecord(
      model, origin(), batch, hasInputs: recording.hasInputs, predictions, unreadable: unreadable)
    let (sleeps, isFirstLoss): (Bool, Bool) = state.withLock { state in
      let fits =
        state.waiting < limits.requests
        && (state.waiting == 0 || state.byteCount + record.byteCount <= limits.byteCount)
      guard fits, !state.isStopped else {
        state.figures.lost += 1
        return (false, state.getIntoTrouble())
      }
      state.fresh.append(record)
      state.waiting += 1
      state.byteCount += record.byteCount
      defer { state.isAsleep = false }
      return (state.isAsleep, false)
    }
    if sleeps { wakeUp.signal() }
    if isFirstLoss { complain("more wait to be written than may") }
  }

  private func complain(_ reason: String) {
    logger.warning("requests are not recorded", metadata: ["reason": "\(reason)"])
  }

  // MARK: Figures

  /// Requests.
  package struct Figures: Sendable {
    package var waiting = 0
    package var written = 0
    package var lost = 0
  }

  package var figures: Figures {
    state.withLock { state in
      var figures = state.figures
      figures.waiting = state.waiting
      return figures
    }
  }

  // MARK: The thread

  /// How long the session is kept after the last record.
  private static let patience = Duration.seconds(10)
  /// Those that come within it are written together, and no request wakes the thread meanwhile.
  private static let gathering = Duration.milliseconds(20)
  /// Between tries while the database is away.
  private static let pause = Duration.milliseconds(500)
  /// Requests that are written in one transaction at most, and their memory.
  private static let together = (requests: 1000, byteCount: 4 << 20)
  /// Between lines of the log about requests that the database refused.
  private static let complaints = Duration.seconds(10)

  /// Ends `run` when what waits is written, or cannot be.
  package func stop() {
    state.withLock { $0.isStopped = true }
    wakeUp.signal()
    stopping.signal()
  }

  package func run() {
    let writer = RecordWriter(settings)
    defer { writer.close() }
    var hand = Hand()
    while true {
      wakeUp.clear()
      let isStopped = take(into: &hand)
      guard !hand.records.isEmpty else {
        if isStopped { return }
        if !wakeUp.wait(timeout: writer.hasSession ? Self.patience : nil) { writer.close() }
        _ = stopping.wait(timeout: Self.gathering)
        continue
      }
      let begin = ContinuousClock.now
      while !hand.records.isEmpty { writeSome(of: &hand, by: writer) }
      let left = Self.gathering - begin.duration(to: .now)
      if left > .zero { _ = stopping.wait(timeout: left) }
    }
  }

  /// What the thread has taken and not done with.
  private struct Hand {
    var records: [RequestRecord] = []
    /// Requests that are written in one transaction: fewer where some were not taken, to tell them apart.
    var together = RequestRecorder.together.requests
    /// Since the last that were written.
    var failures = 0
    /// Since the last line of the log about them.
    var refused = 0
    var complainedAt: ContinuousClock.Instant?

    var batch: [RequestRecord] {
      var byteCount = 0
      return Array(
        records.prefix(together).prefix { record in
          defer { byteCount += record.byteCount }
          return byteCount < RequestRecorder.together.byteCount
        })
    }
  }

  /// Takes all that came, for what was taken before is done with; says whether the thread is to stop.
  private func take(into hand: inout Hand) -> Bool {
    // A buffer that was large once need not stay.
    if hand.records.capacity > Self.together.requests { hand.records = [] }
    return state.withLock { state in
      swap(&state.fresh, &hand.records)
      state.isAsleep = hand.records.isEmpty
      return state.isStopped
    }
  }

  private func writeSome(of hand: inout Hand, by writer: RecordWriter) {
    let batch = hand.batch
    do throws(RecordWriter.Failure) {
      try writer.write(batch)
      end(batch, areWritten: true)
      hand.records.removeFirst(batch.count)
      hand.together = min(2 * hand.together, Self.together.requests)
      hand.failures = 0
    } catch  where error.isOfValues && batch.count == 1 {
      end(batch, areWritten: false)
      hand.records.removeFirst()
      refuse(batch[0], error.reason, &hand)
    } catch {
      // Also where it took too long: fewer may not.
      if !error.isInDoubt { hand.together = max(1, batch.count / 2) }
      if !error.isOfValues { wait(after: error, &hand) }
    }
  }

  private func refuse(_ record: RequestRecord, _ error: PostgresError, _ hand: inout Hand) {
    hand.refused += 1
    let now = ContinuousClock.now
    if let last = hand.complainedAt, last.duration(to: now) < Self.complaints { return }
    logger.warning(
      "the database refused to record requests",
      metadata: [
        "request.id": "\(record.origin.id)", "model": "\(record.model)",
        "requests": "\(hand.refused)", "reason": "\(error.message)",
        "sqlstate": "\(error.sqlState)",
      ])
    hand.complainedAt = now
    hand.refused = 0
  }

  /// Lets the database come back; gives all up where the server does not wait for that.
  private func wait(after error: RecordWriter.Failure, _ hand: inout Hand) {
    hand.failures += 1
    let isFirst = state.withLock { $0.getIntoTrouble() }
    if isFirst { complain(error.reason.message) }
    guard state.withLock(\.isStopped) else {
      _ = stopping.wait(timeout: Self.pause)
      return
    }
    // A deadlock is over at once, and what is in doubt may be known; for all else whoever stops the server would
    // wait.
    if error.reason.isSerializationFailure || error.isInDoubt, hand.failures < 3 { return }
    let fresh = state.withLock { state in
      defer { state.fresh = [] }
      return state.fresh
    }
    end(hand.records + fresh, areWritten: false)
    hand.records = []
  }

  /// Counts them out.
  private func end(_ records: [RequestRecord], areWritten: Bool) {
    let byteCount = records.reduce(0) { $0 + $1.byteCount }
    let isMended: Bool = state.withLock { state in
      state.waiting -= records.count
      state.byteCount -= byteCount
      if areWritten {
        state.figures.written += records.count
      } else {
        state.figures.lost += records.count
      }
      guard areWritten, state.waiting == 0, state.isInTrouble else { return false }
      state.isInTrouble = false
      return true
    }
    if isMended { logger.notice("requests are recorded again") }
  }
}
