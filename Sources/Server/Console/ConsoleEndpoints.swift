internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The console: pages for who looks after scorers, models and jobs, at `/`.
struct ConsoleEndpoints: Sendable {
  let server: ServerParts
  let services: ServiceEndpoints
  let access: ConsoleAccess
  let reader: ConsoleReader
  private let figures: RecentFigures

  init(
    server: ServerParts, services: ServiceEndpoints, access: ConsoleAccess, reader: ConsoleReader
  ) {
    self.server = server
    self.services = services
    self.access = access
    self.reader = reader
    figures = RecentFigures(server: server)
  }

  var routes: [Route] {
    ConsoleAssets.routes + signRoutes + tryRoutes + [
      page(
        "/", "pageOverview", "What goes on.",
        [.query("skip", "Scorers to leave out.", Self.place)]
      ) {
        request, _, caller in
        OverviewPage(
          overview: try await overview(for: caller), http: figures.now,
          skip: try number(request, "skip") ?? 0
        ).page
      },
      page("/console/scorers/{scorer}", "pageScorer", "A scorer.") { _, context, caller in
        try await scorerPage(try context.parameter("scorer"), caller)
      },
      page(
        "/console/models", "pageModels", "Models.",
        [.query("after", "The name that the page begins behind.", Schema.text)]
      ) { request, _, caller in
        let after = try RequestQuery(request, known: ["after"], passesOver: true).text("after")
        return ModelsPage(
          models: try await reader.read(.models(among: caller.models?.sorted(), after: after)),
          isFirst: after == nil
        ).page
      },
      page(
        "/console/models/{model}", "pageModel", "A model with its versions.",
        [.query("before", "The version that the page begins behind.", Self.place)]
      ) { request, context, caller in
        try await modelPage(
          try context.parameter("model"), before: try number(request, "before"), caller)
      },
      page(
        "/console/jobs", "pageJobs", "Jobs.",
        [.query("before", "The job that the page begins behind.", Self.place)]
      ) { request, _, caller in
        let before = try number(request, "before")
        return JobsPage(
          jobs: try await reader.read(
            .jobs(of: caller.models?.sorted(), before: before.map { Int64($0) })),
          isFirst: before == nil
        ).page
      },
      page(
        "/console/failures", "pageFailures", "Rows that could not be scored.",
        [
          .query("scorer", "One scorer's alone.", Schema.text),
          .query("skip", "Failures to leave out.", Self.place),
        ]
      ) { request, _, caller in try await failuresPage(request, caller) },
      page(
        "/console/drift", "pageDrift", "Drift.",
        [.query("scorer", "The scorer that is looked at.", Schema.text)]
      ) { request, _, caller in
        let scorers = try await overview(for: caller).scorers
        let scorer = try chosen(request, scorers, caller)?.name ?? scorers.first?.name
        var columns: [ConsoleData.DriftedColumn] = []
        if let scorer { columns = try await reader.read(.drift(of: scorer)) }
        return DriftPage(scorers: scorers, scorer: scorer, columns: columns).page
      },
      page("/console/workers", "pageWorkers", "Processes that score.") { _, _, _ in
        WorkersPage(workers: try await reader.read(.workers)).page
      },
    ]
  }

  private var signRoutes: [Route] {
    [
      .get("/console/sign-in", .open, Self.operation("pageSignIn", "Asks for a key.", refusals: []))
      {
        request, _, _ in
        signInPage("/").response(to: request, for: nil, release: server.release)
      },
      .post(
        "/console/sign-in", .open,
        Self.operation(
          "signIn", "Signs in with a key or a token.", form: Self.form, isPage: false,
          refusals: [400, 401, 403, 429, 503])
      ) { request, context, _ in try await signIn(request, context) },
      Route(
        method: .post, path: "/console/sign-out", access: .page(.read),
        operation: Self.operation("signOut", "Signs out.", isPage: false),
        handler: signOut, refusal: refuse),
    ]
  }

