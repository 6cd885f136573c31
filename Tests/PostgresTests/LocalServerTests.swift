import FoundationEssentials
import Glibc
import Postgres
import TestSupport
import Testing

@Suite struct LocalServerTests {
  @Test func dataOutlivesRestartsOfEachKind() throws {
    let server = try TestServer.start(settings: ["max_connections": "20"])
    defer { TestServer.remove(server) }
    let settings = try server.database("app")
    #expect(try server.database("app") == settings)
    var connection = try Connection(settings)
    #expect(try connection.run("show max_connections").value(0, 0, as: String.self) == "20")
    try connection.run("create table t (a int)")
    for mode in [LocalServer.StopMode.immediate, .fast] {
      let before = server.processID
      try connection.run("insert into t values (1)")
      try server.restart(mode)
      #expect(server.isRunning && server.processID != before)
      let error = #expect(throws: PostgresError.self) { try connection.run("select 1") }
      #expect(error?.isConnectionLoss == true)
      connection = try Connection.open(settings)
    }
    #expect(try connection.run("select count(*) from t").value(0, 0, as: Int.self) == 2)
    connection.close()
    try server.stop(.smart)
    #expect(!server.isRunning && server.waitForExit() == 0)
    try server.stop()
    try server.start()
    let rows = try Connection(settings).run("select * from t")
    #expect(rows.count == 2)
    #expect(
      try String(contentsOfFile: server.logFile, encoding: .utf8).contains("ready to accept"))
  }

  @Test func aHeldDirectoryIsRefusedAndAStaleLockIsNot() throws {
    let server = try TestServer.start()
    defer { TestServer.remove(server) }
    let held = #expect(throws: PostgresError.self) { try LocalServer(server.configuration) }
    #expect(held?.sqlState == "55006" && held?.message.contains("\(server.processID!)") == true)
    let directory = server.configuration.directory
    let lock = try String(contentsOfFile: directory + "/postmaster.pid", encoding: .utf8)
    try server.stop()
    // A crash left the lock, and its number now belongs to a process that is no server.
    let lines = lock.split(separator: "\n", omittingEmptySubsequences: false)
    let stale = (["\(getpid())"] + lines.dropFirst().map(String.init)).joined(separator: "\n")
    try stale.write(toFile: directory + "/postmaster.pid", atomically: false, encoding: .utf8)
    try server.start()
    #expect(try Connection(server.settings).run("select 1").count == 1)
  }

  @Test func anotherMajorVersionIsRefused() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try "9".write(toFile: directory + "/PG_VERSION", atomically: false, encoding: .utf8)
    let error = #expect(throws: PostgresError.self) {
      try LocalServer(LocalServer.Configuration(directory: directory))
    }
    #expect(error?.sqlState == "0A000" && error?.hint?.contains("postgresql-9") == true)
  }

  @Test func aDirectoryOfOtherThingsIsLeftAlone() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try "mine".write(toFile: directory + "/notes", atomically: false, encoding: .utf8)
    let error = #expect(throws: PostgresError.self) {
      try LocalServer(LocalServer.Configuration(directory: directory))
    }
    #expect(error?.sqlState == "58000" && error?.message.contains(directory) == true)
    #expect(try String(contentsOfFile: directory + "/notes", encoding: .utf8) == "mine")
  }

  @Test func aServerThatCannotStartSaysWhy() throws {
    let error = #expect(throws: PostgresError.self) {
      try TestServer.start(settings: ["shared_buffers": "nonsense"])
    }
    #expect(error?.sqlState == "58000")
    #expect(error?.detail?.contains("shared_buffers") == true)
  }

  @Test func aLongPathHasItsSocketElsewhere() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let long = String(repeating: "long-directory-name-", count: 6)
    var configuration = LocalServer.Configuration(directory: "\(directory)/\(long)/data")
    configuration.isDurable = false
    let server = try LocalServer(configuration)
    defer { try? FileManager.default.removeItem(atPath: server.settings["host"]!) }
    #expect(server.settings["host"]!.utf8.count < 90)
    #expect(try Connection(server.settings).run("select 1").count == 1)
    try server.stop(.immediate)
  }

  @Test func aWrongPasswordIsToldFromNone() throws {
    let listener = try SilentListener()
    let port = Int(listener.port) ^ 1  // A neighbour, most likely free as well.
    let server = try TestServer.start(port: port)
    defer { TestServer.remove(server) }
    try Connection(server.settings).run("create role app login password 'right'")
    let settings = try ConnectionSettings(
      "host=127.0.0.1 port=\(port) user=app dbname=postgres passfile=/nonexistent")
    let connection = try Connection(settings.setting("password", to: "right"))
    #expect(try connection.run("select current_user").value(0, 0, as: String.self) == "app")
    let wrong = #expect(throws: PostgresError.self) {
      try Connection(settings.setting("password", to: "wr0ng"))
    }
    #expect(wrong?.sqlState == "28P01" && wrong?.hint?.contains("PGPASSWORD") == true)
    #expect(wrong?.message == "password authentication failed for user \"app\"")
    #expect("\(wrong as Any)".contains("wr0ng") == false)
    // Waiting would not mend it.
    let again = #expect(throws: PostgresError.self) {
      try Connection.open(settings.setting("password", to: "wr0ng"))
    }
    #expect(again?.sqlState == "28P01")
    let none = #expect(throws: PostgresError.self) { try Connection(settings) }
    #expect(none?.sqlState == "28P01" && none?.message.contains("none was given") == true)
  }

  private func temporaryDirectory() throws -> String {
    var name = Array("/tmp/rowcast-test-\(getpid())-XXXXXX".utf8CString)
    try #require(mkdtemp(&name) != nil)
    let directory = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    chmod(directory, 0o711)
    // What root makes, the server's user could not use.
    if geteuid() == 0, let user = getpwnam("postgres") {
      chown(directory, user.pointee.pw_uid, user.pointee.pw_gid)
    }
    return directory
  }
}
