internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// A page: the frame around what an endpoint has to say.
struct ConsolePage: Sendable {
  enum Section: String, Sendable, CaseIterable {
    case overview, models, jobs, failures, drift, workers, attempt

    var title: String {
      switch self {
      case .overview: "Overview"
      case .models: "Models"
      case .jobs: "Jobs"
      case .failures: "Failures"
      case .drift: "Drift"
      case .workers: "Workers"
      case .attempt: "Try"
      }
    }

    var path: String {
      switch self {
      case .overview: "/"
      case .attempt: "/console/try"
      default: "/console/\(rawValue)"
      }
    }
  }

  /// What is above the title: pages on the way to this one.
  struct Step: Sendable {
    var title: String
    var path: String
  }

  var section: Section?
  var way: [Step] = []
  var title: String
  /// A sentence below the title.
  var lead: Markup?
  /// What changes while one looks.
  var body: Markup
  /// Whether the page is read anew every two seconds.
  var isLive = false
  var status = HTTPResponse.Status.ok

  private static let policy =
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    + "form-action 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

  /// The whole page, or the part of it that a script asks for.
  func response(to request: Request, for caller: Caller?, release: String) -> Response {
    let markup = request.headers[.consolePart] == nil ? document(caller, release) : part
    return Response(
      status: status,
      headers: [
        .contentType: "text/html; charset=utf-8",
        .contentSecurityPolicy: Self.policy,
        // Without it browsers do not say of forms where they come from.
        .referrerPolicy: "same-origin",
      ], body: ResponseBody(byteBuffer: ByteBuffer(string: markup.html)))
  }

  private var part: Markup {
    """
    <div id="part"\(if: isLive, " data-live")>\(body)
    \(if: isLive, "<p class=\"asof\">As of \(Self.clock) UTC</p>")</div>
    """
  }

  private static var clock: Markup {
    let exact = Date().formatted(.iso8601)
    return "<time datetime=\"\(exact)\">\(exact.dropFirst(11).prefix(8))</time>"
  }

  private func document(_ caller: Caller?, _ release: String) -> Markup {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>\(title) · Rowcast</title>
    <link rel="icon" type="image/svg+xml" href="\(ConsoleAssets.icon.path)">
    <link rel="stylesheet" href="\(ConsoleAssets.style.path)">
    <script src="\(ConsoleAssets.script.path)" defer></script>
    </head>
    <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header class="bar">
    <a class="brand" href="/">\(Self.sign)Rowcast</a>
    \(caller.map { navigation($0) })
    </header>
    <main id="main" tabindex="-1">
    \(if: !way.isEmpty, crumbs)
    <div class="head">
    <h1>\(title)</h1>
    \(if: isLive, Self.refresh)
    </div>
    \(lead.map { "<p class=\"lead\">\($0)</p>" })
    \(part)
    </main>
    <footer><p>Rowcast \(release)</p></footer>
    </body>
    </html>
    """
  }

  private static let sign: Markup = """
    <svg class="sign" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">\
    <rect class="sign-row" x="2" y="3" width="20" height="4.6" rx="1.6"/>\
    <rect class="sign-cast" x="2" y="9.7" width="20" height="4.6" rx="1.6"/>\
    <rect class="sign-row" x="2" y="16.4" width="20" height="4.6" rx="1.6"/></svg>
    """

  /// The link works without the script; the script shows the button.
  private static let refresh: Markup = """
    <div class="refresh">
    <span class="pulse" data-pulse hidden><span class="dot" aria-hidden="true"></span> Live</span>
    <button type="button" class="quiet" data-pause aria-pressed="false" hidden>Pause updates</button>
    <a class="button quiet" href="" data-reload>Reload</a>
    </div>
    """

  private var crumbs: Markup {
    let steps = way.map { step -> Markup in "<li><a href=\"\(step.path)\">\(step.title)</a></li>" }
    return """
      <nav class="crumbs" aria-label="Way here"><ol>\(steps)</ol></nav>
      """
  }

  private func navigation(_ caller: Caller) -> Markup {
    let links = Section.allCases.map { other -> Markup in
      """
      <li><a href="\(other.path)"\(if: other == section, " aria-current=\"page\"")>\(other.title)</a></li>
      """
    }
    let kind = caller.keyID == nil ? "Role" : "Key"
    let who = (caller.keyID ?? caller.role).map { name -> Markup in
      """
      <form class="who" method="post" action="/console/sign-out">
      <span>\(kind) <code>\(name)</code></span> <button type="submit" class="quiet">Sign out</button>
      </form>
      """
    }
    return """
      <nav class="main" aria-label="Main"><ul>\(links)</ul></nav>
      \(who)
      """
  }
}

extension HTTPField.Name {
  /// The script asks with it for what changes alone.
  static let consolePart = HTTPField.Name("Rowcast-Part")!
}
