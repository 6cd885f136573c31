import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct CopyTests {
  @Test func wholeColumnsAreCopied() throws {
    let connection = try Database.current.connect()
    try connection.run(
      "create table t (id int8 primary key, score float4, name text, model text, b jsonb)")
    let count = 10_000
    var nulls = [UInt64](repeating: 0, count: (count + 63) / 64)
    for row in stride(from: 0, to: count, by: 3) { nulls[row >> 6] |= 1 << UInt64(row & 63) }
    let ids = (0..<count).map { Int64($0) }
    let scores = ColumnVector(.float32(ids.map { Float($0) / 8 }), nulls: nulls)
    let names = ColumnVector(.string(ids.map { "row \($0)" }), nulls: nulls)
    let copied = try connection.copyIn("copy t from stdin (format binary)") {
      writer throws(PostgresError) in
      let columns: [CopyColumn] = [
        .values(ColumnVector(.int64(ids))), .values(scores), .values(names),
        .constant("churn"), .constant(JSON("{}")),
      ]
      try writer.write(columns, rows: 0..<1)
      try writer.write(columns, rows: 1..<count)
      #expect(writer.rowCount == count)
    }
    #expect(copied == count)
    let wrong = try connection.run(
      """
      select count(*) from t where model <> 'churn' or b <> '{}'
        or score is distinct from case when id % 3 <> 0 then id / 8.0::float4 end
        or name is distinct from case when id % 3 <> 0 then 'row ' || id end
      """)
    #expect(try wrong.value(0, 0, as: Int.self) == 0)
    #expect(try connection.run("select count(*) from t").value(0, 0, as: Int.self) == count)
  }

  @Test func theRowsOfACopyComeInBatches() throws {
    let connection = try Database.current.connect()
    var batches: [Int] = []
    var sum: Int64 = 0
    let count = try connection.copyOut(
      """
      copy (select i::int8, case when i % 2 = 0 then repeat('x', i % 300) end
        from generate_series(1, 10000) as i) to stdout (format binary)
      """, types: [.int8, .text], rowsAtOnce: 4096
    ) { columns throws(PostgresError) in
      guard case .int64(let numbers) = columns[0].values,
        case .string(let texts) = columns[1].values
      else {
        Issue.record("other types than asked for")
        return
      }
      batches.append(numbers.count)
      for (row, number) in numbers.enumerated() {
        sum += number
        #expect(columns[1].isNull(row) == (number % 2 == 1))
        if number % 2 == 0 { #expect(texts[row].utf8.count == Int(number) % 300) }
      }
    }
    #expect(count == 10_000 && batches == [4096, 4096, 1808] && sum == 50_005_000)
  }

  /// NULLs, growth beyond what was expected, images beside values.
  @Test(arguments: [0, 1, 63, 64, 65, 3000]) func aCopyIsReadAtOnceAsAQueryIs(count: Int) throws {
    let connection = try Database.current.connect()
    let select = """
      select i::int8, i::int4 as j, (i % 3)::int2 as k, nullif(i % 5, 0)::float4 as r,
             sqrt(i)::float8 as d, i % 2 = 0 as b, case when i % 4 > 0 then repeat('x', i % 40) end as t,
             date '2000-01-01' + i as day, case when i % 7 > 0 then i / 8.0 end as n,
             timestamptz '2026-01-01' + i * interval '1 s' as at, null::float8 as none
      from generate_series(1, \(count)) as i
      """
    let rows = try connection.run(Query(text: select))
    let copied = try connection.copyOut(
      Query(text: "copy (\(select)) to stdout (format binary)"),
      types: rows.columns.map(\.typeOID), raw: 0..<2, rows: 10)
    #expect(copied.count == count)
    for index in 0..<2 { #expect(copied.raw(index) == rows.raw(index)) }
    #expect(
      try copied.vectors(2..<rows.columns.count)
        == (2..<rows.columns.count).map { index throws(PostgresError) in try rows.column(index) })
  }

  @Test(arguments: [0, 1, 65, 300]) func lineSegmentsAreFourColumns(count: Int) throws {
    let connection = try Database.current.connect()
    func copied(_ condition: String) throws -> CopiedRows {
      try connection.copyOut(
        Query(
          text: """
            copy (select i, lseg(point(i, sqrt(i)), point(-i, case when \(condition) then i / 8.0 end))
                  from generate_series(1, \(count)) as i) to stdout (format binary)
            """), types: [.int4, .lseg], raw: 0..<1, rows: 10)
    }
    let numbers = (0..<count).map { Double($0 + 1) }
    guard case .quads(let quads) = try copied("true").columns[1] else {
      Issue.record("no quads")
      return
    }
    #expect(
      quads == [
        numbers, numbers.map { $0.squareRoot() }, numbers.map { -$0 }, numbers.map { $0 / 8 },
      ])
    guard count > 0 else { return }
    if case .someQuads = try copied("i < \(count)").columns[1] {
    } else {
      Issue.record("a NULL was not seen")
    }
  }

  @Test func aCopyOfAnotherTypeIsRefused() throws {
    let connection = try Database.current.connect()
    let error = #expect(throws: PostgresError.self) {
      try connection.copyOut(
        "copy (select 1::int8, 2::int4) to stdout (format binary)", types: [.int8, .float8],
        raw: 0..<0, rows: 1)
    }
    #expect(error?.message.contains("4 bytes") == true, "\(error?.message ?? "")")
    #expect(try connection.run("select 1").count == 1)
  }

  @Test func literalsTakeTheParametersPlaces() throws {
    let connection = try Database.current.connect()
    var answers: [String?] = []
    let text = #"""
      select $1::text, '$2', "$1", $$ $2 $$, $q$ $1 $2 $q$, E'\' $1', '\', a$1, /* $1 /* $2 */ $3 */ $2::text,
             ' '' $1' -- $2
      from (select 'n' as "$1", 'd' as a$1) as d
      """#
    try connection.copyOut(
      Query(inlining: [#"it's \ so"#, nil], into: "copy (\(text)) to stdout (format binary)"),
      types: Array(repeating: .text, count: 10)
    ) { columns in
      for column in columns {
        guard case .string(let values) = column.values else { continue }
        answers.append(column.isNull(0) ? nil : values[0])
      }
    }
    #expect(
      answers == [
        #"it's \ so"#, "$2", "n", " $2 ", " $1 $2 ", "' $1", #"\"#, "d", nil, " ' $1",
      ])
  }

  @Test func anEmptyCopyGivesNoBatch() throws {
    let connection = try Database.current.connect()
    let count = try connection.copyOut(
      "copy (select 1 where false) to stdout (format binary)", types: [.int4]
    ) { _ in Issue.record("a batch without rows") }
    #expect(count == 0)
    try connection.run("create table t (a int)")
    #expect(try connection.copyIn("copy t from stdin (format binary)") { _ in } == 0)
  }

  @Test func aBodyThatThrowsLeavesNothingBehind() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int4)")
    let stop = PostgresError(sqlState: "RC999", message: "enough")
    var thrown = #expect(throws: PostgresError.self) {
      try connection.copyIn("copy t from stdin (format binary)") {
        writer throws(PostgresError) in
        try writer.write([.values(ColumnVector(.int32(Array(0..<500_000))))])
        throw stop
      }
    }
    #expect(thrown == stop)
    thrown = #expect(throws: PostgresError.self) {
      try connection.copyOut(
        "copy (select generate_series(1, 1000000)) to stdout (format binary)", types: [.int4]
      ) { _ throws(PostgresError) in throw stop }
    }
    #expect(thrown == stop)
    #expect(try connection.run("select count(*) from t").value(0, 0, as: Int.self) == 0)
  }

  @Test func whatTheServerRefusesIsThrown() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a int4 primary key)")
    func state(_ query: Query, _ columns: [CopyColumn]) -> String? {
      let error = #expect(throws: PostgresError.self) {
        try connection.copyIn(query) { writer throws(PostgresError) in try writer.write(columns) }
      }
      return error?.sqlState
    }
    let twice = CopyColumn.values(ColumnVector(.int32([1, 1])))
    let copy: Query = "copy t from stdin (format binary)"
    #expect(state(copy, [twice]) == "23505")
    #expect(state(copy, [.values(ColumnVector(.int64([1])))]) == "22P03")
    #expect(state(copy, [twice, twice]) == "22P04")
    #expect(state("copy t from stdin", [twice]) == "0A000")
    #expect(state("copy missing from stdin (format binary)", [twice]) == "42P01")
    #expect(state("select 1", [twice]) == "42601")
    #expect(state("copy t to stdout (format binary)", [twice]) == "42601")
    #expect(state("copy t from stdin (format \(1))", [twice]) == "0A000")
    let query = #expect(throws: PostgresError.self) { try connection.run(copy) }
    #expect(query?.isConnectionLoss == true && !connection.isUsable)
  }

  @Test func aRowLargerThanTheBufferIsCopied() throws {
    let connection = try Database.current.connect()
    try connection.run("create table t (a bytea, b int4)")
    let large = [UInt8](repeating: 7, count: 3_000_000)
    try connection.copyIn("copy t from stdin (format binary)") { writer throws(PostgresError) in
      try writer.write(row: [large, Int32(1)])
      try writer.write(row: [nil as [UInt8]?, Int32(2)])
    }
    let rows = try connection.run("select a from t order by b")
    #expect(try rows.value(0, 0, as: [UInt8].self) == large)
    #expect(rows.isNull(1, 0))
  }
}
