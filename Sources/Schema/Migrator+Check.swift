public import Postgres

extension Migrator {
  /// Refuses a database that was not migrated to the schema which this release works with.
  ///
  /// A newer schema is accepted: migrations leave the workers of the release before running. Any of
  /// the four roles may ask. Takes one round trip.
  ///
  /// - Throws: `SchemaError` with the code `older`; `PostgresError` for the connection.
  public static func requireSchema(on connection: Connection) throws {
    let needed = releaseVersion
    let found = try schemaVersion(on: connection)
    guard found >= needed else {
      throw SchemaError(
        .older,
        found == 0
          ? "database has no schema of Rowcast"
          : "database is at schema \(found), this release needs \(needed)",
        hint: "Run \"rowcast migrate\".")
    }
  }

  /// The schema that this release works with, at least.
  package static var releaseVersion: Int { SQLLibrary.embedded.version }

  /// The newest migration that ran; 0 where none did. Takes one round trip.
  package static func schemaVersion(on connection: Connection) throws(PostgresError) -> Int {
    do throws(PostgresError) {
      return try connection.run(
        "select coalesce(max(version), 0)::int8 from rowcast.schema_migration"
      ).value(0, 0)
    } catch {
      guard error.sqlState == "42P01" || error.sqlState == "3F000" else { throw error }
      return 0
    }
  }
}
