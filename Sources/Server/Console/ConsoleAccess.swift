internal import HTTPTypes
internal import Hummingbird

/// Who may look at the console: whoever signed in with a key that may read, or shows one with each request.
struct ConsoleAccess: Sendable {
  let sessions: ConsoleSessions
  /// Whether connections are TLS.
  let isSecure: Bool

  /// A proxy that ends TLS says so; where a client says it untruly it alone has a cookie that it cannot use.
  func cookie(_ headers: HTTPFields) -> ConsoleCookie {
    ConsoleCookie(isSecure: isSecure || headers[.forwardedProto]?.lowercased() == "https")
  }

  /// The key that the browser signed in with; nil where it did not.
  func keyID(_ headers: HTTPFields) -> String? {
    cookie(headers).number(in: headers).flatMap { sessions.keyID($0) }
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
  static let forwardedProto = HTTPField.Name("X-Forwarded-Proto")!
  static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
}