  /// A number that a page begins behind.
  private static let place: JSONTree = [
    "type": "integer", "minimum": 0, "maximum": .integer(Int(Int32.max)),
  ]
  private static let pageRefusals = [400, 401, 403, 404, 422, 429, 503]
  /// Of what has a body.
  static let formRefusals = [408, 413, 415]
  static let form = "application/x-www-form-urlencoded"

  /// What the document says of a page: it and its refusals are for people.
  private static func operation(
    _ id: String, _ summary: String, _ parameters: [Operation.Parameter] = [],
    form: String? = nil, isPage: Bool = true, refusals: [Int] = pageRefusals
  ) -> Operation {
    let refusals = form == nil ? refusals : refusals + formRefusals
    return Operation(
      id, .console, summary, parameters: parameters,
      body: form.map { Operation.Body(contents: [.init($0, Schema.bytes)]) },
      answers: [
        isPage
          ? .body(200, "text/html", "The page.")
          : .init(status: 303, summary: "The next page is elsewhere.", contents: [])
      ] + refusals.map { .body($0, "text/html", "A page that says why not.") })
  }

  // MARK: What pages need

  private func scorerPage(_ name: String, _ caller: Caller) async throws -> ConsolePage {
    let overview = try await overview(for: caller)
    guard let scorer = overview.scorers.first(where: { $0.name == name }),
      let details = try await reader.read(.scorer(name), as: ConsoleData.ScorerDetails?.self)
    else { throw absent("scorer", name, caller) }
    var failures: ConsoleData.Failures?
    if scorer.failures > 0 { failures = try await reader.read(.failures(of: [name], skip: 0)) }
    return ScorerPage(
      scorer: scorer, details: details, failures: failures,
      alerts: overview.told.filter { $0.scorer == name }
    ).page
  }

  private func modelPage(
    _ name: String, before: Int?, _ caller: Caller
  ) async throws -> ConsolePage {
    try caller.requireModel(name)
    let question = ConsoleReader.Question.model(name, before: before.map { Int32($0) })
    guard let model = try await reader.read(question, as: ConsoleData.Model?.self) else {
      throw absent("model", name, caller)
    }
    let scorers = try await overview(for: caller).scorers.filter {
      $0.model == name && !$0.isRouted
    }
    return ModelPage(model: model, scorers: scorers, isFirst: before == nil).page
  }

  private func failuresPage(_ request: Request, _ caller: Caller) async throws -> ConsolePage {
    let scorers = try await overview(for: caller).scorers
    let scorer = try chosen(request, scorers, caller)
    // The others are in schema predictions.
    let skip = try number(request, "skip", most: 1000) ?? 0
    let asked =
      scorer.map { [$0.name] } ?? scorers.filter { $0.failures > 0 }.prefix(50).map(\.name)
    return FailuresPage(
      failures: try await reader.read(.failures(of: asked, skip: Int32(skip))), scorers: scorers,
      scorer: scorer?.name, skip: skip
    ).page
  }

  /// The scorer that the query names.
  private func chosen(
    _ request: Request, _ scorers: [ConsoleData.Scorer], _ caller: Caller
  ) throws(Problem) -> ConsoleData.Scorer? {
    guard let name = request.uri.queryParameters["scorer"].map({ String($0) }) else { return nil }
    guard let scorer = scorers.first(where: { $0.name == name }) else {
      throw absent("scorer", name, caller)
    }
    return scorer
  }

  /// Who may see some alone does not hear which others there are.
  private func absent(_ what: String, _ name: String, _ caller: Caller) -> Problem {
    caller.models == nil
      ? .notFound("there is no \(what) \"\(name)\"")
      : Problem(.forbidden, "forbidden", "the key is not for \(what) \"\(name)\"")
  }

  // MARK: Pages

  typealias Maker = @Sendable (Request, ServerContext, Caller) async throws -> ConsolePage

