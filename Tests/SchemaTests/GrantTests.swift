import Postgres
import Schema
import TestSupport
import Testing

/// Rights on single scorers and models, and predictions that follow the rights on their source.
@Suite(.database) struct GrantTests {
  private let role = "guest_\(Database.current.name)"

  private func withGuest(_ body: (_ admin: Connection, _ guest: Connection) throws -> Void) throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      create table u (id int primary key, x real);
      insert into t values (1, 1); insert into u values (1, 1);
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.create_scorer('other', 'u', 'double');
      create role \(role);
      """)
    defer { try? connection.runScript("drop owned by \(role); drop role \(role)") }
    try TestLane().settle()
    let guest = try Database.current.connect()
    defer { guest.close() }
    try guest.runScript("set role \(role)")
    try body(connection, guest)
  }

  private func states(_ connection: Connection, _ queries: [Query]) -> [String?] {
    queries.map { connection.refusal(of: $0)?.sqlState }
  }

  @Test func aScorerIsOpenedToOneRole() throws {
    try withGuest { admin, guest in
      let reading: [Query] = [
        "select * from predictions.s", "select * from predictions.s_failure",
        "call rowcast.wait('s', '1 second')", "select * from rowcast.my_scorers",
      ]
      let managing: [Query] = [
        "select rowcast.pause_scorer('s')", "select rowcast.resume_scorer('s')",
        "select rowcast.rescore('s')", "select rowcast.audit('s', true)",
        "select rowcast.set_audit('s', '2 days')",
      ]
      let denied = Set(["42501"])
      #expect(Set(states(guest, reading + managing)) == denied)
      try admin.run("select rowcast.grant_scorer('s', \(role))")
      #expect(Set(states(guest, reading)) == [nil])
      #expect(Set(states(guest, managing)) == denied)
      #expect(try guest.texts("select name from rowcast.my_scorers") == ["s"])
      try admin.run("select rowcast.grant_scorer('s', \(role), 'manage')")
      #expect(Set(states(guest, reading + managing).dropFirst(3)) == [nil])
      // Of no other scorer, and nothing else.
      for query: Query in [
        "select rowcast.pause_scorer('other')", "select rowcast.rescore('other')",
        "select rowcast.audit('other')", "select rowcast.set_audit('other', null)",
        "call rowcast.wait('other')", "select * from predictions.other",
        "select rowcast.drop_scorer('s')", "select * from rowcast.scorer_status",
        "select rowcast.grant_scorer('s', 'postgres')",
      ] {
        #expect(guest.refusal(of: query)?.sqlState == "42501", "\(query)")
      }
      #expect(
        try admin.texts(
          "select format('%s %s %s', kind, name, privilege) from rowcast.grants order by 1")
          == ["scorer s manage", "scorer s read"])
      try admin.run("select rowcast.revoke_scorer('s', \(role), 'manage')")
      #expect(Set(states(guest, managing)) == denied)
      #expect(states(guest, [reading[0]]) == [nil])
      try admin.run("select rowcast.revoke_scorer('s', \(role))")
      #expect(Set(states(guest, reading + managing)) == denied)
    }
  }

  @Test func aModelIsOpenedToOneRole() throws {
    try withGuest { admin, guest in
      try admin.run("select test.model('twice', '[]', '[]')")
      let push: Query = "select rowcast.register_model('double', 'more'::bytea)"
      #expect(guest.refusal(of: push)?.sqlState == "42501")
      try admin.run("select rowcast.grant_model('double', \(role))")
      #expect(try guest.value(push, as: Int32.self) == 2)
      #expect(
        guest.refusal(of: "select rowcast.set_alias('double', 'champion', 2)")?.sqlState == "RC103")
      let other = guest.refusal(of: "select rowcast.register_model('twice', 'more'::bytea)")
      #expect(other?.sqlState == "42501")
      #expect(other?.message == "permission denied for model \"twice\"")
      #expect(
        guest.refusal(of: "select rowcast.register_model('new', 'more'::bytea)")?.sqlState
          == "42501")
      #expect(
        guest.refusal(of: "select rowcast.set_alias('twice', 'champion', 1)")?.sqlState == "42501")
      #expect(guest.refusal(of: "select rowcast.drop_model('double')")?.sqlState == "42501")
      try admin.run("select rowcast.revoke_model('double', \(role))")
      #expect(guest.refusal(of: push)?.sqlState == "42501")
    }
  }

  @Test func readersHaveOnlyWhatWasGrantedBeyond() throws {
    try withGuest { admin, guest in
      try admin.runScript("grant rowcast_reader to \(role)")
      try admin.run("select rowcast.grant_scorer('s', \(role), 'manage')")
      #expect(
        states(guest, ["select rowcast.pause_scorer('s')", "call rowcast.wait('other')"]) == [
          nil, nil,
        ])
      #expect(guest.refusal(of: "select rowcast.pause_scorer('other')")?.sqlState == "42501")
      // A member of the role has its grants.
      let member = "member_\(Database.current.name)"
      try admin.runScript("create role \(member); grant \(role) to \(member)")
      defer { try? admin.runScript("drop role \(member)") }
      try guest.runScript("reset role; set role \(member)")
      #expect(states(guest, ["select rowcast.resume_scorer('s')"]) == [nil])
    }
  }

  @Test func whatCannotBeGrantedIsRefused() throws {
    try withGuest { admin, _ in
      for (query, state): (Query, String) in [
        ("select rowcast.grant_scorer('s', 'nobody_here')", "42704"),
        ("select rowcast.grant_scorer('s', 'rowcast_reader')", "RC303"),
        ("select rowcast.grant_scorer('s', \(role), 'own')", "RC303"),
        ("select rowcast.grant_scorer('none', \(role))", "RC306"),
        ("select rowcast.grant_model('none', \(role))", "RC101"),
        ("select rowcast.grant_model('double', \(role), 'read')", "RC303"),
      ] {
        #expect(admin.refusal(of: query)?.sqlState == state, "\(query)")
      }
    }
  }

  @Test func protectedPredictionsFollowTheSource() throws {
    try withGuest { admin, guest in
      try admin.runScript(
        """
        grant rowcast_reader to \(role);
        insert into t values (2, 2), (3, null);
        """)
      let lane = try TestLane()
      try lane.settle()
      #expect(try guest.numbers("select id from predictions.s order by 1") == [1, 2])
      try admin.run("select rowcast.protect_predictions('s')")
      // Who may not read the source is refused.
      #expect(guest.refusal(of: "select * from predictions.s")?.sqlState == "42501")
      try admin.runScript("grant select on t to \(role)")
      #expect(try guest.numbers("select id from predictions.s order by 1") == [1, 2])
      #expect(try guest.numbers("select id from predictions.s_failure") == [3])
      // Work goes on, without COPY.
      try admin.runScript("insert into t values (4, 4); delete from t where id = 1")
      try lane.settle()
      try admin.run("select rowcast.rescore('s')")
      try admin.run("select rowcast.make_job_chunks(1, 1)")
      let chunk = try lane.claim()[0]
      #expect(
        try lane.connection.value(
          "select rowcast.begin_write(\(chunk.chunk), \(chunk.attempt), false)") == false)
      try lane.read(chunk)
      try lane.write(chunk)
      try lane.settle()
      #expect(try admin.value("select test.difference('t', 's', 'id')") == "")
      #expect(try guest.numbers("select id from predictions.s order by 1") == [2, 4])
      try admin.runScript("revoke select on t from \(role)")
      try admin.run("select rowcast.protect_predictions('s', false)")
      #expect(try guest.numbers("select id from predictions.s order by 1") == [2, 4])
    }
  }
}

/// A source with row security. It needs a role attribute that all databases of a server share.
@Suite struct RowSecurityTests {
  @Test func hiddenRowsHideTheirPredictions() throws {
    let server = try TestServer.start(settings: ["max_connections": "50"])
    defer { TestServer.remove(server) }
    let settings = try server.database("secure")
    _ = try Migrator(settings).migrate()
    try Database.$current.withValue(Database(settings: settings, name: "secure")) {
      let connection = try Database.current.prepared()
      try connection.runScript(
        """
        create table t (id int, owner name, x real, primary key (id, owner));
        alter table t enable row level security;
        create policy mine on t using (owner = current_user);
        create role ann; create role bob; grant rowcast_reader to ann, bob;
        grant select on t to ann, bob;
        insert into t values (1, 'ann', 1), (2, 'bob', 2), (3, 'bob', null);
        """)
      let create: Query = "select rowcast.create_scorer('s', 't', 'double')"
      let refusal = connection.refusal(of: create)
      #expect(refusal?.sqlState == "RC301")
      #expect(refusal?.hint?.contains("alter role rowcast_admin bypassrls") == true)
      try connection.run("alter role rowcast_admin bypassrls")
      try connection.run(create)
      try TestLane().settle()

      let reader = try Database.current.connect()
      for (name, keys, failures) in [("ann", [1], []), ("bob", [2], [3])]
        as [(String, [Int], [Int])]
      {
        try reader.runScript("set role \(name)")
        #expect(try reader.numbers("select id from predictions.s") == keys)
        #expect(try reader.numbers("select id from predictions.s_failure") == failures)
        try reader.runScript("reset role")
      }
      #expect(try AuditTests.audit(connection).isConsistent)
      #expect(
        connection.refusal(of: "select rowcast.protect_predictions('s', false)")?.sqlState
          == "RC301")

      // Where it is switched on later, the scorer waits until its predictions are protected.
      try connection.runScript(
        """
        create table later (id int primary key, x real);
        insert into later values (1, 1);
        select rowcast.create_scorer('l', 'later', 'double');
        alter table later enable row level security;
        """)
      #expect(try connection.value("select rowcast.watch_definitions()", as: Int32.self) == 1)
      #expect(
        try connection.texts("select state_reason from rowcast.scorer_status where name = 'l'")
          == ["source \"public.later\" has row security, and predictions.l has none"])
      try connection.run("select rowcast.protect_predictions('l')")
      #expect(try connection.texts("select rowcast.check_suspended()") == ["l"])
      try TestLane().settle()
      #expect(try connection.value("select test.difference('later', 'l', 'id')") == "")
    }
  }
}
