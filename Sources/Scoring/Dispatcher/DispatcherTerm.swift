internal import Postgres

/// What the elected dispatcher does, from its election to the loss of its session.
struct DispatcherTerm {
  private let context: WorkerContext
  private let connection: Connection
  private var state = DispatcherState()
  private var schedule = MaintenanceSchedule()
  private var clock = ContinuousClock()

  /// A ring travels behind the commit that it announces.
  private static let ringDelay = Duration.milliseconds(250)
  /// How long a tick waits for a lane of this process to become idle, where none is. Lanes of
  /// other processes may be idle meanwhile.
  private static let idleWait = Duration.milliseconds(10)
  /// How long changes may stay uncut because chunks wait for all lanes as it is.
  private static let longestDeferral = Duration.seconds(1)
  /// Whether the last tick left chunks to whoever claims them.
  private var hasQueue = false
  private var tickedAt = ContinuousClock.now
  private var calledAt: ContinuousClock.Instant?
  /// They claim for as long as there is something, so that they need not be called for each chunk.
  private static let callInterval = Duration.milliseconds(20)

  init(_ context: WorkerContext, _ connection: Connection) {
    self.context = context
    self.connection = connection
  }

  /// - Throws: Only where the session is lost.
  mutating func run() throws(PostgresError) {
    // Whoever led before may have left chunks of dead lanes, jobs and suspended scorers.
    try refreshLoad()
    schedule.noteWork()
    var action = DispatcherState.Action.tick(after: .zero)
    while goesOn {
      try maintain()
      action = try take(action)
    }
  }

  private var goesOn: Bool { !context.isStopping && context.allowance.dispatches }

  private mutating func take(_ action: DispatcherState.Action) throws(PostgresError)
    -> DispatcherState.Action
  {
    switch action {
    case .tick(let pause):
      waitForLanes(atLeast: pause)
      // Never taken for a tick that found nothing, after which the dispatcher might sleep.
      if try lanesAreBehind() { return action }
      let changes = try tick()?.changes ?? 0
      return state.next(changes: changes, doorbell: .notHeld)
    case .takeDoorbell(let pause):
      WorkThread.pause(pause)
      // Rings from before the bell is held say nothing; later ones must not be overheard.
      noteNotifications(connection.takeNotifications())
      guard let outcome = try tick(.take) else { return .tick(after: DispatcherState.longest) }
      return state.next(
        changes: outcome.changes, doorbell: outcome.holdsDoorbell ? .held : .refused)
    case .sleepUntilRung:
      context.events(.slept)
      try sleepUntilRung()
      return .releaseDoorbell
    case .releaseDoorbell:
      let changes = try tick(.release)?.changes ?? 0
      return state.next(changes: changes, doorbell: .notHeld)
    }
  }

  // MARK: Sleeping

  /// Returns when there is, or may be, something to tick for; the doorbell is held all the while.
  private mutating func sleepUntilRung() throws(PostgresError) {
    var safetyPollAt = clock.now.advanced(by: context.configuration.safetyPoll)
    while goesOn {
      context.board.dispatcherWakeUp.clear()
      if !goesOn { return }
      try maintain()
      let now = clock.now
      if now >= safetyPollAt {
        try refreshLoad()
        if try safetyPollFoundChanges() { return }
        safetyPollAt = clock.now.advanced(by: context.configuration.safetyPoll)
      }
      let pause = min(schedule.pause(at: now), max(.zero, now.duration(to: safetyPollAt)))
      let notifications = try connection.waitForNotifications(
        timeout: pause, wakeUp: context.board.dispatcherWakeUp)
      if noteNotifications(notifications) {
        context.events(.rung)
        return
      }
    }
  }

  /// Ticks although nobody rang. What it finds is a defect, unless the ring is on its way.
  private mutating func safetyPollFoundChanges() throws(PostgresError) -> Bool {
    guard let outcome = try tick(), outcome.changes > 0 else { return false }
    let deadline = clock.now.advanced(by: Self.ringDelay)
    while clock.now < deadline {
      let late = try connection.waitForNotifications(timeout: clock.now.duration(to: deadline))
      if noteNotifications(late) {
        context.events(.rung)
        return true
      }
    }
    context.events(.safetyPollHit(changes: outcome.changes))
    return true
  }

