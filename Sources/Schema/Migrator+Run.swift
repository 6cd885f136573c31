internal import Foundation
internal import Postgres

/// How single files are run: in a transaction each, with short turns at every lock.
extension Migrator {
  /// How long a statement queues for a lock, with the database's other users behind it.
  private static let lockTimeout = "set local lock_timeout = '2s'"
  /// How often a transaction that got no lock is tried again, and after how long.
  private static let turns = 20
  private static let pause: TimeInterval = 0.5

  func run(
    _ file: SQLFile, on connection: Connection,
    explaining explain: (PostgresError) -> SchemaError? = { _ in nil }
  ) throws(SchemaError) {
    do throws(PostgresError) {
      try inTurns(on: connection) { () throws(PostgresError) in
        try connection.runScript(file.text)
      }
    } catch {
      throw explain(error) ?? SchemaError(error, in: file.path)
    }
  }

  func run(
    _ migration: SQLLibrary.Migration, on connection: Connection
  ) throws(SchemaError) {
    do throws(PostgresError) {
      try inTurns(on: connection) { () throws(PostgresError) in
        try connection.runScript(migration.file.text)
        try connection.run(
          """
          insert into rowcast.schema_migration (version, name, sha256, release)
          values (\(Int32(migration.version)), \(migration.file.name),
                  sha256(convert_to(\(migration.file.text), 'UTF8')), \(Release.version))
          """)
      }
    } catch {
      throw SchemaError(error, in: migration.file.path)
    }
  }

  /// Applies files of functions and views, all or none.
  ///
  /// Bodies are not checked while they are applied: they may call what a later file makes.
  func run(_ files: [SQLFile], on connection: Connection) throws(SchemaError) {
    var current = "sql/"
    do throws(PostgresError) {
      try inTurns(on: connection) { () throws(PostgresError) in
        try connection.runScript("set local check_function_bodies = off")
        for file in files {
          current = file.path
          try connection.runScript(file.text)
          try connection.run(
            """
            insert into rowcast.schema_object (path, sha256, release)
            values (\(file.path), sha256(convert_to(\(file.text), 'UTF8')), \(Release.version))
            on conflict on constraint schema_object_pkey do update
            set sha256 = excluded.sha256, release = excluded.release,
                applied_at = default, applied_by = default
            """)
        }
        let rights = library.bootstrap("rights")
        current = rights.path
        try connection.runScript(rights.text)
      }
    } catch {
      throw SchemaError(error, in: current)
    }
  }

  /// SHA-256 of every file of the library in hexadecimal digits, by path, as the server computes it.
  func hashes(by connection: Connection) throws(PostgresError) -> [String: String] {
    let files = library.migrations.map(\.file) + library.objects
    let rows = try connection.run(
      """
      select encode(sha256(convert_to(f.text, 'UTF8')), 'hex')
      from unnest(\(files.map(\.text))) with ordinality as f (text, place)
      order by f.place
      """)
    var hashes: [String: String] = [:]
    for (row, file) in files.enumerated() {
      hashes[file.path] = try rows.value(row, 0, as: String.self)
    }
    return hashes
  }

  /// Runs a transaction, again where another session held a lock for too long or got in its way.
  private func inTurns(
    on connection: Connection, _ body: () throws(PostgresError) -> Void
  ) throws(PostgresError) {
    for turn in 1... {
      do throws(PostgresError) {
        return try connection.transaction { () throws(PostgresError) in
          try connection.runScript(Self.lockTimeout)
          try body()
        }
      } catch {
        let gotNoLock = error.sqlState == "55P03" || error.isSerializationFailure
        guard gotNoLock, turn < Self.turns else { throw error }
        Thread.sleep(forTimeInterval: Self.pause)
      }
    }
  }
}
