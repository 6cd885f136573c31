import Foundation
import Postgres

/// Rows of a query that a command lists: a table for people, JSON for scripts.
enum Listing {
  /// The answer to a query of any columns as a table; `empty` where it has no rows. Columns that
  /// hold nothing but numbers are set to the right.
  static func table(
    _ text: String, values: [any PostgresEncodable] = [], empty: String = "(no rows)",
    on connection: Connection
  ) throws(PostgresError) -> String {
    // The server writes each value as text, whatever its type; json keeps the columns' order.
    let rows = try connection.run(
      Query(
        text: """
          select array(select c.title from json_each_text(row_to_json(q))
                       with ordinality as c(title, cell, place) order by c.place),
                 array(select coalesce(c.cell, '') from json_each_text(row_to_json(q))
                       with ordinality as c(title, cell, place) order by c.place)
          from (\(text)) as q
          """, values: values))
    guard rows.count > 0 else { return empty }
    let titles = try rows.value(0, 0, as: [String].self)
    var lines: [[String]] = []
    for row in 0..<rows.count {
      // A value of several lines stays in its row.
      let cells = try rows.value(row, 1, as: [String].self)
      lines.append(cells.map { $0.replacing("\n", with: " ") })
    }
    var table = TextTable(
      titles.enumerated().map { index, title in
        let cells = lines.map { $0[index] }.filter { !$0.isEmpty }
        let areNumbers = !cells.isEmpty && cells.allSatisfy { Double($0) != nil }
        return (title, areNumbers ? .right : .left)
      })
    for line in lines { table.append(line) }
    return table.text
  }

  /// The answer to a query of one value that is JSON.
  static func json(_ query: Query, on connection: Connection) throws(PostgresError) -> String {
    try connection.run(query).value(0, 0, as: String.self)
  }
}
