internal import HTTPTypes

/// Asks for a key, or for a token where these are taken.
struct SignInPage {
  /// Where to go then.
  var way: String
  var takesTokens: Bool
  var problem: Problem?

  /// The way, if it leads to a page of the console; else to the first one.
  static func safeWay(_ way: String?) -> String {
    guard let way, way == "/" || way.hasPrefix("/?") || way.hasPrefix("/console/"),
      !way.hasPrefix("/console/sign-"), way.utf8.count <= 1000,
      way.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") })
    else { return "/" }
    return way
  }

  var page: ConsolePage {
    let said = problem.map { problem -> Markup in
      """
      <div class="problem" role="alert" id="said"><strong>Not signed in:</strong> \(problem.message).\
      \(problem.hint.map { "<span class=\"hint\">\($0)</span>" as Markup })</div>
      """
    }
    return ConsolePage(
      title: "Sign in",
      body: """
        <form class="card sign-in" method="post" action="/console/sign-in">
        <p>The console shows what an API key with the action <code>read</code> may see. With <code>score</code> it \
        lets you try models, too.\(if: takesTokens, " A token has the rights of its role.")</p>
        \(said)
        <input type="hidden" name="way" value="\(Self.safeWay(way))">
        <div class="field">
        <label for="key">API key\(if: takesTokens, " or token")</label>
        <input id="key" name="key" type="password" required autocomplete="current-password" autocapitalize="off" \
        spellcheck="false" maxlength="\(takesTokens ? 12_000 : 200)" aria-describedby="key-hint\(if: problem != nil, " said")">
        <p class="hint" id="key-hint">A key begins with <code>rck_</code>. Make one with \
        <code>rowcast keys create NAME</code>.</p>
        </div>
        <div class="actions"><button type="submit">Sign in</button></div>
        </form>
        """)
  }
}

/// Says why there is no page.
struct ProblemPage {
  var problem: Problem

  var page: ConsolePage {
    ConsolePage(
      title: problem.status.code == 404
        ? "Not found" : problem.status.code == 403 ? "Not allowed" : "Not shown",
      body: """
        <div class="problem"><strong>\(problem.message.prefix(1).uppercased() + problem.message.dropFirst()).</strong>\
        \(problem.hint.map { "<span class=\"hint\">\($0)</span>" as Markup })</div>
        <p class="pages"><a href="/">To the overview</a></p>
        """, status: problem.status)
  }
}
