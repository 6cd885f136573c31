import Foundation
import Postgres

/// Where measurements take place: a database, a schema of their own in it, and as many lanes.
struct BenchStage: Sendable {
  static let schema = "rowcast_bench"

  let settings: ConnectionSettings
  let lanes: Int
  /// Where the server's own user may write files.
  let serverDirectory: String

  func connect() throws -> Connection {
    try Connection(settings.setting("application_name", to: "rowcast bench"))
  }

  /// A table's qualified name; `name` is one of the program's own.
  func table(_ name: String) -> String { "\(Self.schema).\(name)" }

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
    try connection.runScript("checkpoint")
  }

  /// Says on standard error what is being measured.
  func note(_ text: String) {
    Terminal.standardError.line("… " + text)
  }
}
