import Postgres
import TestSupport
import Testing

@Suite struct TraitTests {
  @Test(.database) func aMigratedDatabaseHasTheSchema() throws {
    let rows = try Database.current.connect()
      .run("select to_regclass('rowcast.model') is not null")
    #expect(try rows.value(0, 0, as: Bool.self))
  }

  @Test(.emptyDatabase, arguments: 0..<6) func eachCaseHasItsOwnDatabase(_ number: Int) throws {
    let connection = try Database.current.connect()
    try connection.run("create table t as select \(number) as a")
    #expect(try connection.run("select a from t").value(0, 0, as: Int.self) == number)
    let name = try connection.run("select current_database()").value(0, 0, as: String.self)
    #expect(name == Database.current.name)
  }
}
