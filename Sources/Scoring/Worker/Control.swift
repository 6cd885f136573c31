internal import Inference
internal import Postgres
internal import Schema

/// The life of a worker: registers it, starts its threads, listens for the others' chunks, says
/// that it lives, and takes it down in order.
///
/// Confined to its thread.
final class Control {
  private let context: WorkerContext
  private let models: ModelCache
  /// Whether callers wait for answers of this process while its lanes score.
  private let isBesideServer: Bool
  private let backoff = Backoff(shortest: .milliseconds(20), longest: .seconds(1))
  private let clock = ContinuousClock()
  private var pulses: Pulse
  private var unwrittenTotals = UnwrittenTotals()
  private var totalsAt: ContinuousClock.Instant?
  private var memoryAt: ContinuousClock.Instant?

  /// How long a statement that was cancelled may take to end.
  private static let cancelGrace = Duration.seconds(1)
  /// How often it is looked whether there are counts to write.
  private static let writeInterval = Duration.seconds(1)
  /// How often it adds to the totals: updates of the same few rows, which grow dearer with each while somebody
  /// holds a snapshot.
  private static let totalsInterval = Duration.seconds(5)
  /// How often it says how much memory it has.
  private static let memoryInterval = Duration.seconds(5)

  /// - Parameter models: The models of the process, which a server scores requests with; the worker's own
  ///   where nil.
  init(_ context: WorkerContext, models: ModelCache? = nil) {
    self.context = context
    pulses = Pulse(context)
    isBesideServer = models != nil
    self.models =
      models
      ?? ModelCache(byteCount: context.configuration.modelByteCount, events: context.events)
  }

  func run() {
    let configuration = context.configuration
    var connection = connect()
    guard connection != nil else { return }
    context.events(.workerStarted(name: configuration.name, lanes: configuration.laneCount))
    let lanes = (0..<context.board.seatCount).map { seat in
      WorkThread(name: "rowcast lane \(seat)", yields: isBesideServer) { [context, models] in
        Lane(context, seat: seat, models: models).run()
      }
    }
    var others = [
      WorkThread(name: "rowcast answers") { [context, models] in
        Answerer(context, models: models).run()
      }
    ]
    if configuration.dispatches {
      others.append(WorkThread(name: "rowcast tick") { [context] in Dispatcher(context).run() })
      others.append(
        WorkThread(name: "rowcast inspect") { [context] in Inspector(context).run() })
      others.append(WorkThread(name: "rowcast audit") { [context] in Auditor(context).run() })
      others.append(
        WorkThread(name: "rowcast schedules") { [context] in Scheduler(context).run() })
      others.append(WorkThread(name: "rowcast cut") { [context] in JobCutter(context).run() })
    }
    while !context.isStopping {
      do throws(PostgresError) {
        if let session = connection {
          try attend(session)
        } else {
          connection = connect()
        }
      } catch {
        connection = nil
        context.events(.connectionLost(part: "control", reason: error.detail ?? error.message))
        context.pause(backoff.delay(after: 0))
      }
    }
    stop(lanes, others)
    leave(connection)
    context.events(.workerStopped(name: configuration.name))
  }

  // MARK: Registration

  /// Connects and registers; tries until that succeeds. Nil where the worker stops, or where
  /// trying again would not help.
  private func connect() -> Connection? {
    var failures = 0
    while !context.isStopping {
      do throws(PostgresError) {
        let connection = try Connection.open(
          context.settings(for: "control"), backoff: backoff, wakeUp: context.stopping
        ) { error, _ in
          context.events(.connectionLost(part: "control", reason: error.detail ?? error.message))
        }
        try connection.listen(Channel.chunk)
        try connection.listen(Channel.control)
        try connection.listen(Channel.connections)
        // What it writes is told again, or of little worth: it waits for no disk and no replica.
        try connection.runScript("set statement_timeout = '10s'; set synchronous_commit = off")
        if let worker = context.workerID {
          try connection.run("select rowcast.attend(\(worker))")
        } else {
          try register(connection)
        }
        return connection
      } catch {
        guard !context.isStopping else { return nil }
        guard error.isConnectionLoss || error.sqlState.hasPrefix("53") || context.workerID != nil
        else {
          context.stop(because: error)
          return nil
        }
        context.pause(backoff.delay(after: failures))
        failures += 1
      }
    }
    return nil
  }

