import Postgres
import TestSupport
import Testing

/// A connection that is lost while it commits.
@Suite(.emptyDatabase) struct DoubtTests {
  @Test(arguments: [false, true]) func itIsKnownAfterwardsWhetherItDid(isHeard: Bool) throws {
    let settings = Database.current.settings
    let proxy = try Proxy(to: settings)
    defer { proxy.close() }
    let other = try Connection(settings)
    try other.runScript("create table item (id integer)")
    let connection = try Connection(proxy.settings(settings))
    var doubt: DoubtfulTransaction?
    try connection.transaction(doubt: &doubt) { () throws(PostgresError) in
      _ = try connection.run("insert into item values (1)")
    }
    #expect(doubt == nil)
    proxy.set(.losing(at: ["commit"], isHeard: isHeard))
    #expect(throws: PostgresError.self) {
      try connection.transaction(doubt: &doubt) { () throws(PostgresError) in
        _ = try connection.run("insert into item values (2)")
      }
    }
    #expect(!connection.isUsable)
    // Where it was not heard the server's process waits for the rest of it, until it is told to end.
    let lost = try #require(doubt)
    #expect(try eventually { try other.outcome(of: lost) == (isHeard ? .committed : .undone) })
    #expect(
      try other.run("select count(*) from item").value(0, 0, as: Int64.self) == (isHeard ? 2 : 1))
  }

  /// What fails before its end is undone, and so is what the server refuses at its end.
  @Test func errorsThatWereHeardLeaveNothingOpen() throws {
    let connection = try Database.current.connect()
    try connection.runScript(
      "create table item (id integer unique deferrable initially deferred); insert into item values (1)"
    )
    var doubt: DoubtfulTransaction?
    for text in ["insert into item values (1)", "select 1 / 0"] {
      #expect(throws: PostgresError.self) {
        try connection.transaction(doubt: &doubt) { () throws(PostgresError) in
          _ = try connection.run(Query(text: text))
        }
      }
      #expect(doubt == nil && connection.isUsable)
    }
    let settings = Database.current.settings
    #expect(throws: PostgresError.self) {
      try connection.transaction(doubt: &doubt) { () throws(PostgresError) in
        _ = try connection.run("insert into item values (2)")
        let other = try Connection(settings)
        try other.run("select pg_terminate_backend(\(connection.backendPID))")
        while true { try connection.run("select 1") }
      }
    }
    #expect(doubt == nil && !connection.isUsable)
  }
}
