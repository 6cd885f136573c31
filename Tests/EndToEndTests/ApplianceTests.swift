import Foundation
import Postgres
import TestSupport
import Testing

/// `rowcast up` from the first line to the last, as its user sees it.
@Suite("up and down")
struct ApplianceTests {
  private static let model = Program.root + "/deploy/bench/boosted_100x31.txt"

  /// An appliance that runs, in a directory of its own.
  private final class Up {
    let folder: Folder
    let program: RunningProgram

    /// Before its folder goes.
    deinit { program.end() }

    init(_ arguments: String..., in folder: Folder? = nil) throws {
      let folder = try folder ?? Folder()
      self.folder = folder
      program = try Program.start(
        ["up", "--lanes", "2"] + arguments, in: folder.path, files: try Folder())
      try program.waitForOutput("stops it.")
    }

    /// The connection string of the `psql` line that it printed.
    func settings(line: Int = 0) throws -> ConnectionSettings {
      let lines = program.output.split(separator: "\n").filter { $0.contains("  psql \"") }
      let text = try #require(lines.dropFirst(line).first)
      return try ConnectionSettings(String(text.split(separator: "\"")[1]))
    }
  }

  @Test("a row inserted by psql is predicted; SIGTERM leaves nothing behind")
  func wholeWay() throws {
    let up = try Up()
    let push = try Program.run(
      "push", Self.model, "--name", "boosted", "--alias", "champion", in: up.folder.path)
    #expect(push.status == 0, "\(push.errors)")
    #expect(push.output.hasPrefix("boosted 1: lightgbm, 28 features → label, probability\n"))

    let connection = try Connection(up.settings())
    let columns = (0..<28).map { "f\($0) real" }.joined(separator: ", ")
    try connection.runScript("create table flight (id bigint primary key, \(columns))")
    try connection.run(
      "select * from rowcast.create_scorer('flight', source => 'public.flight', model => 'boosted')"
    )
    try connection.runScript(
      """
      insert into flight (id, f0, f1, f2) select i, i % 3, 0.5, -0.5 from generate_series(1, 300) i
      """)
    let end = ContinuousClock.now + .seconds(30)
    var count: Int64 = 0
    while count < 300, ContinuousClock.now < end {
      count = try connection.run("select count(*) from predictions.flight").value(0, 0)
    }
    #expect(count == 300)
    let distinct = try connection.run("select count(distinct probability) from predictions.flight")
      .value(0, 0, as: Int64.self)
    #expect(distinct == 3)

    // The listings find the appliance by its directory.
    let scorers = try Program.run("scorers", "--json", in: up.folder.path)
    #expect(scorers.output.contains("\"name\": \"flight\""))
    let status = try Program.run("status", "--once", in: up.folder.path)
    #expect(status.output.contains("flight") && status.output.contains("dispatcher"))

    let server = connection.backendPID
    connection.close()
    up.program.send(SIGTERM)
    #expect(try up.program.waitForExit() == 0)
    #expect(up.program.output.hasSuffix("stopped\n"))
    #expect(kill(server, 0) != 0)
    #expect(try Program.run("models", in: up.folder.path).status == 69)

    // Data are there at the next start, and no chunk was held.
    let again = try Up(in: up.folder)
    let second = try Connection(again.settings())
    let kept = try second.run("select count(*) from predictions.flight").value(0, 0, as: Int64.self)
    #expect(kept == 300)
    let held = try second.run("select count(*) from rowcast.chunk where state = 'running'")
      .value(0, 0, as: Int64.self)
    #expect(held == 0)
  }

