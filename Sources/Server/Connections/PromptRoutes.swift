internal import HTTPTypes
internal import NIOHTTP1

/// The routes that are answered on the loops of connections.
struct PromptRoutes: Sendable {
  struct Match {
    /// As it is declared.
    var path: String
    var action: Action?
    var prompt: Route.Prompt
    var parameters: PathParameters
  }

  private struct Entry: Sendable {
    var pattern: PathPattern
    var route: Route
    var prompt: Route.Prompt
  }

  private let entries: [Entry]

  init(_ routes: [Route]) {
    entries = routes.compactMap { route in
      route.prompt.map { Entry(pattern: PathPattern(route.path), route: route, prompt: $0) }
    }
  }

  /// nil where the request is not for one of them, or its path is written in another way than routes are.
  func match(_ method: HTTPMethod, _ target: String) -> Match? {
    let wanted: HTTPRequest.Method
    switch method {
    case .POST: wanted = .post
    case .GET, .HEAD: wanted = .get
    default: return nil
    }
    guard let parts = PathPattern.parts(of: target) else { return nil }
    for entry in entries where entry.route.method == wanted {
      guard let parameters = entry.pattern.parameters(in: parts) else { continue }
      return Match(
        path: entry.route.path, action: entry.route.access.action, prompt: entry.prompt,
        parameters: parameters)
    }
    return nil
  }
}
