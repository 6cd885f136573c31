internal import Postgres

/// What the migrator found: enough to decide without another query.
package struct DatabaseFacts: Sendable, Equatable {
  /// As libpq counts: 150004 is 15.4.
  package var serverVersion = 0
  /// As the server writes it: `15.4 (Debian 15.4-1)`.
  package var serverVersionText = ""
  package var encoding = "UTF8"
  package var databaseName = ""
  package var userName = ""
  package var isStandby = false
  /// The user is a superuser or has CREATEROLE.
  package var mayCreateRoles = false
  package var missingRoles: [String] = []
  /// The user is a member of rowcast_admin.
  package var isAdmin = false
  package var mayCreateSchemas = false
  package var hasSchemas = false
  /// The migrator's own tables are there.
  package var hasLedger = false
  /// Hashes of the migrations that ran, in hexadecimal digits, by version.
  package var migrations: [Int: String] = [:]
  /// Hashes of the files that were applied last, by path.
  package var objects: [String: String] = [:]

  package init() {}

  /// Reads them in two to four round trips, and changes nothing.
  init(
    reading connection: Connection, library: SQLLibrary
  ) throws(PostgresError) {
    let rows = try connection.run(Query(text: library.bootstrap("facts").text))
    serverVersion = connection.serverVersion
    serverVersionText = try rows.value(0, "server_version")
    encoding = try rows.value(0, "encoding")
    databaseName = try rows.value(0, "database_name")
    userName = try rows.value(0, "user_name")
    isStandby = try rows.value(0, "is_standby")
    mayCreateRoles = try rows.value(0, "may_create_roles")
    missingRoles = try rows.value(0, "missing_roles")
    isAdmin = try rows.value(0, "is_admin")
    mayCreateSchemas = try rows.value(0, "may_create_schemas")
    hasSchemas = try rows.value(0, "has_schemas")
    hasLedger = try rows.value(0, "has_ledger")
    guard hasLedger else { return }

    let ran = try connection.run(
      "select version, encode(sha256, 'hex') from rowcast.schema_migration")
    for row in 0..<ran.count {
      migrations[Int(try ran.value(row, 0, as: Int32.self))] = try ran.value(row, 1)
    }
    let applied = try connection.run(
      "select path, encode(sha256, 'hex') from rowcast.schema_object")
    for row in 0..<applied.count {
      objects[try applied.value(row, 0)] = try applied.value(row, 1, as: String.self)
    }
  }
}
