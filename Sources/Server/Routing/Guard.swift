internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// Around every route: makes errors answers, says on each answer how browsers shall treat it, counts it and
/// logs it.
///
/// An object, as `PromptServer` is.
final class Guard: RouterMiddleware {
  typealias Context = ServerContext

  /// Whether connections are TLS.
  let isSecure: Bool
  let proxies: TrustedProxies
  let figures: RequestFigures
  let logger: Logger

  init(isSecure: Bool, proxies: TrustedProxies, figures: RequestFigures, logger: Logger) {
    (self.isSecure, self.proxies, self.figures, self.logger) = (isSecure, proxies, figures, logger)
  }

  func handle(
    _ request: Request, context: ServerContext,
    next: (Request, ServerContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    let id = RequestName(request.headers[.requestID]) ?? RequestName(context.id)
    var context = context
    context.origin = RequestOrigin(id: id?.text ?? "", arrivedAt: start)
    let trace = TraceContext(request.headers[.traceParent])
    var response = try await answer(request, context, id, next)
    for (name, value) in Self.always { response.headers[name] = value }
    // Pages for people say these themselves.
    for (name, value) in Self.defaults where response.headers[name] == nil {
      response.headers[name] = value
    }
    if hasSecureClient(context.channel.remoteAddress, request.headers) {
      response.headers[.strictTransportSecurity] = Self.strictTransport
    }
    if let id { response.headers[.requestID] = id.text }
    if let trace { response.headers[.traceResponse] = trace.response }
    endSoon(request, &response)
    note(
      Ended(
        method: request.method, route: context.endpointPath ?? "other", name: id,
        trace: trace, fields: request.headers, peer: context.channel.remoteAddress,
        status: response.status.code, duration: start.duration(to: .now)))
    return response
  }

  private func answer(
    _ request: Request, _ context: ServerContext, _ id: RequestName?,
    _ next: (Request, ServerContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound {
      return Problem.notFound("there is no such path").response
    } catch let error as HTTPParserError {
      throw error
    } catch {
      return problem(error, id).response
    }
  }

  /// What is said of an error.
  func problem(_ error: any Error, _ id: RequestName?) -> Problem {
    switch error {
    case let problem as Problem: return problem
    case is CancellationError: return Self.abandoned
    case _ where ClientPresence.isLost(by: error):
      logger.debug(
        "a client left in the middle of its request",
        metadata: ["error": "\(type(of: error))", "request.id": "\(id?.text ?? "")"])
      return Self.abandoned
    default:
      // The reason may hold what strangers must not read.
      logger.error(
        "a request failed",
        metadata: ["error": "\(type(of: error))", "request.id": "\(id?.text ?? "")"])
      return Problem(.internalServerError, "internal", "the request failed")
    }
  }

  /// Nobody reads it; figures tell it from what the server is at fault for.
  private static let abandoned = Problem(
    HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request"), "abandoned",
    "the client left")

  /// Whether nobody between the client and this server could read the request.
  func hasSecureClient(_ peer: SocketAddress?, _ fields: some HeaderFields) -> Bool {
    isSecure || proxies.isSecure(peer, fields)
  }

  /// Who is refused and has much more to say is not heard to the end.
  private func endSoon(_ request: Request, _ response: inout Response) {
    guard response.status.code >= 400, request.method != .get else { return }
    let isLong = request.headers[.contentLength].map { (Int($0) ?? .max) > Self.patience } ?? true
    if isLong { response.headers[.connection] = "close" }
  }

  static let strictTransport = "max-age=31536000"

  /// What every answer says.
  static let always: [(HTTPField.Name, String)] = [(.xContentTypeOptions, "nosniff")]

  /// What an answer says unless it says something else.
  static let defaults: [(HTTPField.Name, String)] = [
    (.cacheControl, "no-store"),
    (.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'"),
    (.referrerPolicy, "no-referrer"),
  ]

  /// Bytes that are read without need before a connection is closed.
  private static let patience = 1 << 20

  /// A request that was answered.
  struct Ended {
    var method: HTTPRequest.Method
    var route: String
    var name: RequestName?
    var trace: TraceContext?
    var fields: any HeaderFields
    var peer: SocketAddress?
    var status: Int
    var duration: Duration
    /// Whose figures count it; each loop has its own.
    var place = 0
  }

  func note(_ request: Ended) {
    let method = RequestFigures.isKnown(request.method) ? request.method.rawValue : "other"
    figures.count(
      .init(route: request.route, method: method), status: request.status,
      duration: request.duration, at: request.place)
    log(request)
  }

  /// The path's parameters, the query, headers and bodies are not logged: they may hold anything.
  private func log(_ request: Ended) {
    guard logger.logLevel <= .info else { return }
    var metadata: Logger.Metadata = [
      "method": "\(request.method.rawValue)", "route": "\(request.route)",
      "status": "\(request.status)", "seconds": "\(request.duration / .seconds(1))",
    ]
    if let client = proxies.client(request.peer, request.fields) {
      metadata["client"] = "\(client)"
    }
    if let name = request.name { metadata["request.id"] = "\(name.text)" }
    if let trace = request.trace {
      metadata["trace.id"] = "\(trace.traceID)"
      metadata["span.id"] = "\(trace.spanID)"
      if let parent = trace.parentID { metadata["parent.id"] = "\(parent)" }
    }
    logger.info("request", metadata: metadata)
  }
}

/// What a request is called in logs: the caller's name for it, if it is one.
struct RequestName {
  let text: String

  /// - Parameter text: The server's own.
  init(made text: String) { self.text = text }

  init?(_ text: String?) {
    guard let text, (1...64).contains(text.utf8.count),
      text.utf8.allSatisfy({ byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
          UInt8(ascii: "_"):
          true
        default: false
        }
      })
    else { return nil }
    self.text = text
  }
}

extension HTTPField.Name {
  static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
  static let requestID = HTTPField.Name("X-Request-ID")!
}
