import Foundation
import Postgres
import Schema
import TestSupport
import Testing

/// The article Rights.md says who may call and read what; the database agrees, call by call.
///
/// A row of a table in the article is ``| `name` | admin | analyst | worker | reader |``, its cells
/// `yes` or empty. What is in no row is for administrators alone.
@Suite(.database) struct RightsMatrixTests {
  enum Role: String, CaseIterable, Sendable {
    case admin = "rowcast_admin"
    case analyst = "rowcast_analyst"
    case worker = "rowcast_worker"
    case reader = "rowcast_reader"
    /// A login that was given none of the four.
    case nobody = "pg_signal_backend"
  }

  typealias Matrix = [String: Set<Role>]

  /// The rows of the article below a heading.
  private static func documented(under heading: String) throws -> Matrix {
    let article = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Sources/Scoring/Scoring.docc/Rights.md").standardized
    var matrix = Matrix()
    var isInside = false
    for line in try String(contentsOf: article, encoding: .utf8).split(separator: "\n") {
      if line.hasPrefix("#") { isInside = line.hasSuffix(" " + heading) }
      let cells = line.split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      guard isInside, cells.count == 7, cells[1].hasPrefix("`") else { continue }
      let name = cells[1].trimmingCharacters(in: ["`"])
      for cell in cells[2...5] where !["", "yes"].contains(cell) {
        Issue.record("cell \"\(cell)\" of \(name) is neither yes nor empty")
      }
      matrix[name] = Set(
        zip([Role.admin, .analyst, .worker, .reader], cells[2...5])
          .filter { $0.1 == "yes" }.map(\.0))
    }
    return matrix
  }

  private static func row(_ name: String, _ roles: Set<Role>) -> String {
    "| `\(name)` | "
      + [Role.admin, .analyst, .worker, .reader].map { roles.contains($0) ? "yes" : "" }
      .joined(separator: " | ") + " |"
  }

  private static func expectSame(_ found: Matrix, _ documented: Matrix, _ kind: String) {
    let listed = found.filter { $0.value != [.admin] }
    for (name, roles) in listed.sorted(by: { $0.key < $1.key }) where documented[name] != roles {
      Issue.record("\(kind): Rights.md lacks the row \(row(name, roles))")
    }
    for name in documented.keys.sorted() where listed[name] == nil {
      Issue.record(
        "\(kind): Rights.md has a row of \(name), which is for administrators alone or absent")
    }
  }

  /// With a scorer of each kind of generated object.
  private func prepare() throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.watch_each_row('s');
      """)
    return connection
  }

  @Test func everyFunctionIsForWhomTheArticleSays() throws {
    let connection = try prepare()
    var found = Matrix()
    for role in Role.allCases {
      let rows = try connection.run(
        """
        select regexp_replace(p.proname::text, '_[0-9]+$', '_N'),
               has_function_privilege(\(role.rawValue), p.oid, 'execute')
        from pg_proc as p where p.pronamespace = 'rowcast'::regnamespace
        """)
      for row in 0..<rows.count {
        let name: String = try rows.value(row, 0)
        if try rows.value(row, 1) { found[name, default: []].insert(role) }
      }
    }
    #expect(found.count > 100)
    Self.expectSame(found, try Self.documented(under: "Functions and procedures"), "function")
  }

  @Test func everyViewIsForWhomTheArticleSays() throws {
    let connection = try prepare()
    var found = Matrix()
    for role in Role.allCases {
      for name in try connection.texts(
        """
        select c.relname::text from pg_class as c
        where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
          and has_table_privilege(\(role.rawValue), c.oid, 'select')
        """)
      {
        found[name, default: []].insert(role)
      }
    }
    Self.expectSame(found, try Self.documented(under: "Views and tables"), "view")
    // Reading is all: nobody but administrators changes a table of the machinery.
    for role in Role.allCases where role != .admin {
      #expect(
        try connection.texts(
          """
          select c.relname::text from pg_class as c
          where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p', 'v')
            and has_table_privilege(\(role.rawValue), c.oid,
                                    'insert, update, delete, truncate, references, trigger')
          """) == [], "\(role)")
    }
  }

  /// Each function is called as each role: refused or not, as the article says. The arguments are
  /// nulls, so that what is allowed does nothing, or says what it misses.
  @Test(arguments: Role.allCases)
  func everyCallIsRefusedOrNotAsTheArticleSays(role: Role) throws {
    let connection = try prepare()
    let documented = try Self.documented(under: "Functions and procedures")
    let rows = try connection.run(
      """
      select regexp_replace(p.proname::text, '_[0-9]+$', '_N'),
             case p.prokind when 'p' then 'call' else 'select' end || ' ' || format(
                 'rowcast.%I(%s)', p.proname, (
                     select string_agg(format('null::%s', format_type(a.type, null)), ', ' order by a.place)
                     from unnest(p.proargtypes) with ordinality as a (type, place))),
             p.proname::text
      from pg_proc as p
      where p.pronamespace = 'rowcast'::regnamespace and p.prorettype <> 'trigger'::regtype
      """)
    try connection.runScript("set statement_timeout = '5s'; set client_min_messages = error")
    var calls = 0
    for row in 0..<rows.count {
      let name: String = try rows.value(row, 0)
      let isAllowed = role == .admin || documented[name]?.contains(role) ?? false
      try connection.runScript("begin; set local role \(role.rawValue)")
      let refusal = connection.refusal(of: Query(text: try rows.value(row, 1), values: []))
      try connection.runScript("rollback")
      let exact: String = try rows.value(row, 2)
      let isRefused =
        refusal?.sqlState == "42501"
        && (refusal?.message.hasPrefix("permission denied for schema") == true
          || ["function", "procedure"].contains {
            refusal?.message == "permission denied for \($0) \(exact)"
          })
      #expect(isRefused != isAllowed, "\(role): \(name): \(refusal?.message ?? "allowed")")
      calls += 1
    }
    #expect(calls > 100)
  }
}