  private func register(_ connection: Connection) throws(PostgresError) {
    let configuration = context.configuration
    let worker = try connection.run(
      """
      select rowcast.register_worker(\(configuration.name), \(Machine.hostName), \
      \(Int32(truncatingIfNeeded: Machine.processID)), \(Release.version), \
      \(Int32(configuration.laneCount)))
      """
    ).value(0, 0, as: Int32.self)
    if configuration.filesDirectory != nil {
      try connection.run("select rowcast.offer_files(\(worker))")
    }
    if Device.present != [.cpu] {
      try connection.run(
        "select rowcast.offer_devices(\(worker), \(Device.present.map(\.rawValue)))")
    }
    try connection.run("select rowcast.attend(\(worker))")
    context.register(worker)
  }

  // MARK: Attending

  /// Listens and beats until the worker stops.
  private func attend(_ connection: Connection) throws(PostgresError) {
    var beatAt = clock.now
    var pulseAt = beatAt
    var pollAt = clock.now.advanced(by: context.configuration.fallbackPoll)
    var writeAt = clock.now.advanced(by: Self.writeInterval)
    while !context.isStopping {
      context.control.clear()
      if context.isStopping { return }
      if context.workerID == nil { try register(connection) }
      let now = clock.now
      if now >= beatAt {
        try beat(connection)
        try context.canaries.flush(to: connection, events: context.events)
        beatAt = now.advanced(by: context.configuration.beat)
      }
      if now >= pulseAt, let worker = context.workerID {
        pulseAt = now.advanced(by: try pulse(worker, connection))
      }
      if now >= pollAt {
        context.board.announceWork(to: 1)
        pollAt = now.advanced(by: context.configuration.fallbackPoll)
      }
      if now >= writeAt {
        try writeObservations(connection)
        writeAt = now.advanced(by: Self.writeInterval)
      }
      let notifications = try connection.waitForNotifications(
        timeout: [beatAt, pulseAt, pollAt, writeAt].map { now.duration(to: $0) }.min(),
        wakeUp: context.control)
      if notifications.contains(where: { $0.channel == Channel.connections }) {
        pulseAt = clock.now
      }
      let chunks = notifications.filter { $0.channel == Channel.chunk }
      if !chunks.isEmpty {
        context.board.announceWork(ofJobs: chunks.allSatisfy { $0.payload == Channel.ofJobs })
      }
      if notifications.contains(where: { $0.channel == Channel.control }) {
        context.inspection.signal()
        // A scorer may have been resumed, and its chunks with it.
        context.board.announceWork(to: 1)
      }
    }
  }

  private func pulse(_ worker: Int32, _ connection: Connection) throws(PostgresError) -> Duration {
    do throws(PostgresError) {
      return try pulses.beat(worker, on: connection)
    } catch {
      guard connection.isUsable else { throw error }
      if error.sqlState == "RC202" {
        context.forgetRegistration(worker)
      } else {
        context.events(.maintenanceFailed(step: "pulse", reason: error.message))
      }
      return Pulse.interval
    }
  }

