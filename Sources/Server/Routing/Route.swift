internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// A path that the server answers, and what the served document says of it.
struct Route: Sendable {
  enum Access: Sendable, Equatable {
    /// For anybody.
    case open
    /// For who has a key that allows it.
    case key(Action)
    /// A page of the console: for who signed in with such a key, too.
    case page(Action)

    /// What a key must allow; nil where none is needed.
    var action: Action? {
      switch self {
      case .open: nil
      case .key(let action), .page(let action): action
      }
    }
  }

  typealias Handler = @Sendable (Request, ServerContext, Caller) async throws -> Response

  var method: HTTPRequest.Method
  /// Parts in braces are parameters.
  var path: String
  var access: Access
  var operation: Operation
  var handler: Handler
  /// nil where only a task answers.
  var prompt: Prompt?
  /// How a refusal is said; nil for an answer in JSON.
  var refusal: (@Sendable (Problem, Request) -> Response)?

  static func get(
    _ path: String, _ access: Access, _ operation: Operation, _ handler: @escaping Handler
  ) -> Route {
    Route(method: .get, path: path, access: access, operation: operation, handler: handler)
  }

  static func post(
    _ path: String, _ access: Access, _ operation: Operation, _ handler: @escaping Handler
  ) -> Route {
    Route(method: .post, path: path, access: access, operation: operation, handler: handler)
  }
}

extension Route {
  /// For each path the methods that it is not answered for, and those that it is.
  static func otherMethods(
    beside routes: [Route]
  ) -> [String: (others: [HTTPRequest.Method], allowed: [HTTPRequest.Method])] {
    let known: [HTTPRequest.Method] = [
      .get, .post, .put, .delete, .patch, .options, .trace, HTTPRequest.Method("QUERY")!,
    ]
    return Dictionary(grouping: routes, by: \.path).mapValues { routes in
      let own = known.filter { method in routes.contains { $0.method == method } }
      // What is got can be asked for its head.
      return (known.filter { !own.contains($0) }, own.contains(.get) ? own + [.head] : own)
    }
  }
}

/// Admits callers to routes, before anything of a body is read.
///
/// An object, as `PromptServer` is.
final class Gate: Sendable {
  /// nil where no keys are needed.
  let admission: Admission?
  let proxies: TrustedProxies
  /// Counts who is not admitted.
  let figures: AccessFigures
  /// How often a caller may ask, and an address; nil for no limit.
  let perKey: RateLimiter?
  let perAddress: RateLimiter?
  let console: ConsoleAccess

  init(
    admission: Admission?, proxies: TrustedProxies, figures: AccessFigures, perKey: RateLimiter?,
    perAddress: RateLimiter?, console: ConsoleAccess
  ) {
    (self.admission, self.proxies, self.figures) = (admission, proxies, figures)
    (self.perKey, self.perAddress, self.console) = (perKey, perAddress, console)
  }

  func admit(
    _ request: Request, _ context: ServerContext, to access: Route.Access
  ) throws(Problem) -> Caller {
    guard let action = access.action else { return Caller() }
    let session: ConsoleSessions.Credential? =
      if case .page = access { console.credential(request, context) } else { nil }
    if case .page = access, request.method != .get, session != nil || admission == nil {
      try console.requireOwnPage(request)
    }
    return try admit(
      request.headers, from: context.channel.remoteAddress, to: action, session: session)
  }

  /// - Parameter session: What a browser signed in with; nil where the fields shall show a key.
  func admit(
    _ fields: some HeaderFields, from peer: SocketAddress?, to action: Action,
    session: ConsoleSessions.Credential? = nil
  ) throws(Problem) -> Caller {
    if let perAddress, let address = proxies.client(peer, fields) {
      try take(perAddress, address.asker.description, .address)
    }
    guard let admission else { return Caller() }
    let caller: Caller
    do throws(Problem) {
      caller =
        if let session { try admission.admit(session, to: action) } else {
          try admission.admit(fields, to: action)
        }
    } catch {
      figures.count(error)
      throw error
    }
    if let perKey, let name = caller.name { try take(perKey, name, .key) }
    return caller
  }

  private func take(
    _ limiter: RateLimiter, _ name: String, _ limit: AccessFigures.Limit
  ) throws(Problem) {
    guard let seconds = limiter.take(name) else { return }
    figures.count(limit)
    throw Problem(
      .tooManyRequests, "too_often", "requests come too often",
      retryAfter: Int(min(seconds.rounded(.up), 86_400)))
  }
}

extension ServerContext {
  /// A parameter of the path, its escapes undone.
  func parameter(_ name: String) throws(Problem) -> String {
    try PathParameters(self, names: [name]).required(name)
  }
}
