internal import HTTPTypes

/// Whom the server lets in: who shows a key that is live, or a token of the issuer that is trusted.
struct Admission: Sendable {
  let keys: KeyRing
  /// nil where only keys are taken.
  let tokens: TokenIssuer?
  let roles: RoleBook

  /// - Throws: 401 without a valid key or token, 403 where it is not for the action, 503 where that cannot be
  ///   told.
  func admit(_ headers: some HeaderFields, to action: Action) throws(Problem) -> Caller {
    guard let presented = Self.presented(in: headers) else { throw Self.missing }
    // A field for keys takes no token.
    guard headers[.authorization] != nil else { return try keys.admit(presented, to: action) }
    return try admit(presented, to: action)
  }

  /// Whoever showed this, a key or a token.
  func admit(_ presented: String, to action: Action) throws(Problem) -> Caller {
    guard let tokens, !presented.hasPrefix(KeyRing.prefix) else {
      return try keys.admit(presented, to: action)
    }
    let claims = try tokens.admit(presented)
    let scope = try roles.scope(of: action, for: claims.role)
    var caller = Caller(role: claims.role, subject: claims.subject)
    caller.actions = Set(
      Action.allCases.filter { (try? roles.scope(of: $0, for: claims.role)) != nil }
        .map(\.rawValue))
    if case .only(let models) = scope { caller.models = models }
    return caller
  }

  /// What a session was begun with, once more: it may not be valid any longer.
  func admit(_ credential: ConsoleSessions.Credential, to action: Action) throws(Problem) -> Caller
  {
    switch credential {
    case .key(let id): try keys.admit(keyID: id, to: action)
    case .token(let text): try admit(text, to: action)
    }
  }

  /// Who shows nothing that could be a key or a token.
  static let missing = Problem(
    .unauthorized, "unauthorized", "no key was given",
    hint: "Send a key as a bearer token, in the field \"Authorization\".")

  private static func presented(in headers: some HeaderFields) -> String? {
    if let authorization = headers[.authorization] {
      let parts = authorization.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
      return parts[1].trimmingPrefix { $0 == " " }.description
    }
    return headers[.apiKey]
  }
}

extension HTTPField.Name {
  static let apiKey = HTTPField.Name("X-API-Key")!
}
