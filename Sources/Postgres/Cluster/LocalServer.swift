internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// A PostgreSQL server of our own: made, started and stopped with this process.
///
/// It listens on a socket in a directory that only its user may enter, so local connections need
/// no password; those over TCP, where a port is asked for, need one (SCRAM). It dies with this
/// process, however that ends. As root it runs as the user `postgres` (or `ROWCAST_PG_USER`).
public final class LocalServer: Sendable {
  public struct Configuration: Sendable {
    /// Where its data lives; made when missing. The server's log is `server.log` in it.
    public var directory: String
    /// For TCP on localhost; nil for the socket alone.
    public var port: Int?
    /// Server settings, as on its command line; they win over `postgresql.conf`.
    public var settings: [String: String] = [:]
    /// False for throw-away data: no fsync, and an immediate end with this process.
    public var isDurable = true

    public init(directory: String) { self.directory = directory }
  }

  public enum StopMode: Sendable {
    /// Waits until all sessions have ended by themselves.
    case smart
    /// Ends all sessions and writes a checkpoint.
    case fast
    /// As a crash: the next start recovers.
    case immediate
  }

  public let configuration: Configuration
  /// How to connect: superuser `postgres`, database `postgres`, by the socket.
  public let settings: ConnectionSettings
  private let data: DataDirectory
  private let user: ServerUser
  private let binaries: ServerBinaries
  private let process: Mutex<ChildProcess?>

  /// Makes the data directory where it is missing, starts the server and waits until it accepts
  /// connections; under 3 s for a new one.
  ///
  /// - Throws: 58P01 for missing programs, 0A000 for a directory of another major version,
  ///   55006 when another server holds it, 42501 for one that the server's user cannot reach,
  ///   58000 with the end of the server's log when it does not start.
  public init(_ configuration: Configuration, timeout: Duration = .seconds(60))
    throws(PostgresError)
  {
    let data = DataDirectory(configuration.directory)
    let user = try ServerUser()
    let binaries = try ServerBinaries.find(major: try data.majorVersion())
    try user.checkReach(data.path)
    try data.withLock { () throws(PostgresError) in
      if try data.majorVersion() == nil { try data.initialize(by: binaries, as: user) }
      try data.releaseStaleLocks()
    }
    var settings = try ConnectionSettings()
      .setting("host", to: try data.socketDirectory(for: user))
      .setting("user", to: "postgres").setting("dbname", to: "postgres")
    settings = settings.setting("port", to: "\(configuration.port ?? 5432)")
    self.configuration = configuration
    self.data = data
    self.user = user
    self.binaries = binaries
    self.settings = settings
    process = Mutex(nil)
    try start(timeout: timeout)
  }

  deinit {
    process.withLock { $0 }?.send(configuration.isDurable ? SIGINT : SIGQUIT)
  }

  /// The postmaster; nil when it does not run.
  public var processID: Int32? { process.withLock { $0 }?.processID }

  public var isRunning: Bool { processID != nil }

  /// Has the process of a session come after others of the machine, where all want a core.
  ///
  /// Of that session alone: whatever its postmaster starts would inherit its priority, what recovers from a
  /// crash and writes checkpoints too.
  ///
  /// - Parameter backend: As `Connection.backendPID` has it, of a session of this server.
  public func yield(_ backend: Int32) {
    if isRunning, backend > 0 { setpriority(.init(PRIO_PROCESS.rawValue), id_t(backend), 10) }
  }

  /// PostgreSQL's major version.
  public var majorVersion: Int { binaries.major }

  /// The file that the server writes its log to.
  public var logFile: String { data.logFile }

  /// Starts a stopped server; nothing to do for a running one.
  public func start(timeout: Duration = .seconds(60)) throws(PostgresError) {
    guard !isRunning else { return }
    try data.releaseStaleLocks()
    var arguments = [binaries.path("postgres"), "-D", data.path]
    for (name, value) in serverSettings().sorted(by: { $0.key < $1.key }) {
      arguments += ["-c", "\(name)=\(value)"]
    }
    try user.prepare(log: data.logFile)
    let child = try ChildProcess(
      user.command(arguments, deathSignal: configuration.isDurable ? "INT" : "QUIT"),
      output: data.logFile)
    process.withLock { $0 = child }
    let deadline = Deadline(after: timeout)
    while !data.isReady(postmaster: child.processID) {
      if let status = child.wait(timeout: .milliseconds(5)) {
        throw PostgresError(
          sqlState: "58000", message: "the server ended with status \(status) as it started",
          detail: data.endOfLog(), hint: "Its log is \(data.logFile).")
      }
      if deadline.isOver {
        child.send(SIGQUIT)
        throw PostgresError(
          sqlState: "57P03", message: "the server was not ready within \(timeout)",
          detail: data.endOfLog(), hint: "Its log is \(data.logFile).")
      }
    }
  }

  private func serverSettings() -> [String: String] {
    var values = [
      "unix_socket_directories": settings["host"]!,
      "port": settings["port"]!,
      "listen_addresses": configuration.port == nil ? "" : "localhost",
    ]
    if !configuration.isDurable {
      values["fsync"] = "off"
      values["full_page_writes"] = "off"
    }
    return values.merging(configuration.settings) { _, given in given }
  }

  /// Stops the server; nothing to do for a stopped one.
  ///
  /// - Throws: 57014 when it still runs after the time.
  public func stop(_ mode: StopMode = .fast, timeout: Duration = .seconds(60))
    throws(PostgresError)
  {
    guard let child = process.withLock({ $0 }) else { return }
    let signal =
      switch mode {
      case .smart: SIGTERM
      case .fast: SIGINT
      case .immediate: SIGQUIT
      }
    child.send(signal)
    guard child.wait(timeout: timeout) != nil else {
      throw PostgresError(
        sqlState: "57014", message: "the server has not stopped within \(timeout)",
        hint: "Its log is \(data.logFile).")
    }
  }

  public func restart(_ mode: StopMode = .fast, timeout: Duration = .seconds(60))
    throws(PostgresError)
  {
    try stop(mode, timeout: timeout)
    try start(timeout: timeout)
  }

  /// Waits until the server ends, by whomever; nil when the time was over first.
  public func waitForExit(timeout: Duration? = nil) -> Int32? {
    process.withLock { $0 }?.wait(timeout: timeout)
  }

  /// Makes the database unless it is there, and says how to connect to it.
  public func database(_ name: String) throws(PostgresError) -> ConnectionSettings {
    let connection = try Connection(settings)
    defer { connection.close() }
    let found = try connection.run("select 1 from pg_database where datname = \(name)")
    if found.isEmpty { try connection.run("create database \(identifier: name)") }
    return settings.setting("dbname", to: name)
  }
}