  func page(
    _ path: String, _ id: String, _ summary: String, _ parameters: [Operation.Parameter] = [],
    _ make: @escaping Maker
  ) -> Route {
    Route(
      method: .get, path: path, access: .page(.read),
      operation: Self.operation(id, summary, parameters),
      handler: { request, context, caller in
        let page: ConsolePage
        do {
          page = try await make(request, context, caller)
        } catch let problem as Problem {
          page = ProblemPage(problem: problem).page
        }
        return page.response(to: request, for: caller, release: server.release)
      }, refusal: refuse)
  }

  /// Who is not admitted is asked to sign in, on the page that he wanted.
  private func refuse(_ problem: Problem, _ request: Request) -> Response {
    let page =
      problem.status == .unauthorized
      ? signInPage(request.method == .get ? request.uri.string : "/")
      : ProblemPage(problem: problem).page
    var response = page.response(to: request, for: nil, release: server.release)
    response.status = problem.status
    if problem.status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
    if let retryAfter = problem.retryAfter { response.headers[.retryAfter] = String(retryAfter) }
    return response
  }

  func overview(for caller: Caller) async throws -> ConsoleData.Overview {
    try await reader.read(.overview(models: caller.models?.sorted()))
  }

  /// A number of the query.
  func number(
    _ request: Request, _ name: String, most: Int = Int(Int32.max)
  ) throws(Problem) -> Int? {
    try RequestQuery(request, known: [name], passesOver: true).integer(name, in: 0...most)
  }

  // MARK: Signing in

  /// Bytes of a form with a key or a token: what a header with one may have.
  private static let formByteCount = 16 << 10

  private func signInPage(_ way: String, _ problem: Problem? = nil) -> ConsolePage {
    SignInPage(way: way, takesTokens: server.admission?.tokens != nil, problem: problem).page
  }

  private func signIn(_ request: Request, _ context: ServerContext) async throws -> Response {
    var fields: [String: String] = [:]
    do {
      if request.headers[.origin] != nil || request.headers[.secFetchSite] != nil {
        try access.requireOwnPage(request)
      }
      try access.requireFewAttempts(request, context)
      fields = FormBody.fields(of: try await shortBody(of: request, context))
      let shown = (fields["key"] ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
      let caller = try server.admission.map { admission throws(Problem) in
        try admission.admit(shown, to: .read)
      }
      var response = Response(
        status: .seeOther, headers: [.location: SignInPage.safeWay(fields["way"])])
      if let caller, let owner = caller.name {
        let cookie = access.cookie(request, context)
        if let old = cookie.number(in: request.headers) { access.sessions.end(old) }
        let credential: ConsoleSessions.Credential =
          if let id = caller.keyID { .key(id: id) } else { .token(shown) }
        response.headers[.setCookie] = cookie.field(
          access.sessions.begin(credential, of: owner))
      }
      return response
    } catch let problem as Problem {
      var page = signInPage(fields["way"] ?? "/", problem)
      page.status = problem.status
      var response = page.response(to: request, for: nil, release: server.release)
      if let retryAfter = problem.retryAfter { response.headers[.retryAfter] = String(retryAfter) }
      return response
    }
  }

  /// Who has shown nothing yet gets no more memory than a token takes.
  private func shortBody(
    of request: Request, _ context: ServerContext
  ) async throws -> [UInt8] {
    context.askForBody(of: request)
    do {
      return Array(buffer: try await request.body.collect(upTo: Self.formByteCount))
    } catch is NIOTooManyBytesError {
      throw Problem(.contentTooLarge, "too_large", "the form has too many bytes")
    }
  }

  @Sendable private func signOut(
    _ request: Request, _ context: ServerContext, _ caller: Caller
  ) -> Response {
    let cookie = access.cookie(request, context)
    if let number = cookie.number(in: request.headers) { access.sessions.end(number) }
    return Response(
      status: .seeOther, headers: [.location: "/console/sign-in", .setCookie: cookie.expired])
  }
}
