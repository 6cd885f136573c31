import ArgumentParser
import Postgres

struct Models: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the models, or the versions of one.",
    discussion: """
      EXAMPLE
        rowcast models
        rowcast models churn
        rowcast models --json | jq -r '.[].model'
      """)

  @Argument(help: "A model, of which the versions are listed.")
  var model: String?

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let session = try Connection(connection.settings(application: "rowcast models"))
    let terminal = Terminal.standardOutput
    if let model {
      terminal.line(output.json ? try versionsJSON(model, session) : try versions(model, session))
    } else {
      terminal.line(output.json ? try modelsJSON(session) : try models(session))
    }
  }

  private func models(_ session: Connection) throws -> String {
    try Listing.table(
      """
      select model, newest_version as newest, newest_state as state, format,
             (select string_agg(key || '=' || value, ' ' order by key)
              from jsonb_each_text(aliases)) as aliases,
             versions, to_char(created_at, 'YYYY-MM-DD HH24:MI') as created
      from rowcast.models order by model
      """, empty: "no models; add one with \"rowcast push FILE --name NAME\"", on: session)
  }

  private func modelsJSON(_ session: Connection) throws -> String {
    try Listing.json(
      """
      select coalesce(jsonb_pretty(jsonb_agg(to_jsonb(m) order by m.model)), '[]')
      from rowcast.models as m
      """, on: session)
  }

  private func versions(_ model: String, _ session: Connection) throws -> String {
    let table = try Listing.table(
      """
      select version, state, format, array_to_string(aliases, ' ') as aliases,
             features, outputs, pg_size_pretty(byte_count) as size,
             left(sha256, 12) as sha256, to_char(created_at, 'YYYY-MM-DD HH24:MI') as created,
             coalesce(refusal, alias_refusal, '') as refusal
      from rowcast.model_versions where model = $1 order by version
      """, values: [model], empty: "", on: session)
    guard !table.isEmpty else { throw unknown(model) }
    return table
  }

  private func versionsJSON(_ model: String, _ session: Connection) throws -> String {
    let text = try Listing.json(
      """
      select coalesce(jsonb_pretty(jsonb_agg(to_jsonb(v) order by v.version)), '')
      from rowcast.model_versions as v where v.model = \(model)
      """, on: session)
    guard !text.isEmpty else { throw unknown(model) }
    return text
  }

  private func unknown(_ model: String) -> CommandError {
    CommandError(
      .failed, "there is no model \"\(model)\"", hint: "\"rowcast models\" lists them.")
  }
}
