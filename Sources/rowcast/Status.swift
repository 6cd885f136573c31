import ArgumentParser
import Foundation
import Postgres

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show scorers and workers, live.",
    discussion: """
      On a terminal the view refreshes until Ctrl-C; into a pipe a block is printed each time. \
      The backlog counts rows whose prediction is not written yet.

      EXAMPLE
        rowcast status
        rowcast status --once
        rowcast status --json --once | jq '.scorers[].backlog_rows'
      """)

  @Flag(help: "Show it once and leave.")
  var once = false

  @Option(help: ArgumentHelp("Time between two looks.", valueName: "seconds"))
  var interval = 1.0

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard interval >= 0.1 else { throw ValidationError("--interval must be 0.1 or more") }
  }

  func run() throws {
    let session = try Connection(connection.settings(application: "rowcast status"))
    let terminal = Terminal.standardOutput
    if once {
      terminal.line(try output.json ? json(session) : view(session))
      return
    }
    let interruption = Interruption()
    while !interruption.isSet {
      let text = try output.json ? json(session) : view(session)
      if terminal.isInteractive && !output.json {
        // To the upper left corner, each line to its end, then the rest of the screen.
        let height = terminal.size.rows - 1
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(height)
        let shown = lines.map { $0.prefix(terminal.size.columns) + "\u{1B}[K\n" }.joined()
        terminal.write("\u{1B}[H" + shown + "\u{1B}[J")
      } else {
        guard terminal.line(text) else { return }
      }
      _ = interruption.wakeUp.wait(timeout: .seconds(interval))
    }
  }

  private func view(_ session: Connection) throws -> String {
    let now = try session.run("select to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS TZ')")
      .value(0, 0, as: String.self)
    let workerTable = try Listing.table(
      """
      select name, host, pid, release, lanes,
             coalesce(bulk_lanes::text, '') as "for jobs",
             case when connections < connections_wanted
                  then connections_used || ' of ' || connections || ', wants ' || connections_wanted
                  else coalesce(connections_used || ' of ' || connections, '') end as connections,
             case when dispatcher then 'dispatcher' else '' end as role,
             to_char(started_at, 'MM-DD HH24:MI:SS') as started,
             round(extract(epoch from clock_timestamp() - seen_at)::numeric, 1) || ' s ago' as seen,
             coalesce(pressure, '') as "holds back because"
      from rowcast.workers order by name
      """, empty: "no workers; start one with \"rowcast worker\" or \"rowcast up\"", on: session)
    let budget = try session.run("select rowcast.connection_budget()").value(0, 0, as: Int32.self)
    return [
      now, "", "SCORERS", try ScorerListing.table(session), "",
      "WORKERS (at most \(budget) connections, by rowcast.limits)", workerTable,
    ].joined(separator: "\n")
  }

  private func json(_ session: Connection) throws -> String {
    try Listing.json(
      """
      select jsonb_pretty(jsonb_build_object(
        'at', clock_timestamp(),
        'scorers', (select coalesce(jsonb_agg(to_jsonb(s) order by s.name), '[]')
                    from rowcast.scorer_status as s),
        'connection_budget', rowcast.connection_budget(),
        'workers', (select coalesce(jsonb_agg(to_jsonb(w) order by w.name), '[]')
                    from rowcast.workers as w)))
      """, on: session)
  }
}
