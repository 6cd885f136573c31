internal import CLibPQ

/// A session with a PostgreSQL server, for one thread at a time.
///
/// Calls block their thread in poll(2), never the cooperative pool's promise of progress: run
/// them on a thread of their own. When the session is lost, the call that notices throws an error
/// with `isConnectionLoss`, and so does every later one.
public final class Connection {
  /// nil once closed.
  private var session: OpaquePointer?
  private let settings: ConnectionSettings
  let inbox = Inbox()
  var statements = StatementCache()
  var transactionDepth = 0
  /// As `server_version_num`: 150004 is 15.4.
  public let serverVersion: Int
  public let canceller: Canceller

  /// Connects.
  ///
  /// - Parameters:
  ///   - timeout: For the whole of it, all hosts tried; `connect_timeout`, where set, may make it
  ///     shorter. A slow name server may make it longer.
  ///   - wakeUp: Ends the attempt when signalled, with SQLSTATE 57014.
  /// - Throws: The server's SQLSTATE where it sent one (28P01 for a wrong password), else 08001.
  public init(
    _ settings: ConnectionSettings, timeout: Duration = .seconds(10), wakeUp: WakeUp? = nil
  ) throws(PostgresError) {
    let handle = try Handshake(settings, timeout: timeout, wakeUp: wakeUp).connect()
    self.settings = settings
    session = handle
    serverVersion = Int(PQserverVersion(handle))
    canceller = Canceller(of: handle)
    inbox.attach(to: handle)
  }

  deinit { close() }

  /// Ends the session; calls after this throw. Harmless when repeated.
  public func close() {
    guard let session else { return }
    PQfinish(session)
    self.session = nil
  }

  /// False once the session is lost or closed.
  public var isUsable: Bool { session != nil }

  /// The process of the server that runs this session; 0 once it is lost.
  public var backendPID: Int32 { session.map { PQbackendPID($0) } ?? 0 }

  public var isInTransaction: Bool {
    guard let session else { return false }
    return [PQTRANS_INTRANS, PQTRANS_INERROR].contains(PQtransactionStatus(session))
  }

  /// What the server said beside its answers since last asked, oldest first; at most 100.
  public func takeNotices() -> [PostgresError] { inbox.takeNotices() }

  /// A setting that the server reports without being asked, as `server_version` or `TimeZone`.
  public func parameterStatus(_ name: String) -> String? {
    guard let session, let value = PQparameterStatus(session, name) else { return nil }
    return String(cString: value)
  }
}

// MARK: - Socket

extension Connection {
  func handle() throws(PostgresError) -> OpaquePointer {
    guard let session else { throw .lost() }
    return session
  }

  /// Closes the session and makes the error that tells of its loss.
  func lose(_ cause: PostgresError? = nil) -> PostgresError {
    var error = PostgresError.lost()
    if let cause {
      error.detail = "\(cause.message) (SQLSTATE \(cause.sqlState))"
      error.statement = cause.statement
    } else if let fatal = inbox.lastFatal {
      error.detail = "\(fatal.message) (SQLSTATE \(fatal.sqlState))"
    } else if let session {
      error.detail = String(cString: PQerrorMessage(session)).trimmed
    }
    close()
    return error
  }

  /// An error of libpq itself, not of a statement.
  func refusal() -> PostgresError {
    guard let session else { return .lost() }
    if PQstatus(session) == CONNECTION_BAD { return lose() }
    return PostgresError(
      sqlState: "08000", message: "libpq refused a call",
      detail: String(cString: PQerrorMessage(session)).trimmed)
  }

  /// Waits until the socket is ready; `wokenUp` where the wake-up was signalled.
  func wait(
    for events: Int32, wakeUp: WakeUp? = nil, deadline: Deadline = Deadline(after: nil)
  ) throws(PostgresError) -> (events: Int32, wokenUp: Bool) {
    let socket = PQsocket(try handle())
    guard socket >= 0 else { throw lose() }
    return Poll.wait(for: events, of: socket, wakeUp: wakeUp, deadline: deadline)
  }

  /// Sends what is buffered, and reads meanwhile, since a server that cannot write does not read.
  func flush() throws(PostgresError) {
    let handle = try handle()
    while true {
      let left = PQflush(handle)
      if left == 0 { return }
      // A dead peer may have sent why before it closed; that is for `nextResult`.
      if left < 0 { return }
      let ready = try wait(for: POLLIN | POLLOUT)
      if ready.events & ~POLLOUT != 0, PQconsumeInput(handle) == 0 { return }
    }
  }

  /// The next result; nil where a statement's results end.
  ///
  /// Waits in libpq, which knows of bytes that TLS has read and not yet handed out; poll(2) alone
  /// would wait for others.
  func nextResult() throws(PostgresError) -> QueryResult? {
    let handle = try handle()
    guard let result = PQgetResult(handle) else {
      if PQstatus(handle) == CONNECTION_BAD { throw lose() }
      return nil
    }
    return QueryResult(taking: result)
  }

  /// The error of a result; closes the session where the error ends it.
  func error(of result: QueryResult, statement: String?) -> PostgresError {
    let error = result.error(statement: statement)
    guard let session, PQstatus(session) != CONNECTION_BAD, !result.isFatal else {
      return lose(error)
    }
    return error
  }
}

enum Poll {
  /// Waits until the descriptor is ready, the wake-up is signalled or the time is over.
  static func wait(for events: Int32, of descriptor: Int32, wakeUp: WakeUp?, deadline: Deadline)
    -> (events: Int32, wokenUp: Bool)
  {
    while true {
      let socket = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      // A negative descriptor is passed over.
      let bell = pollfd(fd: wakeUp?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
      var entries = (socket, bell)
      let ready = withUnsafeMutableBytes(of: &entries) {
        poll($0.assumingMemoryBound(to: pollfd.self).baseAddress, 2, deadline.pollMilliseconds)
      }
      if ready > 0 { return (Int32(entries.0.revents), entries.1.revents != 0) }
      if ready == 0 && deadline.isOver { return (0, false) }
    }
  }

  static func sleep(for duration: Duration) {
    let deadline = Deadline(after: duration)
    while !deadline.isOver { _ = poll(nil, 0, deadline.pollMilliseconds) }
  }
}
