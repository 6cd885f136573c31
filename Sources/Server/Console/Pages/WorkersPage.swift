/// Processes that score, and what they say of themselves.
struct WorkersPage {
  var workers: [ConsoleData.Worker]

  var page: ConsolePage {
    ConsolePage(
      section: .workers, title: "Workers",
      lead: "Processes that score, or did within the last hour.",
      body: ConsoleTable(
        caption: "One of them collects changes and makes chunks: the dispatcher.",
        columns: [
          .text("Worker"), .text("State"), .number("Lanes"), .number("Chunks"),
          .number("Connections"), .text("Devices"),
          .text("Release"), .text("Since"),
        ],
        rows: workers.map { worker in
          [
            """
            \(worker.name)<span class="fine">\(worker.host ?? "")\(worker.pid.map { ", process \($0)" })</span>
            """, worker.badge,
            """
            \(ConsoleText.count(worker.lanes))\
            \(worker.bulkLanes.map { "<span class=\"fine\">\(ConsoleText.count($0)) take jobs</span>" as Markup })
            """,
            "\(ConsoleText.count(worker.chunks))",
            """
            \(worker.used.map { "\($0)" as Markup } ?? ConsoleParts.none)\
            \(worker.connections.map { "<span class=\"fine\">of \($0), wants \(worker.wanted ?? $0)</span>" as Markup })
            """,
            "\((worker.devices ?? []).joined(separator: ", "))", "\(worker.release ?? "")",
            ConsoleText.moment(worker.startedAt),
          ]
        },
        empty:
          "No worker runs: rows wait until one does. Start <code>rowcast worker</code>, or <code>rowcast up</code>."
      ).markup, isLive: true)
  }
}

extension ConsoleData.Worker {
  fileprivate var badge: Markup {
    let badge: Markup =
      if lastSeen >= 30 {
        ConsoleParts.badge(.bad, "silent for \(ConsoleText.duration(lastSeen))")
      } else if pressure != nil {
        ConsoleParts.badge(.warn, "holds back")
      } else {
        ConsoleParts.badge(.good, chunks > 0 ? "scoring" : "ready")
      }
    return """
      \(badge)\(if: isDispatcher, " <span class=\"tag\">dispatcher</span>")\
      \(pressure.map { "<span class=\"fine\">\($0)</span>" as Markup })
      """
  }
}
