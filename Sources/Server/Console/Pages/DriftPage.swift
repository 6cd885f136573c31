/// How far rows have come from those that the scorer's baseline was made of.
struct DriftPage {
  var scorers: [ConsoleData.Scorer]
  var scorer: String?
  var columns: [ConsoleData.DriftedColumn]

  /// As practitioners read the index: from the first on rows begin to differ, from the second on they do.
  private static let (some, much) = (0.1, 0.25)

  var page: ConsolePage {
    ConsolePage(
      section: .drift, title: scorer.map { "Drift of \($0)" } ?? "Drift",
      lead: """
        Rows of an hour beside the scorer's baseline. The stability index says how differently values are spread: \
        below 0.1 they are as they were, above 0.25 they are not.
        """,
      body: """
        \(choice)
        \(table)
        """, isLive: true)
  }

  private var choice: Markup {
    let links = scorers.prefix(200).map { other -> Markup in
      """
      <li><a href="/console/drift?scorer=\(part: other.name)"\(if: other.name == scorer, " aria-current=\"page\"")>\
      \(other.name)</a></li>
      """
    }
    return "<nav class=\"choice\" aria-label=\"Scorers\"><ul>\(links)</ul></nav>"
  }

  private var table: Markup {
    guard scorer != nil else { return ConsoleParts.note("There is no scorer yet.") }
    return ConsoleTable(
      caption: "The columns that drifted most in their latest hour; bars are the last 24 hours.",
      columns: [
        .text("Column"), .text("State"), .number("Index"), .text("24 hours"),
        .number("Shift of the mean"),
        .number("Spread"), .number("Missing"), .number("Rows"), .text("Hour"),
      ],
      rows: columns.map { column in
        [
          "\(column.column)<span class=\"fine\">\(column.kind)</span>", Self.badge(column),
          column.psi.map { "\(ConsoleText.number(($0 * 1000).rounded() / 1000))" }
            ?? ConsoleParts.none, Self.day(column),
          column.shift.map { "\(Self.signed(($0 * 100).rounded() / 100)) σ" } ?? ConsoleParts.none,
          column.spread.map { "× \(ConsoleText.number(($0 * 100).rounded() / 100))" }
            ?? ConsoleParts.none,
          column.missing.map {
            "\(ConsoleText.share($0))<span class=\"fine\">baseline \(ConsoleText.share(column.baselineMissing ?? 0))</span>"
          } ?? ConsoleParts.none,
          "\(ConsoleText.count(column.rows))", ConsoleText.moment(column.hour),
        ]
      },
      empty: """
        Nothing to compare: no baseline was made, or nothing was scored within 24 hours. Make one in SQL: \
        <code>select rowcast.set_baseline('\(scorer ?? "")');</code>
        """
    ).markup
  }

  private static func signed(_ value: Double) -> String {
    (value > 0 ? "+" : "") + ConsoleText.number(value)
  }

  private static func badge(_ column: ConsoleData.DriftedColumn) -> Markup {
    switch column.psi ?? 0 {
    case much...: ConsoleParts.badge(.bad, "differs")
    case some...: ConsoleParts.badge(.warn, "begins to")
    default: ConsoleParts.badge(.good, "as it was")
    }
  }

  private static func day(_ column: ConsoleData.DriftedColumn) -> Markup {
    var values = [Double](repeating: 0, count: 24)
    for entry in column.hours {
      if entry.count == 2, let ago = entry[0], let psi = entry[1], (0..<24).contains(ago) {
        values[23 - Int(ago)] = psi
      }
    }
    return ConsoleParts.bars(
      values, label: "index over 24 hours, at most \(ConsoleText.number(values.max() ?? 0))",
      top: much)
  }
}
