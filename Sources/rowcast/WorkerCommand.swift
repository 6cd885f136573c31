import ArgumentParser
import Postgres
import Schema
import Scoring

struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Score for an existing database.",
    discussion: """
      Any number of workers may serve a database, on any hosts; the database coordinates them. \
      One is elected to dispatch, the others stand by. SIGTERM or Ctrl-C stops it in order: lanes \
      finish what they hold, and nothing stays claimed. Needs the role rowcast_worker and a direct \
      connection, not one through a transaction pooler.

      EXAMPLE
        rowcast worker --database postgresql://scoring@db.example/shop --lanes 8
        PGHOST=db.example PGDATABASE=shop rowcast worker --log-level info

      EXIT STATUS
        0 stopped in order, 1 no rights, 69 no database, 78 the schema is of another release
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var worker: WorkerOptions
  @OptionGroup var log: LogOptions

  @Option(help: "As the view rowcast.workers shows it. Default: host and process.")
  var name: String?

  func run() async throws {
    let interruption = Interruption()
    let settings = try connection.settings(application: "rowcast worker")
    try checkSchema(settings)
    var configuration = self.worker.configuration(settings)
    if let name { configuration.name = name }
    let worker = Worker(configuration, logger: log.logger)
    try await WorkerRun.during(worker) {
      while !interruption.isSet { _ = interruption.wakeUp.wait() }
    }
  }

  /// Says at once what a worker would otherwise find out by failing.
  private func checkSchema(_ settings: ConnectionSettings) throws {
    let session = try Connection(settings)
    defer { session.close() }
    try Migrator.requireSchema(on: session)
  }
}
