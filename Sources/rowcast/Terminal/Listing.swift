import Foundation
import Postgres

/// A query whose rows a command lists: as a table for people, as JSON for scripts.
struct Listing {
  /// Columns of numbers, which are set to the right.
  var numbers: Set<String> = []
  /// What is printed instead of a table without rows.
  var empty: String

  /// Runs a query of text columns and returns the table.
  func table(_ query: Query, on connection: Connection) throws(PostgresError) -> String {
    let rows = try connection.run(query)
    guard rows.count > 0 else { return empty }
    var table = TextTable(
      rows.columns.map { ($0.name, numbers.contains($0.name) ? .right : .left) })
    for row in 0..<rows.count {
      var cells: [String] = []
      for column in rows.columns.indices {
        let text = try rows.value(row, column, as: String?.self) ?? ""
        // A value of several lines stays in its row.
        cells.append(text.replacing("\n", with: " "))
      }
      table.append(cells)
    }
    return table.text
  }

  /// The rows of a query as one JSON array, made by the server.
  static func json(_ query: Query, on connection: Connection) throws(PostgresError) -> String {
    try connection.run(query).value(0, 0, as: String.self)
  }
}
