import Postgres
import Schema
import TestSupport
import Testing

/// Migrating as a database's owner who is no superuser. Roles belong to a server, so each test has
/// one for itself.
@Suite struct OwnershipTests {
  /// A server with the login role `owner`, who owns the empty database `shop`.
  private struct Scene {
    let server: LocalServer
    let administrator: Connection
    let owner: ConnectionSettings

    init(ownerHas attributes: String) throws {
      server = try TestServer.start()
      administrator = try Connection(server.settings)
      try administrator.runScript("create role owner login \(attributes)")
      try administrator.runScript("create database shop owner owner")
      owner = try server.database("shop").setting("user", to: "owner")
    }

    func end() {
      administrator.close()
      TestServer.remove(server)
    }

    /// Every object is rowcast_admin's, and the owner can do what an analyst does.
    func expectInstalled() throws {
      let connection = try Connection(owner)
      defer { connection.close() }
      #expect(
        try connection.texts(
          """
          select distinct c.relowner::regrole::text from pg_class as c
          where c.relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace)
          union select p.proowner::regrole::text from pg_proc as p
          where p.pronamespace = 'rowcast'::regnamespace
          """) == ["rowcast_admin"])
      #expect(
        try connection.value(
          "select rowcast.register_model('churn', 'tree'::bytea)", as: Int32.self) == 1)
    }
  }

  @Test func anOwnerWithCreateroleMakesTheRoles() throws {
    let scene = try Scene(ownerHas: "createrole")
    defer { scene.end() }

    let plan = try Migrator(scene.owner).migrate()

    #expect(plan.steps.filter { $0.kind == .role }.count == 4)
    try scene.expectInstalled()
    #expect(
      try scene.administrator.texts(
        """
        select concat(roleid::regrole, ' to ', member::regrole) from pg_auth_members
        where roleid::regrole::text like 'rowcast%' order by 1
        """) == [
          "rowcast_admin to owner", "rowcast_analyst to rowcast_admin",
          "rowcast_reader to rowcast_analyst", "rowcast_worker to rowcast_admin",
        ])
    #expect(try Migrator(scene.owner).migrate().isEmpty)
  }

  @Test func anOwnerWithoutItGetsTheStatementsAndProceedsWhenTheyRan() throws {
    let scene = try Scene(ownerHas: "")
    defer { scene.end() }

    let error = #expect(throws: SchemaError.self) { try Migrator(scene.owner).migrate() }

    #expect(error?.code == .roles)
    let statements = try #require(error?.hint).split(separator: "\n").dropFirst()
    #expect(statements.count == 4)
    try scene.administrator.runScript(statements.joined(separator: "\n"))
    #expect(try Migrator(scene.owner).migrate().steps.allSatisfy { $0.kind != .role })
    try scene.expectInstalled()
  }

  @Test func bareRolesWillDoAndAnalystsStillReadWhatReadersRead() throws {
    let scene = try Scene(ownerHas: "")
    defer { scene.end() }
    try scene.administrator.runScript(
      """
      create role rowcast_reader; create role rowcast_analyst; create role rowcast_worker;
      create role rowcast_admin role owner; create role anna login in role rowcast_analyst
      """)

    try Migrator(scene.owner).migrate()

    try scene.expectInstalled()
    let owner = try Connection(scene.owner)
    try owner.runScript("set role rowcast_admin; create table predictions.churn (id int)")
    let analyst = try Connection(scene.owner.setting("user", to: "anna"))
    #expect(analyst.refusal(of: "select * from rowcast.models") == nil)
    #expect(analyst.refusal(of: "select * from predictions.churn") == nil)
    owner.close()
    analyst.close()
  }

  @Test func whoIsNoMemberOfTheRolesIsRefused() throws {
    let scene = try Scene(ownerHas: "")
    defer { scene.end() }
    try scene.administrator.runScript(
      """
      create role rowcast_reader; create role rowcast_analyst; create role rowcast_worker;
      create role rowcast_admin
      """)
    let error = #expect(throws: SchemaError.self) { try Migrator(scene.owner).migrate() }
    #expect(error?.code == .roles)
    #expect(error?.hint?.contains("grant rowcast_admin to owner;") == true)
  }

  @Test func whoOwnsNothingIsRefused() throws {
    let scene = try Scene(ownerHas: "createrole")
    defer { scene.end() }
    let settings = scene.owner.setting("dbname", to: "postgres")
    let error = #expect(throws: SchemaError.self) { try Migrator(settings).migrate() }
    #expect(error?.code == .rights)
  }

  @Test func aDatabaseOfAnotherEncodingIsRefused() throws {
    let scene = try Scene(ownerHas: "")
    defer { scene.end() }
    try scene.administrator.run(
      "create database old encoding 'LATIN1' locale 'C' template template0")
    let error = #expect(throws: SchemaError.self) {
      try Migrator(scene.server.database("old")).plan()
    }
    #expect(error?.code == .encoding)
  }
}
