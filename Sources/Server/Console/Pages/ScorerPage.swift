/// One scorer: how it fares, what happened within the hour, its rules, rollouts and latest failures.
struct ScorerPage {
  var scorer: ConsoleData.Scorer
  var details: ConsoleData.ScorerDetails
  var failures: ConsoleData.Failures?
  /// Of it alone.
  var alerts: [ConsoleData.Alert]

  var page: ConsolePage {
    ConsolePage(
      section: .overview, way: [.init(title: "Overview", path: "/")], title: scorer.name,
      lead:
        "Scores \(scorer.source) by \(scorer.follows) into <code>predictions.\(scorer.name)</code>.",
      body: """
        <p class="hidden" aria-live="polite">State: \(scorer.state).</p>
        \(state)
        \(if: !alerts.isEmpty, ConsoleParts.section("Needs attention", id: "alerts", AlertList(alerts: alerts).markup))
        \(ConsoleParts.section("The last hour", id: "hour", hour))
        \(ConsoleParts.section("Rules", id: "rules", rules))
        \(ConsoleParts.section("Rollouts", id: "rollouts", rollouts))
        \(ConsoleParts.section("Latest failures", id: "failures", latestFailures))
        \(ConsoleParts.section("Columns", id: "columns", columns))
        """, isLive: true)
  }

