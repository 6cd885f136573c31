import Logging
import Server
import ServiceLifecycle
import UnixSignals

/// Runs a server in a group of services, which stops it in order.
enum HTTPRun {
  static func untilSignalled(_ server: HTTPServer, logger: Logger) async throws {
    try await group(server, signals: [.sigterm, .sigint], logger: logger).run()
  }

  static func group(
    _ server: HTTPServer, signals: [UnixSignal] = [], logger: Logger
  ) -> ServiceGroup {
    var quiet = logger
    // The group speaks of each of its steps at info.
    quiet.logLevel = max(logger.logLevel, .warning)
    var configuration = ServiceGroupConfiguration(
      services: [server], gracefulShutdownSignals: signals, logger: quiet)
    configuration.maximumGracefulShutdownDuration = .seconds(10)
    return ServiceGroup(configuration: configuration)
  }

  /// Runs the server while the body runs, then stops it in order.
  ///
  /// - Parameter onFailure: Called where the server ends by itself, so that the body may end too.
  static func beside(
    _ server: HTTPServer?, logger: Logger, onFailure: @escaping @Sendable () -> Void,
    _ body: () async throws -> Void
  ) async throws {
    guard let server else { return try await body() }
    let group = group(server, logger: logger)
    let work = Task {
      do {
        try await group.run()
      } catch {
        onFailure()
        throw error
      }
    }
    do {
      try await body()
    } catch {
      await group.triggerGracefulShutdown()
      _ = await work.result
      throw error
    }
    await group.triggerGracefulShutdown()
    try await work.value
  }
}
