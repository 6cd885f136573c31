/// A table for people: a header, a rule, columns as wide as their widest cell.
struct TextTable {
  enum Alignment { case left, right }

  private let titles: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  init(_ columns: [(title: String, alignment: Alignment)]) {
    titles = columns.map(\.title)
    alignments = columns.map(\.alignment)
  }

  /// - Precondition: As many cells as the table has columns.
  mutating func append(_ cells: [String]) {
    precondition(cells.count == titles.count)
    rows.append(cells)
  }

  /// The lines, without trailing spaces.
  var lines: [String] {
    let widths = titles.indices.map { column in
      ([titles[column]] + rows.map { $0[column] }).map(\.count).max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        if column > 0 { text += "  " }
        text += alignments[column] == .left ? cell + padding : padding + cell
      }
      while text.last == " " { text.removeLast() }
      return text
    }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return [line(titles), line(rule)] + rows.map(line)
  }

  var text: String { lines.joined(separator: "\n") }
}
