/// Jobs, the latest first, with how far they are.
struct JobsPage {
  static let pageSize = 50

  /// One more than a page where another follows.
  var jobs: [ConsoleData.Job]
  var isFirst: Bool

  var page: ConsolePage {
    let shown = Array(jobs.prefix(Self.pageSize))
    let older: Markup? =
      jobs.count > Self.pageSize
      ? "<a class=\"button quiet\" href=\"/console/jobs?before=\(shown.last?.id ?? 0)\">Older jobs</a>"
      : nil
    return ConsolePage(
      section: .jobs, title: "Jobs",
      lead: "Backfills, rescoring, submitted jobs and schedules' steps, the latest first.",
      body: """
        \(JobTable(jobs: shown, caption: "Rates are over the last 30 seconds; of jobs that are over, over all their time.").markup)
        <nav class="pages" aria-label="Pages">\(if: !isFirst, "<a class=\"button quiet\" href=\"/console/jobs\">Latest jobs</a>")\(older)</nav>
        """, isLive: true)
  }
}

struct JobTable {
  var jobs: [ConsoleData.Job]
  var caption: String

  var markup: Markup {
    ConsoleTable(
      caption: caption,
      columns: [
        .text("Job"), .text("State"), .text("Progress"), .number("Rows"), .number("Rows/s"),
        .number("Time left"),
        .text("Started"),
      ],
      rows: jobs.map { job in
        [
          "\(job.id) · \(job.title)<span class=\"fine\">\(job.way)</span>", job.badge, job.progress,
          job.rows,
          job.rate.map { "\(ConsoleText.rate($0))" } ?? ConsoleParts.none, job.left,
          "\(ConsoleText.moment(job.createdAt))<span class=\"fine\">by \(job.createdBy)</span>",
        ]
      }, empty: "No job was made yet."
    ).markup
  }
}

extension ConsoleData.Job {
  fileprivate var title: Markup {
    guard let scorer else { return "\(kind)\(model.map { " of \($0)" })" }
    return "\(kind) of <a href=\"/console/scorers/\(part: page ?? scorer)\">\(scorer)</a>"
  }

  fileprivate var way: Markup {
    "\(source ?? "") to \(destination ?? "")\(version.map { " with version \($0)" })"
  }

  fileprivate var badge: Markup {
    let badge =
      switch state {
      case "running": ConsoleParts.badge(.good, phase.map { "running: \($0)" } ?? "running")
      case "done": ConsoleParts.badge(.done, "done")
      case "failed": ConsoleParts.badge(.bad, "failed")
      default: ConsoleParts.badge(.warn, state)
      }
    return "\(badge)\(error.map { "<span class=\"fine\">\($0)</span>" as Markup })"
  }

  fileprivate var progress: Markup {
    """
    <span class="hidden">\(ConsoleText.share(done))</span>\
    \(ConsoleParts.progress(done, label: "job \(id)"))<span class="fine" aria-hidden="true">\(ConsoleText.share(done))</span>
    """
  }

  fileprivate var rows: Markup {
    let failed = rowsFailed ?? 0
    return """
      \(ConsoleText.count(rowsDone ?? 0))\
      \(rowsTotal.map { "<span class=\"fine\">of \(ConsoleText.count($0))</span>" as Markup })\
      \(if: failed > 0, "<span class=\"fine\">\(ConsoleText.count(failed)) failed</span>")
      """
  }

  fileprivate var left: Markup {
    if state != "running" { return "\(elapsed.map { "took \(ConsoleText.duration($0))" } ?? "")" }
    return eta.map { "\(ConsoleText.duration($0))" } ?? "not known"
  }
}
