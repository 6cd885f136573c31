internal import FoundationEssentials
internal import Postgres

/// Answers questions as they come, on a thread and with a connection of its own: however busy lanes
/// are with chunks, a question waits for none of them.
///
/// Every worker hears of every question; the first to get its lock answers it. The lock is the
/// session's: no transaction is open while a model scores.
final class Answerer {
  private let context: WorkerContext
  private let scorer: QuestionScorer
  private let backoff = Backoff(shortest: .milliseconds(20), longest: .seconds(1))
  private let clock = ContinuousClock()

  /// How often questions are removed whose callers are gone.
  private static let tidying = Duration.seconds(30)

  init(_ context: WorkerContext, models: ModelCache) {
    self.context = context
    scorer = QuestionScorer(models: models)
  }

  /// Answers until the worker stops.
  func run() {
    var failures = 0
    while !context.isStopping {
      context.answering.clear()
      guard context.allowance.answers else {
        _ = context.answering.wait(timeout: .seconds(1))
        continue
      }
      do throws(PostgresError) {
        try context.withSession { () throws(PostgresError) in try serve { failures = 0 } }
      } catch {
        if context.isStopping { return }
        context.events(.connectionLost(part: "answers", reason: error.detail ?? error.message))
        context.pause(backoff.delay(after: failures))
        failures += 1
      }
    }
  }

  /// One session, from its connection to its loss.
  private func serve(onConnect: () -> Void) throws(PostgresError) {
    let connection = try Connection.open(
      context.settings(for: "answers"), backoff: backoff, wakeUp: context.answering)
    defer { connection.close() }
    try connection.noticeLossOfPeer()
    try connection.runScript(
      """
      set default_transaction_isolation = 'read committed'; set synchronous_commit = off; \
      set jit = off; set statement_timeout = '60s'
      """)
    try connection.listen(Channel.question)
    onConnect()
    // What was asked while nobody listened.
    let open = try connection.run("select * from rowcast.open_questions()")
    var waiting: [UUID] = []
    for row in 0..<open.count { waiting.append(try open.value(row, 0)) }
    var tidyAt = clock.now
    while true {
      context.answering.clear()
      if context.isStopping || !context.allowance.answers { return }
      if !waiting.isEmpty { try answer(waiting, on: connection) }
      if clock.now >= tidyAt {
        try connection.run("select rowcast.tidy_questions()")
        tidyAt = clock.now.advanced(by: Self.tidying)
      }
      let notifications = try connection.waitForNotifications(
        timeout: clock.now.duration(to: tidyAt), wakeUp: context.answering)
      waiting = notifications.compactMap { UUID(uuidString: $0.payload) }
    }
  }

  private func answer(_ ids: [UUID], on connection: Connection) throws(PostgresError) {
    do throws(PostgresError) {
      let questions = try Question.take(ids, on: connection)
      guard !questions.isEmpty else { return }
      try Question.store(try scorer.answer(questions, on: connection), on: connection)
    } catch {
      guard connection.isUsable else { throw error }
      // Others may do better; the callers ring again.
      if connection.isInTransaction { try connection.runScript("rollback") }
      try connection.run("select pg_advisory_unlock_all()")
      context.events(.maintenanceFailed(step: "answer", reason: error.message))
    }
  }
}
