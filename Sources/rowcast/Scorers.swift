import ArgumentParser
import Postgres

struct Scorers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the scorers and how far they are.",
    discussion: """
      EXAMPLE
        rowcast scorers
        rowcast scorers --json | jq '.[] | select(.state != "active")'
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let session = try Connection(connection.settings(application: "rowcast scorers"))
    if output.json {
      Terminal.standardOutput.line(try ScorerListing.json(session))
    } else {
      Terminal.standardOutput.line(try ScorerListing.table(session))
    }
  }
}

/// The view `rowcast.scorer_status`, as `scorers` and `status` show it.
enum ScorerListing {
  static func table(_ session: Connection) throws(PostgresError) -> String {
    try Listing.table(
      """
      select name, source::text, coalesce(model, '') as model, state,
             backlog_rows as backlog,
             case when oldest_age is null then ''
                  else round(extract(epoch from oldest_age)::numeric, 1) || ' s' end as oldest,
             case when max_lag_kept then 'kept' when not max_lag_kept then 'broken' else '' end
             || coalesce(' (' || extract(epoch from max_lag)::float8 || ' s)', '') as "max lag",
             round(rows_per_second::numeric) as "rows/s", failures,
             round((100 * backfill_done)::numeric) || ' %' as backfill,
             coalesce(state_reason, last_error, '') as reason
      from rowcast.scorer_status order by name
      """, empty: "no scorers; make one with \"select * from rowcast.create_scorer(...)\"",
      on: session)
  }

  static func json(_ session: Connection) throws(PostgresError) -> String {
    try Listing.json(
      """
      select coalesce(jsonb_pretty(jsonb_agg(to_jsonb(s) order by s.name)), '[]')
      from rowcast.scorer_status as s
      """, on: session)
  }
}
