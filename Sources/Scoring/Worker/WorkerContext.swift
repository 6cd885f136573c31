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
  }

  private let state = Mutex(State())

  init(_ configuration: WorkerConfiguration, events: EventSink) {
    self.configuration = configuration
    self.events = events
    board = LaneBoard(seats: max(1, configuration.laneCount))
  }

  /// The connection settings of a part, as `pg_stat_activity` will show it.
  func settings(for part: String) -> ConnectionSettings {
    configuration.settings.setting("application_name", to: "rowcast \(part)")
  }

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
