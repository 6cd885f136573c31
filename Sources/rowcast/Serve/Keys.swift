import ArgumentParser
import Postgres

struct Keys: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make, list and revoke the keys of the HTTP server's callers.",
    discussion: """
      A key is shown when it is made and never again: the database keeps a hash of it. A client has two \
      live keys at most: make the second, give it to the client, revoke the first.

      EXAMPLE
        rowcast keys create "web shop" --model churn --action score --expires "90 days"
        rowcast keys create "night jobs" --action jobs --role night_jobs
        rowcast keys
        rowcast keys revoke 3f1c0a9be4d2
      """,
    subcommands: [Listed.self, Create.self, Revoke.self], defaultSubcommand: Listed.self)

  struct Listed: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List the keys.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let session = try Connection(connection.settings(application: "rowcast keys"))
      let terminal = Terminal.standardOutput
      if output.json {
        terminal.line(
          try Listing.json(
            """
            select coalesce(jsonb_pretty(jsonb_agg(to_jsonb(k) order by k.created_at)), '[]')
            from rowcast.keys as k
            """, on: session))
      } else {
        terminal.line(
          try Listing.table(
            """
            select key_id as key, client, coalesce(array_to_string(models, ' '), 'all') as models,
                   array_to_string(actions, ' ') as actions, coalesce(role::text, '') as role, state,
                   to_char(created_at, 'YYYY-MM-DD HH24:MI') as created,
                   coalesce(to_char(expires_at, 'YYYY-MM-DD HH24:MI'), 'never') as expires
            from rowcast.keys order by created_at, key_id
            """, empty: "no keys; make one with \"rowcast keys create CLIENT\"", on: session))
      }
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it, this once.")

    @Argument(help: "Who will use it.")
    var client: String

    @Option(help: "A model that it is for; may be repeated. Default: all, also later ones.")
    var model: [String] = []

    @Option(
      help: """
        What it allows: read, score, metrics, jobs or push; may be repeated. Default: read and score.
        """)
    var action: [String] = []

    @Option(
      help: """
        The role of the database whose rights its jobs and models have, which has run \
        rowcast.lend_rights().
        """)
    var role: String?

    @Option(
      help: ArgumentHelp(
        "How long it is valid, as in \"90 days\". Default: for ever.", valueName: "time")
    )
    var expires: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
      var keyID: String
      var key: String
    }

    func run() throws {
      let session = try Connection(connection.settings(application: "rowcast keys"))
      let actions: [String] = action.isEmpty ? ["read", "score"] : action
      let made = try session.run(
        Query(
          text:
            "select key_id, key from rowcast.create_key($1, nullif($2, '{}'), $3, $4::text::interval, $5)",
          values: [
            client, model, actions,
            expires, role,
          ]))
      let report = Report(keyID: try made.value(0, "key_id"), key: try made.value(0, "key"))
      let terminal = Terminal.standardOutput
      terminal.line(output.json ? try JSONText.of(report) : report.key)
    }
  }

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Revoke a key; servers refuse it within two seconds.")

    @Argument(help: "The key's number, as \"rowcast keys\" lists it.")
    var key: String

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      let session = try Connection(connection.settings(application: "rowcast keys"))
      let isNew = try session.run("select rowcast.revoke_key(\(key))").value(0, 0, as: Bool.self)
      Terminal.standardOutput.line(isNew ? "revoked" : "it was revoked before")
    }
  }
}
