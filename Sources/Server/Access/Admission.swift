internal import HTTPTypes

/// Whom the server lets in: who shows a key that is live, or a token of the issuer that is trusted.
struct Admission: Sendable {
  let keys: KeyRing
  /// nil where only keys are taken.
  let tokens: TokenIssuer?
  let roles: RoleBook

  /// - Throws: 401 without a valid key or token, 403 where it is not for the action, 503 where that cannot be
  ///   told.
  func admit(_ headers: HTTPFields, to action: Action) throws(Problem) -> Caller {
    guard let presented = Self.presented(in: headers) else {
      throw Problem(
        .unauthorized, "unauthorized", "no key was given",
        hint: "Send \"Authorization: Bearer\" with a key.")
    }
    guard let tokens, headers[.authorization] != nil, !presented.hasPrefix(KeyRing.prefix) else {
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

  private static func presented(in headers: HTTPFields) -> String? {
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
