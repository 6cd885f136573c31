internal import Postgres

/// One thread of scoring, with a session of its own: takes what it is handed or claims, scores it,
/// writes it, and starts over.
///
/// The session's advisory lock is the lane's life: when it is lost, what the lane held is
/// available to others at once, and a result that comes late is refused by the chunk's attempt.
final class Lane {
  private let context: WorkerContext
  private let seat: Int
  private let models: ModelCache
  private let backoff = Backoff(shortest: .milliseconds(20), longest: .seconds(1))
  private var wakeUp: WakeUp { context.board.laneWakeUps[seat] }

  init(_ context: WorkerContext, seat: Int, models: ModelCache) {
    self.context = context
    self.seat = seat
    self.models = models
  }

  /// Scores until the process stops.
  func run() {
    var failures = 0
    while !context.board.isStopping {
      do throws(PostgresError) {
        try serve { failures = 0 }
      } catch {
        context.board.seat(seat, takenBy: nil)
        context.setCanceller(nil, seat: seat)
        if context.board.isStopping { break }
        if error.sqlState != "57014" {
          context.events(.connectionLost(part: "lane", reason: error.detail ?? error.message))
          context.requestRescue()
          context.pause(backoff.delay(after: failures))
          failures += 1
        }
      }
    }
    context.board.seat(seat, takenBy: nil)
  }

  /// One session, from its connection to its loss.
  private func serve(onConnect: () -> Void) throws(PostgresError) {
    wakeUp.clear()
    guard let worker = context.workerID, context.board.admits(seat) else {
      // Not registered yet, or too many: the board rings when that changes.
      _ = wakeUp.wait(timeout: .seconds(1))
      return
    }
    let connection = try Connection.open(
      context.settings(for: "lane"), backoff: backoff, wakeUp: wakeUp)
    context.noteBatchSession(connection)
    // A write must see what was committed after its transaction began; defaults may differ. And a
    // source under row security is an error, not a table of which a part is scored. Compiling a
    // query of some hundred rows never pays. Who locks his table, or holds a scorer in an open
    // transaction, must not stop the lanes one by one: what meets his lock is put off. Plans are kept
    // from when a table was small and may then read all of it, for ever: rows are found by indexes.
    // Predictions are not waited for to be on disk: a crash takes them back together with the chunk's
    // end, so the chunk is scored again. What says that all is done is flushed: the end of a job, wait.
    let settings =
      """
      set default_transaction_isolation = 'read committed'; set row_security = off; set jit = off; \
      set lock_timeout = '300ms'; set enable_seqscan = off; set synchronous_commit = off; \
      \(Connection.settingsOfLiveness)
      """
    try connection.runScript(settings)
    let lane: Int32
    do throws(PostgresError) {
      lane = try connection.run("select rowcast.register_lane(\(worker))").value(0, 0)
    } catch  where error.sqlState == "23503" {
      context.forgetRegistration(worker)
      throw error
    }
    onConnect()
    context.setCanceller(connection.canceller, seat: seat)
    context.board.seat(seat, takenBy: lane)
    context.events(.laneConnected(lane: Int(lane)))
    defer { context.setCanceller(nil, seat: seat) }
    let files = context.configuration.filesDirectory.map {
      JobFiles(folder: FileFolder(path: $0))
    }
    var session = LaneSession(
      context: context, connection: connection, lane: lane, settings: settings,
      scorer: ChunkScorer(
        connection: connection, settings: settings, models: models,
        observations: context.observations, canaries: context.canaries),
      jobs: JobScorer(
        connection: connection, models: models, observations: context.observations,
        steps: JobSteps(context: context, files: files), files: files))
    while true {
      wakeUp.clear()
      switch context.board.next(seat: seat) {
      case .score(let chunk): try session.process(chunk)
      case .claim(let claim): try session.claim(claim)
      case .wait: _ = try connection.waitForNotifications(timeout: nil, wakeUp: wakeUp)
      case .clear:
        if try connection.run("select rowcast.release_chunks(\(lane))").value(0, 0, as: Int32.self)
          > 0
        {
          context.board.announceWork()
        }
        _ = try connection.waitForNotifications(timeout: .seconds(1), wakeUp: wakeUp)
      case .stop, .leave:
        try connection.run("select rowcast.release_chunks(\(lane))")
        connection.close()
        context.board.seat(seat, takenBy: nil)
        return
      }
    }
  }
}

/// What a lane does while its session lasts.
struct LaneSession {
  let context: WorkerContext
  let connection: Connection
  let lane: Int32
  /// The statements that make the session a lane's.
  let settings: String
  var scorer: ChunkScorer
  var jobs: JobScorer

  /// A chunk that met an obstacle is tried again this often before it is given up: some four
  /// seconds.
  private static let retries = 10
  private static let backoff = Backoff(shortest: .milliseconds(10), longest: .seconds(1))

  mutating func claim(_ claim: LaneBoard.Claim) throws(PostgresError) {
    let priority = claim.takesJobs ? Chunk.backfillPriority : Chunk.livePriority
    let rows = try connection.run(
      "select * from rowcast.claim_chunks(\(lane), \(Int32(1)), \(Int32(priority)))")
    guard rows.count > 0 else {
      context.board.foundNothing(claim)
      return
    }
    for row in 0..<rows.count {
      guard let chunk = try Chunk(rows, row: row) else { continue }
      // Where one chunk was, there may be more: claims take live ones first.
      let isOfJob = chunk.priority > Chunk.livePriority
      context.board.announceWork(to: 1, ofJobs: isOfJob)
      if isOfJob { context.board.noteJob() }
      try process(chunk)
    }
  }

