import ArgumentParser
import Postgres

struct Jobs: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List jobs, or watch one to its end.",
    discussion: """
      A job is a backfill or a rescoring of a scorer, or what rowcast.submit_job made: a table, \
      query or file, scored once. In SQL: rowcast.job_progress, pause_job(id), resume_job(id), \
      cancel_job(id), retry_failures(id), call wait_for_job(id).

      EXAMPLE
        rowcast jobs
        rowcast jobs --json | jq '.[] | select(.state == "running")'
        rowcast jobs watch 12
      """,
    subcommands: [JobList.self, JobWatch.self],
    defaultSubcommand: JobList.self)
}

struct JobList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the jobs and how far they are.",
    discussion: """
      EXAMPLE
        rowcast jobs list
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let session = try Connection(connection.settings(application: "rowcast jobs"))
    Terminal.standardOutput.line(try output.json ? json(session) : table(session))
  }

  private func table(_ session: Connection) throws(PostgresError) -> String {
    try Listing.table(
      """
      select job_id as job, coalesce(scorer, model, '') as scores, kind,
             state || case when state = 'running' and phase not in ('score', 'over')
                           then ' (' || phase || ')' else '' end as state, rows_done as done, rows_failed as failed,
             coalesce(rows_total, 0) as total, round((100 * done)::numeric) || ' %' as share,
             round(rows_per_second::numeric) as "rows/s",
             case when eta is null then '' else round(extract(epoch from eta)) || ' s' end as eta,
             to_char(created_at, 'MM-DD HH24:MI:SS') as made, created_by as by
      from rowcast.job_progress order by job_id
      """, empty: "no jobs; \"select rowcast.submit_job(model, source)\" makes one", on: session)
  }

  private func json(_ session: Connection) throws(PostgresError) -> String {
    try Listing.json(
      """
      select coalesce(jsonb_pretty(jsonb_agg(to_jsonb(j) order by j.job_id)), '[]')
      from rowcast.job_progress as j
      """, on: session)
  }
}

struct JobWatch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Show a job's progress until it is over.",
    discussion: """
      On a terminal a bar; into a pipe a line each time. Exit status: 0 the job is done, 1 it was \
      cancelled or failed.

      EXAMPLE
        rowcast jobs watch 12
      """)

  @Argument(help: ArgumentHelp("The job's number.", valueName: "id"))
  var job: Int64

  @Option(help: ArgumentHelp("Time between two looks.", valueName: "seconds"))
  var interval = 0.5

  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard interval >= 0.1 else { throw ValidationError("--interval must be 0.1 or more") }
  }

  func run() throws {
    let session = try Connection(connection.settings(application: "rowcast jobs watch"))
    let interruption = Interruption()
    while !interruption.isSet {
      guard let progress = try JobProgress(job, session) else {
        throw CommandError(
          .failed, "job \(job) does not exist", hint: "\"rowcast jobs\" lists them.")
      }
      guard show(progress) else { return }
      if progress.isOver {
        guard progress.state == "done" else {
          throw CommandError(
            .failed,
            progress.error ?? "job \(job) \(progress.state == "failed" ? "has" : "was") "
              + progress.state)
        }
        return
      }
      _ = interruption.wakeUp.wait(timeout: .seconds(interval))
    }
    if Terminal.standardOutput.isInteractive { Terminal.standardOutput.line("") }
  }

  /// False once nobody reads it.
  private func show(_ progress: JobProgress) -> Bool {
    let terminal = Terminal.standardOutput
    guard terminal.isInteractive else { return terminal.line(progress.text(barWidth: 0)) }
    let line = progress.text(barWidth: 30)
    terminal.write("\r" + line.prefix(terminal.size.columns - 1) + "\u{1B}[K")
    if progress.isOver { terminal.line("") }
    return true
  }
}

/// One look at a job, by the view `rowcast.job_progress`.
struct JobProgress {
  let state: String
  let done: Int64
  let failed: Int64
  let total: Int64
  let share: Double
  let rate: Double
  /// Seconds; nil where nothing moves.
  let remaining: Double?
  let elapsed: Double
  let isOver: Bool
  /// What a submitted job does now; nil of others, and while it scores.
  let phase: String?
  let error: String?

  /// Nil where no such job is.
  init?(_ job: Int64, _ session: Connection) throws(PostgresError) {
    let rows = try session.run(
      """
      select state, rows_done, rows_failed, coalesce(rows_total, 0) as total,
             coalesce(done, 0)::float8 as share, rows_per_second as rate,
             extract(epoch from eta)::float8 as eta, extract(epoch from elapsed)::float8 as elapsed,
             finished_at is not null as is_over, nullif(phase, 'score') as phase, error
      from rowcast.job_progress where job_id = \(job)
      """)
    guard rows.count > 0 else { return nil }
    state = try rows.value(0, "state")
    done = try rows.value(0, "rows_done")
    failed = try rows.value(0, "rows_failed")
    total = try rows.value(0, "total")
    share = try rows.value(0, "share")
    rate = try rows.value(0, "rate")
    remaining = try rows.value(0, "eta", as: Double?.self)
    elapsed = try rows.value(0, "elapsed")
    isOver = try rows.value(0, "is_over")
    phase = try rows.value(0, "phase", as: String?.self)
    error = try rows.value(0, "error", as: String?.self)
  }

  /// `[#####.....]  52 %  520,000 of 1,000,000 rows, 120,331 rows/s, 4.0 s left`
  func text(barWidth: Int) -> String {
    var text = ""
    if barWidth > 0 {
      let filled = Int(share * Double(barWidth))
      text +=
        "[" + String(repeating: "#", count: filled)
        + String(repeating: ".", count: barWidth - filled) + "] "
    }
    text += "\(Format.decimal(share * 100, places: 0)) %  "
    text += "\(Format.count(done)) of \(Format.count(total)) rows"
    if failed > 0 { text += ", \(Format.count(failed)) failed" }
    text += ", \(Format.rate(rate)) rows/s"
    if isOver {
      text += ", \(state) after \(Format.length(seconds: elapsed))"
    } else if state != "running" {
      text += ", \(state)"
    } else if let phase {
      text += ", \(phase)"
    } else if let remaining {
      text += ", \(Format.length(seconds: remaining)) left"
    }
    return text
  }
}
