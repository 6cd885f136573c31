internal import Postgres
internal import Synchronization

/// Where a process's dispatcher and lanes meet: who is idle, and what was handed to whom.
///
/// The database knows each handed chunk as claimed by its lane, so a hand-off that is lost (the
/// lane reconnected meanwhile) is rescued like any other chunk.
final class LaneBoard: Sendable {
  private struct Seat {
    /// Nil while the lane is not connected.
    var lane: Int32?
    var isIdle = false
    var handed: [Chunk] = []
    /// Until then chunks may be claimed for the lane that nobody can hand to it.
    var distrustedUntil: ContinuousClock.Instant?
  }

  private struct State {
    var seats: [Seat]
    /// Grows when chunks may be available that were handed to nobody.
    var workRevision = 1
    /// The revision at which a claim found nothing.
    var emptyRevision = 0
    var isStopping = false
  }

  private let state: Mutex<State>
  /// Each seat's own, so that a hand-off wakes one lane and not all.
  let laneWakeUps: [WakeUp]
  let dispatcherWakeUp = WakeUp()

  init(seats: Int) {
    state = Mutex(State(seats: Array(repeating: Seat(), count: seats)))
    laneWakeUps = (0..<seats).map { _ in WakeUp() }
  }

  var seatCount: Int { laneWakeUps.count }

  // MARK: The dispatcher's side

  /// The lanes that wait for work; none once the process is stopping.
  func idleLanes() -> [Int32] {
    state.withLock { state in
      guard !state.isStopping else { return [] }
      return state.seats.compactMap { $0.isIdle && $0.handed.isEmpty ? $0.lane : nil }
    }
  }

  /// Lanes that have nothing to do, or are about to.
  var idleCount: Int { idleLanes().count }

  /// Hands a chunk that the tick claimed for a lane; false when that lane is gone.
  func hand(_ chunk: Chunk) -> Bool {
    let seat: Int? = state.withLock { state in
      guard let seat = state.seats.firstIndex(where: { $0.lane == chunk.lane }) else { return nil }
      state.seats[seat].handed.append(chunk)
      return seat
    }
    guard let seat else { return false }
    laneWakeUps[seat].signal()
    return true
  }

  /// The answer to a tick that these lanes were offered to is lost: chunks may run under their names
  /// that they will never be handed, and that nobody rescues, since the lanes live.
  func distrust(_ lanes: [Int32]) {
    let end = ContinuousClock.now.advanced(by: Self.distrust)
    state.withLock { state in
      for seat in state.seats.indices {
        guard let lane = state.seats[seat].lane, lanes.contains(lane) else { continue }
        state.seats[seat].distrustedUntil = end
      }
    }
    laneWakeUps.forEach { $0.signal() }
  }

  /// Longer than the server can go on with a tick whose client is gone: its lock timeout is 10 s.
  private static let distrust = Duration.seconds(15)

  /// Tells idle lanes that there may be chunks to claim.
  func announceWork(to count: Int = .max) {
    let seats: [Int] = state.withLock { state in
      state.workRevision += 1
      return Array(state.seats.indices.filter { state.seats[$0].isIdle }.prefix(count))
    }
    for seat in seats { laneWakeUps[seat].signal() }
  }

  var isStopping: Bool { state.withLock(\.isStopping) }

  /// Tells one idle lane to look for chunks too.
  func wakeOneIdle() { announceWork(to: 1) }

  func stop() {
    state.withLock { $0.isStopping = true }
    laneWakeUps.forEach { $0.signal() }
    dispatcherWakeUp.signal()
  }

  // MARK: A lane's side

  enum Next {
    case score(Chunk)
    /// Ask the database; the revision goes back to `foundNothing(at:)`.
    case claim(revision: Int)
    /// Wait for this seat's wake-up; the dispatcher knows.
    case wait
    /// Give back what runs under this lane's name, since it holds nothing; then wait, not for long.
    case clear
    case stop
  }

  func next(seat: Int) -> Next {
    let (next, becameIdle): (Next, Bool) = state.withLock { state in
      if state.isStopping { return (.stop, false) }
      if !state.seats[seat].handed.isEmpty {
        state.seats[seat].isIdle = false
        return (.score(state.seats[seat].handed.removeFirst()), false)
      }
      if state.emptyRevision < state.workRevision {
        state.seats[seat].isIdle = false
        return (.claim(revision: state.workRevision), false)
      }
      defer { state.seats[seat].isIdle = true }
      var next = Next.wait
      if let end = state.seats[seat].distrustedUntil {
        next = .clear
        if end < .now { state.seats[seat].distrustedUntil = nil }
      }
      return (next, !state.seats[seat].isIdle)
    }
    if becameIdle { dispatcherWakeUp.signal() }
    return next
  }

  /// A claim came back empty: until the next announcement no lane need ask.
  func foundNothing(at revision: Int) {
    state.withLock { $0.emptyRevision = max($0.emptyRevision, revision) }
  }

  /// A lane is connected (with its number) or is not (nil): what was handed to it is dropped,
  /// because its claim died with its session.
  func seat(_ seat: Int, takenBy lane: Int32?) {
    state.withLock { state in
      state.seats[seat] = Seat(lane: lane)
      state.workRevision += 1
    }
    dispatcherWakeUp.signal()
  }
}