  @Test("refuses a second one on the same directory; down stops the first and says so")
  func twiceAndDown() throws {
    let up = try Up()
    let second = try Program.run("up", in: up.folder.path)
    #expect(second.status == 1)
    #expect(
      second.errors.hasPrefix(
        "rowcast: error: an appliance runs on \".data\" already (process \(up.program.processID))"))
    let down = try Program.run("down", in: up.folder.path)
    #expect(down.status == 0)
    #expect(down.output.hasPrefix("appliance on \".data\" stopped in "))
    #expect(try up.program.waitForExit() == 0)
  }

  @Test("Ctrl-C stops it in order")
  func interrupt() throws {
    let up = try Up()
    up.program.send(SIGINT)
    #expect(try up.program.waitForExit() == 0)
    #expect(up.program.output.hasSuffix("stopped\n"))
  }

  @Test("dies with its server, and takes its server along when it is killed")
  func deaths() throws {
    let up = try Up()
    let connection = try Connection(up.settings())
    let postmaster = try postmaster(of: up.folder)
    up.program.send(SIGKILL)
    _ = try up.program.waitForExit()
    let end = ContinuousClock.now + .seconds(30)
    while kill(postmaster, 0) == 0, ContinuousClock.now < end { usleep(10_000) }
    #expect(kill(postmaster, 0) != 0)
    connection.close()

    let again = try Up(in: up.folder)
    kill(try self.postmaster(of: up.folder), SIGQUIT)
    #expect(try again.program.waitForExit() == 1)
    #expect(again.program.errors.contains("rowcast: error: the database server ended"))
  }

  @Test("beside HTTP, sessions that score yield to others; PostgreSQL itself never does")
  func priorities() throws {
    let up = try Up("--http", "0")
    func niceness(_ connection: Connection) throws -> [String: Set<Int>] {
      let rows = try connection.run(
        """
        select pid, case when backend_type = 'client backend' then application_name else backend_type end
        from pg_stat_activity where pid <> pg_backend_pid()
        """)
      var found: [String: Set<Int>] = [:]
      for row in 0..<rows.count {
        guard let own = try Niceness(of: "/proc/\(rows.value(row, 0, as: Int32.self))") else {
          continue
        }
        found[try rows.value(row, 1), default: []].insert(own.value)
      }
      return found
    }
    let batch: Set = ["rowcast lane", "rowcast jobs", "rowcast auditor", "rowcast step"]
    func expectPriorities(_ connection: Connection) throws {
      // A session yields a moment after it is told of.
      var found: [String: Set<Int>] = [:]
      let isRight = try eventually {
        found = try niceness(connection)
        return found["rowcast lane"] != nil && found["checkpointer"] != nil
          && found.allSatisfy { $0.value == [batch.contains($0.key) ? 10 : 0] }
      }
      #expect(isRight, "\(found)")
    }
    let connection = try Connection(up.settings())
    try expectPriorities(connection)
    // PostgreSQL takes it for a crash, and starts all of its processes again.
    let checkpointer: Query = "select pid from pg_stat_activity where backend_type = 'checkpointer'"
    let before = try connection.run(checkpointer).value(0, 0, as: Int32.self)
    kill(connection.backendPID, SIGKILL)
    var again: Connection?
    #expect(
      try eventually {
        again = try? Connection(up.settings())
        let now = try? again?.run(checkpointer).value(0, 0, as: Int32.self)
        return now != nil && now != before
      })
    let second = try #require(again)
    try expectPriorities(second)
  }

  private func postmaster(of folder: Folder) throws -> Int32 {
    let file = folder.path + "/.data/postgres/postmaster.pid"
    let text = try String(contentsOfFile: file, encoding: .utf8)
    return try #require(Int32(text.split(separator: "\n")[0]))
  }

  @Test("listens on TCP with a password; a wrong one is refused with status 69")
  func password() throws {
    let port = Int.random(in: 20_000..<30_000)
    let up = try Up("--listen", "\(port)")
    let settings = try up.settings(line: 1)
    #expect(settings["host"] == "localhost")
    let connection = try Connection(settings)
    #expect(try connection.run("select 1").value(0, 0, as: Int32.self) == 1)

    let wrong = try Program.run(
      "models", "--database", "postgresql://postgres:nonsense@localhost:\(port)/rowcast")
    #expect(wrong.status == 69)
    #expect(wrong.errors.contains("password authentication failed"))
    #expect(wrong.errors.contains("rowcast: hint: "))
    #expect(!wrong.errors.contains("nonsense"))
  }
}
