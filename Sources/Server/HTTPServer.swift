internal import Glibc
internal import Hummingbird
internal import HummingbirdCore
internal import HummingbirdTLS
package import Logging
internal import NIOCore
internal import Postgres
package import Scoring
public import ServiceLifecycle

/// Scores rows of requests over HTTP, with the models of a database, until it is told to stop.
///
/// Requests for scores are read and answered on NIO's threads, all others on Swift's pool; rows are scored on
/// threads of the server's own, unless that takes less than to ask one, so that a model that takes long keeps no
/// other request from being heard.
public final class HTTPServer: Service, Sendable {
  private let configuration: HTTPConfiguration
  private let parts: ServerParts
  private let control: ControlSession
  private let loader: ModelLoader
  private let certificates: Certificates?
  private let tokens: TokenIssuer?
  private let redirect: PlainRedirect?
  private let services: ServiceEndpoints
  private let metrics: MetricsEndpoint
  private let reader: FigureReader
  private let console: ConsoleEndpoints
  private let proxies: TrustedProxies
  private let logger: Logger
  private let onRunning: @Sendable (Int) -> Void

  /// - Parameters:
  ///   - models: Those of the process, where a worker scores with them too.
  ///   - onRunning: Called with the port once connections are taken.
  /// - Throws: `HTTPConfigurationError`, or why the certificate cannot be used.
  package init(
    _ configuration: HTTPConfiguration, release: String, models: ModelCache? = nil,
    logger: Logger, onRunning: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws {
    try configuration.check()
    self.configuration = configuration
    self.logger = logger
    self.onRunning = onRunning
    let cache =
      models
      ?? ModelCache(byteCount: configuration.modelByteCount, logger: logger)
    loader = ModelLoader(cache: cache, settings: configuration.settings)
    let library = ModelLibrary(cache: cache, loader: loader, pins: configuration.pinnedModels)
    let readiness = Readiness(library)
    let admission = Admission(
      keys: KeyRing(trust: configuration.keyTrust),
      tokens: configuration.tokens.map { TokenIssuer($0, logger: logger) },
      roles: RoleBook(trust: configuration.keyTrust))
    tokens = admission.tokens
    let recorder = RequestRecorder(settings: configuration.settings, logger: logger)
    control = ControlSession(
      settings: configuration.settings, library: library, admission: admission,
      readiness: readiness, recorder: recorder, logger: logger)
    var limits = ScoringQueue.Limits()
    limits.batchRows = configuration.batchRows
    limits.longestWait = configuration.longestWait
    limits.requests = configuration.waitingRequests
    parts = ServerParts(
      library: library, queue: ScoringQueue(limits),
      bodies: BodyReader(
        perRequest: configuration.bodyByteCount, together: configuration.bodiesByteCount,
        patience: configuration.patience),
      clients: ClientRegistry(), readiness: readiness, deadline: configuration.deadline,
      release: release, database: ServerDatabase(settings: configuration.settings),
      spool: Spool(patience: configuration.patience),
      limits: StreamLimits(
        model: configuration.modelBodyByteCount, upload: configuration.uploadByteCount),
      admission: configuration.needsKeys ? admission : nil, recorder: recorder,
      payloads: PayloadLog(share: configuration.payloadShare, logger: logger))
    services = ServiceEndpoints(server: parts)
    proxies = TrustedProxies(configuration.trustedProxies)
    console = ConsoleEndpoints(
      server: parts, services: services,
      access: ConsoleAccess(
        sessions: ConsoleSessions(), isSecure: configuration.tls != nil, proxies: proxies),
      reader: ConsoleReader(settings: configuration.settings, logger: logger))
    certificates = try configuration.tls.map { try Certificates($0, logger: logger) }
    reader = FigureReader(
      settings: configuration.settings, interval: configuration.figureInterval, logger: logger)
    metrics = MetricsEndpoint(
      server: parts, reader: reader, certificates: certificates,
      connectionLimit: configuration.connectionCount)
    redirect = configuration.redirectPort.map {
      PlainRedirect(configuration, port: $0, logger: logger)
    }
  }

  /// Where plain HTTP is redirected; 0 until it is, or where it is not.
  package var redirectPort: Int { redirect?.listeningPort ?? 0 }

  /// All that is answered.
  private var routes: [Route] {
    let routes =
      services.routes + InferenceEndpoints(server: parts).routes
      + RecordEndpoints(server: parts).routes + RegistryEndpoints(server: parts).routes
      + JobEndpoints(server: parts).routes + metrics.routes + console.routes
    return routes + [OpenAPIEndpoint.route(describing: routes, release: parts.release)]
  }

  /// A route as others may look at it.
  package struct Endpoint: Sendable {
    package var method: String
    /// Parts in braces are parameters.
    package var path: String
    /// What a key must allow; nil where none is needed.
    package var action: String?
  }

  package var endpoints: [Endpoint] {
    routes.map { route in
      Endpoint(
        method: route.method.rawValue, path: route.path, action: route.access.action?.rawValue)
    }
  }

  /// Serves until graceful shutdown or cancellation: then requests that came are answered, and no others.
  public func run() async throws {
    try await tokens?.load()
    let sessions =
      [
        WorkThread(name: "rowcast http") { [control] in control.run() },
        WorkThread(name: "rowcast load") { [loader] in loader.run() },
        WorkThread(name: "rowcast look") { [console] in console.reader.run() },
        WorkThread(name: "rowcast record") { [recorder = parts.recorder] in recorder.run() },
        WorkThread(name: "rowcast figures") { [reader] in reader.run() },
      ] + parts.database.start()
    let lanes = (0..<configuration.laneCount).map { number in
      WorkThread(name: "rowcast http \(number)") { [queue = parts.queue] in
        ScoringLane(queue).run()
      }
    }
    do {
      try await application().run()
    } catch {
      await stop(sessions + lanes)
      guard let error = error as? IOError else { throw error }
      throw HTTPConfigurationError(
        message: "cannot listen on \(configuration.host), port \(configuration.port): "
          + String(cString: strerror(error.errnoCode)),
        hint: "Give another port, or stop what listens there.")
    }
    await lastConnectionsEnd()
    await stop(sessions + lanes)
  }

  /// Connections that were let in when the server was told to stop are refused what they ask, and waited for by
  /// nobody else.
  private func lastConnectionsEnd() async {
    let end = ContinuousClock.now.advanced(by: .seconds(5))
    while parts.clients.count > 0, .now < end {
      guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { return }
    }
  }

  private func stop(_ threads: [WorkThread]) async {
    parts.queue.stop()
    loader.stop()
    console.reader.stop()
    reader.stop()
    control.stop()
    parts.database.stop()
    parts.recorder.stop()
    for thread in threads { await thread.wait() }
  }

  // MARK: HTTP

  private func application() throws -> some Hummingbird.ApplicationProtocol {
    let router = Router(context: ServerContext.self, options: .autoGenerateHeadEndpoints)
    let around = Guard(
      isSecure: certificates != nil, proxies: proxies, figures: parts.figures, logger: logger)
    router.add(middleware: around)
    func limiter(_ rate: Double?) -> RateLimiter? {
      rate.map { RateLimiter(rate: $0, burst: max(1, 2 * $0)) }
    }
    let gate = Gate(
      admission: parts.admission, proxies: proxies, figures: parts.access,
      perKey: limiter(configuration.requestsPerSecond),
      perAddress: limiter(configuration.addressRequestsPerSecond), console: console.access)
    let routes = routes
    for route in routes {
      router.on(RouterPath(route.path), method: route.method) { request, context in
        do {
          var context = context
          context.origin.route = route.path
          context.origin.caller = try gate.admit(request, context, to: route.access)
          return try await route.handler(request, context, context.origin.caller)
        } catch let problem as Problem {
          guard let refusal = route.refusal else { throw problem }
          return refusal(problem, request)
        }
      }
    }
    for (path, methods) in Route.otherMethods(beside: routes) {
      for method in methods.others {
        router.on(RouterPath(path), method: method) { _, _ -> Response in
          throw Problem.unsupportedMethod(allowed: methods.allowed)
        }
      }
    }
    let patience = TimeAmount.nanoseconds(Int64(configuration.patience / .nanoseconds(1)))
    let loops = EventLoopGroupProvider.singleton.eventLoopGroup
    let prompt = PromptServer(
      server: parts, routes: PromptRoutes(routes), gate: gate, around: around,
      desks: Desks(loops), patience: patience)
    var server = HTTPServerBuilder { [headerByteCount = configuration.headerByteCount] responder in
      ConnectionChannel(responder: responder, prompt: prompt, headerByteCount: headerByteCount)
    }
    if let certificates { server = try .tls(server, tlsConfiguration: certificates.configuration) }
    var logger = logger
    // Hummingbird speaks of each connection at info.
    logger.logLevel = max(logger.logLevel, .notice)
    return Application(
      router: router, server: server,
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        // All may come at once; the system has a bound of its own.
        backlog: configuration.connectionCount,
        availableConnectionsDelegate: .maximum(configuration.connectionCount, logger: logger)),
      services: ([certificates, tokens, redirect] as [(any Service)?]).compactMap { $0 },
      onServerRunning: { [onRunning, redirect] channel in
        // So many are let in for each round of a loop in which others are answered.
        try? await channel.setOption(.maxMessagesPerRead, value: 64).get()
        let port = channel.localAddress?.port ?? 0
        redirect?.lead(to: port)
        onRunning(port)
      },
      eventLoopGroupProvider: .shared(loops), logger: logger)
  }
}
