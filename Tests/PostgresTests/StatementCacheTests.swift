import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct StatementCacheTests {
  private func prepared(_ connection: Connection) throws -> Int {
    var count = 0
    try connection.transaction { () throws(PostgresError) in
      count = try connection.run("select count(*) from pg_prepared_statements")
        .value(0, 0, as: Int.self)
    }
    return count
  }

  @Test func aStatementIsPreparedWhenItComesAgain() throws {
    let connection = try Database.current.connect()
    #expect(try prepared(connection) == 0)
    try connection.run("select 'once'")
    for id in 0..<10 { try connection.run("select \(id)") }
    try connection.run("select \("other type")")
    let names = try connection.run(
      "select statement from pg_prepared_statements where statement like 'select $%'")
    #expect(names.count == 1)
  }

  @Test func aChangedTableIsReadAnew() throws {
    let connection = try Database.current.connect()
    let other = try Database.current.connect()
    try connection.run("create table t (a int)")
    try connection.run("insert into t values (1)")
    for _ in 0..<4 { try connection.run("select * from t") }
    try other.run("alter table t add b text default 'new'")
    #expect(try connection.run("select * from t").value(0, "b", as: String.self) == "new")
    try other.run("alter table t alter a type int8")
    #expect(try connection.run("select * from t").columns[0].typeOID == .int8)
    for _ in 0..<3 { try connection.run("select * from t") }
    try other.run("alter table t drop b")
    let rows = try connection.pipeline(["insert into t values (2)", "select * from t"])
    #expect(rows[1].columns.count == 1)
    // The retry has not inserted twice.
    #expect(try connection.run("select count(*) from t").value(0, 0, as: Int.self) == 2)
  }

  @Test func insideATransactionTheErrorIsThrownOnce() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int)")
    for _ in 0..<3 { try connection.run("select * from t") }
    try connection.run("alter table t add b int")
    let error = #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in
        try connection.run("select * from t")
      }
    }
    #expect(error?.sqlState == "0A000")
    try connection.transaction { () throws(PostgresError) in
      #expect(try connection.run("select * from t").columns.count == 2)
    }
  }

  @Test func discardedStatementsAreMadeAgain() throws {
    let connection = try Database.current.connect()
    for _ in 0..<3 { try connection.run("select \(1)") }
    try connection.run("deallocate all")
    for _ in 0..<3 { #expect(try connection.run("select \(2)").value(0, 0, as: Int.self) == 2) }
    try connection.run("discard all")
    for _ in 0..<3 {
      let rows = try connection.pipeline(["select \(3)", "select \(4)"])
      #expect(try rows[1].value(0, 0, as: Int.self) == 4)
    }
  }

  @Test func theServerIsNotFilledWithStatements() throws {
    let connection = try Database.current.connect()
    for number in 0..<700 {
      for _ in 0..<2 { try connection.run(Query(text: "select \(number)")) }
    }
    #expect(try prepared(connection) <= 257)
  }

  @Test func aFailingStatementMayBeRunAgain() throws {
    let connection = try Database.current.connect()
    for _ in 0..<4 {
      let error = #expect(throws: PostgresError.self) { try connection.run("select * from t") }
      #expect(error?.sqlState == "42P01")
    }
    try connection.run("create table t (a int)")
    for _ in 0..<4 { #expect(try connection.run("select * from t").isEmpty) }
  }
}
