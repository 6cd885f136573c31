/// What `migrate` does to one database, or did.
public struct MigrationPlan: Sendable, Equatable {
  public struct Step: Sendable, Equatable {
    public enum Kind: String, Sendable, Codable {
      /// Creates a role.
      case role
      /// Creates the schemas and the migrator's own tables.
      case bootstrap
      /// Runs a migration for the first and only time.
      case migration
      /// Applies the current text of functions, views, triggers and grants.
      case object
    }

    public let kind: Kind
    /// A role's name, or the path of a file.
    public let name: String

    public init(kind: Kind, name: String) {
      self.kind = kind
      self.name = name
    }
  }

  /// The schema before; 0 where there was none.
  public let databaseVersion: Int
  /// The schema after: the one of this release.
  public let releaseVersion: Int
  /// In the order in which they are applied.
  public let steps: [Step]

  public var isEmpty: Bool { steps.isEmpty }

  /// The oldest server that has what the SQL needs.
  package static let oldestServer = 140_000

  /// Decides what a database needs.
  ///
  /// - Parameter hashes: SHA-256 of every file of the library, in hexadecimal digits, by path.
  /// - Throws: What stands in the way, before anything was changed.
  package init(
    for facts: DatabaseFacts, library: SQLLibrary, hashes: [String: String]
  ) throws(SchemaError) {
    try Self.checkServer(facts)
    try Self.checkHistory(facts, library: library, hashes: hashes)
    try Self.checkRights(facts)

    let new = library.migrations.filter { facts.migrations[$0.version] == nil }
    // A migration may have dropped what a file made, so after one every file is applied.
    let objects = library.objects.filter {
      !new.isEmpty || facts.objects[$0.path] != hashes[$0.path]
    }
    var steps = facts.missingRoles.map { Step(kind: .role, name: $0) }
    if !facts.hasSchemas || !facts.hasLedger {
      steps.append(Step(kind: .bootstrap, name: library.bootstrap("ledger").path))
    }
    steps += new.map { Step(kind: .migration, name: $0.file.path) }
    steps += objects.map { Step(kind: .object, name: $0.path) }
    self.steps = steps
    databaseVersion = facts.migrations.keys.max() ?? 0
    releaseVersion = library.version
  }

  func names(_ kind: Step.Kind) -> Set<String> {
    Set(steps.lazy.filter { $0.kind == kind }.map(\.name))
  }

  /// Refuses a server or a database that cannot be worked with.
  static func checkServer(_ facts: DatabaseFacts) throws(SchemaError) {
    guard facts.serverVersion >= oldestServer else {
      throw SchemaError(
        .serverTooOld,
        "server is PostgreSQL \(facts.serverVersionText), Rowcast needs 14 or newer",
        hint: "Upgrade the server, or use another one.")
    }
    guard facts.encoding == "UTF8" else {
      throw SchemaError(
        .encoding,
        "database \"\(facts.databaseName)\" is encoded in \(facts.encoding), Rowcast needs UTF8",
        hint: "Create it anew with: create database … encoding 'UTF8' template template0.")
    }
    guard !facts.isStandby else {
      throw SchemaError(
        .standby, "server is a standby, which takes no writes",
        hint: "Connect to the primary (target_session_attrs=read-write finds it).")
    }
  }

  private static func checkHistory(
    _ facts: DatabaseFacts, library: SQLLibrary, hashes: [String: String]
  ) throws(SchemaError) {
    if let newest = facts.migrations.keys.max(), newest > library.version {
      throw SchemaError(
        .newer, "database is at schema \(newest), this release knows \(library.version)",
        hint: "Use the release of Rowcast that migrated it, or a newer one.")
    }
    for migration in library.migrations {
      guard let ran = facts.migrations[migration.version] else { continue }
      guard ran == hashes[migration.file.path] else {
        throw SchemaError(
          .altered, "\(migration.file.path) is not the migration that ran in this database",
          detail: "It ran with SHA-256 \(ran); this release has "
            + "\(hashes[migration.file.path] ?? "none").",
          hint: "Use a release with an unchanged migration; migrations are never edited.")
      }
    }
  }

  private static func checkRights(_ facts: DatabaseFacts) throws(SchemaError) {
    if !facts.mayCreateRoles, !facts.missingRoles.isEmpty || !facts.isAdmin {
      throw rolesNeeded(by: facts)
    }
    if !facts.hasSchemas, !facts.mayCreateSchemas {
      throw SchemaError(
        .rights,
        "user \"\(facts.userName)\" may not create schemas in database \"\(facts.databaseName)\"",
        hint: "Migrate as the owner of the database, or let the owner run: grant create on "
          + "database \(quoted(facts.databaseName)) to \(quoted(facts.userName));")
    }
  }

  /// The error of a user who lacks roles and the right to make them. Its hint is what to run.
  static func rolesNeeded(by facts: DatabaseFacts) -> SchemaError {
    let missing = facts.missingRoles
    let user = quoted(facts.userName)
    let all = [
      ("rowcast_reader", "create role rowcast_reader nologin;"),
      ("rowcast_analyst", "create role rowcast_analyst nologin in role rowcast_reader;"),
      ("rowcast_worker", "create role rowcast_worker nologin;"),
      (
        "rowcast_admin",
        "create role rowcast_admin nologin in role rowcast_analyst, rowcast_worker role \(user);"
      ),
    ]
    var statements = all.filter { missing.contains($0.0) }.map(\.1)
    if !missing.contains("rowcast_admin"), !facts.isAdmin {
      statements.append("grant rowcast_admin to \(user);")
    }
    return SchemaError(
      .roles,
      missing.isEmpty
        ? "user \"\(facts.userName)\" is not a member of rowcast_admin"
        : "user \"\(facts.userName)\" may not create the roles that are missing: "
          + missing.joined(separator: ", "),
      hint: "Let an administrator run:\n" + statements.joined(separator: "\n"))
  }

  /// A name as SQL writes it.
  private static func quoted(_ name: String) -> String {
    let isPlain =
      name.first.map { $0 == "_" || ("a"..."z").contains($0) } ?? false
      && name.allSatisfy { $0 == "_" || ("a"..."z").contains($0) || ("0"..."9").contains($0) }
    return isPlain ? name : "\"\(name.replacing("\"", with: "\"\""))\""
  }
}