  /// Whether the doorbell rang among them; a word about the registry makes housekeeping due.
  @discardableResult
  private mutating func noteNotifications(_ notifications: [Notification]) -> Bool {
    if notifications.contains(where: { $0.channel == Channel.control }) {
      // A job may have been ordered, or a scorer suspended by a lane.
      schedule.load.hasJobs = true
      schedule.load.hasSuspended = true
      schedule.noteWork()
      schedule.hurry(.jobs)
      schedule.hurry(.rescue)
    }
    return notifications.contains { $0.channel == Channel.change }
  }

  /// Ticking before a lane is free makes smaller chunks, and none of them sooner.
  private func waitForLanes(atLeast pause: Duration) {
    WorkThread.pause(pause)
    context.board.dispatcherWakeUp.clear()
    guard context.board.idleCount == 0, !context.isStopping, pause > .zero else { return }
    _ = context.board.dispatcherWakeUp.wait(timeout: Self.idleWait)
  }

  /// Whether changes had better wait: all lanes here are busy, and chunks wait for all that there are.
  /// What comes meanwhile then makes larger chunks, which cost less a row.
  private func lanesAreBehind() throws(PostgresError) -> Bool {
    guard hasQueue, context.board.idleCount == 0,
      tickedAt.duration(to: clock.now) < Self.longestDeferral
    else { return false }
    return try connection.run("select rowcast.lanes_are_behind()").value(0, 0)
  }

  // MARK: Ticking

  private enum DoorbellStep { case none, take, release }

  private struct TickOutcome {
    var changes: Int
    var holdsDoorbell = false
  }

  /// One round trip; nil where the tick failed and another must be tried.
  private mutating func tick(_ step: DoorbellStep = .none) throws(PostgresError) -> TickOutcome? {
    let lanes = context.board.idleLanes()
    tickedAt = clock.now
    let tick: Query = "select * from rowcast.tick(\(lanes), \(Int32(context.board.admittedCount)))"
    do throws(PostgresError) {
      switch step {
      case .none:
        return TickOutcome(changes: try distribute(connection.run(tick)))
      case .take:
        let rows = try connection.pipeline([
          "select pg_try_advisory_lock(\(AdvisoryLock.once), \(AdvisoryLock.doorbell))", tick,
        ])
        let isHeld = try rows[0].value(0, 0, as: Bool.self)
        return TickOutcome(changes: try distribute(rows[1]), holdsDoorbell: isHeld)
      case .release:
        let rows = try connection.pipeline([
          "select pg_advisory_unlock(\(AdvisoryLock.once), \(AdvisoryLock.doorbell))", tick,
        ])
        return TickOutcome(changes: try distribute(rows[1]))
      }
    } catch {
      // What the server made of it is unknown where the session is lost.
      context.board.distrust(lanes)
      guard connection.isUsable else { throw error }
      context.events(.maintenanceFailed(step: "tick", reason: error.message))
      if step != .none { try releaseDoorbell() }
      WorkThread.pause(DispatcherState.longest)
      return nil
    }
  }

  /// Session locks survive a failed statement; what was not held only earns a warning.
  private func releaseDoorbell() throws(PostgresError) {
    try connection.run(
      "select pg_advisory_unlock(\(AdvisoryLock.once), \(AdvisoryLock.doorbell))")
  }

  /// Gives the claimed chunks to their lanes; returns how many changes the tick brought.
  private mutating func distribute(_ rows: Rows) throws(PostgresError) -> Int {
    let changes = Int(try rows.value(0, "change_count", as: Int64.self))
    let made = Int(try rows.value(0, "chunk_count", as: Int64.self))
    guard changes > 0 || made > 0 else { return 0 }
    var handed = 0
    for row in 0..<rows.count {
      guard let chunk = try Chunk(rows, row: row) else { continue }
      handed += 1
      if !context.board.hand(chunk) { schedule.hurry(.rescue) }
    }
    if changes > 0 { hasQueue = made > handed }
    if made > handed {
      context.board.announceWork()
      try callOthers()
    }
    schedule.noteWork()
    let tick = try rows.value(0, "tick_id", as: Int64?.self) ?? 0
    context.events(.ticked(tick: tick, changes: changes, chunks: made))
    return changes
  }

