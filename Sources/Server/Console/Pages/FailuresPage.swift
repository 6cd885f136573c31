/// Rows that could not be scored, with their reasons.
struct FailuresPage {
  var failures: ConsoleData.Failures
  /// Those that may be looked at.
  var scorers: [ConsoleData.Scorer]
  /// The one that was chosen; nil for all.
  var scorer: String?
  var skip: Int

  var page: ConsolePage {
    let path: Markup = scorer.map { "/console/failures?scorer=\(part: $0)" } ?? "/console/failures"
    let size = OverviewPage.pageSize
    return ConsolePage(
      section: .failures, title: scorer.map { "Failures of \($0)" } ?? "Failures",
      lead:
        "Rows that could not be scored; their neighbours were. A row leaves the list when it is scored.",
      body: """
        \(choice)
        \(ConsoleParts.section("By reason", id: "reasons", groups))
        \(ConsoleParts.section("Rows", id: "rows", FailureTable(rows: Array(failures.rows.prefix(size)), caption: "The latest first.").markup))
        \(ConsolePager(path: path, name: "skip", previous: skip > 0 ? max(0, skip - size) : nil,
          next: failures.rows.count > size && skip + size <= 1000 ? skip + size : nil).markup)
        """, isLive: true)
  }

  private var choice: Markup? {
    let failing = scorers.filter { $0.failures > 0 }.prefix(50)
    guard failing.count > 1 || scorer != nil else { return nil }
    let links = failing.map { other -> Markup in
      """
      <li><a href="/console/failures?scorer=\(part: other.name)"\(if: other.name == scorer, " aria-current=\"page\"")>\
      \(other.name) <span class="fine-inline">\(ConsoleText.count(other.failures))</span></a></li>
      """
    }
    return """
      <nav class="choice" aria-label="Scorers"><ul><li><a href="/console/failures"\
      \(if: scorer == nil, " aria-current=\"page\"")>All</a></li>\(links)</ul></nav>
      """
  }

  private var groups: Markup {
    ConsoleTable(
      caption: failures.isPart
        ? "Of the failures that were written last; there are more than are looked at."
        : "Of all failures.",
      columns: [.text("Reason"), .number("Rows"), .text("For example"), .text("Latest")],
      rows: failures.groups.sorted { $0.count > $1.count }.prefix(50).map { group in
        [
          """
          <code>\(group.code)</code>\(if: scorer == nil, "<span class=\"fine\">\(group.scorer)</span>")
          """,
          "\(ConsoleText.count(group.count))", group.example.map { "\($0)" } ?? FailureTable.hidden,
          ConsoleText.moment(group.at),
        ]
      }, empty: "No row failed."
    ).markup
  }
}

struct FailureTable {
  var rows: [ConsoleData.Failures.Row]
  var caption: String

  static let hidden: Markup =
    "<span class=\"none\">protected: for who may read the row, in <code>predictions</code></span>"

  var markup: Markup {
    ConsoleTable(
      caption: caption,
      columns: [.text("Row"), .text("Code"), .text("Reason"), .text("Model"), .text("When")],
      rows: rows.map { row in
        [
          """
          <code>\(row.key ?? "protected")</code>\
          <span class="fine"><a href="/console/scorers/\(part: row.scorer)">\(row.scorer)</a></span>
          """,
          "<code>\(row.code)</code>", row.reason.map { "\($0)" } ?? Self.hidden,
          row.model.map { "\($0)\(row.version.map { " \($0)" })" } ?? ConsoleParts.none,
          ConsoleText.moment(row.at),
        ]
      }, empty: "No row failed."
    ).markup
  }
}
