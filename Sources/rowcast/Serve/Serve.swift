import ArgumentParser
import Postgres
import Schema
import Scoring
import Server

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer requests over HTTP with the models of a database.",
    discussion: """
      Speaks the Open Inference Protocol (/v2/models/NAME/infer, JSON and binary tensors), so that any of its \
      clients will do; takes records by name as JSON, NDJSON or CSV (/v1/models/NAME/predict); and ranks \
      answers to a text or an image (/api/v1/service/NAME/score). A request names a model, of which the champion answers unless a version or another \
      alias is named. A model is loaded when first asked for, and an alias that moves is followed at once. \
      Jobs over tables, queries and files (/v1/jobs) and new versions (/v1/models/NAME/versions) are made \
      with the rights of the key's role. /openapi.json describes all of it, \
      and at / is a console for people.

      Callers show a key ("rowcast keys create"), or a token of the issuer whose keys --jwks has, which names \
      a role of the database and has its rights; only /v2/health/live, /v2/health/ready \
      and the page on which people sign in to the console need none. On \
      other addresses than the loopback's TLS is asked for, whose certificate is read again when its file \
      changes. SIGTERM or Ctrl-C stops it in order: requests that came are answered. Needs the role \
      rowcast_worker and a direct connection, not one through a transaction pooler.

      EXAMPLE
        rowcast serve --database postgresql://scoring@db.example/shop
        rowcast serve --host 0.0.0.0 --port 8443 --tls-certificate server.pem --tls-key server.key
        rowcast serve --jwks keys.json --jwt-issuer https://id.example --jwt-audience rowcast

      EXIT STATUS
        0 stopped in order, 1 failed, 69 no database, 78 unfit configuration or schema
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(help: "The port to listen on; 0 for any that is free.")
  var port = 8080

  @OptionGroup var http: HTTPOptions

  @Option(
    help: ArgumentHelp(
      "Megabytes of models that are kept loaded. Default: a quarter of the memory.",
      valueName: "megabytes"))
  var modelMemory: Int?

  @OptionGroup var log: LogOptions

  func validate() throws {
    guard (0...65535).contains(port) else {
      throw ValidationError("--port must be from 0 to 65535")
    }
    if let modelMemory, !(1...1_048_576).contains(modelMemory) {
      throw ValidationError("--model-memory must be from 1 to 1048576")
    }
  }

  func run() async throws {
    let settings = try connection.settings(application: "rowcast http")
    try checkSchema(settings)
    let logger = log.logger
    let http = http
    let server = try HTTPServer(
      http.configuration(
        settings, port: port,
        modelByteCount: modelMemory.map { $0 << 20 } ?? max(64 << 20, Machine.memoryByteCount / 4)),
      release: Rowcast.release, logger: logger
    ) { port in
      Terminal.standardOutput.line("serving on \(http.url(port: port))")
    }
    try await HTTPRun.untilSignalled(server, logger: logger)
    Terminal.standardOutput.line("stopped")
  }

  /// Says at once what the server would otherwise find out by failing.
  private func checkSchema(_ settings: ConnectionSettings) throws {
    let session = try Connection(settings)
    defer { session.close() }
    try Migrator.requireSchema(on: session)
  }
}
