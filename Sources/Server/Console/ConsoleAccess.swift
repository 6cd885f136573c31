internal import HTTPTypes
internal import Hummingbird

/// Who may look at the console: whoever signed in with a key or a token that may read, or shows one with each
/// request.
struct ConsoleAccess: Sendable {
  let sessions: ConsoleSessions
  /// Whether connections are TLS.
  let isSecure: Bool
  let proxies: TrustedProxies
  /// Each address may try some keys at once, and one more every few seconds.
  private let attempts = RateLimiter(rate: 0.2, burst: 10)

  init(sessions: ConsoleSessions, isSecure: Bool, proxies: TrustedProxies) {
    self.sessions = sessions
    self.isSecure = isSecure
    self.proxies = proxies
  }

  /// That of browsers that speak TLS, with the server or with a proxy that is trusted.
  func cookie(_ request: Request, _ context: ServerContext) -> ConsoleCookie {
    ConsoleCookie(
      isSecure: isSecure || proxies.isSecure(context.channel.remoteAddress, request.headers))
  }

  /// What the browser signed in with; nil where it did not.
  func credential(
    _ request: Request, _ context: ServerContext
  ) -> ConsoleSessions.Credential? {
    cookie(request, context).number(in: request.headers).flatMap { sessions.credential($0) }
  }

  /// Counts an attempt to sign in.
  func requireFewAttempts(_ request: Request, _ context: ServerContext) throws(Problem) {
    let client = proxies.client(context.channel.remoteAddress, request.headers)
    guard let seconds = attempts.take(client?.asker.description ?? "") else { return }
    throw Problem(
      .tooManyRequests, "too_often", "keys were tried too often",
      hint: "Wait for \(Int(seconds.rounded(.up))) seconds.",
      retryAfter: Int(seconds.rounded(.up)))
  }

  /// Refuses what another site has a browser send. Browsers that know `SameSite` send no cookie with it
  /// either: this is for the others, and for servers without keys.
  func requireOwnPage(_ request: Request) throws(Problem) {
    let foreign = Problem(
      .forbidden, "forbidden", "the request comes from another site",
      hint: "Open the console and try again.")
    if let site = request.headers[.secFetchSite] {
      guard site == "same-origin" else { throw foreign }
    } else if let origin = request.headers[.origin] {
      guard let host = request.head.authority,
        ["http://", "https://"].contains(where: { $0 + host == origin })
      else { throw foreign }
    } else {
      throw foreign
    }
  }
}

extension HTTPField.Name {
  static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
}
