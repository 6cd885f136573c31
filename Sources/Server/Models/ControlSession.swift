internal import Logging
internal import Postgres
internal import Schema
internal import Scoring
internal import Synchronization

/// Keeps what the server knows of the database true: its models, its keys, its roles, and what is recorded.
///
/// The session listens for what is told of changes, and looks each second whether it missed some; so a key
/// that is revoked is refused within two seconds, whatever becomes of the notification.
final class ControlSession: Sendable {
  private let settings: ConnectionSettings
  private let library: ModelLibrary
  private let admission: Admission
  private let recorder: RequestRecorder
  private let readiness: Readiness
  private let logger: Logger
  private let stopping = WakeUp()
  private let isStopping = Atomic<Bool>(false)
  private let backoff = Backoff(shortest: .milliseconds(20), longest: .seconds(1))
  private static let interval = Duration.seconds(1)

  init(
    settings: ConnectionSettings, library: ModelLibrary, admission: Admission,
    readiness: Readiness, recorder: RequestRecorder, logger: Logger
  ) {
    self.settings = settings.setting("application_name", to: "rowcast http")
    self.library = library
    self.admission = admission
    self.readiness = readiness
    self.recorder = recorder
    self.logger = logger
  }

  func stop() {
    isStopping.store(true, ordering: .releasing)
    stopping.signal()
  }

  func run() {
    while !isStopping.load(ordering: .acquiring) {
      do throws(PostgresError) {
        try attend()
      } catch {
        if isStopping.load(ordering: .acquiring) { return }
        logger.warning(
          "the server's session was lost",
          metadata: ["reason": "\(error.message)", "sqlstate": "\(error.sqlState)"])
        _ = stopping.wait(timeout: .milliseconds(500))
      }
    }
  }

  private func attend() throws(PostgresError) {
    let connection = try Connection.open(settings, backoff: backoff, wakeUp: stopping)
    defer { connection.close() }
    try connection.noticeLossOfPeer()
    try connection.runScript("set statement_timeout = '5s'; set jit = off")
    try connection.listen(Channel.control)
    var revision: Int64?
    var isFit = true
    while !isStopping.load(ordering: .acquiring) {
      let schema = try Migrator.schemaVersion(on: connection)
      let wasFit = isFit
      isFit = readiness.note(schemaVersion: schema)
      guard isFit else {
        if wasFit {
          logger.error(
            "the database's schema is older than this release's",
            metadata: ["schema": "\(schema)", "needed": "\(Readiness.neededVersion)"])
        }
        readiness.confirm()
        try waitForChange(on: connection)
        continue
      }
      admission.keys.replace(with: try KeyRing.Key.live(on: connection))
      if admission.tokens != nil {
        admission.roles.replace(with: try RoleBook.Rights.all(on: connection))
      }
      let now = try Catalog.revision(on: connection)
      if now != revision {
        let catalog = try Catalog.read(on: connection, revision: now)
        recorder.replace(with: catalog.recordings)
        library.replace(with: catalog)
        revision = now
      }
      library.attendPinned()
      readiness.confirm()
      try waitForChange(on: connection)
    }
  }

  /// Returns when something of models or keys is told, after the interval, or when the session is to end.
  /// Jobs ring on the same channel, often.
  private func waitForChange(on connection: Connection) throws(PostgresError) {
    let end = ContinuousClock.now.advanced(by: Self.interval)
    while ContinuousClock.now < end, !isStopping.load(ordering: .acquiring) {
      let told = try connection.waitForNotifications(
        timeout: ContinuousClock.now.duration(to: end), wakeUp: stopping)
      if told.contains(where: { $0.payload.isEmpty || $0.payload == Channel.ofKeys }) { return }
    }
  }
}
