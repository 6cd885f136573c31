public import Postgres

/// Brings a database to the schema of this release.
///
/// Any number of migrators may run at once, on any hosts: an advisory lock lets one work while the
/// others wait and then find nothing to do. Each migration is a transaction of its own; functions,
/// views and grants are applied in one. Locks on tables are waited for in short turns, so that a
/// migration never queues up the database's other users behind itself.
public struct Migrator: Sendable {
  private let settings: ConnectionSettings
  let library: SQLLibrary

  public init(_ settings: ConnectionSettings) {
    self.init(settings, library: .embedded)
  }

  package init(_ settings: ConnectionSettings, library: SQLLibrary) {
    self.settings = settings.setting("application_name", to: "rowcast migrate")
    self.library = library
  }

  /// What `migrate` would do now. Waits for nobody and changes nothing.
  ///
  /// - Throws: `SchemaError` for what stands in the way; `PostgresError` for the connection.
  public func plan() throws -> MigrationPlan {
    let connection = try Connection(settings)
    defer { connection.close() }
    return try examine(connection).plan
  }

  /// Applies what is missing, and returns what that was.
  ///
  /// - Throws: `SchemaError`, with the file at fault in its message where the server refused one;
  ///   `PostgresError` for the connection. Migrations before the one at fault stay applied.
  @discardableResult
  public func migrate(dryRun: Bool = false) throws -> MigrationPlan {
    if dryRun { return try plan() }
    let connection = try Connection(settings)
    defer { connection.close() }
    // What would cut short the wait for another migrator, or this one's own work.
    try connection.runScript(
      """
      set client_min_messages = warning; set lock_timeout = 0; set statement_timeout = 0;
      set idle_in_transaction_session_timeout = 0
      """)
    // A database that cannot be migrated is refused before the wait.
    _ = try examine(connection)
    try connection.run("select pg_advisory_lock(\(AdvisoryKey.space), \(AdvisoryKey.migrator))")
    let (facts, plan) = try examine(connection)
    if !plan.isEmpty {
      try apply(plan, to: connection, facts: facts)
    }
    return plan
  }

  private func examine(_ connection: Connection) throws -> (
    facts: DatabaseFacts, plan: MigrationPlan
  ) {
    let facts = try DatabaseFacts(reading: connection, library: library)
    try MigrationPlan.checkServer(facts)
    let plan = try MigrationPlan(for: facts, library: library, hashes: hashes(by: connection))
    return (facts, plan)
  }

  private func apply(
    _ plan: MigrationPlan, to connection: Connection, facts: DatabaseFacts
  ) throws {
    if !plan.names(.role).isEmpty || !facts.isAdmin {
      try run(library.bootstrap("roles"), on: connection) { error in
        error.sqlState == "42501" ? MigrationPlan.rolesNeeded(by: facts) : nil
      }
    }
    if !facts.hasSchemas {
      try run(library.bootstrap("schemas"), on: connection)
    }
    do throws(PostgresError) {
      try connection.runScript("set role rowcast_admin")
    } catch {
      throw SchemaError(
        .roles, error.message, hint: MigrationPlan.rolesNeeded(by: facts).hint)
    }
    if !facts.hasLedger {
      try run(library.bootstrap("ledger"), on: connection)
    }
    let migrations = plan.names(.migration)
    for migration in library.migrations where migrations.contains(migration.file.path) {
      try run(migration, on: connection)
    }
    let objects = plan.names(.object)
    try run(library.objects.filter { objects.contains($0.path) }, on: connection)
  }
}
