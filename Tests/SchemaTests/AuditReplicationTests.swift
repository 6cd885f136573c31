import Postgres
import Schema
import TestSupport
import Testing

/// A scorer over a table that logical replication fills.
@Suite struct AuditReplicationTests {
  @Test func rowsThatReplicationBroughtAreFoundAndHealed() throws {
    let server = try TestServer.start(settings: ["wal_level": "logical", "max_connections": "50"])
    defer { TestServer.remove(server) }
    let origin = try Connection(try server.database("origin"))
    try origin.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select g, g from generate_series(1, 100) as g;
      create publication p for table t;
      """)
    let settings = try server.database("target")
    _ = try Migrator(settings).migrate()
    let database = Database(settings: settings, name: "target")
    try Database.$current.withValue(database) {
      let connection = try database.prepared()
      try connection.run("create table t (id int primary key, x real)")
      try connection.run("select rowcast.create_scorer('s', 't', 'double')")
      let lane = try TestLane()
      try lane.settle()

      // Both databases are on one server, where creating a subscription would wait for itself.
      try origin.run("select pg_create_logical_replication_slot('s', 'pgoutput')")
      let host = try #require(settings["host"])
      let user = try #require(settings["user"])
      try connection.runScript(
        """
        create subscription s connection 'host=\(host) user=\(user) dbname=origin'
        publication p with (create_slot = false, slot_name = 's')
        """)
      defer {
        try? connection.runScript(
          "alter subscription s disable; alter subscription s set (slot_name = none); "
            + "drop subscription s")
        _ = try? origin.run("select pg_drop_replication_slot('s')")
      }
      #expect(
        try eventually { try connection.value("select count(*) = 100 from t", as: Bool.self) })
      try lane.settle()
      // The first copy is made of statements, which do not fire for replicas either.
      let copied = try AuditTests.audit(connection, repair: true)
      #expect(copied.missing == 100)
      try lane.settle()

      try origin.runScript(
        """
        insert into t values (101, 1), (102, 2);
        update t set x = 1000 where id between 10 and 14;
        delete from t where id between 20 and 22;
        """)
      #expect(
        try eventually { try connection.value("select not exists (select from t where id = 22)") })
      try connection.tick()
      #expect(try lane.work() == 0)
      let found = try AuditTests.audit(connection, repair: true)
      #expect(
        found
          == .init(rows: 99, scored: 97, missing: 2, orphaned: 3, stale: 5, isConsistent: false))
      try lane.settle()
      #expect(try AuditTests.audit(connection) == .init(rows: 99, scored: 99))
      #expect(try connection.value("select test.difference('t', 's', 'id')") == "")
    }
  }
}
