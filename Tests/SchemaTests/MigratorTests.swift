import Foundation
import Postgres
import Schema
import TestSupport
import Testing

@Suite(.emptyDatabase) struct MigratorTests {
  let library = SQLLibrary.embedded

  @Test func aNewDatabaseGetsEverythingInOrder() throws {
    let plan = try Migrator(Database.current.settings).migrate()

    #expect(plan.databaseVersion == 0)
    #expect(plan.releaseVersion == library.version)
    let paths = plan.steps.filter { $0.kind == .migration || $0.kind == .object }.map(\.name)
    #expect(paths == library.migrations.map(\.file.path) + library.objects.map(\.path))
    let connection = try Database.current.connect()
    #expect(
      try connection.texts("select name from rowcast.schema_migration order by version")
        == library.migrations.map(\.file.name))
    #expect(
      try Set(connection.texts("select path from rowcast.schema_object"))
        == Set(library.objects.map(\.path)))
    #expect(
      try connection.texts("select distinct release from rowcast.schema_migration")
        == [Release.version])
  }

  @Test func migratingAgainChangesNothing() throws {
    let connection = try Database.current.migrated()
    let stamps: Query = """
      select concat(max(m.applied_at), max(o.applied_at), max(o.xmin::text::bigint))
      from rowcast.schema_migration as m, rowcast.schema_object as o
      """
    let before = try connection.value(stamps, as: String.self)

    let plan = try Migrator(Database.current.settings).migrate()

    #expect(plan.isEmpty)
    #expect(plan.databaseVersion == library.version)
    #expect(try connection.value(stamps) == before)
  }

  @Test func aDryRunListsWhatWouldBeDoneAndChangesNothing() throws {
    let migrator = Migrator(Database.current.settings)
    let planned = try migrator.migrate(dryRun: true)

    let connection = try Database.current.connect()
    #expect(
      try connection.value("select to_regnamespace('rowcast') is null", as: Bool.self))
    let done = try migrator.migrate()
    #expect(
      planned.steps.filter { $0.kind != .role } == done.steps.filter { $0.kind != .role })
    #expect(try migrator.migrate(dryRun: true).isEmpty)
  }

  @Test func twentyMigratorsAtOnceAllSucceedAndOneDoesTheWork() async throws {
    let settings = Database.current.settings
    let plans = try await onThreads(20) { _ in try Migrator(settings).migrate() }
      .map { try $0.get() }

    #expect(plans.count == 20)
    #expect(plans.filter { !$0.isEmpty }.count == 1)
    let connection = try Database.current.connect()
    #expect(
      try connection.value("select count(*) from rowcast.schema_migration", as: Int.self)
        == library.version)
  }

  @Test func aNewerDatabaseIsRefusedWithAHint() throws {
    let connection = try Database.current.migrated()
    try connection.run(
      """
      insert into rowcast.schema_migration (version, name, sha256, release)
      values (999, '0999_later', sha256('later'), '9.0.0')
      """)

    let error = #expect(throws: SchemaError.self) {
      try Migrator(Database.current.settings).migrate()
    }
    #expect(error?.code == .newer)
    #expect(
      error?.message == "database is at schema 999, this release knows \(library.version)")
    #expect(error?.hint?.isEmpty == false)
    #expect(throws: SchemaError.self) { try Migrator(Database.current.settings).plan() }
  }

  @Test func workersAreToldToMigrateAnOlderDatabase() throws {
    let empty = try Database.current.connect()
    let none = #expect(throws: SchemaError.self) { try Migrator.requireSchema(on: empty) }
    #expect(none?.message == "database has no schema of Rowcast")

    let connection = try Database.current.migrated()
    try connection.runScript("set role rowcast_worker")
    try Migrator.requireSchema(on: connection)
    try connection.runScript("reset role")
    try connection.run("delete from rowcast.schema_migration where version = \(library.version)")
    let older = #expect(throws: SchemaError.self) { try Migrator.requireSchema(on: connection) }
    #expect(older?.code == .older)
    #expect(
      older?.message
        == "database is at schema \(library.version - 1), this release needs \(library.version)")
    #expect(older?.hint == "Run \"rowcast migrate\".")
    try connection.run(
      """
      insert into rowcast.schema_migration (version, name, sha256, release)
      values (\(library.version), 'a', sha256('a'), '1'), (99, 'b', sha256('b'), '9')
      """)
    try Migrator.requireSchema(on: connection)
  }

  @Test func anEditedMigrationIsRefused() throws {
    _ = try Database.current.migrated()
    let edited = library.editing { file in
      file.path == "migrations/0001_registry.sql"
        ? SQLFile(path: file.path, text: file.text + "\n-- one more line\n") : file
    }

    let error = #expect(throws: SchemaError.self) {
      try Migrator(Database.current.settings, library: edited).migrate()
    }
    #expect(error?.code == .altered)
    #expect(error?.message.contains("migrations/0001_registry.sql") == true)
  }

  @Test func changesThatWereNotCollectedOutliveTheNewLog() throws {
    let later = library.objects.map(\.path) + library.migrations.dropFirst(3).map(\.file.path)
    let earlier = library.editing { later.contains($0.path) ? nil : $0 }
    try Migrator(Database.current.settings, library: earlier).migrate()
    let connection = try Database.current.connect()
    try connection.runScript(
      """
      insert into rowcast.change (slot, op, source_id, key_count, keys)
      values (0, 'K', 7, 2, '{1,2}'), (1, 'K', 7, 1, '{3}');
      update rowcast.change_child set closed_at_xid = '900' where slot = 1;
      """)
    let before = try connection.texts(
      "select concat(slot, xid, at, keys) from rowcast.change order by 1")

    try Migrator(Database.current.settings).migrate()

    #expect(
      try connection.texts("select concat(slot, xid, at, keys) from rowcast.change order by 1")
        == before)
    #expect(
      try connection.value(
        "select closed_at_xid from rowcast.change_child where slot = 1", as: Int64.self) == 900)
    #expect(
      try connection.value("select change_count from rowcast.tick('{}', 1)", as: Int32.self) == 2)
  }

  @Test func onlyTheFileThatChangedIsAppliedAgain() throws {
    let connection = try Database.current.migrated()
    let path = "sql/registry/05_views.sql"
    let edited = library.editing { file in
      file.path == path
        ? SQLFile(
          path: path, text: file.text + "comment on view rowcast.models is 'edited';\n") : file
    }

    let plan = try Migrator(Database.current.settings, library: edited).migrate()

    #expect(plan.steps == [MigrationPlan.Step(kind: .object, name: path)])
    #expect(
      try connection.value("select obj_description('rowcast.models'::regclass)")
        == "edited")
    #expect(try Migrator(Database.current.settings, library: edited).migrate().isEmpty)
  }

  @Test func aMigrationIsFollowedByEveryFile() throws {
    let connection = try Database.current.migrated()
    let path = library.nextMigration("drops_a_view")
    let next = library.adding(SQLFile(path: path, text: "drop view rowcast.alias_history;"))

    let plan = try Migrator(Database.current.settings, library: next).migrate()

    #expect(plan.steps.first == MigrationPlan.Step(kind: .migration, name: path))
    #expect(plan.steps.count == 1 + library.objects.count)
    #expect(
      try connection.value("select to_regclass('rowcast.alias_history') is not null", as: Bool.self)
    )
  }

  @Test func aMigrationThatTheServerRefusesIsNamedAndLeavesNothing() throws {
    let path = library.nextMigration("wrong")
    let wrong = library.adding(
      SQLFile(path: path, text: "create table rowcast.half (a int); select 1 / 0;"))

    let error = #expect(throws: SchemaError.self) {
      try Migrator(Database.current.settings, library: wrong).migrate()
    }

    #expect(error?.code == .refused)
    #expect(error?.message == "\(path): division by zero")
    let connection = try Database.current.connect()
    #expect(try connection.value("select to_regclass('rowcast.half') is null", as: Bool.self))
    #expect(
      try connection.value("select max(version) from rowcast.schema_migration", as: Int.self)
        == library.version)
  }

  @Test func aFileThatTheServerRefusesUndoesTheOthers() throws {
    let connection = try Database.current.migrated()
    let wrong = library.editing { file in
      switch file.path {
      case "sql/registry/02_versions.sql":
        SQLFile(path: file.path, text: file.text + "create table rowcast.half (a int);\n")
      case "sql/registry/05_views.sql":
        SQLFile(path: file.path, text: file.text + "select * from rowcast.nowhere;\n")
      default: file
      }
    }

    let error = #expect(throws: SchemaError.self) {
      try Migrator(Database.current.settings, library: wrong).migrate()
    }

    #expect(error?.message.hasPrefix("sql/registry/05_views.sql: relation") == true)
    #expect(try connection.value("select to_regclass('rowcast.half') is null", as: Bool.self))
  }

  @Test func aMigrationWaitsItsTurnForATable() throws {
    let settings = Database.current.settings
    let holder = try Database.current.migrated()
    let watcher = try Database.current.connect()
    try holder.runScript("begin; lock table rowcast.model in access share mode")
    let next = library.adding(
      SQLFile(
        path: library.nextMigration("adds_a_column"),
        text: "set local lock_timeout = '10ms'; alter table rowcast.model add column extra int;"))

    // Not on the pool, whose threads other tests may block for longer than this one waits.
    let migration = StartedThread {
      try Migrator(settings, library: next).migrate().steps.count
    }
    // The first turn is over when the migrator is idle, holding the migrators' lock alone.
    let deadline = Date(timeIntervalSinceNow: 30)
    while try watcher.value(
      """
      select count(*) from pg_stat_activity
      where application_name = 'rowcast migrate' and datname = current_database()
        and state = 'idle' and query like 'rollback%'
      """, as: Int.self) == 0
    {
      try #require(Date() < deadline)
    }
    try holder.runScript("commit")

    #expect(try migration.value() == 1 + library.objects.count)
  }

  @Test func filesApplyTwiceAndTheirBodiesAreSound() throws {
    let connection = try Database.current.migrated()
    try connection.runScript("set role rowcast_admin; set check_function_bodies = on")
    for _ in 1...2 {
      for file in library.objects {
        #expect(throws: Never.self, "\(file.path)") { try connection.runScript(file.text) }
      }
    }
  }

  @Test func frozenMigrationsAreUnchanged() throws {
    let frozen = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../migrations/FROZEN"), encoding: .utf8)
    let connection = try Database.current.connect()
    var checked = 0
    for line in frozen.split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.split(separator: " ", omittingEmptySubsequences: true)
      try #require(parts.count == 2, "a line is a hash and a file name: \(line)")
      let migration = library.migrations.first { $0.file.path == "migrations/\(parts[1])" }
      let text = try #require(migration, "\(parts[1]) is released, and gone").file.text
      let hash: String = try connection.value(
        "select encode(sha256(convert_to(\(text), 'UTF8')), 'hex')")
      #expect(hash == parts[0], "\(parts[1]) is released: add a migration instead of editing it")
      checked += 1
    }
    #expect(checked > 0)
  }
}
