internal import Postgres

/// What a worker tells the others and looks at each second: its sessions and theirs, its cores, and
/// how the server bears the work.
///
/// Confined to the control thread.
struct Pulse {
  private let context: WorkerContext
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var pressure = Pressure()
  private var usualLook = UsualTime()
  private var usualChunk = UsualTime()
  private var replicas = ReplicaClock()
  private var oldest = OldestTransaction()
  private var lookedAt: ContinuousClock.Instant?
  private var counted = WorkerStatistics.Snapshot()
  /// What was told last, so that it is told once.
  private var told: (connections: Int, wanted: Int)?

  static let interval = Duration.seconds(1)
  /// While lanes still give back what others wait for.
  static let settling = Duration.milliseconds(50)
  /// How long after the last chunk of a job the server is still looked at.
  private static let attention = Duration.seconds(10)

  init(_ context: WorkerContext) {
    self.context = context
    start = clock.now
  }

  /// - Returns: How soon the next one is due.
  /// - Throws: RC202 where the database has forgotten the worker.
  mutating func beat(_ worker: Int32, on connection: Connection) throws(PostgresError) -> Duration {
    let configuration = context.configuration
    let board = context.board
    let lanes = configuration.followsMachine ? Machine.coreCount : configuration.laneCount
    let seats = max(1, lanes) + (configuration.keepsLiveLane ? 1 : 0)
    let isDispatching = context.events.statistics.isDispatching
    let wanted = min(
      Allowance.wanted(
        lanes: seats, dispatches: configuration.dispatches, isDispatching: isDispatching),
      configuration.connectionLimit ?? .max)
    let before = context.allowance
    let used = 1 + context.sessionCount + board.connectedCount
    let (bulkLanes, reason) = (board.bulkSeatCount, pressure.reason)
    let pulse = Query(
      text: "select * from rowcast.pulse($1, $2, $3, $4, $5)",
      values: [
        worker, Int32(wanted), Int32(used), Int32(bulkLanes), reason,
      ])
    var looked: Rows?
    var rows: Rows
    let sent = clock.now
    // A second apart, however often it beats meanwhile.
    let isLookDue = lookedAt.map { $0.duration(to: sent) > Self.interval * 0.9 } ?? true
    if isLookDue, pressure.reason != nil || board.tookJobs(within: Self.attention) {
      lookedAt = sent
      let answers = try connection.pipeline([pulse, "select * from rowcast.server_health()"])
      (rows, looked) = (answers[0], answers[1])
    } else {
      rows = try connection.run(pulse)
    }
    let seconds = sent.duration(to: clock.now).seconds
    let allowed = Int(try rows.value(0, "connections", as: Int32.self))
    let allowance = Allowance(
      connections: allowed, lanes: seats, dispatches: configuration.dispatches,
      isDispatching: isDispatching)
    tell(
      allowed, wanted: wanted, budget: Int(try rows.value(0, "budget", as: Int32.self)), allowance)
    context.workerCount = Int(try rows.value(0, "worker_count", as: Int32.self))
    if let looked {
      try look(looked, tookSeconds: seconds)
    } else {
      usualLook.note(seconds)
    }
    board.admit(lanes: allowance.lanes, forJobs: pressure.lanes(of:))
    context.sizeShare = pressure.sizeShare * (allowance.lanes == 1 ? Self.onlyLane : 1)
    if allowance != before { context.follow(allowance) }
    // What is not as it was told is told at once.
    let isSettling =
      board.connectedCount > allowance.lanes || context.sessionCount > allowance.sessions
      || board.bulkSeatCount != bulkLanes || (pressure.reason == nil) != (reason == nil)
    return isSettling ? Self.settling : Self.interval
  }

  /// Where a single lane does everything, changes wait for no more than a short chunk of a job.
  private static let onlyLane = 0.25

  private mutating func tell(_ connections: Int, wanted: Int, budget: Int, _ allowance: Allowance) {
    defer { told = (connections, wanted) }
    if connections < wanted, told.map({ $0 != (connections, wanted) }) ?? true {
      context.events(
        .connectionsShort(
          connections: connections, wanted: wanted, budget: budget, lanes: allowance.lanes))
    } else if connections >= wanted, let told, told.connections < told.wanted {
      context.events(.connectionsRestored(connections: connections))
    }
  }

  // MARK: The server

  private mutating func look(_ rows: Rows, tookSeconds: Double) throws(PostgresError) {
    let now = start.duration(to: clock.now).seconds
    var signs = Pressure.Signs()
    let running = try rows.value(0, "statement_seconds", as: Double?.self) ?? 0
    let chunk = chunkSeconds()
    signs.usualSeconds = max(usualChunk.seconds ?? 0, usualLook.seconds ?? 0)
    signs.statementSeconds = max(running, tookSeconds)
    signs.statementWait =
      running >= tookSeconds ? try rows.value(0, "statement_wait", as: String?.self) : nil
    signs.walShare = try rows.value(0, "wal_share", as: Double?.self)
    if let position = try rows.value(0, "wal_position", as: Int64?.self),
      let replayed = try rows.value(0, "replayed_position", as: Int64?.self)
    {
      signs.replicaSeconds = replicas.lag(position: position, replayed: replayed, at: now)
      signs.replica = try rows.value(0, "replica", as: String?.self)
    }
    let number = try rows.value(0, "oldest_xid", as: Int64?.self)
    signs.transactionSeconds = max(
      oldest.age(number, at: now), try rows.value(0, "transaction_seconds", as: Double?.self) ?? 0)
    var limits = Pressure.Limits()
    limits.slowdown = try rows.value(0, "slowdown", as: Double?.self)
    limits.walShare = try rows.value(0, "wal_share_limit", as: Double?.self)
    limits.replicaSeconds = try rows.value(0, "replica_lag_limit", as: Double?.self)
    limits.transactionSeconds = try rows.value(0, "transaction_age_limit", as: Double?.self)
    let wasPressed = pressure.reason != nil
    pressure.look(signs, limits)
    if let reason = pressure.reason {
      if !wasPressed { context.events(.pressed(reason: reason)) }
    } else {
      if wasPressed { context.events(.relieved) }
      usualLook.note(tookSeconds)
      if let chunk { usualChunk.note(chunk) }
    }
  }

  /// What reading and writing took the chunks since the last look, on the average.
  private mutating func chunkSeconds() -> Double? {
    let counts = context.events.statistics.snapshot()
    defer { counted = counts }
    let chunks = counts.chunks - counted.chunks
    guard chunks > 0 else { return nil }
    return (counts.readSeconds + counts.writeSeconds - counted.readSeconds - counted.writeSeconds)
      / Double(chunks)
  }
}
