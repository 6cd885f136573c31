import ArgumentParser
import Foundation
import Schema

/// The command line. Each subcommand has a file of its own, parses its arguments and calls a module.
@main
struct Rowcast: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rowcast",
    abstract: "Insert rows into PostgreSQL, get predictions.",
    discussion: """
      Rowcast watches tables, scores new and changed rows on all cores, and keeps the predictions \
      in typed tables beside them. Analysts and dashboards need nothing but SQL.

      EXAMPLE
        rowcast up
        rowcast push churn.onnx --name churn --alias champion
        psql … -c "select * from rowcast.create_scorer('churn', 'customer', 'churn')"
        psql … -c "select * from predictions.churn"

      DATABASE
        Commands that need one take --database; without it the PG* environment counts, and \
      without that the appliance that runs on --data-dir.

      EXIT STATUS
        0 done, 1 failed, 64 usage, 65 bad model or data, 69 no database, 78 bad configuration
      """,
    version: release,
    groupedSubcommands: [
      CommandGroup(
        name: "Appliance", subcommands: [Up.self, Down.self, Demo.self, Bench.self]),
      CommandGroup(
        name: "Database",
        subcommands: [
          Migrate.self, WorkerCommand.self, Serve.self, Keys.self, Status.self, Doctor.self,
        ]),
      CommandGroup(
        name: "Model",
        subcommands: [Push.self, Models.self, Scorers.self, Jobs.self, Inspect.self, Predict.self]),
    ])

  /// The release, as `--version` and the `worker` table show it.
  static let release = Release.version

  static func main() async {
    // A reader that goes away (`rowcast models | head`) is an error of the write, not a signal.
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      leave(with: error)
    }
  }

  /// Prints an error as `rowcast: error: …` and ends the process with its status.
  private static func leave(with error: any Error) -> Never {
    if error is CommandError || !isUsage(error) {
      let status = exitCode(for: error)
      // Help, version and a bare exit code are the parser's own.
      if !(error is CommandError), status == .success || error is ExitCode {
        exit(withError: error)
      }
      let failure = CommandError(describing: error)
      failure.print()
      Foundation.exit(failure.status.rawValue)
    }
    let text = message(for: error)
    var failure = CommandError(.usage, text.prefix(1).lowercased() + text.dropFirst())
    let names = configuration.groupedSubcommands.flatMap(\.subcommands)
      .map { $0.configuration.commandName ?? "\($0)".lowercased() }
    let command = CommandLine.arguments.dropFirst().first.map { names.contains($0) ? " \($0)" : "" }
    failure.hint = "Run \"rowcast help\(command ?? "")\"."
    failure.print()
    Foundation.exit(CommandError.Status.usage.rawValue)
  }

  private static func isUsage(_ error: any Error) -> Bool {
    exitCode(for: error) == .validationFailure
  }
}
