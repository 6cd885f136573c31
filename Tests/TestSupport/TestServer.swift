import FoundationEssentials
import Glibc
public import Postgres

/// Servers for tests: in a temporary directory, without fsync, gone with the test process.
public enum TestServer {
  private static let prefix = "/tmp/rowcast-test-"

  /// The server that all tests of a run share; started when the first one asks.
  public static func shared() throws -> LocalServer { try result.get() }

  private static let result: Result<LocalServer, any Error> = Result {
    sweep()
    let server = try start(settings: ["max_connections": "700"])
    // The process that runs the tests calls exit, which calls this.
    atexit { TestServer.removeAll() }
    return server
  }

  /// A server of the caller's own, for tests that stop it or need other settings.
  public static func start(settings: [String: String] = [:], port: Int? = nil) throws
    -> LocalServer
  {
    var name = Array("\(prefix)\(getpid())-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else {
      throw PostgresError(
        sqlState: "58000", message: "no temporary directory can be made",
        detail: String(cString: strerror(errno)))
    }
    let directory = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    chmod(directory, 0o711)  // The server's user must pass; what is in it is private.
    var configuration = LocalServer.Configuration(directory: directory + "/data")
    configuration.isDurable = false
    configuration.port = port
    configuration.settings = settings
    return try LocalServer(configuration)
  }

  /// Stops a server and removes its directory.
  public static func remove(_ server: LocalServer) {
    try? server.stop(.immediate, timeout: .seconds(10))
    let data = server.configuration.directory
    try? FileManager.default.removeItem(atPath: String(data.dropLast("/data".count)))
  }

  private static func removeAll() {
    if case .success(let server) = result { remove(server) }
    remove(directoriesOf: { $0 == getpid() })
  }

  /// Removes what runs that were killed left behind.
  private static func sweep() {
    remove(directoriesOf: { kill($0, 0) != 0 && errno == ESRCH })
  }

  private static func remove(directoriesOf isWanted: (pid_t) -> Bool) {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
    for entry in entries where ("/tmp/" + entry).hasPrefix(prefix) {
      let number = entry.dropFirst(prefix.count - "/tmp/".count).prefix { $0.isNumber }
      if let pid = pid_t(number), isWanted(pid) {
        try? FileManager.default.removeItem(atPath: "/tmp/" + entry)
      }
    }
  }
}
