internal import CLibPQ
internal import Glibc

/// Makes a session, without blocking in libpq.
struct Handshake {
  private let settings: ConnectionSettings
  private let timeout: Duration
  /// `connect_timeout`, which is for each host.
  private let hostTimeout: Duration?
  private let wakeUp: WakeUp?

  /// How long one of several hosts may take to be reached: a machine that is off does not say so.
  private static let reachTimeout = Duration.seconds(2)
  /// How long it may take in all where `connect_timeout` does not say.
  private static let severalTimeout = Duration.seconds(5)

  init(_ settings: ConnectionSettings, timeout: Duration, wakeUp: WakeUp?) {
    self.settings = settings
    self.wakeUp = wakeUp
    self.timeout = timeout
    let own = settings["connect_timeout"].flatMap { Int($0) } ?? 0
    hostTimeout = own > 0 ? .seconds(max(own, 2)) : nil  // libpq's own least.
  }

  func connect() throws(PostgresError) -> OpaquePointer {
    let end = Deadline(after: timeout)
    let endOfOne = Deadline(after: hostTimeout).earlier(than: end)
    var rest: HostList?
    while true {
      guard let handle = start(rest) else {
        throw PostgresError(sqlState: "53200", message: "no memory is left for a connection")
      }
      do throws(PostgresError) {
        // Verbose, because libpq tells the SQLSTATE of a refused connection only in the text.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        let hosts = HostList(of: handle)
        let isOver = rest == nil && hosts == nil ? endOfOne : end
        guard try negotiate(handle, isOneOfSeveral: hosts != nil, deadline: isOver) else {
          rest = end.isOver ? nil : hosts?.without(currentOf: handle)
          if rest != nil {
            PQfinish(handle)
            continue
          }
          throw PostgresError(
            sqlState: "08001", message: "the server did not answer in time",
            detail: "Tried \(place(of: handle)).",
            hint: "Check the host, the port and whatever filters packets on the way.")
        }
        PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
        guard PQsetnonblocking(handle, 1) == 0 else { throw failure(of: handle) }
        return handle
      } catch {
        PQfinish(handle)
        throw error
      }
    }
  }

  private func start(_ hosts: HostList?) -> OpaquePointer? {
    var settings = settings
    if let hosts {
      for keyword in ["host", "hostaddr", "port"] {
        settings = settings.setting(keyword, to: hosts.keywords[keyword] ?? "")
      }
    }
    let pairs = settings.keywords
    var pointers: [UnsafeMutablePointer<CChar>?] = []
    defer { for pointer in pointers { free(pointer) } }
    for (keyword, value) in pairs {
      pointers.append(strdup(keyword))
      pointers.append(strdup(value))
    }
    let count = pairs.count
    var keywords = (0..<count).map { UnsafePointer(pointers[2 * $0]) }
    var values = (0..<count).map { UnsafePointer(pointers[2 * $0 + 1]) }
    keywords.append(nil)
    values.append(nil)
    return PQconnectStartParams(keywords, values, 0)
  }

  /// False where the server did not answer in time.
  private func negotiate(
    _ handle: OpaquePointer, isOneOfSeveral: Bool, deadline: Deadline
  ) throws(PostgresError) -> Bool {
    guard PQstatus(handle) != CONNECTION_BAD else { throw failure(of: handle) }
    var wanted = POLLOUT
    var host: UnsafeMutablePointer<CChar>?
    var (reachDeadline, hostDeadline) = (deadline, deadline)
    while true {
      if isOneOfSeveral, host == nil || host != PQhost(handle) {
        host = PQhost(handle)
        let timeout = hostTimeout ?? min(Self.severalTimeout, timeout / 2)
        reachDeadline = Deadline(after: min(Self.reachTimeout, timeout))
        hostDeadline = Deadline(after: timeout)
      }
      let isReached = PQstatus(handle) != CONNECTION_STARTED
      let ready = Poll.wait(
        for: wanted, of: PQsocket(handle), wakeUp: wakeUp,
        deadline: deadline.earlier(than: isReached ? hostDeadline : reachDeadline))
      if ready.wokenUp {
        throw PostgresError(sqlState: "57014", message: "the connection attempt was given up")
      }
      if ready.events == 0 { return false }
      switch PQconnectPoll(handle) {
      case PGRES_POLLING_OK: return true
      case PGRES_POLLING_READING: wanted = POLLIN
      case PGRES_POLLING_WRITING: wanted = POLLOUT
      default: throw failure(of: handle)
      }
    }
  }

  private func place(of handle: OpaquePointer) -> String {
    let host = PQhost(handle).map { String(cString: $0) } ?? "the default host"
    let port = PQport(handle).map { String(cString: $0) } ?? ""
    return "\(host), port \(port.isEmpty ? "5432" : port)"
  }

  private func failure(of handle: OpaquePointer) -> PostgresError {
    let text = String(cString: PQerrorMessage(handle)).trimmed
    let found = ServerMessage(in: text)
    let state = found?.sqlState ?? "08001"
    var error = PostgresError(
      sqlState: state, message: found?.message ?? Self.firstClause(of: text), detail: text,
      hint: found?.hint ?? Self.hint(for: state))
    // A setting that libpq cannot use is no trouble of the network.
    let isOutage = ["connection to server", "could not translate host name"]
      .contains { text.contains($0) }
    if found == nil, PQsocket(handle) < 0, !isOutage {
      error.sqlState = "22023"
      error.hint = "Correct the connection string or the PG* environment variables."
    }
    if PQconnectionNeedsPassword(handle) != 0 {
      error.sqlState = "28P01"
      error.message = "the server wants a password and none was given"
      error.hint = "Set PGPASSWORD, or add the password to ~/.pgpass."
    }
    return error
  }

  /// The last line tells of the last host that was tried.
  private static func firstClause(of text: String) -> String {
    let lines = text.split(separator: "\n").filter { !$0.hasPrefix("\t") }
    return lines.last.map(String.init) ?? "no connection could be made"
  }

  static func hint(for state: String) -> String? {
    switch state {
    case "08001", "08006":
      "Check that the server runs, and host and port (PGHOST, PGPORT)."
    case "28P01": "Check user and password (PGUSER, PGPASSWORD, ~/.pgpass)."
    case "28000": "Check the user, and the server's pg_hba.conf."
    case "3D000": "Create the database, or name another one (PGDATABASE)."
    case "53300": "Raise max_connections, or use fewer lanes."
    case "57P03": "The server is starting or stopping; try again."
    default: nil
    }
  }
}

/// The server's last message within libpq's verbose text: `FATAL:  28P01: password ...`.
struct ServerMessage {
  var sqlState: String
  var message: String
  var hint: String?

  init?(in text: String) {
    for line in text.split(separator: "\n").reversed() {
      // Two spaces before and a colon after, whatever the language of the severity.
      var rest = line[...]
      while let gap = rest.firstRange(of: ":  ") {
        let after = rest[gap.upperBound...]
        let state = after.prefix(5)
        if state.count == 5,
          state.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) }),
          after.dropFirst(5).hasPrefix(": ")
        {
          sqlState = String(state)
          message = String(after.dropFirst(7))
          hint = Self.hint(in: text)
          return
        }
        rest = after
      }
    }
    return nil
  }

  private static func hint(in text: String) -> String? {
    text.split(separator: "\n").last { $0.hasPrefix("HINT:  ") }.map {
      String($0.dropFirst("HINT:  ".count))
    }
  }
}
