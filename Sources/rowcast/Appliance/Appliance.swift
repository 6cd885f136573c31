import Foundation
import Postgres
import Schema
import Scoring

/// A private PostgreSQL, started and migrated: what `up`, `demo` and `bench` work on.
struct Appliance {
  struct Options {
    /// Of the cluster; made when missing.
    var directory: String
    /// For TCP on localhost; the socket alone when nil.
    var port: Int?
    /// False for a server that is thrown away.
    var isDurable = true
  }

  static let databaseName = "rowcast"

  let server: LocalServer
  /// The appliance's database, by the socket.
  let database: ConnectionSettings

  /// Takes about a second and a half for a new directory, most of it initdb.
  init(_ options: Options) throws {
    var configuration = LocalServer.Configuration(directory: options.directory)
    configuration.port = options.port
    configuration.isDurable = options.isDurable
    configuration.settings = Self.settings
    server = try LocalServer(configuration)
    database = try server.database(Self.databaseName)
    try Migrator(database).migrate()
  }

  /// What differs from PostgreSQL's own defaults, which suit a machine of the nineties.
  private static var settings: [String: String] {
    let quarter = Machine.memoryByteCount / 4 / (1 << 20)
    return [
      "shared_buffers": "\(min(max(quarter, 128), 2048))MB",
      "max_wal_size": "4GB",
      "max_connections": "200",
    ]
  }

  /// How people connect: keywords for libpq, none of them secret.
  var connectionKeywords: String {
    ["host", "port", "user", "dbname"].compactMap { keyword in
      database[keyword].map { "\(keyword)=\($0)" }
    }.joined(separator: " ")
  }
}
