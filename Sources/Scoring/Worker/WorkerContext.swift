internal import Glibc
internal import Postgres
internal import Synchronization

/// What the threads of a worker share.
final class WorkerContext: Sendable {
  let configuration: WorkerConfiguration
  let board: LaneBoard
  let events: EventSink
  /// What lanes count and the control thread writes down.
  let observations = Observations()
  /// Signalled once, when the worker begins to stop; never cleared.
  let stopping = WakeUp()
  /// Wakes the thread that inspects models.
  let inspection = WakeUp()
  /// Wakes the thread that audits.
  let audit = WakeUp()
  /// Wakes the thread that fires schedules.
  let schedules = WakeUp()
  /// Wakes the thread that cuts jobs into chunks.
  let cutting = WakeUp()
  /// Wakes the thread that answers questions.
  let answering = WakeUp()
  /// Wakes the control thread.
  let control = WakeUp()
  /// What lanes counted of canaries; the control thread writes it down.
  let canaries = CanaryLedger()

  private struct State {
    var workerID: Int32?
    var isStopping = false
    var wantsRescue = false
    var standby: Canceller?
    var lanes: [Int: Canceller] = [:]
    var failure: PostgresError?
    var allowance = Allowance.none
    var sessionCount = 0
    var spareCount = 0
    var workerCount = 1
    var sizeShare = 1.0
  }

  private let state = Mutex(State())

  init(_ configuration: WorkerConfiguration, events: EventSink) {
    self.configuration = configuration
    self.events = events
    // Where the machine may become larger, seats are kept for all of it.
    let lanes = max(
      1, configuration.laneCount, configuration.followsMachine ? Machine.hostCoreCount : 1)
    board = LaneBoard(seats: lanes, hasLiveSeat: configuration.keepsLiveLane)
  }

  /// The connection settings of a part, as `pg_stat_activity` will show it, with a bound on each
  /// statement. Given with the connection, it is what `reset all` goes back to.
  func settings(for part: String) -> ConnectionSettings {
    let given = configuration.settings["options"] ?? Self.environmentOptions
    let bound = "-c statement_timeout=\(Int(configuration.statementTimeout.milliseconds))"
    return configuration.settings.setting("application_name", to: "rowcast \(part)")
      .setting("options", to: given.map { "\(bound) \($0)" } ?? bound)
  }

  /// Says that a session works through many rows.
  func noteBatchSession(_ connection: Connection) {
    configuration.onBatchSession?(connection.backendPID)
  }

  private static let environmentOptions = getenv("PGOPTIONS").map { String(cString: $0) }

  // MARK: Stopping

  var isStopping: Bool { state.withLock(\.isStopping) }

  /// Begins to stop: the dispatcher ends, then the lanes, in the control thread's hands.
  func stop() {
    state.withLock { $0.isStopping = true }
    stopping.signal()
    control.signal()
    inspection.signal()
    audit.signal()
    schedules.signal()
    cutting.signal()
    answering.signal()
    board.dispatcherWakeUp.signal()
  }

  /// Stops because the worker cannot work here, and says why.
  func stop(because failure: PostgresError) {
    state.withLock { $0.failure = $0.failure ?? failure }
    stop()
  }

  var failure: PostgresError? { state.withLock(\.failure) }

  /// Waits, unless the worker stops.
  func pause(_ duration: Duration) { _ = stopping.wait(timeout: duration) }

  // MARK: Sessions that may have to be interrupted

  func setStandby(_ canceller: Canceller?) { state.withLock { $0.standby = canceller } }

  func setCanceller(_ canceller: Canceller?, seat: Int) {
    state.withLock { $0.lanes[seat] = canceller }
  }

  /// Ends what a standby waits for; the dispatcher itself never waits long.
  func cancelStandby() {
    // Where the server cannot be reached, the wait is over too.
    try? state.withLock(\.standby)?.cancel()
  }

  func cancelLanes() {
    for canceller in state.withLock({ Array($0.lanes.values) }) { try? canceller.cancel() }
  }

  // MARK: Registration

  var workerID: Int32? { state.withLock(\.workerID) }

  func register(_ worker: Int32) {
    state.withLock { $0.workerID = worker }
    board.laneWakeUps.forEach { $0.signal() }
  }

  /// The database no longer knows the worker: it was silent for too long.
  func forgetRegistration(_ worker: Int32) {
    state.withLock { if $0.workerID == worker { $0.workerID = nil } }
    control.signal()
  }

  // MARK: Sessions

  var allowance: Allowance { state.withLock(\.allowance) }

  /// Has each part open or close what it may have.
  func follow(_ allowance: Allowance) {
    state.withLock { $0.allowance = allowance }
    answering.signal()
    board.dispatcherWakeUp.signal()
    if !allowance.dispatches { cancelStandby() }
  }

  /// Those that are open, beside the control session's and lanes.
  var sessionCount: Int { state.withLock(\.sessionCount) }

  /// Counts a session of another part than control and lanes while the body runs.
  func withSession<T>(_ body: () throws(PostgresError) -> T) throws(PostgresError) -> T {
    state.withLock { $0.sessionCount += 1 }
    defer { state.withLock { $0.sessionCount -= 1 } }
    return try body()
  }

  /// Counts a session of a task beside ticks while the body runs, once the worker may have one.
  func withSpareSession<E: Error>(_ body: () throws(E) -> Void) throws(E) {
    while true {
      let isFree = state.withLock { state in
        guard state.spareCount < max(1, state.allowance.spares) else { return false }
        state.spareCount += 1
        state.sessionCount += 1
        return true
      }
      if isFree { break }
      if isStopping { return }
      pause(.milliseconds(20))
    }
    defer {
      state.withLock { state in
        state.spareCount -= 1
        state.sessionCount -= 1
      }
    }
    try body()
  }

  /// How many workers there are, this one among them, as far as is known.
  var workerCount: Int {
    get { state.withLock(\.workerCount) }
    set { state.withLock { $0.workerCount = newValue } }
  }

  /// By how much chunks of jobs are to be smaller than usual.
  var sizeShare: Double {
    get { state.withLock(\.sizeShare) }
    set { state.withLock { $0.sizeShare = newValue } }
  }

  // MARK: Rescue

  /// Asks the dispatcher to look for chunks of dead lanes at once.
  func requestRescue() {
    state.withLock { $0.wantsRescue = true }
    board.dispatcherWakeUp.signal()
  }

  func takeRescueRequest() -> Bool {
    state.withLock { state in
      defer { state.wantsRescue = false }
      return state.wantsRescue
    }
  }
}
