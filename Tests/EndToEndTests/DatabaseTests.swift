import Foundation
import Postgres
import Testing
import TestSupport

/// Commands against a database that somebody else runs.
@Suite("With a database", .emptyDatabase)
struct DatabaseTests {
  private static let model = Program.root + "/deploy/bench/boosted_100x31.txt"

  /// The test's database, as keywords.
  private var database: String { Database.current.settings.description }

  @Test("migrate lists, applies, and then has nothing to do")
  func migrate() throws {
    let plan = try Program.run("migrate", "--dry-run", "--database", database)
    #expect(plan.status == 0, "\(plan.errors)")
    #expect(plan.output.contains("would apply migration migrations/0001_registry.sql"))
    #expect(try Program.run("worker", "--database", database).status == 78)
    let applied = try Program.run("migrate", "--database", database)
    #expect(applied.status == 0, "\(applied.errors)")
    #expect(applied.output.contains("applied migration migrations/0001_registry.sql"))
    let again = try Program.run("migrate", "--database", database)
    #expect(again.output.hasSuffix(" already\n"))
    let json = try Program.run("migrate", "--json", "--database", database)
    #expect(json.output.contains("\"steps\" : [\n\n  ]"))
  }

  @Test("a worker serves it, and SIGTERM leaves no chunk held and nobody registered")
  func worker() throws {
    #expect(try Program.run("migrate", "--database", database).status == 0)
    let folder = try Folder()
    let worker = try Program.start(
      [
        "worker", "--database", database, "--lanes", "2", "--name", "tested", "--log-level", "info",
      ],
      in: folder.path, files: folder)
    let connection = try Database.current.connect()
    let end = ContinuousClock.now + .seconds(30)
    func workers() throws -> Int64 {
      try connection.run("select count(*) from rowcast.workers where name = 'tested'").value(0, 0)
    }
    while try workers() == 0, ContinuousClock.now < end { usleep(10_000) }
    #expect(try workers() == 1)
    let push = try Program.run(
      "push", Self.model, "--name", "m", "--alias", "champion", "--json", "--database", database)
    #expect(push.status == 0, "\(push.errors)")
    #expect(push.output.contains("\"isNew\" : true"))
    worker.send(SIGTERM)
    #expect(try worker.waitForExit() == 0)
    #expect(try workers() == 0)
    let running = try connection.run("select count(*) from rowcast.chunk where state = 'running'")
      .value(0, 0, as: Int64.self)
    #expect(running == 0)
  }

  @Test("push refuses what cannot be scored, and nothing is stored")
  func refusedPush() throws {
    #expect(try Program.run("migrate", "--database", database).status == 0)
    let folder = try Folder()
    let whole = [UInt8](try Data(contentsOf: URL(filePath: Self.model)))
    let cut = try folder.write("cut.txt", Array(whole.prefix(whole.count / 3)))
    let push = try Program.run("push", cut, "--name", "m", "--database", database)
    #expect(push.status == 65)
    #expect(push.errors.hasPrefix("rowcast: error: "))
    let disagreeing = try String(
      contentsOfFile: Program.root + "/deploy/bench/expected.csv", encoding: .utf8
    ).split(separator: "\n").prefix(3).enumerated().map { number, line in
      number == 0
        ? String(line) : line.split(separator: ",").dropLast().joined(separator: ",") + ",0.25"
    }.joined(separator: "\n")
    let golden = try folder.write("golden.csv", disagreeing)
    let refused = try Program.run(
      "push", Self.model, "--name", "m", "--golden", golden, "--database", database)
    #expect(refused.status == 65)
    #expect(refused.errors.contains("golden"))
    let models = try Program.run("models", "--json", "--database", database)
    #expect(models.output == "[]\n")
  }

  @Test("a reader reads, and is refused when it writes")
  func reader() throws {
    #expect(try Program.run("migrate", "--database", database).status == 0)
    let connection = try Database.current.connect()
    let name = "reader_of_\(Database.current.name)"
    try connection.run("create role \(identifier: name) login")
    defer {
      _ = try? connection.run("drop role \(identifier: name)")
    }
    try connection.run("grant rowcast_reader to \(identifier: name)")
    let settings = Database.current.settings.setting("user", to: name).description
    #expect(try Program.run("models", "--database", settings).status == 0)
    let push = try Program.run("push", Self.model, "--name", "m", "--database", settings)
    #expect(push.status == 1)
    #expect(push.errors.hasPrefix("rowcast: error: permission denied"))
    #expect(push.errors.contains("rowcast: hint: "))
  }

  @Test("doctor finds what is wrong with a server made for tests")
  func doctor() throws {
    let run = try Program.run("doctor", "--database", database)
    #expect(run.status == 1)
    #expect(run.output.contains("bad     fsync"))
    #expect(run.output.contains("→ A crash of the machine may destroy the database"))
    #expect(run.output.contains("good    server version"))
  }
}
