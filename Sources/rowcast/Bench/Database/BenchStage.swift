import Foundation
import Postgres

/// Where measurements take place: a database, a schema of their own in it, and as many lanes.
struct BenchStage: Sendable {
  /// Of the schema; models and scorers begin with it too.
  static let schema = "rowcast_bench"

  let settings: ConnectionSettings
  let lanes: Int
  /// Where the server's own user may write files.
  let serverDirectory: String
  /// What was made must go, also when a person interrupts.
  var interruption: Interruption?

  func connect() throws -> Connection {
    try Connection(settings.setting("application_name", to: "rowcast bench"))
  }

  /// A table's qualified name; `name` is one of the program's own.
  func table(_ name: String) -> String { "\(Self.schema).\(name)" }

  /// A file that the server writes and reads, by its number, as a literal of SQL.
  func file(_ number: Int) throws -> String { try quoted(literal: path(number)) }

  private func path(_ number: Int) -> String {
    "\(serverDirectory)/rowcast_bench_\(number).bin"
  }

  /// As literals of SQL, quoted by the server, for statements that take no parameters.
  func quoted(literal text: String) throws -> String {
    try connect().run("select quote_literal(\(text))").value(0, 0, as: String.self)
  }

  /// As identifiers of SQL, quoted by the server.
  func quoted(identifiers names: [String]) throws -> [String] {
    try connect().run(
      "select array(select quote_ident(n) from unnest(\(names)) with ordinality as u(n, i) order by i)"
    ).value(0, 0, as: [String].self)
  }

  /// Writes out what earlier work left, so that the next measurement does not pay for it.
  func settle(_ connection: Connection) throws {
    try check()
    try connection.runScript("checkpoint")
  }

  /// Says on standard error what is being measured.
  func note(_ text: String) {
    Terminal.standardError.line("… " + text)
  }

  /// - Throws: Where a person has asked for the end.
  func check() throws {
    guard interruption?.isSet != true else { throw CommandError(.failed, "interrupted") }
  }

  /// Keys 1 to `rows`, a range for each lane.
  func ranges(_ rows: Int) -> [(lower: Int64, upper: Int64)] {
    (0..<lanes).map { lane in
      (Int64(rows * lane / lanes + 1), Int64(rows * (lane + 1) / lanes))
    }
  }
}

// MARK: In somebody else's database

extension BenchStage {
  /// - Throws: Where the names that the benchmark uses are taken.
  func refuseWhereTaken(_ connection: Connection) throws {
    let taken = try connection.run(
      """
      select array(
        select 'schema ' || nspname from pg_namespace where nspname = \(Self.schema)
        union all select 'scorer ' || name from rowcast.scorer where starts_with(name, \(Self.schema))
        union all select 'model ' || name from rowcast.model where starts_with(name, \(Self.schema)))
      """
    ).value(0, 0, as: [String].self)
    guard taken.isEmpty else {
      throw CommandError(
        .failed, "the database has objects of the names that the benchmark uses",
        detail: taken.joined(separator: ", ") + ".",
        hint: "Another benchmark runs, or one was cut off: drop its scorers with "
          + "rowcast.drop_scorer, then the schema, then the models with rowcast.drop_model.")
    }
  }

  /// Takes away all that the benchmark made.
  func clear() throws {
    let connection = try connect()
    let scorers = try connection.run(
      "select array(select name from rowcast.scorer where starts_with(name, \(Self.schema)))"
    ).value(0, 0, as: [String].self)
    for scorer in scorers { try connection.run("select rowcast.drop_scorer(\(scorer))") }
    try connection.runScript("drop schema if exists \(Self.schema) cascade")
    let models = try connection.run(
      "select array(select name from rowcast.model where starts_with(name, \(Self.schema)))"
    ).value(0, 0, as: [String].self)
    for model in models { try connection.run("select rowcast.drop_model(\(model))") }
    try removeFiles(connection)
  }

  /// Nothing but a program that the server runs can remove its files.
  private func removeFiles(_ connection: Connection) throws {
    for number in 0..<lanes {
      let path = path(number)
      let exists = try connection.run(
        "select (pg_stat_file(\(path), true)).size is not null"
      ).value(0, 0, as: Bool.self)
      guard exists else { continue }
      let quoted = "'" + path.replacing("'", with: "'\\''") + "'"
      try connection.runScript(
        "copy (select where false) to program \(try self.quoted(literal: "rm -f -- " + quoted))")
    }
  }
}
