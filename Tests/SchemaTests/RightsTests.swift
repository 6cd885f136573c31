import Postgres
import Schema
import TestSupport
import Testing

/// What each role may do, and what nobody may.
@Suite(.database) struct RightsTests {
  enum Role: String, CaseIterable, Sendable {
    case admin = "rowcast_admin"
    case analyst = "rowcast_analyst"
    case worker = "rowcast_worker"
    case reader = "rowcast_reader"
    /// A login that was given none of the four.
    case stranger = "pg_monitor"
  }

  struct Deed: Sendable {
    let statement: String
    let allowed: Set<Role>

    init(_ statement: String, _ allowed: Role...) {
      self.statement = statement
      self.allowed = Set(allowed)
    }
  }

  static let deeds = [
    Deed("select * from rowcast.models", .admin, .analyst, .worker, .reader),
    Deed("select * from rowcast.model_versions", .admin, .analyst, .worker, .reader),
    Deed("select * from rowcast.signatures", .admin, .analyst, .worker, .reader),
    Deed("select * from rowcast.aliases", .admin, .analyst, .worker, .reader),
    Deed("select * from rowcast.alias_history", .admin, .analyst, .worker, .reader),
    Deed("select version from rowcast.schema_migration", .admin, .analyst, .worker, .reader),
    Deed("select * from predictions.churn", .admin, .analyst, .worker, .reader),
    Deed("insert into predictions.churn values (2)", .admin, .worker),
    Deed("update predictions.churn set id = 3", .admin, .worker),
    Deed("delete from predictions.churn", .admin, .worker),
    Deed("truncate predictions.churn", .admin),
    Deed("drop table predictions.churn", .admin),
    Deed("create table predictions.mine (id int)", .admin),
    Deed("create table rowcast.mine (id int)", .admin),
    Deed("select * from rowcast.model", .admin),
    Deed("select * from rowcast.model_part", .admin),
    Deed("select * from rowcast.golden_row", .admin),
    Deed("update rowcast.alias set version = 7", .admin),
    Deed(
      "insert into rowcast.schema_migration values (99, 'x', sha256('x'), now(), 'x', 'x')", .admin),
    Deed("select rowcast.register_model('m', 'tree'::bytea)", .admin, .analyst),
    Deed("select rowcast.set_alias('churn', 'champion', 1)", .admin, .analyst),
    Deed("select rowcast.drop_model('churn')", .admin, .analyst),
    Deed("call rowcast.wait_for_model('churn', 1)", .admin, .analyst),
    Deed("select * from rowcast.models_to_inspect()", .admin, .worker),
    Deed("select * from rowcast.load_model(1, 1)", .admin, .worker),
    Deed("select * from rowcast.golden_rows(1, 1)", .admin, .worker),
    Deed("select * from rowcast.resolve_models('{churn}', 'champion')", .admin, .worker),
    Deed("select rowcast.record_inspection(1, 1, null, 'no')", .admin, .worker),
    Deed("select rowcast.move_alias(1, 'champion', 1)", .admin),
    Deed("select rowcast.bump_registry()", .admin),
  ]

  @Test func everyDeedIsForSomeRolesOnly() throws {
    let connection = try Database.current.connect()
    try connection.runScript("set role rowcast_admin; create table predictions.churn (id int)")
    try connection.run("select rowcast.register_model('churn', 'tree'::bytea)")
    try connection.run(
      "select rowcast.record_inspection(1, 1, \(RegistryTests.signature), null)")
    try connection.runScript("reset role")

    for deed in Self.deeds {
      for role in Role.allCases {
        try connection.runScript("begin; set local role \(role.rawValue)")
        let refusal = connection.refusal(of: Query(text: deed.statement))
        try connection.runScript("rollback")
        #expect(
          refusal?.sqlState == (deed.allowed.contains(role) ? nil : "42501"),
          "\(role.rawValue): \(deed.statement): \(refusal?.message ?? "allowed")")
      }
    }
  }

  @Test func nothingIsGrantedToThePublic() throws {
    let connection = try Database.current.connect()
    #expect(
      try connection.texts(
        """
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and has_function_privilege('public', p.oid, 'execute')
        union all
        select c.oid::regclass::text from pg_class as c, aclexplode(c.relacl) as g
        where c.relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace)
          and g.grantee = 0
        union all
        select n.nspname from pg_namespace as n, aclexplode(n.nspacl) as g
        where n.nspname in ('rowcast', 'predictions') and g.grantee = 0
        """) == [])
  }

  @Test func everyFunctionWithItsOwnersRightsPinsItsSearchPath() throws {
    let connection = try Database.current.connect()
    #expect(
      try connection.texts(
        """
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace and p.prosecdef
          and coalesce(array_to_string(p.proconfig, ';'), '')
              not like '%search_path=pg_catalog, pg_temp%'
        """) == [])
  }

  @Test func everythingBelongsToTheAdministrators() throws {
    let connection = try Database.current.connect()
    #expect(
      try connection.texts(
        """
        select distinct owner::regrole::text from (
            select relowner from pg_class
            where relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace)
            union all
            select proowner from pg_proc where pronamespace = 'rowcast'::regnamespace
            union all
            select typowner from pg_type where typnamespace = 'rowcast'::regnamespace
            union all
            select nspowner from pg_namespace where nspname in ('rowcast', 'predictions')
        ) as o (owner)
        """) == ["rowcast_admin"])
  }

  @Test func everythingIsExplained() throws {
    let connection = try Database.current.connect()
    #expect(
      try connection.texts(
        """
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p', 'v')
          and not c.relispartition and obj_description(c.oid, 'pg_class') is null
        union all
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and obj_description(p.oid, 'pg_proc') is null
        """) == [])
  }
}
