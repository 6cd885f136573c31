/// What goes on: what is amiss first, then each scorer, then jobs that run.
struct OverviewPage {
  static let pageSize = 50

  var overview: ConsoleData.Overview
  var http: RecentFigures.Window
  var skip: Int

  var page: ConsolePage {
    ConsolePage(
      section: .overview, title: "Overview",
      body: """
        <p class="hidden" aria-live="polite">\(announcement)</p>
        \(tiles)
        \(ConsoleParts.section("Needs attention", id: "alerts", AlertList(alerts: alerts).markup))
        \(ConsoleParts.section("Scorers", id: "scorers", scorers))
        \(if: !overview.jobs.isEmpty, ConsoleParts.section("Jobs that run", id: "jobs", jobs))
        \(ConsoleParts.section("Requests to this server", id: "requests", requests))
        """, isLive: true)
  }

  /// Said when it changes, and seldom enough for who listens.
  private var announcement: String {
    alerts.isEmpty ? "Nothing needs attention." : "\(alerts.count) things need attention."
  }

  private var alerts: [ConsoleData.Alert] { overview.told }

  private var tiles: Markup {
    let backlog = overview.scorers.reduce(0) { $0 + $1.backlog }
    let rate = overview.scorers.reduce(0) { $0 + $1.rate }
    let waiting = overview.scorers.filter { $0.backlog > 0 }
    let oldest = waiting.compactMap(\.oldest).max() ?? 0
    let late = overview.scorers.filter { $0.isLate == true }.count
    let failures = overview.scorers.reduce(0) { $0 + $1.failures }
    let failing = overview.scorers.filter { $0.failures > 0 }.count
    let isMore = overview.scorers.contains { $0.failures >= ConsoleData.Scorer.mostFailures }
    func tile(_ name: String, _ value: Markup, _ more: Markup) -> Markup {
      "<div class=\"tile\"><dt>\(name)</dt><dd>\(value)</dd><dd class=\"more\">\(more)</dd></div>\n"
    }
    let backlogMore: Markup =
      backlog == 0
      ? "everything is scored"
      : rate > 0
        ? "\(ConsoleText.duration(Double(backlog) / rate)) of work" : "and nothing is scored"
    return """
      <dl class="tiles">
      \(tile("Backlog", "\(ConsoleText.count(backlog)) <span class=\"unit\">rows</span>", backlogMore))\
      \(tile("Throughput", "\(ConsoleText.rate(rate)) <span class=\"unit\">rows/s</span>", "over ten seconds"))\
      \(tile("Oldest change", "\(ConsoleText.duration(oldest))", late == 0 ? "not scored yet" : "\(late) beyond the limit"))\
      \(tile("Failures", "\(ConsoleText.count(failures))\(if: isMore, "+")", failing == 0 ? "no row failed" : "in \(failing) of \(overview.scorers.count) scorers"))\
      \(tile("Workers", "\(ConsoleText.count(overview.workers))", "\(ConsoleText.count(overview.lanes)) lanes"))\
      </dl>
      """
  }

  private var scorers: Markup {
    let shown = overview.scorers.dropFirst(skip).prefix(Self.pageSize)
    let table = ConsoleTable(
      caption:
        "Rows a second are those of the last ten seconds, bars those of the last 30 minutes.",
      columns: [
        .text("Scorer"), .text("State"), .number("Backlog"), .number("Oldest"), .number("Rows/s"),
        .text("30 minutes"), .number("Latency"), .number("Failures"),
      ],
      rows: shown.map { scorer in
        [
          """
          <a href="/console/scorers/\(part: scorer.name)">\(scorer.name)</a>\
          <span class="fine">\(scorer.source) by \(scorer.follows)</span>
          """,
          scorer.badge, "\(ConsoleText.count(scorer.backlog))", scorer.age,
          "\(ConsoleText.rate(scorer.rate))", scorer.history,
          scorer.latency, scorer.failureLink,
        ]
      },
      empty: """
        No scorer yet. Make one in SQL: <code>select rowcast.create_scorer('name', 'table', 'model');</code>
        """)
    return """
      \(table.markup)
      \(ConsolePager(path: "/", name: "skip", previous: skip > 0 ? max(0, skip - Self.pageSize) : nil,
        next: overview.scorers.count > skip + Self.pageSize ? skip + Self.pageSize : nil).markup)
      """
  }

  private var jobs: Markup {
    JobTable(jobs: overview.jobs, caption: "The latest ten. The others are below Jobs.").markup
  }

  private var requests: Markup {
    ConsoleParts.facts([
      ("Requests a second", "\(ConsoleText.rate(Double(http.requests) / http.seconds))"),
      (
        "Half answered within", http.half.map { "\(ConsoleText.duration($0))" } ?? ConsoleParts.none
      ),
      ("99 of 100 within", http.most.map { "\(ConsoleText.duration($0))" } ?? ConsoleParts.none),
      ("Rows scored a second", "\(ConsoleText.rate(Double(http.scoredRows) / http.seconds))"),
      ("Waiting now", "\(ConsoleText.count(http.waiting))"),
      ("Refused, too many", "\(ConsoleText.count(http.refused))"),
    ])
  }
}

