internal import Postgres
internal import Synchronization

/// Where a process's dispatcher and lanes meet: who is idle, and what was handed to whom.
///
/// The database knows each handed chunk as claimed by its lane, so a hand-off that is lost (the
/// lane reconnected meanwhile) is rescued like any other chunk.
///
/// The first seats take whatever there is; the others, the last one at least, live changes alone, so
/// that these never wait for a chunk of a job to end. A seat that is not admitted stays without a session.
final class LaneBoard: Sendable {
  private struct Seat {
    /// Nil while the lane is not connected.
    var lane: Int32?
    var isIdle = false
    var handed: [Chunk] = []
    /// Until then chunks may be claimed for the lane that nobody can hand to it.
    var distrustedUntil: ContinuousClock.Instant?
  }

  /// What lanes of one kind may find in the database.
  private struct Demand {
    /// Grows when chunks may be available that were handed to nobody.
    var revision = 1
    /// The revision at which a claim found nothing.
    var emptyRevision = 0

    var isOpen: Bool { emptyRevision < revision }
  }

  private struct State {
    var seats: [Seat]
    /// So many seats, from the first, may have a session.
    var admittedCount = 0
    /// And the last one, which never takes chunks of jobs.
    var admitsLiveSeat = false
    /// So many seats, from the first, take chunks of jobs.
    var bulkSeatCount = 0
    var lastJobAt: ContinuousClock.Instant?
    var demand = Demand()
    /// Of live changes, for the other seats.
    var liveDemand = Demand()
    var isStopping = false

    func takesJobs(_ seat: Int) -> Bool { seat < bulkSeatCount }

    func admits(_ seat: Int) -> Bool {
      seat < admittedCount || admitsLiveSeat && seat == seats.count - 1
    }
  }

  private let state: Mutex<State>
  /// Each seat's own, so that a hand-off wakes one lane and not all.
  let laneWakeUps: [WakeUp]
  let dispatcherWakeUp = WakeUp()

  private let hasLiveSeat: Bool

  /// Nobody is admitted yet.
  ///
  /// - Parameter hasLiveSeat: Whether there is one more, for live changes alone.
  init(seats: Int, hasLiveSeat: Bool) {
    let count = seats + (hasLiveSeat ? 1 : 0)
    self.hasLiveSeat = hasLiveSeat
    state = Mutex(State(seats: Array(repeating: Seat(), count: count)))
    laneWakeUps = (0..<count).map { _ in WakeUp() }
  }

  /// Of all seats, admitted or not.
  var seatCount: Int { laneWakeUps.count }

  // MARK: Who may sit

  /// Lets so many lanes connect; of two or more, one is for live changes alone.
  ///
  /// - Parameter forJobs: Of so many others, how many take chunks of jobs.
  func admit(lanes: Int, forJobs: (Int) -> Int) {
    let seats: [Int] = state.withLock { state in
      let before = state
      state.admitsLiveSeat = hasLiveSeat && lanes > 1
      let others = state.seats.count - (hasLiveSeat ? 1 : 0)
      state.admittedCount = min(others, lanes - (state.admitsLiveSeat ? 1 : 0))
      state.bulkSeatCount = min(state.admittedCount, forJobs(state.admittedCount))
      return state.seats.indices.filter {
        before.admits($0) != state.admits($0) || before.takesJobs($0) != state.takesJobs($0)
      }
    }
    for seat in seats { laneWakeUps[seat].signal() }
  }

  func admits(_ seat: Int) -> Bool { state.withLock { $0.admits(seat) } }

  /// Lanes that may have a session.
  var admittedCount: Int {
    state.withLock { $0.admittedCount + ($0.admitsLiveSeat ? 1 : 0) }
  }

  /// Lanes that have one.
  var connectedCount: Int { state.withLock { $0.seats.count { $0.lane != nil } } }

  func noteJob() { state.withLock { $0.lastJobAt = .now } }

  /// Whether a lane took a chunk of a job not longer ago.
  func tookJobs(within time: Duration) -> Bool {
    guard let last = state.withLock(\.lastJobAt) else { return false }
    return last.duration(to: .now) < time
  }

  // MARK: The dispatcher's side

  /// Lanes that take chunks of jobs.
  var bulkSeatCount: Int { state.withLock(\.bulkSeatCount) }

  /// The lanes that wait for work; none once the process is stopping. Those for live changes come
  /// first: what is handed out first then meets a session that has its statements prepared, also when
  /// a job has just begun.
  func idleLanes() -> [Int32] {
    state.withLock { state in
      guard !state.isStopping else { return [] }
      return state.seats.reversed().compactMap { $0.isIdle && $0.handed.isEmpty ? $0.lane : nil }
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
  ///
  /// - Parameter ofJobs: All of them are chunks of jobs, which lanes for live changes do not take.
  func announceWork(to count: Int = .max, ofJobs: Bool = false) {
    let seats: [Int] = state.withLock { state in
      state.demand.revision += 1
      if !ofJobs { state.liveDemand.revision += 1 }
      return Array(
        state.seats.indices.filter {
          state.seats[$0].isIdle && (!ofJobs || state.takesJobs($0))
        }.prefix(count))
    }
    for seat in seats { laneWakeUps[seat].signal() }
  }

  var isStopping: Bool { state.withLock(\.isStopping) }

  func stop() {
    state.withLock { $0.isStopping = true }
    laneWakeUps.forEach { $0.signal() }
    dispatcherWakeUp.signal()
  }

  // MARK: A lane's side

  enum Next {
    case score(Chunk)
    /// Ask the database; the claim goes back to `foundNothing(_:)`.
    case claim(Claim)
    /// Wait for this seat's wake-up; the dispatcher knows.
    case wait
    /// Give back what runs under this lane's name, since it holds nothing; then wait, not for long.
    case clear
    /// Give up the session, until this seat is admitted again.
    case leave
    case stop
  }

  struct Claim {
    fileprivate var revision: Int
    /// Whether chunks of jobs are taken too.
    var takesJobs: Bool
  }

  func next(seat: Int) -> Next {
    let (next, becameIdle): (Next, Bool) = state.withLock { state in
      if state.isStopping { return (.stop, false) }
      if !state.seats[seat].handed.isEmpty {
        state.seats[seat].isIdle = false
        return (.score(state.seats[seat].handed.removeFirst()), false)
      }
      if !state.admits(seat) { return (.leave, false) }
      let takesJobs = state.takesJobs(seat)
      let demand = takesJobs ? state.demand : state.liveDemand
      if demand.isOpen {
        state.seats[seat].isIdle = false
        return (.claim(Claim(revision: demand.revision, takesJobs: takesJobs)), false)
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

  /// A claim came back empty: until the next announcement no lane of its kind need ask.
  func foundNothing(_ claim: Claim) {
    state.withLock { state in
      if claim.takesJobs {
        state.demand.emptyRevision = max(state.demand.emptyRevision, claim.revision)
      } else {
        state.liveDemand.emptyRevision = max(state.liveDemand.emptyRevision, claim.revision)
      }
    }
  }

  /// A lane is connected (with its number) or is not (nil): what was handed to it is dropped,
  /// because its claim died with its session.
  func seat(_ seat: Int, takenBy lane: Int32?) {
    state.withLock { state in
      state.seats[seat] = Seat(lane: lane)
      state.demand.revision += 1
      state.liveDemand.revision += 1
    }
    dispatcherWakeUp.signal()
  }
}
