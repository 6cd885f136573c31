import Schema
import Testing

/// What the migrator decides, without a server.
@Suite struct MigrationPlanTests {
  let library = SQLLibrary([
    SQLFile(path: "migrations/0001_first.sql", text: "select 1"),
    SQLFile(path: "migrations/0002_second.sql", text: "select 2"),
    SQLFile(path: "sql/bootstrap/ledger.sql", text: ""),
    SQLFile(path: "sql/pipeline/tick.sql", text: ""),
    SQLFile(path: "sql/registry/views.sql", text: ""),
  ])
  let hashes = [
    "migrations/0001_first.sql": "01", "migrations/0002_second.sql": "02",
    "sql/pipeline/tick.sql": "a1", "sql/registry/views.sql": "b1",
  ]

  /// An empty database of a user who owns it and may create roles.
  var facts: DatabaseFacts {
    var facts = DatabaseFacts()
    facts.serverVersion = 150_004
    facts.serverVersionText = "15.4"
    facts.databaseName = "shop"
    facts.userName = "owner"
    facts.mayCreateRoles = true
    facts.mayCreateSchemas = true
    facts.missingRoles = ["rowcast_reader", "rowcast_analyst", "rowcast_worker", "rowcast_admin"]
    return facts
  }

  func refusal(_ change: (inout DatabaseFacts) -> Void) -> SchemaError? {
    var changed = facts
    change(&changed)
    return #expect(throws: SchemaError.self) {
      try MigrationPlan(for: changed, library: library, hashes: hashes)
    }
  }

  @Test func theRegistryIsAppliedBeforeThePipeline() throws {
    let plan = try MigrationPlan(for: facts, library: library, hashes: hashes)
    #expect(
      plan.steps.map(\.name) == [
        "rowcast_reader", "rowcast_analyst", "rowcast_worker", "rowcast_admin",
        "sql/bootstrap/ledger.sql", "migrations/0001_first.sql", "migrations/0002_second.sql",
        "sql/registry/views.sql", "sql/pipeline/tick.sql",
      ])
  }

  @Test func onlyWhatChangedIsApplied() throws {
    var facts = facts
    facts.missingRoles = []
    facts.isAdmin = true
    facts.hasSchemas = true
    facts.hasLedger = true
    facts.migrations = [1: "01", 2: "02"]
    facts.objects = ["sql/registry/views.sql": "b1", "sql/pipeline/tick.sql": "old"]
    let plan = try MigrationPlan(for: facts, library: library, hashes: hashes)
    #expect(plan.steps == [MigrationPlan.Step(kind: .object, name: "sql/pipeline/tick.sql")])
  }

  @Test(arguments: [(130_012, "13.12"), (90_624, "9.6.24")])
  func anOldServerIsRefused(version: Int, text: String) {
    let error = refusal {
      $0.serverVersion = version
      $0.serverVersionText = text
    }
    #expect(error?.code == .serverTooOld)
    #expect(error?.message == "server is PostgreSQL \(text), Rowcast needs 14 or newer")
  }

  @Test(arguments: ["SQL_ASCII", "LATIN1"])
  func anEncodingThatCannotHoldEveryTextIsRefused(encoding: String) {
    let error = refusal { $0.encoding = encoding }
    #expect(error?.code == .encoding)
    #expect(error?.message == "database \"shop\" is encoded in \(encoding), Rowcast needs UTF8")
  }

  @Test func aStandbyIsRefused() {
    #expect(refusal { $0.isStandby = true }?.code == .standby)
  }

  @Test func whoMayNotCreateRolesIsGivenTheStatements() {
    let error = refusal {
      $0.mayCreateRoles = false
      $0.userName = "Shop Owner"
    }
    #expect(error?.code == .roles)
    #expect(
      error?.hint == """
        Let an administrator run:
        create role rowcast_reader nologin;
        create role rowcast_analyst nologin in role rowcast_reader;
        create role rowcast_worker nologin;
        create role rowcast_admin nologin in role rowcast_analyst, rowcast_worker role "Shop Owner";
        """)
  }

  @Test func whoIsNoMemberIsGivenTheGrant() {
    let error = refusal {
      $0.mayCreateRoles = false
      $0.missingRoles = []
    }
    #expect(error?.message == "user \"owner\" is not a member of rowcast_admin")
    #expect(error?.hint == "Let an administrator run:\ngrant rowcast_admin to owner;")
  }

  @Test func whoMayNotCreateSchemasIsGivenTheGrant() {
    let error = refusal { $0.mayCreateSchemas = false }
    #expect(error?.code == .rights)
    #expect(error?.hint?.contains("grant create on database shop to owner;") == true)
  }
}