extension ConsoleData.Overview {
  /// What is amiss, the worst first: what the database finds, and what scorers say of themselves.
  var told: [ConsoleData.Alert] {
    let known = Dictionary(scorers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var told = alerts.map { alert in
      guard alert.kind == "lag", let scorer = known[alert.scorer] else { return alert }
      var lag = alert
      lag.reason =
        "\(ConsoleText.duration(scorer.oldest ?? 0)), \(ConsoleText.duration(scorer.maxLag ?? 0)) allowed"
      return lag
    }
    let held = Set(alerts.filter { $0.kind == "held" }.map(\.scorer))
    for scorer in scorers where !held.contains(scorer.name) {
      if scorer.state == "suspended" || scorer.state == "active" && scorer.reason != nil {
        told.append(
          .init(
            level: scorer.state == "suspended" ? "bad" : "warn", kind: scorer.state,
            scorer: scorer.name, reason: scorer.reason))
      }
      if let error = scorer.lastError {
        told.append(.init(level: "bad", kind: "chunk", scorer: scorer.name, reason: error))
      }
    }
    if workers == 0 { told.append(.init(level: "bad", kind: "workers", scorer: "", reason: nil)) }
    return told.sorted {
      ($0.level == "bad" ? 0 : 1, $0.scorer) < ($1.level == "bad" ? 0 : 1, $1.scorer)
    }
  }
}

extension ConsoleData.Scorer {
  /// Which model and version it follows.
  var follows: Markup {
    guard let model else { return "no model" }
    if isRouted { return "models <code>\(model)</code>" }
    return "\(model) \(pinnedVersion.map { "\($0)" } ?? alias)"
  }

  var badge: Markup {
    switch state {
    case "active" where reason == nil: ConsoleParts.badge(.good, "active")
    case "active": ConsoleParts.badge(.warn, "hindered")
    case "paused": ConsoleParts.badge(.idle, "paused")
    default: ConsoleParts.badge(.bad, state)
    }
  }

  /// The oldest change's age, and whether that is too much.
  var age: Markup {
    guard backlog > 0, let oldest else { return ConsoleParts.none }
    let text = ConsoleText.duration(oldest)
    guard isLate == true else { return "\(text)" }
    return """
      <span class="late">\(ConsoleParts.shape(.bad))\(text)</span>\
      <span class="fine">limit \(ConsoleText.duration(maxLag ?? 0))</span>
      """
  }

  var latency: Markup {
    guard let meanLatency else { return ConsoleParts.none }
    return """
      \(ConsoleText.duration(meanLatency))\
      <span class="fine">longest \(ConsoleText.duration(longestLatency ?? meanLatency))</span>
      """
  }

  var failureLink: Markup {
    guard failures > 0 else { return "0" }
    let more = failures >= Self.mostFailures ? "+" : ""
    return """
      <a href="/console/failures?scorer=\(part: name)">\(ConsoleText.count(failures))\(more)\
      <span class="hidden"> failures of \(name)</span></a>
      """
  }

  /// Thirty minutes of throughput.
  var history: Markup {
    var values = [Double](repeating: 0, count: 30)
    for entry in rates where entry.count == 2 && (0..<30).contains(entry[0]) {
      values[29 - Int(entry[0])] = entry[1]
    }
    let most = values.max() ?? 0
    return ConsoleParts.bars(
      values,
      label: most == 0
        ? "nothing in 30 minutes" : "at most \(ConsoleText.rate(most)) rows a second in 30 minutes")
  }
}

/// What is amiss, the worst first.
struct AlertList {
  var alerts: [ConsoleData.Alert]

  var markup: Markup {
    guard !alerts.isEmpty else {
      return "<p class=\"note\">\(ConsoleParts.badge(.good, "all is well"))</p>"
    }
    let entries = alerts.prefix(50).map { alert -> Markup in
      """
      <li class="\(alert.level == "bad" ? "bad" : "warn")">
      <span class="kind">\(ConsoleParts.shape(alert.level == "bad" ? .bad : .warn))\(Self.title(alert.kind))</span>
      <span class="what">\(link(alert)) \(alert.subject.map { "<code>\($0)</code> " as Markup })\(alert.reason ?? "")</span>
      \(alert.since.map { "<span class=\"when\">\(ConsoleText.moment($0))</span>" as Markup })
      </li>
      """
    }
    return "<ul class=\"alerts\">\(entries)</ul>"
  }

  private func link(_ alert: ConsoleData.Alert) -> Markup {
    if alert.kind == "workers" {
      return "No worker runs: rows wait until one does. Start <code>rowcast worker</code>."
    }
    let path: Markup = alert.kind == "drift" ? "/console/drift?scorer=" : "/console/scorers/"
    return "<a href=\"\(path)\(part: alert.scorer)\">\(alert.scorer)</a>"
  }

  private static func title(_ kind: String) -> String {
    switch kind {
    case "lag": "Too far behind"
    case "held": "Held by a gate"
    case "expectation": "Expectation failed"
    case "drift": "Drift"
    case "rollout": "Rollout stopped"
    case "suspended": "Suspended"
    case "active": "Hindered"
    case "chunk": "Chunk given up"
    case "workers": "No workers"
    default: kind
    }
  }
}

/// Links to the pages before and after one.
struct ConsolePager {
  var path: Markup
  var name: String
  var previous: Int?
  var next: Int?

  var markup: Markup? {
    guard previous != nil || next != nil else { return nil }
    func link(_ skip: Int, _ title: String) -> Markup {
      "<a class=\"button quiet\" href=\"\(path)\(path.html.contains("?") ? "&" : "?")\(name)=\(skip)\">\(title)</a>"
    }
    return """
      <nav class="pages" aria-label="Pages">\(previous.map { link($0, "Previous \(OverviewPage.pageSize)") })\
      \(next.map { link($0, "Next \(OverviewPage.pageSize)") })</nav>
      """
  }
}
