import Postgres
import Schema
import TestSupport
import Testing

/// The security report: red is found, each with a remedy, and what cannot be looked at is said.
@Suite struct SecurityReportTests {
  private func withServer(_ body: (Connection) throws -> Void) throws {
    // Roles and rules of connection belong to a server, so this one is the test's own.
    let server = try TestServer.start(settings: ["max_connections": "30"])
    defer { TestServer.remove(server) }
    let settings = try server.database("report")
    _ = try Migrator(settings).migrate()
    try Database.$current.withValue(Database(settings: settings, name: "report")) {
      try body(try Database.current.prepared())
    }
  }

  private func findings(_ connection: Connection) throws -> [String] {
    try connection.texts(
      "select format('%s %s %s: %s', level, topic, subject, finding) from rowcast.security_report")
  }

  @Test func whatIsRedIsNamedWithARemedy() throws {
    try withServer { connection in
      try connection.runScript(
        """
        revoke connect on database report from public; revoke create on schema public from public;
        """)
      let before = Set(try findings(connection))
      #expect(
        before.filter { !$0.contains("pg_hba.conf") } == [
          "red models double, version 1: alias \"champion\" points at it, and no golden rows prove "
            + "that it scores here as where it was trained"
        ])
      try connection.runScript(
        """
        set password_encryption = 'scram-sha-256';
        create role guessed login password 'rowcast'; grant rowcast_worker to guessed;
        create role named login password 'named'; grant rowcast_reader to named;
        create role long login password 'k3!kd92ndk2-kd92ndk2'; grant rowcast_reader to long;
        create role elsewhere login password 'rowcast';
        set password_encryption = 'md5';
        create role old login password 'password'; grant rowcast_analyst to old;
        create role everything login; grant rowcast_worker, rowcast_admin to everything;
        grant execute on function rowcast.rescore(text, boolean) to public;
        grant usage on schema predictions to public;
        grant create on schema public to public;
        set role rowcast_admin;
        create function rowcast.unpinned() returns int language sql security definer as 'select 1';
        reset role;
        create table t (id int primary key, x real);
        select rowcast.create_scorer('s', 't', 'double');
        """)
      let after = Set(try findings(connection)).subtracting(before)
      #expect(
        after == [
          "red passwords guessed: its password is among the first that anybody tries",
          "red passwords named: its password is among the first that anybody tries",
          "red passwords old: its password is among the first that anybody tries",
          "yellow passwords old: its password is stored as MD5",
          "yellow roles everything: it is a worker, and may administer Rowcast too",
          "red grants function rowcast.rescore(text,boolean): everybody has execute on it",
          "red grants schema predictions: everybody has usage on it",
          "yellow grants schema public: everybody may create objects in it",
          "red functions rowcast.unpinned(): "
            + "it runs with its owner's rights and without a search_path of its own",
          "yellow predictions predictions.s: "
            + "long, named, old may read it and not its source public.t",
        ])
      // A remedy that is a statement ends what it is for.
      try connection.runScript(
        """
        do $$ declare cure record; begin
            for cure in select remedy from rowcast.security_report
                        where topic in ('grants', 'functions', 'roles') loop
                execute cure.remedy;
            end loop;
            perform rowcast.protect_predictions('s');
        end $$
        """)
      #expect(
        try findings(connection).filter {
          !$0.contains(" passwords ") && !$0.contains("pg_hba.conf") && !$0.contains(" models ")
        } == [])
    }
  }

  @Test func whoMayNotLookIsTold() throws {
    try withServer { connection in
      try connection.runScript("set role rowcast_analyst")
      let found = try findings(connection)
      #expect(found.contains("unknown passwords roles: passwords cannot be looked at by this role"))
      #expect(
        found.contains(
          "unknown connections pg_hba.conf: its rules cannot be looked at by this role"))
      #expect(
        try connection.value(
          "select count(*) from rowcast.security_report where remedy is null or level is null")
          == 0)
    }
  }

  @Test(arguments: ["", "a", "Grüße", "seventeen letters"])
  func scramSecretsAreRead(password: String) throws {
    try withServer { connection in
      try connection.runScript("set password_encryption = 'scram-sha-256'")
      // PostgreSQL stores no empty password.
      let given = password.isEmpty ? "x" : password
      try connection.runScript("create role r login password '\(given)'")
      let matches: Query = """
        select rowcast.scram_matches(rolpassword, \(given)) from pg_authid where rolname = 'r'
        """
      #expect(try connection.value(matches) == true)
      let other: Query = """
        select rowcast.scram_matches(rolpassword, \(given + "x")) from pg_authid where rolname = 'r'
        """
      #expect(try connection.value(other) == false)
    }
  }
}
