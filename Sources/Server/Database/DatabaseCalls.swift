internal import HTTPTypes
internal import Postgres
internal import Scoring
internal import Synchronization

/// Calls to the database that requests wait for, one after the other on a thread of their own: libpq blocks.
final class DatabaseCalls: Sendable {
  private struct State {
    var waiting: [@Sendable (Result<Connection, WorkError>) -> Void] = []
    var isStopped = false
  }

  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let settings: ConnectionSettings
  private let timeout: Duration
  private let keepsSession: Bool
  /// How long a session is kept after the last call.
  private static let patience = Duration.seconds(10)
  /// More are refused: who waits that long has given up.
  private static let most = 64

  /// - Parameters:
  ///   - timeout: Of each statement; none where zero.
  ///   - keepsSession: Whether calls may use a session after others; false where others' SQL runs in it.
  init(settings: ConnectionSettings, name: String, timeout: Duration, keepsSession: Bool) {
    self.settings = settings.setting("application_name", to: "rowcast \(name)")
    self.timeout = timeout
    self.keepsSession = keepsSession
  }

  /// Runs the body on the thread.
  ///
  /// - Throws: 503 where too many wait or the database cannot be reached; what the body throws.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (Connection) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Value, any Error>) in
      let isTaken = state.withLock { state in
        guard !state.isStopped, state.waiting.count < Self.most else { return false }
        state.waiting.append { connection in
          continuation.resume(
            with: Result {
              do {
                return try body(try connection.get())
              } catch let error as PostgresError {
                throw WorkError.postgres(error)
              }
            })
        }
        return true
      }
      guard isTaken else {
        return continuation.resume(
          throwing: Problem(
            .serviceUnavailable, "overloaded", "too many requests wait for the database",
            retryAfter: 1))
      }
      wakeUp.signal()
    }
  }

  /// Ends `loop`; who waits still is told so.
  func stop() {
    let waiting = state.withLock { state in
      state.isStopped = true
      defer { state.waiting = [] }
      return state.waiting
    }
    let stopped = PostgresError(sqlState: "57P01", message: "the server is stopping")
    for call in waiting { call(.failure(.postgres(stopped))) }
    wakeUp.signal()
  }

  func loop() {
    var session: Connection?
    defer { session?.close() }
    while true {
      wakeUp.clear()
      let (call, isStopped) = state.withLock { state in
        (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isStopped)
      }
      if isStopped { return }
      guard let call else {
        if !wakeUp.wait(timeout: session == nil ? nil : Self.patience) {
          session?.close()
          session = nil
        }
        continue
      }
      if session?.isUsable != true { session = nil }
      call(
        Result { () throws(WorkError) in
          if let session { return session }
          let opened = try open()
          session = opened
          return opened
        })
      // A session with a transaction left open, or that others' SQL ran in, is not used again.
      if !keepsSession || session?.isInTransaction == true {
        session?.close()
        session = nil
      }
    }
  }

  private func open() throws(WorkError) -> Connection {
    do throws(PostgresError) {
      let connection = try Connection(settings, timeout: .seconds(5))
      try connection.runScript(
        "set statement_timeout = \(Int(timeout / .milliseconds(1))); set jit = off")
      return connection
    } catch {
      throw .postgres(error)
    }
  }
}
