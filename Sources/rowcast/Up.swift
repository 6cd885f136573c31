import ArgumentParser
import Foundation
import Postgres
import Scoring
import Server

struct Up: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the appliance: a private PostgreSQL, migrated, with lanes that score.",
    discussion: """
      Makes the data directory where it is missing, starts PostgreSQL in it, brings the schema up \
      to this release and scores until Ctrl-C, SIGTERM or "rowcast down". Then lanes finish what \
      they hold and the server shuts down; data stay. It listens on a socket that only this user \
      can reach; --listen opens a TCP port on localhost too, with a password. As root the server \
      runs as the user postgres (ROWCAST_PG_USER names another). --http answers requests over HTTP too, as \
      "rowcast serve" does, with the models that lanes have loaded.

      EXAMPLE
        rowcast up
        rowcast up --data-dir /var/lib/rowcast --listen 5433 --lanes 8
        rowcast up --http 8080

      EXIT STATUS
        0 stopped in order, 1 failed or already running, 78 unfit directory or server
      """)

  @OptionGroup var directory: DataDirectoryOptions
  @OptionGroup var worker: WorkerOptions
  @OptionGroup var log: LogOptions

  @Option(help: ArgumentHelp("Listen on this TCP port of localhost too.", valueName: "port"))
  var listen: Int?

  @Option(
    name: .customLong("http"),
    help: ArgumentHelp("Answer requests over HTTP on this port; 0 for any.", valueName: "port"))
  var httpPort: Int?

  @OptionGroup(title: "HTTP") var http: HTTPOptions

  func validate() throws {
    if let httpPort, !(0...65535).contains(httpPort) {
      throw ValidationError("--http must be a port from 0 to 65535")
    }
    if let listen, !(1...65535).contains(listen) {
      throw ValidationError("--listen must be a port from 1 to 65535")
    }
  }

  func run() async throws {
    let start = ContinuousClock.now
    let interruption = Interruption()
    let data = directory.dataDirectory
    let lock = try data.acquire()
    let appliance = try Appliance(.init(directory: data.clusterPath, port: listen))
    let uri = try listen.map { try Password(data).uri(port: $0, on: appliance) }

    let ready = WakeUp()
    let logger = log.logger
    var configuration = self.worker.configuration(appliance.database)
    // Who asks over HTTP waits for the answer; a job does not mind.
    if httpPort != nil {
      configuration.onBatchSession = { [server = appliance.server] in server.yield($0) }
    }
    let models = httpPort.map { _ in
      ModelCache(byteCount: configuration.modelByteCount, logger: logger)
    }
    let worker = Worker(configuration, logger: logger, models: models) { event in
      if case .workerStarted = event { ready.signal() }
    }
    let server = try httpPort.map { port in
      let http = http
      return try HTTPServer(
        http.configuration(
          appliance.database, port: port, modelByteCount: configuration.modelByteCount),
        release: Rowcast.release, models: models, logger: logger
      ) { port in
        Terminal.standardOutput.line("serving on \(http.url(port: port))")
      }
    }
    try lock.publish(
      .init(
        pid: getpid(), connection: appliance.connectionKeywords, startedAt: Date(),
        release: Rowcast.release))
    try await HTTPRun.beside(server, logger: logger, onFailure: { interruption.interrupt() }) {
      try await WorkerRun.during(worker) {
        _ = ready.wait(timeout: .seconds(30))
        let seconds = Format.length(seconds: Format.seconds(.now - start))
        announce(appliance, lanes: worker.configuration.laneCount, seconds: seconds, uri: uri)
        try waitUntilToldToStop(interruption, appliance.server)
      }
    }
    try appliance.server.stop(.fast)
    Terminal.standardOutput.line("stopped")
    _ = consume lock
  }

  private func announce(_ appliance: Appliance, lanes: Int, seconds: String, uri: String?) {
    let terminal = Terminal.standardOutput
    terminal.line(
      "appliance on \"\(directory.path)\" is ready after \(seconds): "
        + "PostgreSQL \(appliance.server.majorVersion), \(lanes) lanes")
    terminal.line()
    terminal.line("  " + terminal.styled("psql \"\(appliance.connectionKeywords)\"", .bold))
    if let uri { terminal.line("  " + terminal.styled("psql \"\(uri)\"", .bold)) }
    terminal.line()
    terminal.line("Ctrl-C or \"rowcast down --data-dir \(directory.path)\" stops it.")
  }

  /// - Throws: Where the server ends by itself; nothing can be scored without it.
  private func waitUntilToldToStop(_ interruption: Interruption, _ server: LocalServer) throws {
    while !interruption.isSet {
      guard server.isRunning else {
        throw CommandError(
          .failed, "the database server ended", hint: "Its log is \(server.logFile).")
      }
      _ = interruption.wakeUp.wait(timeout: .milliseconds(250))
    }
  }
}
