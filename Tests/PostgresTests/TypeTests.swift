import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct TypeTests {
  /// SQL that gives rows, and the column that they decode to.
  struct Case: Sendable, CustomTestStringConvertible {
    var sql: String
    var values: ColumnVector.Values
    var nulls: [UInt64]?
    init(_ sql: String, _ values: ColumnVector.Values, nulls: [UInt64]? = nil) {
      (self.sql, self.values, self.nulls) = (sql, values, nulls)
    }
    var testDescription: String { sql }
  }

  static let uuid = UUID(uuidString: "12345678-9ABC-DEF0-1234-56789ABCDEF0")!
  static let zero = UUID(uuidString: "00000000-0000-0000-0000-000000000000")!

  static let cases: [Case] = [
    Case("(true), (null), (false)", .bool([true, false, false]), nulls: [2]),
    Case("((-32768)::int2), (32767::int2), (null)", .int16([.min, .max, 0]), nulls: [4]),
    Case("((-2147483648)::int4), (2147483647)", .int32([.min, .max])),
    Case("((-9223372036854775808)::int8), (9223372036854775807)", .int64([.min, .max])),
    Case("(4294967295::oid)", .int64([4_294_967_295])),
    Case("('18446744073709551615'::xid8)", .int64([-1])),
    Case(
      "('-infinity'::float4), ('infinity'), (3.4028235e38), (1e-45), ('-0')",
      .float32([-.infinity, .infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, -0.0])),
    Case(
      "('-infinity'::float8), (1.7976931348623157e308), (5e-324), (0.1), (null)",
      .float64([
        -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0.1, 0,
      ]), nulls: [16]),
    Case("('Grüße, 世界 🚀'::text), (''), (null)", .string(["Grüße, 世界 🚀", "", ""]), nulls: [4]),
    Case("('abc'::varchar(5))", .string(["abc"])),
    Case("('ab'::char(4))", .string(["ab  "])),
    Case("('a'::\"char\")", .string(["a"])),
    Case("('a name'::name)", .string(["a name"])),
    Case("('\\x00ff10'::bytea), (''), (null)", .bytes([[0, 255, 16], [], []]), nulls: [4]),
    Case("('\(uuid)'::uuid), (null)", .uuid([uuid, zero]), nulls: [2]),
    Case(
      "('infinity'::date), ('-infinity'), ('2000-01-01'), ('1999-12-31'), ('4713-01-01 BC'), ('5874897-12-31')",
      .date([.max, .min, 0, -1, -2_451_507, 2_145_031_948])),
    Case(
      "('infinity'::timestamp), ('-infinity'), ('2000-01-01 00:00:00.000001')",
      .timestamp([.max, .min, 1])),
    Case(
      "('2000-01-01 02:00+02'::timestamptz), ('infinity'), (null)",
      .timestamptz([0, .max, 0]), nulls: [4]),
    Case("('{\"a\": [1, 2]}'::json)", .json(["{\"a\": [1, 2]}"])),
    Case("('{\"a\":[1,2]}'::jsonb), (null)", .json(["{\"a\": [1, 2]}", ""]), nulls: [2]),
    Case(
      "('{1,null,3}'::int4[]), ('{}'), (null), ('{-1}')",
      .array(
        offsets: [0, 3, 3, 3, 4],
        elements: ColumnVector(.int32([1, 0, 3, -1]), nulls: [2])), nulls: [4]),
    Case(
      "('{a,NULL,\"null\",\"\"}'::text[])",
      .array(
        offsets: [0, 4],
        elements: ColumnVector(.string(["a", "", "null", ""]), nulls: [2]))),
    Case(
      "('{1.5,-infinity}'::float8[])",
      .array(offsets: [0, 2], elements: ColumnVector(.float64([1.5, -.infinity])))),
    Case(
      "(array['{}'::jsonb])", .array(offsets: [0, 1], elements: ColumnVector(.json(["{}"])))),
    Case(
      "('{infinity}'::date[])", .array(offsets: [0, 1], elements: ColumnVector(.date([.max])))),
  ]

  @Test(arguments: cases) func columnsAreDecodedAsTheyWereWritten(_ test: Case) throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      Query(text: "select v from (values \(test.sql)) as t(v)"))
    let column = try rows.column(0)
    #expect(column.values == test.values)
    #expect(column.nulls == test.nulls)
    #expect(try rows.raw(0).decoded() == column)
    #expect(try rows.vectors() == [column])
  }

  @Test(arguments: cases) func rawImagesPassThroughAnArrayUnread(_ test: Case) throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      Query(text: "select v from (values \(test.sql)) as t(v)"))
    let raw = rows.raw(0)
    guard raw.typeOID.element == nil else { return }  // There are no arrays of arrays.
    let back = try connection.run("select * from unnest(\(BinaryArray(raw)))")
    #expect(back.raw(0) == raw)
  }

  @Test(arguments: cases) func someRowsOfAColumnAreAnArray(_ test: Case) throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      Query(text: "select v from (values \(test.sql)) as t(v)"))
    let raw = rows.raw(0)
    guard raw.typeOID.element == nil, rows.count > 1 else { return }
    let taken = 1..<rows.count
    let array = BinaryArray(
      raw, elementOID: raw.typeOID, arrayOID: raw.typeOID.array!, rows: taken)
    #expect(
      try connection.run("select * from unnest(\(array))").raw(0)
        == raw.taking(rows: Array(taken)))
  }

  @Test func boundsAreAsTheServerHasThem() throws {
    let connection = try Database.current.connect()
    for (type, value) in [
      ("int2", "(i * 7919) % 1000 - 500"), ("int4", "(i * 7919) % 1000 - 500"),
      ("int8", "(i * 7919) % 1000 - 500"), ("oid", "(i * 7919) % 1000 + 2147483000::int8"),
      ("date", "date '2000-01-01' + (i * 7919) % 1000 - 500"), ("uuid", "md5(i::text)"),
      ("timestamptz", "timestamptz '2000-01-01' + ((i * 7919) % 1000 - 500) * interval '1 day'"),
      ("text", "repeat(chr(97 + i % 26), i % 5) || i"), ("bytea", "decode(md5(i::text), 'hex')"),
      ("varchar", "chr(200 + i * 7919 % 3000)"),
    ] {
      let order = type == "text" || type == "varchar" ? "v collate \"C\"" : "v"
      let rows = try connection.run(
        Query(
          text: """
            select v, rank() over (order by \(order) nulls last) = 1,
                   rank() over (order by \(order) desc nulls last) = 1
            from (select case when i % 10 > 0 then (\(value))::\(type) end as v
                  from generate_series(1, 300) as i) as t order by hashint4(1), v is null, random()
            """))
      let bounds = try #require(rows.raw(0).bounds(in: 0..<rows.count), "\(type)")
      #expect(try rows.value(bounds.least, 1, as: Bool.self), "\(type)")
      #expect(try rows.value(bounds.greatest, 2, as: Bool.self), "\(type)")
    }
    let none = try connection.run("select null::int4 union all select null")
    #expect(none.raw(0).bounds(in: 0..<2) == nil)
    #expect(try connection.run("select 1.5").raw(0).bounds(in: 0..<1) == nil)
  }

  @Test(arguments: cases) func copiedColumnsComeBack(_ test: Case) throws {
    let connection = try Database.current.connect()
    try connection.run(
      Query(text: "create table t as select v from (values \(test.sql)) as t(v) with no data"))
    let rows = try connection.run(
      Query(text: "select v from (values \(test.sql)) as t(v)"))
    let column = try rows.column(0)
    let type = rows.columns[0].typeOID
    // These two are decoded to something wider or laxer than their own type.
    let isOwnImage = ![.oid, .jsonb, 3807].contains(type)
    try connection.copyIn("copy t from stdin (format binary)") { writer throws(PostgresError) in
      try writer.write([isOwnImage ? .values(column) : .raw(rows.raw(0))])
    }
    #expect(try connection.run("select v from t").column(0) == column)
    var copied: [ColumnVector] = []
    try connection.copyOut("copy t to stdout (format binary)", types: [type]) { copied += $0 }
    #expect(copied == [column])
  }

  @Test func notANumberStaysOne() throws {
    let connection = try Database.current.connect()
    let rows = try connection.run("select \(Float.nan) as f, \(Double.nan) as d")
    #expect(try rows.value(0, "f", as: Float.self).isNaN)
    #expect(try rows.value(0, "d", as: Double.self).isNaN)
    #expect(
      try connection.run("select \(Float.nan)::text").value(0, 0, as: String.self) == "NaN")
  }

  @Test func boundValuesReachTheServer() throws {
    let connection = try Database.current.connect()
    let moment = Date(timeIntervalSince1970: 1_700_000_000.25)
    let rows = try connection.run(
      """
      select \(true)::text, \(Int16.min)::text, \(Int32.min)::text, \(Int64.min)::text,
        \(Int.max)::text, \(Float(0.1))::text, \(0.1)::text, \("a'b")::text,
        encode(\([0, 255] as [UInt8]), 'hex'), \(Self.uuid)::text,
        extract(epoch from \(moment))::text, \(JSON("{\"a\":1}"))::text, \(nil as Int32?)::text,
        \([1, nil, 3] as [Int32?])::text, \(["a", "b,c"])::text, \([[1], [2, 3]] as [[UInt8]])::text,
        \([true])::text, \([] as [Double])::text, (\(Untyped("2024-02-29"))::date + 1)::text,
        \([moment])::text is not null, \(UInt8(200))::text
      """)
    let texts = try (0..<19).map { try rows.value(0, $0, as: String?.self) }
    #expect(
      texts == [
        "true", "-32768", "-2147483648", "-9223372036854775808", "9223372036854775807", "0.1",
        "0.1", "a'b", "00ff", Self.uuid.uuidString.lowercased(), "1700000000.250000",
        "{\"a\": 1}", nil, "{1,NULL,3}", "{a,\"b,c\"}", "{\"\\\\x01\",\"\\\\x0203\"}", "{t}",
        "{}", "2024-03-01",
      ])
    #expect(try rows.value(0, 20, as: String.self) == "200")
  }

  @Test func scalarsAreReadAsTheTypeThatIsAskedFor() throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      """
      select 7::int2 as small, 1e10::float8 as big, 5000000000::int8 as wide, null::int as none,
        '2024-02-29 12:00+00'::timestamptz as at, 'infinity'::date as never,
        '1 day 2 hours'::interval as span, 12.50::numeric as exact, '{1,2}'::int4[] as list,
        '\\x0102'::bytea as bytes, array[null]::text[] as holes
      """)
    #expect(try rows.value(0, "small", as: Int.self) == 7)
    #expect(try rows.value(0, "small", as: Double.self) == 7)
    #expect(try rows.value(0, "big", as: Double.self) == 1e10)
    #expect(try rows.value(0, "none", as: Int?.self) == nil)
    #expect(try rows.value(0, "at", as: Date.self).timeIntervalSince1970 == 1_709_208_000)
    #expect(try rows.value(0, "never", as: Date.self) == .distantFuture)
    #expect(try rows.value(0, "span", as: Duration.self) == .seconds(93_600))
    #expect(try rows.value(0, "exact", as: String.self) == "12.50")
    #expect(try rows.value(0, "list", as: [Int].self) == [1, 2])
    #expect(try rows.value(0, "bytes", as: [UInt8].self) == [1, 2])
    func state<T: PostgresDecodable>(_ name: String, _: T.Type) -> String? {
      do { _ = try rows.value(0, name, as: T.self) } catch { return error.sqlState }
      return nil
    }
    #expect(state("wide", Int32.self) == "22003")
    #expect(state("none", Int.self) == "22002")
    #expect(state("big", String.self) == "42804")
    #expect(state("holes", [String].self) == "22002")
    #expect(state("missing", Int.self) == "42703")
  }

  @Test func enumsAreTextAndCompositesAreRefused() throws {
    let connection = try Database.current.connect()
    try connection.runScript(
      """
      create type mood as enum ('sad', 'glad'); create type pair as (a int, b text);
      create domain age as int check (value >= 0)
      """)
    let rows = try connection.run(
      "select 'glad'::mood, row(1, 'x')::pair, 41::age, '((1,2),(3,4))'::box")
    #expect(try rows.value(0, 0, as: String.self) == "glad")
    #expect(try rows.value(0, 2, as: Int.self) == 41)
    for column in [1, 3] {
      let error = #expect(throws: PostgresError.self) { try rows.column(column) }
      #expect(error?.sqlState == "0A000")
    }
    // Keys of such types pass through all the same.
    let types = try connection.run(
      "select 'pair'::regtype::oid, 'pair[]'::regtype::oid")
    let array = BinaryArray(
      rows.raw(1), elementOID: try types.value(0, 0), arrayOID: try types.value(0, 1))
    let back = try connection.run("select (\(array))[1].b")
    #expect(try back.value(0, 0, as: String.self) == "x")
  }

  @Test func columnsReadTogetherEqualColumnsReadAlone() throws {
    let connection = try Database.current.connect()
    for count in [0, 1, 31, 32, 33, 1000] {
      let rows = try connection.run(
        """
        select i::int2, nullif(i % 3, 0)::int4, i::int8, i % 2 = 0, i::text, nullif(i, 5)::float4,
          i / 7.0::float8, i / 3.0, date '2000-01-01' + i::int4, timestamp 'infinity',
          nullif(timestamptz 'epoch', 'epoch'), i::int8::text::xid8
        from generate_series(1, \(count)) as i
        """)
      let vectors = try rows.vectors()
      #expect(vectors.count == rows.columns.count)
      for (index, vector) in vectors.enumerated() {
        #expect(try vector == rows.column(index))
      }
      #expect(try rows.vectors(3..<6) == Array(vectors[3..<6]))
    }
  }

  @Test func anEmptyResultHasItsColumns() throws {
    let connection = try Database.current.connect()
    let rows = try connection.run("select 1::int2 as a, 'x'::text as b where false")
    #expect(rows.isEmpty && rows.columns.map(\.name) == ["a", "b"])
    #expect(try rows.column(0) == ColumnVector(.int16([])))
    #expect(try rows.column(1) == ColumnVector(.string([])))
    #expect(rows.raw(1).count == 0)
    #expect(try connection.run("").count == 0)
  }

  @Test func manyRowsKeepTheirPlaces() throws {
    let connection = try Database.current.connect()
    let rows = try connection.run(
      """
      select case when i % 7 = 0 then null else i::float4 end, i::int8
      from generate_series(0, 99999) as i
      """)
    let column = try rows.column(0)
    guard case .float32(let values) = column.values,
      case .int64(let numbers) = try rows.column(1).values
    else {
      Issue.record("other types than asked for")
      return
    }
    #expect(numbers == Array(0..<100_000))
    for row in 0..<100_000 {
      #expect(column.isNull(row) == (row % 7 == 0))
      if !column.isNull(row) { #expect(values[row] == Float(row)) }
    }
    let picked = rows.raw(0).taking(rows: [99_999, 0, 5])
    #expect(try picked.decoded() == ColumnVector(.float32([99_999, 0, 5]), nulls: [2]))
  }
}
