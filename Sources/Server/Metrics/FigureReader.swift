internal import FoundationEssentials
internal import Logging
internal import Postgres
internal import Scoring
internal import Synchronization

/// Reads what the database knows for monitoring, on a thread and a session of its own: a scrape never waits for it.
///
/// It reads once at first, and then at intervals while somebody scrapes. A database that takes long to answer is
/// asked the more seldom, so that reading takes no more than a tenth of the time; but once in twelve
/// intervals at least.
final class FigureReader: Sendable {
  struct Reading: Sendable {
    var figures: DatabaseFigures
    var drift: [DatabaseFigures.Drift]
    var readAt: ContinuousClock.Instant
    /// How long it took.
    var duration: Duration
  }

  /// What a scrape is given.
  struct Answer: Sendable {
    /// nil where there is none, or only one that is too old to be shown.
    var reading: Reading?
    /// Since figures were last read, or since the reader was made.
    var age: Duration
    var failures: Int
  }

  private struct State {
    var reading: Reading?
    var failures = 0
    var askedAt: ContinuousClock.Instant?
    var isDozing = false
    var isStopped = false
  }

  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let settings: ConnectionSettings
  private let interval: Duration
  private let logger: Logger
  private let madeAt = ContinuousClock.now

  /// Older figures are not shown.
  private static let lifetime = Duration.seconds(180)
  /// How long after a scrape figures are still read for the next one.
  private static let attention = Duration.seconds(150)
  private static let driftInterval = Duration.seconds(60)

  /// - Parameter interval: From one reading to the next, at least.
  init(settings: ConnectionSettings, interval: Duration, logger: Logger) {
    self.settings = settings.setting("application_name", to: "rowcast figures")
    self.interval = interval
    self.logger = logger
  }

  /// What was read last; has newer figures read for the next call. Waits for nobody.
  func latest() -> Answer {
    let now = ContinuousClock.now
    let (answer, isDozing) = state.withLock { state in
      state.askedAt = now
      defer { state.isDozing = false }
      let age = (state.reading?.readAt ?? madeAt).duration(to: now)
      let reading = age < Self.lifetime ? state.reading : nil
      return (Answer(reading: reading, age: age, failures: state.failures), state.isDozing)
    }
    if isDozing { wakeUp.signal() }
    return answer
  }

  /// Ends `run`.
  func stop() {
    state.withLock { $0.isStopped = true }
    wakeUp.signal()
  }

  // MARK: The thread

  func run() {
    var session = Session()
    defer { session.connection?.close() }
    var isFirst = true
    while true {
      wakeUp.clear()
      let (isStopped, isWanted) = state.withLock { state in
        let isWanted =
          isFirst || state.askedAt.map { $0.duration(to: .now) < Self.attention } ?? false
        state.isDozing = !isWanted
        return (state.isStopped, isWanted)
      }
      if isStopped { return }
      guard isWanted else {
        session.connection?.close()
        session.connection = nil
        _ = wakeUp.wait()
        continue
      }
      isFirst = false
      let start = ContinuousClock.now
      read(in: &session)
      let pause = min(max(interval, start.duration(to: .now) * 10), interval * 12)
      // Nobody else than `stop` signals meanwhile.
      _ = wakeUp.wait(timeout: pause)
    }
  }

  /// What is kept from one reading to the next.
  private struct Session {
    var connection: Connection?
    var drift: [DatabaseFigures.Drift] = []
    var driftAt: ContinuousClock.Instant?
    /// Whether the last reading failed, which is logged once.
    var isFailing = false
  }

  private func read(in session: inout Session) {
    let start = ContinuousClock.now
    do {
      let connection = try open(&session)
      let document = try connection.run(
        "select rowcast.server_figures(\(Int32(DatabaseFigures.most)))::text"
      ).value(0, 0, as: String.self)
      let figures = try JSONDecoder().decode(DatabaseFigures.self, from: Data(document.utf8))
      // Told before drift is read, which may take too long where there is much of it.
      func tell() {
        let reading = Reading(
          figures: figures, drift: session.drift, readAt: start, duration: start.duration(to: .now))
        state.withLock { $0.reading = reading }
      }
      tell()
      if session.driftAt.map({ $0.duration(to: start) >= Self.driftInterval }) ?? true {
        session.driftAt = start
        let drift = try connection.run(
          "select rowcast.drift_figures(\(Int32(DatabaseFigures.most)))::text"
        ).value(0, 0, as: String.self)
        session.drift = try JSONDecoder().decode(
          [DatabaseFigures.Drift].self, from: Data(drift.utf8))
        tell()
      }
      session.isFailing = false
    } catch {
      state.withLock { $0.failures += 1 }
      if !session.isFailing {
        logger.warning(
          "figures of the database were not read", metadata: ["reason": "\(Self.reason(error))"])
      }
      session.isFailing = true
    }
  }

  private static func reason(_ error: any Error) -> String {
    (error as? PostgresError)?.message ?? "\(type(of: error))"
  }

  private func open(_ session: inout Session) throws(PostgresError) -> Connection {
    if let connection = session.connection, connection.isUsable { return connection }
    session.connection = nil
    let connection = try Connection(settings, timeout: .seconds(3))
    try connection.runScript(
      "set statement_timeout = '3s'; set default_transaction_read_only = on")
    session.connection = connection
    return connection
  }
}
