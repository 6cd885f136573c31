/// What pages are made of.
enum ConsoleParts {
  /// A state is told by its word and its shape; colour only repeats it.
  enum Tone: String {
    case good, warn, bad, idle
    /// Over, and well: quiet as what is idle.
    case done
  }

  static func badge(_ tone: Tone, _ text: String) -> Markup {
    "<span class=\"badge \(tone == .done ? "idle" : tone.rawValue)\">\(shape(tone))\(text)</span>"
  }

  static func shape(_ tone: Tone) -> Markup {
    let path: Markup =
      switch tone {
      case .good: "<circle cx=\"6\" cy=\"6\" r=\"4\"/>"
      case .warn: "<path d=\"M6 1.2 11.4 10.6H.6Z\"/>"
      case .bad: "<path d=\"M6 .8 11.2 6 6 11.2 .8 6Z\"/>"
      case .done: "<path d=\"M1.4 6.4 4.6 9.6 10.8 2.6 9.5 1.5 4.5 7.2 2.6 5.2Z\"/>"
      case .idle: "<path d=\"M2.6 2h2.4v8H2.6zM7 2h2.4v8H7z\"/>"
      }
    return """
      <svg class="shape" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" focusable="false">\(path)</svg>
      """
  }

  static func section(_ title: String, id: String, _ body: Markup) -> Markup {
    """
    <section aria-labelledby="\(id)"><h2 id="\(id)">\(title)</h2>
    \(body)</section>
    """
  }

  static func note(_ text: Markup) -> Markup { "<p class=\"note\">\(text)</p>" }

  static let none: Markup = "<span class=\"none\" title=\"none\">–</span>"

  static func facts(_ facts: [(String, Markup)]) -> Markup {
    let entries = facts.map { fact -> Markup in
      "<div><dt>\(fact.0)</dt><dd>\(fact.1)</dd></div>"
    }
    return "<dl class=\"facts\">\(entries)</dl>"
  }

  /// How far something is, from 0 to 1.
  static func progress(_ done: Double, label: String) -> Markup {
    """
    <progress max="1" value="\(ConsoleText.number(min(1, max(0, done))))" aria-label="\(label)">\
    \(ConsoleText.share(done))</progress>
    """
  }

  /// Bars side by side, oldest first. What they say is told by the label; `values` has one a place, 0 for none.
  static func bars(
    _ values: [Double], label: String, width: Int = 120, height: Int = 26, tone: String = "",
    top: Double? = nil
  ) -> Markup {
    let most = max(top ?? 0, values.max() ?? 0)
    let step = Double(width) / Double(max(values.count, 1))
    let bars = values.enumerated().map { place, value -> Markup in
      guard most > 0, value > 0 else { return "" }
      let size = max(1.5, value / most * Double(height - 2))
      return """
        <rect x="\(coordinate(Double(place) * step))" y="\(coordinate(Double(height) - size))" \
        width="\(coordinate(max(1, step - 1)))" height="\(coordinate(size))"/>
        """
    }
    return """
      <svg class="bars \(tone)" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img" \
      aria-label="\(label)" preserveAspectRatio="none"><path class="base" d="M0 \(height)h\(width)"/>\(bars)</svg>
      """
  }

  /// With one place behind the point, which is enough for a drawing.
  static func coordinate(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths < 0 ? "-" : "")\(tenths.magnitude / 10).\(tenths.magnitude % 10)"
  }
}

/// A table that is one on wide screens and a card a row on narrow ones; it says its roles, which browsers
/// forget of tables that are laid out otherwise.
struct ConsoleTable {
  struct Column {
    var title: String
    var isNumber = false

    static func text(_ title: String) -> Column { Column(title: title) }
    static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
  }

  var caption: String
  var columns: [Column]
  /// Of as many cells as there are columns; the first names the row.
  var rows: [[Markup]]
  /// Said in place of the table where it has no rows.
  var empty: Markup

  var markup: Markup {
    guard !rows.isEmpty else { return ConsoleParts.note(empty) }
    let heads = columns.map { column -> Markup in
      "<th role=\"columnheader\" scope=\"col\"\(if: column.isNumber, " class=\"number\"")>\(column.title)</th>"
    }
    let lines = rows.map { row -> Markup in
      let cells = zip(columns, row).enumerated().map { place, cell -> Markup in
        let (column, content) = cell
        if place == 0 { return "<th role=\"rowheader\" scope=\"row\">\(content)</th>" }
        return """
          <td role="cell"\(if: column.isNumber, " class=\"number\"")>\
          <span class="label" aria-hidden="true">\(column.title)</span>\
          <span class="value">\(content)</span></td>
          """
      }
      return "<tr role=\"row\">\(cells)</tr>\n"
    }
    return """
      <table role="table"><caption>\(caption)</caption>
      <thead role="rowgroup"><tr role="row">\(heads)</tr></thead>
      <tbody role="rowgroup">
      \(lines)</tbody></table>
      """
  }
}
