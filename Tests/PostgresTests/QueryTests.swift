import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct QueryTests {
  static let hostile = [
    "'; drop table t; --", "\"; drop table t; --", "$1", "\\'; select 1", "a\"b", "x'y\"z\\",
    "Robert'); DROP TABLE t;--", "ü\u{301}🚀", " ", "select", "--", "/*",
  ]

  @Test(arguments: hostile) func valuesAreNeverRead(_ text: String) throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a text)")
    try connection.run("insert into t values (\(text))")
    let rows = try connection.run("select a from t where a = \(text)")
    #expect(try rows.value(0, 0, as: String.self) == text)
  }

  @Test(arguments: hostile) func namesAreQuoted(_ name: String) throws {
    let connection = try Database.current.connect()
    try connection.run("create schema \(identifier: name)")
    try connection.run("create table \(identifier: name, name) (\(identifier: name) int)")
    try connection.run("insert into \(identifier: name, name) values (\(5))")
    let rows = try connection.run("select * from \(identifier: name, name)")
    #expect(rows.columns[0].name == name)
    #expect(try rows.value(0, name, as: Int.self) == 5)
    try connection.listen(name)
    try connection.run("select pg_notify(\(name), 'x')")
    #expect(try connection.waitForNotifications(timeout: .seconds(10)).map(\.channel) == [name])
  }

  @Test(arguments: ["", "a\0b"]) func impossibleNamesAreRefused(_ name: String) throws {
    let connection = try Database.current.connect()
    let error = #expect(throws: PostgresError.self) {
      try connection.run("select 1 as \(identifier: name)")
    }
    #expect(error?.sqlState == "42602")
    #expect(try connection.run("select 1").count == 1)
  }

  @Test func anErrorHasTheServersFields() throws {
    let connection = try Database.current.connect()
    try connection.runScript(
      "create table parent (a int constraint parent_a_small check (a < 10) primary key)")
    var error = #expect(throws: PostgresError.self) {
      try connection.run("insert into parent values (\(Int32(11)))")
    }
    #expect(error?.sqlState == "23514")
    #expect(error?.constraintName == "parent_a_small")
    #expect(error?.tableName == "parent" && error?.schemaName == "public")
    #expect(error?.detail == "Failing row contains (11).")
    #expect(error?.statement == "insert into parent values ($1)")
    #expect(error?.description.contains("11)") == false)
    error = #expect(throws: PostgresError.self) { try connection.run("select lenght('x')") }
    #expect(error?.sqlState == "42883" && error?.position == 8 && error?.hint != nil)
    error = #expect(throws: PostgresError.self) {
      try connection.runScript("do $$ begin raise 'no' using errcode = 'RC201', hint = 'h'; end $$")
    }
    #expect(error?.sqlState == "RC201" && error?.hint == "h")
    #expect(error?.context?.contains("PL/pgSQL") == true)
    error = #expect(throws: PostgresError.self) { try connection.run("select \("a\0b")") }
    #expect(error?.sqlState == "22021")
    #expect(connection.isUsable)
  }

  @Test func aPipelineIsAllOrNothing() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int primary key)")
    let good = try connection.pipeline([
      "insert into t values (1)", "insert into t values (2), (3)", "select a from t order by a",
    ])
    #expect(good.map(\.affected) == [1, 2, 3])
    for _ in 0..<3 {  // Unprepared, being prepared, prepared.
      let error = #expect(throws: PostgresError.self) {
        try connection.pipeline([
          "insert into t values (\(4))", "insert into t values (\(1), \(1))",
          "insert into t values (\(5))",
        ])
      }
      #expect(error?.sqlState == "42601")
      #expect(error?.statement == "insert into t values ($1, $2)")
      #expect(!connection.isInTransaction)
    }
    #expect(try connection.run("select count(*) from t").value(0, 0, as: Int.self) == 3)
    #expect(try connection.pipeline([]).isEmpty)
  }

  @Test func anErrorInAPipelineAbortsTheOpenTransaction() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int)")
    let error = #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in
        try connection.run("insert into t values (1)")
        _ = try connection.pipeline(["insert into t values (2)", "select 1 / 0"])
      }
    }
    #expect(error?.sqlState == "22012")
    #expect(try connection.run("select * from t").isEmpty)
  }

  @Test func manyLargeStatementsDoNotBlockEachOther() throws {
    let connection = try Database.current.connect()
    let text = String(repeating: "x", count: 100_000)
    // Both sides have far more to send than the socket holds.
    let results = try connection.pipeline(
      (0..<200).map { _ in "select \(text) as a, repeat('y', 100000) as b" })
    #expect(results.count == 200)
    for rows in results { #expect(try rows.value(0, "a", as: String.self) == text) }
  }

  @Test func transactionsNestAndRollBack() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int)")
    let stop = PostgresError(sqlState: "RC999", message: "enough")
    try connection.transaction { () throws(PostgresError) in
      try connection.run("insert into t values (1)")
      do throws(PostgresError) {
        try connection.transaction { () throws(PostgresError) in
          try connection.run("insert into t values (2)")
          throw stop
        }
      } catch {
        #expect(error == stop)
      }
      try connection.run("insert into t values (3)")
    }
    let rows = try connection.run("select array_agg(a order by a) from t")
    #expect(try rows.value(0, 0, as: [Int].self) == [1, 3])
    let swallowed = #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in
        _ = try? connection.run("select 1 / 0")
      }
    }
    #expect(swallowed?.sqlState == "25P02" && !connection.isInTransaction)
    try connection.runScript("begin")
    let open = #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in }
    }
    #expect(open?.sqlState == "25001")
  }

  @Test func noticesAreKeptForTheCaller() throws {
    let connection = try Database.current.connect()
    try connection.runScript("do $$ begin raise notice 'hello'; raise warning 'w'; end $$")
    #expect(connection.takeNotices().map(\.message) == ["hello", "w"])
    #expect(connection.takeNotices().isEmpty)
  }
}