  private var state: Markup {
    var facts: [(String, Markup)] = [
      (
        "State",
        "\(scorer.badge)\(scorer.reason.map { "<span class=\"fine\">\($0)</span>" as Markup })"
      ),
      ("Backlog", "\(ConsoleText.count(scorer.backlog)) rows"),
      ("Oldest change", scorer.age),
      ("Rows a second", "\(ConsoleText.rate(scorer.rate))"),
      ("Latency", scorer.latency),
      ("Failures", scorer.failureLink),
      ("Rows of a chunk", "\(ConsoleText.count(details.chunkRows))"),
      ("Made", "\(ConsoleText.moment(details.createdAt)) by \(details.createdBy)"),
    ]
    if let lag = details.lag {
      facts.append(
        (
          "Limit of lag",
          """
          \(lag.isKept ? ConsoleParts.badge(.good, "kept") : ConsoleParts.badge(.bad, "broken"))
          <span class="fine">\(ConsoleText.duration(lag.maxLag)); broken \(ConsoleText.count(lag.breaches)) times\
          \(lag.longest.map { ", by \(ConsoleText.duration($0)) at most" })</span>
          """
        ))
    }
    return ConsoleParts.section("State", id: "state", ConsoleParts.facts(facts))
  }

  private var hour: Markup {
    guard !details.minutes.isEmpty else {
      return ConsoleParts.note("Nothing was scored within the last 60 minutes.")
    }
    func values(_ value: (ConsoleData.ScorerDetails.Minute) -> Double) -> [Double] {
      var values = [Double](repeating: 0, count: 60)
      for minute in details.minutes where (0..<60).contains(minute.ago) {
        values[59 - minute.ago] = value(minute)
      }
      return values
    }
    func chart(_ title: String, _ values: [Double], _ text: (Double) -> String, tone: String = "")
      -> Markup
    {
      let most = values.max() ?? 0
      return """
        <div class="chart"><h3>\(title)</h3><p class="peak">at most \(text(most))</p>
        \(ConsoleParts.bars(values, label: "\(title), minute by minute over an hour: at most \(text(most)), last \(text(values.last ?? 0))", width: 480, height: 104, tone: tone))
        <p class="axis" aria-hidden="true"><span>60 min ago</span><span>now</span></p></div>
        """
    }
    let failed = values { Double($0.failed) }
    let table = ConsoleTable(
      caption: "Minutes in which something was scored, the latest first.",
      columns: [
        .text("Minute"), .number("Rows"), .number("Failed"), .number("Mean latency"),
        .number("Longest"),
      ],
      rows: details.minutes.reversed().map { minute in
        [
          minute.ago == 0 ? "this one" : "\(minute.ago) min ago",
          "\(ConsoleText.count(minute.rows))",
          "\(ConsoleText.count(minute.failed))",
          minute.mean.map { "\(ConsoleText.duration($0))" } ?? ConsoleParts.none,
          minute.longest.map { "\(ConsoleText.duration($0))" } ?? ConsoleParts.none,
        ]
      }, empty: "")
    return """
      <div class="charts">
      \(chart("Rows scored a minute", values { Double($0.rows) }) { ConsoleText.count(Int64($0)) })
      \(chart("Longest latency", values { $0.longest ?? 0 }) { ConsoleText.duration($0) })
      \(if: failed.contains { $0 > 0 }, chart("Rows failed a minute", failed, { ConsoleText.count(Int64($0)) }, tone: "bad"))
      </div>
      <details><summary>The same as a table</summary>
      \(table.markup)</details>
      """
  }

  private var rules: Markup {
    ConsoleTable(
      caption: "What is expected of rows, and what became of it in the last 24 hours.",
      columns: [
        .text("Expectation"), .text("State"), .text("Action"), .number("Checked"),
        .number("Failed"),
      ],
      rows: details.rules.map { rule in
        [
          """
          \(rule.name)<span class="fine">\(rule.kind)\(rule.column.map { " of \($0)" })\(rule.bounds)</span>
          """, rule.badge, "\(rule.action)",
          "\(ConsoleText.count(rule.checked ?? 0))", "\(ConsoleText.count(rule.failed ?? 0))",
        ]
      },
      empty: """
        Nothing is expected of its rows. Say so in SQL: <code>rowcast.expect</code>.
        """
    ).markup
  }

  private var rollouts: Markup {
    ConsoleTable(
      caption: "What runs beside the champion, or did.",
      columns: [
        .text("Rollout"), .text("State"), .number("Share"), .number("Rows"), .number("Failed"),
        .text("Started"),
      ],
      rows: details.rollouts.map { rollout in
        [
          "\(rollout.kind) of version \(rollout.version.map { "\($0)" } ?? rollout.alias ?? "")",
          """
          \(ConsoleParts.badge(rollout.state == "running" || rollout.state == "active" ? .good : .idle, rollout.state))\
          \(rollout.reason.map { "<span class=\"fine\">\($0)</span>" as Markup })
          """,
          rollout.share.map { "\(ConsoleText.share($0))" } ?? ConsoleParts.none,
          rollout.rows.map {
            "\(ConsoleText.count($0))<span class=\"fine\">champion \(ConsoleText.count(rollout.championRows ?? 0))</span>"
          } ?? ConsoleParts.none,
          rollout.failed.map {
            "\(ConsoleText.count($0))<span class=\"fine\">champion \(ConsoleText.count(rollout.championFailed ?? 0))</span>"
          } ?? ConsoleParts.none,
          "\(ConsoleText.moment(rollout.startedAt))",
        ]
      }, empty: "Neither a shadow nor a canary runs."
    ).markup
  }

  private var latestFailures: Markup {
    guard let failures, !failures.rows.isEmpty else { return ConsoleParts.note("No row failed.") }
    return """
      \(FailureTable(rows: Array(failures.rows.prefix(10)), caption: "The latest ten.").markup)
      <p class="pages"><a href="/console/failures?scorer=\(part: scorer.name)">All failures of \(scorer.name)</a></p>
      """
  }

  private var columns: Markup {
    func table(_ caption: String, _ columns: [ConsoleData.ScorerDetails.Column], _ what: String)
      -> Markup
    {
      ConsoleTable(
        caption: caption, columns: [.text(what), .text("Column"), .text("Type")],
        rows: columns.map {
          ["\($0.input ?? "")", "<code>\($0.column ?? "")</code>", "<code>\($0.type ?? "")</code>"]
        },
        empty: "There are none."
      ).markup
    }
    let more = details.featureCount - details.features.count
    return """
      <details><summary>\(ConsoleText.count(details.featureCount)) features and \(details.outputs.count) outputs</summary>
      \(table(details.isQuery ? "What its query gives to the model." : "What the source's columns give to the model.", details.features, "Feature"))
      \(if: more > 0, ConsoleParts.note("And \(ConsoleText.count(more)) more."))
      <h3 class="spaced">What is written</h3>
      \(table("The columns of its predictions.", details.outputs, "Output"))</details>
      """
  }
}

extension ConsoleData.ScorerDetails.Rule {
  fileprivate var badge: Markup {
    let badge =
      isHeld
      ? ConsoleParts.badge(.bad, "holds the scorer")
      : (failed ?? 0) > 0 ? ConsoleParts.badge(.warn, "failed") : ConsoleParts.badge(.good, "kept")
    return "\(badge)\(reason.map { "<span class=\"fine\">\($0)</span>" as Markup })"
  }

  fileprivate var bounds: Markup {
    switch (minimum, maximum, tolerance) {
    case (let low?, let high?, _): ", \(ConsoleText.number(low)) to \(ConsoleText.number(high))"
    case (let low?, nil, _): ", at least \(ConsoleText.number(low))"
    case (nil, let high?, _): ", at most \(ConsoleText.number(high))"
    case (nil, nil, let off?): ", within \(ConsoleText.number(off))"
    default: ""
    }
  }
}