  /// Scores a chunk and reports how that went.
  ///
  /// - Throws: Only where the session is of no more use.
  mutating func process(_ chunk: Chunk) throws(PostgresError) {
    try attempt(chunk)
    // Of jobs, those too whose rows were copied: what else ran is not told, and their chunks are large.
    guard scorer.takeLentSession() || chunk.ownJob != nil && chunk.kind != .step else { return }
    try tidySession()
  }

  /// Takes back what somebody's SQL may have done to the session: settings, and locks that it gave up or took.
  /// No chunk is held now, so nobody misses the lane's own lock for the moment.
  private func tidySession() throws(PostgresError) {
    try connection.runScript("reset all; \(settings)")
    let isHeld = try connection.pipeline([
      "select pg_advisory_unlock(\(AdvisoryLock.lane), \(lane))", "select pg_advisory_unlock_all()",
      "select pg_try_advisory_lock(\(AdvisoryLock.lane), \(lane))",
    ])
    guard try isHeld[0].value(0, 0, as: Bool.self), try isHeld[2].value(0, 0, as: Bool.self) else {
      connection.close()
      throw PostgresError(
        sqlState: "57P01",
        message: "SQL of a feature query or a destination gave up the lane's lock")
    }
  }

  private mutating func attempt(_ chunk: Chunk) throws(PostgresError) {
    var tries = 0
    while true {
      do throws(WorkError) {
        if let job = chunk.ownJob {
          context.events(.chunkCompleted(try jobs.work(on: chunk, of: job)))
          return
        }
        if chunk.kind == .map {
          let made = try scorer.map(chunk)
          if made > 0 { context.board.announceWork() }
          context.events(.chunkMapped(chunk: chunk.id, chunks: made))
          return
        }
        let (completion, isCopyRefused) = try scorer.score(chunk)
        if isCopyRefused { context.events(.copyRefused(chunk: chunk.id)) }
        context.events(.chunkCompleted(completion))
        return
      } catch {
        if connection.isUsable, connection.isInTransaction {
          try connection.runScript("rollback")
        }
        switch Verdict(error, isUsable: connection.isUsable) {
        case .sessionLost(let error): throw error
        case .chunkLost(let reason):
          context.events(.chunkLost(chunk: chunk.id, reason: reason))
          return
        case .tryAgain where context.board.isStopping, .waitOut where context.board.isStopping:
          return  // Leaving, the lane gives its chunks back.
        case .waitOut(let reason):
          // Said once a second or so, for as long as it takes.
          context.events(.chunkRetried(chunk: chunk.id, reason: reason))
          context.pause(Self.backoff.delay(after: tries))
          tries += 1
        case .tryAgain(let reason) where tries < Self.retries:
          context.events(.chunkRetried(chunk: chunk.id, reason: reason))
          context.pause(Self.backoff.delay(after: tries))
          tries += 1
        case .tryAgain(let reason), .chunkFailed(let reason):
          try fail(chunk, reason)
          return
        case .inTheWay(let reason):
          try putOff(chunk, reason)
          return
        case .scorerUnfit(let reason):
          try suspend(chunk, reason)
          return
        }
      }
    }
  }

  private mutating func fail(_ chunk: Chunk, _ reason: String) throws(PostgresError) {
    let name = chunk.ownJob.map { "job \($0)" } ?? scorer.name(of: chunk.scorer)
    context.events(.chunkFailed(chunk: chunk.id, scorer: name, reason: reason))
    try report(chunk) { () throws(PostgresError) in
      try connection.run(
        "select rowcast.fail_chunk(\(chunk.id), \(chunk.attempt), \(Scrubber.scrub(reason)))")
    }
  }

  private mutating func suspend(_ chunk: Chunk, _ reason: String) throws(PostgresError) {
    if let job = chunk.ownJob {
      context.events(.chunkFailed(chunk: chunk.id, scorer: "job \(job)", reason: reason))
      jobs.forget(job)
      try report(chunk) { () throws(PostgresError) in
        try connection.run("select rowcast.fail_job(\(job), \(Scrubber.scrub(reason)))")
      }
      return
    }
    let name = scorer.name(of: chunk.scorer)
    scorer.forget(chunk.scorer)
    try report(chunk) { () throws(PostgresError) in
      // Not suspended where the source only has another name since the chunk was claimed.
      let isSuspended = try connection.run(
        """
        select rowcast.suspend_scorer(\(chunk.scorer), \(Scrubber.scrub(reason)), \
        \(chunk.scorerRevision))
        """
      ).value(0, 0, as: Bool.self)
      context.events(
        isSuspended
          ? .scorerSuspended(scorer: name, reason: reason)
          : .chunkRetried(chunk: chunk.id, reason: reason))
      try connection.run("select rowcast.release_chunks(\(lane))")
    }
  }

  private func putOff(_ chunk: Chunk, _ reason: String) throws(PostgresError) {
    context.events(.chunkRetried(chunk: chunk.id, reason: reason))
    try report(chunk) { () throws(PostgresError) in
      try connection.run("select rowcast.put_off(\(chunk.id), \(chunk.attempt))")
    }
  }

  /// The chunk may be another's by now, or its scorer dropped: then there is nothing to report. Where
  /// somebody holds the scorer or the job, it is reported another time.
  private func report(_ chunk: Chunk, _ body: () throws(PostgresError) -> Void)
    throws(PostgresError)
  {
    do throws(PostgresError) {
      do throws(PostgresError) {
        try body()
      } catch  where error.sqlState == "55P03" {
        try connection.run("select rowcast.put_off(\(chunk.id), \(chunk.attempt))")
      }
    } catch {
      if !connection.isUsable { throw error }
      context.events(.maintenanceFailed(step: "report", reason: error.message))
      // Whatever is still claimed must not stay so.
      connection.close()
      throw error
    }
  }
}