  private func beat(_ connection: Connection) throws(PostgresError) {
    // The dispatcher's own session beats while it leads, so that its silence is told apart.
    guard let worker = context.workerID, !context.events.statistics.isDispatching else { return }
    do throws(PostgresError) {
      try connection.run("select rowcast.beat(\(worker), false)")
    } catch  where error.sqlState == "RC202" {
      context.forgetRegistration(worker)
      return
    }
    guard context.configuration.dispatches else { return }
    let timeout = context.configuration.stallTimeout.milliseconds
    let ended = try connection.run(
      "select * from rowcast.end_stalled_dispatcher(\(timeout) * interval '1 millisecond')")
    for row in 0..<ended.count {
      context.events(.sessionEnded(pid: Int(try ended.value(row, "pid", as: Int32.self))))
    }
  }

  /// Writes down what lanes counted. Where that cannot be done it is lost, and said so: predictions
  /// do not wait for it.
  private func writeObservations(_ connection: Connection, all: Bool = false) throws(PostgresError)
  {
    let writer = ObservationWriter(connection: connection)
    do throws(PostgresError) {
      let counts = try writer.write(context.observations, all: all)
      unwrittenTotals.add(counts)
      for own in counts.values {
        for outcome in own.expectations.values where outcome.failed > 0 {
          guard outcome.action != .record, let reason = outcome.reason else { continue }
          context.events(
            .expectationFailed(scorer: own.name, expectation: outcome.name, reason: reason))
        }
      }
      for (scorer, first) in context.observations.takeFirstRows() {
        try writer.start(first, of: scorer)
      }
      if isDue(&totalsAt, every: Self.totalsInterval) || all {
        try writer.write(
          &unwrittenTotals,
          events: EventTotals(context.events.statistics.snapshot(), models.figures))
      }
      try recordMemory(connection)
    } catch {
      guard connection.isUsable else { throw error }
      context.events(.maintenanceFailed(step: "observations", reason: error.message))
    }
  }

  /// Whether the time has come; then it comes again after the interval.
  private func isDue(
    _ moment: inout ContinuousClock.Instant?, every interval: Duration
  ) -> Bool {
    let now = clock.now
    if let moment, now < moment { return false }
    moment = now.advanced(by: interval)
    return true
  }

  private func recordMemory(_ connection: Connection) throws(PostgresError) {
    guard let worker = context.workerID, isDue(&memoryAt, every: Self.memoryInterval) else {
      return
    }
    let figures = models.figures
    try connection.run(
      """
      select rowcast.record_memory(\(worker), \(Int64(Machine.residentByteCount)), \
      \(Int64(figures.byteCount)), \(Int32(figures.count)))
      """)
  }

  // MARK: Stopping

  /// The dispatcher first, so that nothing is handed to lanes that are gone; then the lanes, which
  /// finish their chunk or, when the grace is over, give it up.
  private func stop(_ lanes: [WorkThread], _ others: [WorkThread]) {
    let deadline = clock.now.advanced(by: context.configuration.shutdownGrace)
    func left() -> Duration { max(.zero, clock.now.duration(to: deadline)) }
    context.cancelStandby()
    for thread in others { _ = thread.wait(timeout: left()) }
    context.board.stop()
    for lane in lanes { _ = lane.wait(timeout: left()) }
    guard clock.now >= deadline else { return }
    context.cancelLanes()
    let end = clock.now.advanced(by: Self.cancelGrace)
    for lane in lanes { _ = lane.wait(timeout: max(.zero, clock.now.duration(to: end))) }
  }

  /// Takes the worker off the list; its lanes' chunks, where any are left, become available.
  private func leave(_ connection: Connection?) {
    guard let worker = context.workerID else { return }
    do throws(PostgresError) {
      let connection =
        if let connection, connection.isUsable { connection } else {
          try Connection(context.settings(for: "control"), timeout: .seconds(2))
        }
      try writeObservations(connection, all: true)
      try context.canaries.flush(to: connection, events: context.events)
      try connection.run("select rowcast.unregister_worker(\(worker))")
      connection.close()
    } catch {
      // The next dispatcher finds the lanes' locks free.
      context.events(.maintenanceFailed(step: "unregister", reason: error.message))
    }
  }
}