  /// Lanes of other processes hear of chunks that those of this one are too busy for.
  private mutating func callOthers() throws(PostgresError) {
    guard context.workerCount > 1, context.board.idleCount == 0,
      calledAt.map({ $0.duration(to: clock.now) > Self.callInterval }) ?? true
    else { return }
    calledAt = clock.now
    try connection.run("select pg_notify(\(Channel.chunk), '')")
  }

  // MARK: Housekeeping

  private mutating func maintain() throws(PostgresError) {
    if context.takeRescueRequest() {
      schedule.noteWork()
      schedule.hurry(.rescue)
    }
    for step in schedule.due(at: clock.now) {
      do throws(PostgresError) {
        try perform(step)
      } catch {
        guard connection.isUsable else { throw error }
        context.events(.maintenanceFailed(step: "\(step)", reason: error.message))
      }
    }
  }

  private mutating func perform(_ step: MaintenanceSchedule.Step) throws(PostgresError) {
    switch step {
    case .beat:
      guard let worker = context.workerID else { return }
      do throws(PostgresError) {
        try connection.run("select rowcast.beat(\(worker), true)")
      } catch  where error.sqlState == "RC202" {
        context.forgetRegistration(worker)
      }
    case .schedules:
      let isDue = try connection.run("select rowcast.due_schedule() is not null")
      if try isDue.value(0, 0, as: Bool.self) { context.schedules.signal() }
    case .audits:
      if try connection.run("select rowcast.audits_due()").value(0, 0, as: Bool.self) {
        context.audit.signal()
      }
    case .lags:
      let changed = try connection.run("select * from rowcast.check_lags()")
      for row in 0..<changed.count {
        let scorer = try changed.value(row, "scorer", as: String.self)
        context.events(
          try changed.value(row, "kept", as: Bool.self)
            ? .lagKept(scorer: scorer)
            : .lagBroken(
              scorer: scorer, lag: .seconds(try changed.value(row, "lag_seconds", as: Double.self)),
              maxLag: .seconds(try changed.value(row, "max_lag_seconds", as: Double.self))))
      }
    case .sources:
      // Each by itself: a partition that cannot be followed hides no change of another source.
      try connection.run("select rowcast.watch_definitions(max_time => '5 milliseconds')")
      try connection.run("select rowcast.watch_partitions()")
    case .jobs: context.cutting.signal()
    case .rescue:
      let rescued = try connection.run("select * from rowcast.rescue_chunks()")
      for row in 0..<rescued.count {
        context.events(
          .chunkRescued(
            chunk: try rescued.value(row, "chunk_id", as: Int64.self),
            action: try rescued.value(row, "action", as: String.self)))
      }
      if rescued.count > 0 { context.board.announceWork() }
      try connection.run("select rowcast.stop_steps()")
      try refreshLoad()
    case .endStalled:
      let timeout = context.configuration.stallTimeout.milliseconds
      let ended = try connection.run(
        "select * from rowcast.end_stalled(\(timeout) * interval '1 millisecond')")
      for row in 0..<ended.count {
        context.events(.sessionEnded(pid: Int(try ended.value(row, "pid", as: Int32.self))))
      }
    case .suspended:
      let resumed = try connection.run("select rowcast.check_suspended()")
      for row in 0..<resumed.count {
        context.events(.scorerResumed(scorer: try resumed.value(row, 0, as: String.self)))
      }
      if resumed.count > 0 {
        context.board.announceWork()
        try refreshLoad()
      }
    case .tidy:
      try connection.run("select rowcast.tidy()")
    }
  }

  private mutating func refreshLoad() throws(PostgresError) {
    let work = try connection.run("select * from rowcast.open_work()")
    let available = try work.value(0, "available", as: Int64.self)
    schedule.load = MaintenanceSchedule.Load(
      hasChunks: try available + work.value(0, "running", as: Int64.self) > 0,
      hasJobs: try work.value(0, "running_jobs", as: Int64.self) > 0,
      hasSuspended: try work.value(0, "suspended", as: Int64.self) > 0)
    // Chunks that lanes were never told of: made before this term, or by a lost announcement.
    if available > 0 { context.board.announceWork() }
  }
}
