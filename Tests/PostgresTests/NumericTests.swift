import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct NumericTests {
  @Test(arguments: [
    "0", "-0.0", "1", "-1", "10000", "99999999", "0.0001", "0.00010", "123456789.987654321",
    "-0.1", "1e30", "1e-30", "3.14159265358979323846264338327950288", "1e300", "1e-300",
    "9007199254740993", "0.1", "1234.5600", "12345678901234567890", "0.3", "2.5e-5",
    "1.7976931348623157e308", "4.9406564584124654e-324", "NaN", "Infinity", "-Infinity",
    "\(String(repeating: "9", count: 1000)).\(String(repeating: "7", count: 500))",
  ])
  func numericIsExactAsTextAndNearestAsDouble(_ text: String) throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      "select v, v::text as t from (select \(Untyped(text))::numeric) as s(v)")
    guard case .numeric(let vector) = try rows.column(0).values else {
      Issue.record("no numeric")
      return
    }
    let shown = try rows.value(0, "t", as: String.self)
    #expect(vector.text(at: 0) == shown)
    let value = vector.double(at: 0)
    if shown == "NaN" {
      #expect(value.isNaN)
    } else {
      // Beyond Double's range PostgreSQL refuses the cast, which strtod answers by infinity.
      #expect(value == Double(shown) ?? .infinity)
    }
    let back = try connection.run("select \(BinaryArray(rows.raw(0)))[1]::text")
    #expect(try back.value(0, 0, as: String.self) == shown)
  }

  @Test func randomNumericsEqualTheServersCast() throws {
    let connection = try Database.current.connect()
    try connection.run("select setseed(0.42)")
    let rows = try connection.run(
      """
      select v, v::float8 as d, v::text as t from (
        select case when i % 11 = 0 then null
          else round((random() - 0.5)::numeric * 10::numeric ^ (i % 37 - 18), i % 23) end
        from generate_series(1, 5000) as i) as s(v)
      """)
    let column = try rows.column(0)
    guard case .numeric(let vector) = column.values,
      case .float64(let doubles) = try rows.column(1).values,
      case .string(let texts) = try rows.column(2).values
    else {
      Issue.record("other types than asked for")
      return
    }
    #expect(vector.doubles() == doubles)
    #expect((0..<vector.count).map { vector.text(at: $0) } == texts)
    #expect(column.nulls == (try rows.column(1).nulls))
  }
}
