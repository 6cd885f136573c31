import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct SessionTests {
  @Test func aNotificationEndsTheWait() throws {
    let connection = try Database.current.connect()
    try connection.listen("rowcast_change")
    let settings = Database.current.settings
    let writer = Background {
      let other = try Connection(settings)
      try other.run("select pg_notify('rowcast_change', 'one'), pg_notify('unheard', 'two')")
      return other.backendPID
    }
    let received = try connection.waitForNotifications(timeout: .seconds(20))
    let pid = try writer.value()
    #expect(
      received == [
        Notification(channel: "rowcast_change", payload: "one", backendPID: pid)
      ])
    #expect(connection.takeNotifications().isEmpty)
  }

  @Test func notificationsThatCameWithAnAnswerAreNotLost() throws {
    let connection = try Database.current.connect()
    try connection.listen("a")
    try connection.run("notify a, 'x'")
    #expect(try connection.waitForNotifications(timeout: nil).map(\.payload) == ["x"])
    try connection.unlisten("a")
    try connection.run("notify a, 'y'")
    #expect(try connection.waitForNotifications(timeout: .milliseconds(20)).isEmpty)
  }

  @Test func theWakeUpEndsTheWait() throws {
    let connection = try Database.current.connect()
    let wakeUp = WakeUp()
    wakeUp.signal()
    #expect(try connection.waitForNotifications(timeout: nil, wakeUp: wakeUp).isEmpty)
    wakeUp.clear()
    #expect(!wakeUp.isSignalled)
    let signaller = Background { wakeUp.signal() }
    #expect(try connection.waitForNotifications(timeout: nil, wakeUp: wakeUp).isEmpty)
    try signaller.value()
    #expect(wakeUp.isSignalled && wakeUp.wait(timeout: .zero))
  }

  @Test func aWaitEndsWhenItsTimeIsOver() throws {
    let connection = try Database.current.connect()
    let start = ContinuousClock.now
    #expect(try connection.waitForNotifications(timeout: .milliseconds(60)).isEmpty)
    #expect(start.duration(to: .now) >= .milliseconds(60))
  }

  @Test func aStatementIsCancelledFromAnotherThread() throws {
    let settings = Database.current.settings
    let connection = try Connection(settings)
    let canceller = connection.canceller
    let pid = connection.backendPID
    let other = Background {
      let watcher = try Connection(settings)
      let isRunning = try eventually {
        try watcher.run(
          "select 1 from pg_stat_activity where pid = \(pid) and state = 'active'"
        ).count == 1
      }
      try canceller.cancel()
      return isRunning
    }
    let error = #expect(throws: PostgresError.self) { try connection.run("select pg_sleep(60)") }
    #expect(error?.sqlState == "57014")
    #expect(try other.value())
    #expect(try connection.run("select 1").count == 1)
    try canceller.cancel()  // Nothing runs.
    #expect(try connection.run("select 1").count == 1)
  }

  @Test func aTerminatedSessionIsSeenWhileItRuns() throws {
    let settings = Database.current.settings
    let connection = try Connection(settings)
    let pid = connection.backendPID
    let other = Background {
      let killer = try Connection(settings)
      _ = try eventually {
        try killer.run(
          "select 1 from pg_stat_activity where pid = \(pid) and state = 'active'"
        ).count == 1
      }
      try killer.run("select pg_terminate_backend(\(pid))")
    }
    let error = #expect(throws: PostgresError.self) { try connection.run("select pg_sleep(60)") }
    try other.value()
    #expect(error?.sqlState == "08006" && error?.isConnectionLoss == true)
    #expect(error?.detail?.contains("57P01") == true)
    #expect(!connection.isUsable && connection.backendPID == 0)
    for _ in 0..<2 {
      let later = #expect(throws: PostgresError.self) { try connection.run("select 1") }
      #expect(later?.isConnectionLoss == true)
    }
  }

  @Test func aTerminatedSessionIsSeenWhileItWaits() throws {
    let settings = Database.current.settings
    let connection = try Connection(settings)
    try connection.listen("a")
    let pid = connection.backendPID
    let other = Background {
      try Connection(settings).run("select pg_terminate_backend(\(pid))")
    }
    let error = #expect(throws: PostgresError.self) {
      try connection.waitForNotifications(timeout: .seconds(30))
    }
    _ = try other.value()
    #expect(error?.sqlState == "08006" && error?.detail?.contains("57P01") == true)
    #expect(!connection.isUsable)
  }

  @Test(arguments: ["run", "pipeline", "script", "copyIn", "copyOut", "transaction", "idle"])
  func aTerminatedSessionIsSeenByTheNextCall(_ call: String) throws {
    let settings = Database.current.settings
    let connection = try Connection(settings)
    try connection.run("create table t (a int4)")
    let killer = try Connection(settings)
    let pid = connection.backendPID
    try killer.run("select pg_terminate_backend(\(pid))")
    #expect(
      try eventually {
        try killer.run("select 1 from pg_stat_activity where pid = \(pid)").isEmpty
      })
    let error = #expect(throws: PostgresError.self) {
      switch call {
      case "run": try connection.run("select 1")
      case "pipeline": _ = try connection.pipeline(["select 1", "select 2"])
      case "script": try connection.runScript("select 1; select 2")
      case "copyIn":
        try connection.copyIn("copy t from stdin (format binary)") {
          writer throws(PostgresError) in try writer.write(row: [Int32(1)])
        }
      case "copyOut":
        try connection.copyOut("copy t to stdout (format binary)", types: [.int4]) { _ in }
      case "transaction": try connection.transaction { () throws(PostgresError) in }
      default: _ = try connection.waitForNotifications(timeout: .seconds(10))
      }
    }
    #expect(error?.isConnectionLoss == true && !connection.isUsable, "\(call): \(error as Any)")
  }

  @Test func aSessionThatDiesWithinACopyIsSeen() throws {
    let settings = Database.current.settings
    let connection = try Connection(settings)
    try connection.run("create table t (a int4)")
    let killer = try Connection(settings)
    let pid = connection.backendPID
    let error = #expect(throws: PostgresError.self) {
      try connection.copyIn("copy t from stdin (format binary)") { writer throws(PostgresError) in
        let rows = [CopyColumn.values(ColumnVector(.int32(Array(0..<100_000))))]
        try writer.write(rows)
        try killer.run("select pg_terminate_backend(\(pid))")
        for _ in 0..<100 { try writer.write(rows) }
      }
    }
    #expect(error?.isConnectionLoss == true && !connection.isUsable)
    #expect(try killer.run("select * from t").isEmpty)
  }

  @Test func aClosedConnectionRefusesCalls() throws {
    let connection = try Database.current.connect()
    #expect(connection.serverVersion >= 140_000 && connection.backendPID > 0)
    #expect(connection.parameterStatus("client_encoding") == "UTF8")
    connection.close()
    connection.close()
    #expect(!connection.isUsable && connection.takeNotifications().isEmpty)
    let error = #expect(throws: PostgresError.self) { try connection.run("select 1") }
    #expect(error?.isConnectionLoss == true)
  }

  @Test func aMissingDatabaseIsNamed() throws {
    let settings = Database.current.settings.setting("dbname", to: "no such")
    let error = #expect(throws: PostgresError.self) { try Connection(settings) }
    #expect(error?.sqlState == "3D000")
    #expect(error?.message == "database \"no such\" does not exist")
    #expect(error?.hint?.contains("PGDATABASE") == true)
  }

  @Test func anUnreachableServerIsTriedAgainUntilWokenUp() throws {
    let settings = try ConnectionSettings("host=/tmp/no-such-directory port=5999")
    let error = #expect(throws: PostgresError.self) { try Connection(settings) }
    #expect(error?.sqlState == "08001" && error?.isConnectionLoss == true)
    #expect(error?.hint?.contains("PGHOST") == true)
    let wakeUp = WakeUp()
    var delays: [Duration] = []
    let given = #expect(throws: PostgresError.self) {
      try Connection.open(
        settings, backoff: Backoff(shortest: .milliseconds(1), longest: .milliseconds(4)),
        wakeUp: wakeUp
      ) { failure, delay in
        #expect(failure.sqlState == "08001")
        delays.append(delay)
        if delays.count == 5 { wakeUp.signal() }
      }
    }
    #expect(given?.sqlState == "57014" && delays.count == 5)
    #expect(delays.allSatisfy { $0 <= .milliseconds(4) })
  }

  @Test func aServerThatDoesNotAnswerIsGivenUp() throws {
    // A listener that accepts into its backlog and never says a word.
    let listener = try SilentListener()
    let settings = try ConnectionSettings("host=127.0.0.1 port=\(listener.port) user=x")
    let error = #expect(throws: PostgresError.self) {
      try Connection(settings, timeout: .milliseconds(100))
    }
    #expect(error?.sqlState == "08001" && error?.hint != nil)
    let wakeUp = WakeUp()
    wakeUp.signal()
    let given = #expect(throws: PostgresError.self) { try Connection(settings, wakeUp: wakeUp) }
    #expect(given?.sqlState == "57014")
  }

  @Test func aSilentHostIsPassedOver() throws {
    let listener = try SilentListener()
    let settings = Database.current.settings
    let host = try #require(settings["host"])
    let port = try #require(settings["port"])
    let both = settings.setting("host", to: "127.0.0.1,\(host)")
      .setting("port", to: "\(listener.port),\(port)")
    let start = ContinuousClock.now
    let connection = try Connection(both, timeout: .seconds(2))
    #expect(try connection.run("select 1").count == 1)
    #expect(start.duration(to: .now) < .seconds(2))
    // Each host has its own `connect_timeout`, as libpq's manual says.
    let patient = both.setting("connect_timeout", to: "2")
    #expect(try Connection(patient, timeout: .seconds(10)).run("select 1").count == 1)
    // Silent ones only.
    let silent = both.setting("host", to: "127.0.0.1,127.0.0.1")
      .setting("port", to: "\(listener.port),\(listener.port)")
    let error = #expect(throws: PostgresError.self) {
      try Connection(silent, timeout: .milliseconds(400))
    }
    #expect(error?.sqlState == "08001")
  }

  @Test func aWrongSettingIsNotTakenForAnOutage() throws {
    let settings = Database.current.settings.setting("sslmode", to: "sometimes")
    let error = #expect(throws: PostgresError.self) { try Connection(settings) }
    #expect(error?.isConnectionLoss == false, "\(error as Any)")
  }
}
