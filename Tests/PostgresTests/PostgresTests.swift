import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct SmokeTests {
  @Test func aRowComesBack() throws {
    let connection = try Database.current.connect()
    let rows = try connection.run("select \(1) as a, \("x") as b, null::float4 as c")
    #expect(try rows.value(0, "a", as: Int.self) == 1)
    #expect(try rows.value(0, "b", as: String.self) == "x")
    #expect(try rows.value(0, "c", as: Float?.self) == nil)
  }
}
