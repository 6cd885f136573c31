import Foundation
import ModelFixtures
import Postgres
import TestRandom
import TestSupport
import Testing

/// What users get wrong: each has an error that names the fault, and loses nothing.
@Suite("Bad input", .database)
struct BadInputTests {
  private var database: String { Database.current.settings.description }

  /// One line a fault, for whoever reads the log: what was wrong, and what was said of it.
  private func show(_ fault: String, _ answer: String) {
    let said = answer.split(separator: "\n").joined(separator: "\n    ")
    print("bad input: \(fault)\n    \(said)")
  }

  // MARK: Models

  private static let sensor = SensorModel(
    mean: [12, 3], scale: [1.5, 2], supportVectors: [1, -1, 0.5, 2], dualCoefficients: [0.4, 0.6],
    intercept: -0.2, gamma: 0.1
  ).onnx(featureNames: ["temperature", "pressure"])

  private static func cyclic() -> [UInt8] {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 1])
    model.node("Add", name: "first", ["x", "b"], ["a"])
    model.node("Neg", name: "second", ["a"], ["b"])
    model.output("b", .float, [nil, 1])
    return model.bytes()
  }

  private static func unsupported() -> [UInt8] {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 1])
    model.node("Bernoulli", name: "dice", ["x"], ["y"])
    model.output("y", .float, [nil, 1])
    return model.bytes()
  }

  /// A tree whose first split leads back to itself.
  private static func cyclicTree() throws -> [UInt8] {
    let text = try String(
      contentsOfFile: Program.root + "/deploy/bench/boosted_100x31.txt", encoding: .utf8)
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let index = lines.firstIndex { $0.hasPrefix("left_child=") }!
    let rest = lines[index].drop { $0 != " " }
    lines[index] = "left_child=0\(rest)"
    return Array(lines.joined(separator: "\n").utf8)
  }

  @Test("a model that cannot be scored is refused at push, with the place of the fault")
  func models() throws {
    let folder = try Folder()
    var flipped = Self.sensor
    let place = flipped.count / 4
    flipped[place] ^= 0x80
    let cases: [(fault: String, bytes: [UInt8], says: [String])] = [
      ("a truncated model", Array(Self.sensor.dropLast(Self.sensor.count / 2)), ["offset"]),
      ("a bit-flipped model", flipped, []),
      ("a cyclic graph", Self.cyclic(), ["first"]),
      ("a cyclic tree", try Self.cyclicTree(), ["tree 0, node 0"]),
      ("an unsupported operator", Self.unsupported(), ["\"Bernoulli\"", "\"dice\""]),
      ("a pickle", [0x80, 0x04, 0x95, 0x10, 0, 0, 0, 0, 0, 0, 0], ["pickle"]),
      ("an empty file", [], []),
    ]
    for (index, (fault, bytes, says)) in cases.enumerated() {
      let file = try folder.write("model\(index)", bytes)
      let push = try Program.run("push", file, "--name", "bad", "--database", database)
      show(fault, push.errors)
      #expect(push.status == 65, "\(fault): \(push.output)")
      #expect(push.errors.hasPrefix("rowcast: error: "))
      for text in says { #expect(push.errors.contains(text), "\(fault): \(push.errors)") }
    }
    #expect(try Program.run("models", "--json", "--database", database).output == "[]\n")
  }

  @Test("no flipped bit of a model makes a command end otherwise than with an answer")
  func flippedBits() throws {
    let folder = try Folder()
    var random = SplitMix64(seed: 5)
    let rows = try folder.write("rows.csv", "temperature,pressure\n12,3\n")
    for _ in 0..<40 {
      var bytes = Self.sensor
      bytes[Int.random(in: bytes.indices, using: &random)] ^=
        1
        << UInt8.random(
          in: 0..<8, using: &random)
      let file = try folder.write("flipped.onnx", bytes)
      let status = try Program.run("predict", file, rows).status
      #expect([0, 1, 65].contains(status))
    }
  }

  // MARK: Scorers

  /// What PostgreSQL says to a statement that it must refuse.
  private func refusal(_ connection: Connection, _ statement: String) -> String {
    do throws(PostgresError) {
      try connection.run(Query(text: statement))
      return ""
    } catch {
      return ["\(error.sqlState): \(error.message)", error.detail, error.hint]
        .compactMap { $0 }.joined(separator: "\n")
    }
  }

  @Test("a scorer that cannot work is refused, and leaves nothing behind")
  func scorers() throws {
    let folder = try Folder()
    let file = try folder.write("sensor.onnx", Self.sensor)
    let push = try Program.run(
      "push", file, "--name", "sensor", "--alias", "champion", "--database", database)
    #expect(push.status == 0, "\(push.errors)")
    let connection = try Database.current.connect()
    try connection.runScript(
      """
      create table fits (id int primary key, temperature real, pressure real);
      create table lacks (id int primary key, temperature real);
      create table mistyped (id int primary key, temperature text, pressure real);
      create table keyless (temperature real, pressure real);
      create view seen as select * from fits;
      """)
    let cases = [
      ("a feature that does not exist", "source => 'lacks'", ["pressure"]),
      ("a feature of the wrong type", "source => 'mistyped'", ["temperature", "text"]),
      ("a source without a key", "source => 'keyless'", ["keyless", "key"]),
      ("a view", "source => 'seen'", ["seen"]),
      ("a table that is not there", "source => 'nowhere'", ["nowhere"]),
      (
        "a column that is not there", #"source => 'fits', features => '["temperature", "p"]'"#,
        ["p"]
      ),
      ("a model that is not there", "source => 'fits', model => 'nobody'", ["nobody"]),
      ("an alias that is not there", "source => 'fits', alias => 'best'", ["best"]),
    ]
    for (fault, arguments, says) in cases {
      let model = arguments.contains("model =>") ? "" : ", model => 'sensor'"
      let answer = refusal(
        connection, "select * from rowcast.create_scorer('bad', \(arguments)\(model))")
      show(fault, answer)
      #expect(!answer.isEmpty, "\(fault) was accepted")
      for text in says { #expect(answer.contains(text), "\(fault): \(answer)") }
    }
    let left = try connection.run(
      """
      select (select count(*) from rowcast.scorer) + (select count(*) from pg_trigger
        where tgname like 'rowcast%') + (select count(*) from pg_class
        where relnamespace = 'predictions'::regnamespace)
      """
    ).value(0, 0, as: Int64.self)
    #expect(left == 0)
  }

  @Test("rows that cannot be scored and columns that vanish stop neither rows nor writers")
  func rows() throws {
    let folder = try Folder()
    let file = try folder.write("sensor.onnx", Self.sensor)
    let push = try Program.run(
      "push", file, "--name", "sensor", "--alias", "champion", "--database", database)
    #expect(push.status == 0, "\(push.errors)")
    let connection = try Database.current.connect()
    try connection.runScript(
      "create table reading (id int primary key, temperature float8, pressure float8)")
    let mapping = try connection.run(
      "select on_null from rowcast.create_scorer('sensor', source => 'reading', model => 'sensor')")
    #expect(try mapping.value(0, 0, as: String.self) == "failure")
    let worker = try Program.start(
      ["worker", "--database", database, "--lanes", "1"], in: folder.path, files: folder)

    func settle() throws {
      let end = ContinuousClock.now + .seconds(30)
      while try connection.run("select backlog_rows::int8 from rowcast.scorer_status")
        .value(0, 0, as: Int64.self) > 0
      {
        guard ContinuousClock.now < end else { throw Program.Failure.tookTooLong(["worker"]) }
        usleep(10_000)
      }
    }
    func waitForState(_ state: String) throws -> String {
      let end = ContinuousClock.now + .seconds(30)
      while true {
        let rows = try connection.run("select state, state_reason from rowcast.scorer_status")
        if try rows.value(0, 0, as: String.self) == state {
          return try rows.value(0, 1, as: String?.self) ?? ""
        }
        guard ContinuousClock.now < end else { throw Program.Failure.tookTooLong(["worker"]) }
        usleep(10_000)
      }
    }
    func count(_ query: String) throws -> Int64 {
      try connection.run(Query(text: "select count(*) from \(query)")).value(0, 0)
    }

    try connection.run(
      """
      insert into reading values (1, 12, 3), (2, null, 3), (3, 12, 'NaN'), (4, 'Infinity', 3),
        (5, 11, 2)
      """)
    try settle()
    let failures = try connection.run(
      "select id, code, reason from predictions.sensor_failure order by id")
    for row in 0..<failures.count {
      show(
        "row \(try failures.value(row, 0, as: Int32.self))",
        "\(try failures.value(row, 1, as: String.self)): "
          + (try failures.value(row, 2, as: String.self)))
    }
    #expect(failures.count == 3)
    #expect(try count("predictions.sensor") == 2)

    try connection.run("alter table reading drop column pressure")
    try connection.run("insert into reading (id, temperature) values (6, 13)")
    try connection.run("update reading set temperature = 14 where id = 5")
    show("a column dropped under a scorer", try waitForState("suspended"))
    try connection.run("alter table reading add column pressure float8 default 2.5")
    _ = try waitForState("active")
    try settle()
    let end = ContinuousClock.now + .seconds(30)
    // The mended scorer has its rows scored again by a job.
    while try count("predictions.sensor") < 4, ContinuousClock.now < end { usleep(10_000) }
    #expect(try count("predictions.sensor") == 4)
    #expect(try count("predictions.sensor_failure") == 2)
    worker.send(SIGTERM)
    #expect(try worker.waitForExit() == 0)
  }

  @Test("a reader reads predictions, and writes none")
  func reader() throws {
    let connection = try Database.current.connect()
    let name = "viewer_of_\(Database.current.name)"
    try connection.run("create role \(identifier: name) login in role rowcast_reader")
    defer { _ = try? connection.run("drop role \(identifier: name)") }
    try connection.runScript(
      "create table reading (id int primary key, temperature real, pressure real)")
    let folder = try Folder()
    let file = try folder.write("sensor.onnx", Self.sensor)
    #expect(
      try Program.run(
        "push", file, "--name", "sensor", "--alias", "champion", "--database", database
      ).status == 0)
    try connection.run(
      "select rowcast.create_scorer('sensor', source => 'reading', model => 'sensor')")
    let reader = try Connection(Database.current.settings.setting("user", to: name))
    try reader.run("select * from predictions.sensor")
    try reader.run("select * from rowcast.scorer_status")
    for statement in [
      "insert into predictions.sensor (id) values (1)", "delete from predictions.sensor",
      "select rowcast.pause_scorer('sensor')", "select rowcast.drop_scorer('sensor')",
      "select * from rowcast.model_part", "truncate rowcast.change_0",
    ] {
      let answer = refusal(reader, statement)
      show("a reader: \(statement)", answer)
      #expect(answer.hasPrefix("42501"), "\(statement): \(answer)")
    }
  }
}
