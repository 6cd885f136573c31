internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore
internal import Postgres
internal import Scoring

/// Jobs: a table, a query or the rows of a body, scored once by the workers.
///
/// A job may name a query, so it runs with the rights of a role that somebody gave it, and never with the
/// server's: the role of the caller's key, or of his token. `sql/serving/lending.sql` says who has to agree, and
/// why nothing that runs on behalf of the request gets beyond that role. A key without a role makes no jobs, and
/// a server without keys none at all. What a caller sees are his role's jobs, of the models that his key is for.
struct JobEndpoints: Sendable {
  let server: ServerParts

  private static let query = ["model", "version", "alias", "keep", "top_k", "priority"]

  var routes: [Route] {
    [
      .post("/v1/jobs", .key(.jobs), Self.submission) { request, context, caller in
        try await Problem.translating { try await submit(request, context, caller) }
      },
      .get("/v1/jobs", .key(.jobs), Self.listing) { request, _, caller in
        try await Problem.translating { try await list(request, caller) }
      },
      .get("/v1/jobs/{job}", .key(.jobs), Self.look) { _, context, caller in
        let number = try context.jobNumber()
        return try await Problem.translating {
          JSONAnswer.response(text: try await job(number, caller))
        }
      },
      .post("/v1/jobs/{job}/cancel", .key(.jobs), Self.cancelling) { _, context, caller in
        let number = try context.jobNumber()
        return try await Problem.translating { try await cancel(number, caller) }
      },
      .get("/v1/jobs/{job}/results", .key(.jobs), Self.reading) { request, context, caller in
        let number = try context.jobNumber()
        return try await Problem.translating { try await results(request, number, caller) }
      },
    ]
  }

  // MARK: Submitting

  private func submit(
    _ request: Request, _ context: ServerContext, _ caller: Caller
  ) async throws -> Response {
    let role = try caller.requireRole()
    let media = try RecordMedia(contentType: request.headers[.contentType])
    let number: Int64
    if media == .json {
      _ = try RequestQuery(request, known: [])
      let arguments = try await server.bodies.withBody(of: request, context) { body in
        let job = try JobRequest.read(body)
        try caller.requireModel(job.model)
        return String(decoding: try job.arguments().bytes, as: UTF8.self)
      }
      number = try await server.database.submissions.run { connection in
        try connection.run("select rowcast.submit_for(\(role), \(JSON(arguments)))").value(0, 0)
      }
    } else {
      let job = try JobRequest(try RequestQuery(request, known: Set(Self.query)))
      try caller.requireModel(job.model)
      number = try await upload(request, context, job, media.format, role)
    }
    var response = JSONAnswer.response(text: try await self.job(number, caller), status: .accepted)
    response.headers[.location] = "/v1/jobs/\(number)"
    return response
  }

  /// The rows go to the disk first, from there into a table that nobody else sees before the job is made.
  private func upload(
    _ request: Request, _ context: ServerContext, _ job: JobRequest, _ format: RecordFormat,
    _ role: String
  ) async throws -> Int64 {
    let target = try server.library.target(job.model, job.version.map(String.init) ?? job.alias)
    var pinned = job
    pinned.version = Int(target.id.version)
    let arguments = String(decoding: try pinned.arguments(hasRows: true).bytes, as: UTF8.self)
    let (model, _) = try await server.library.model(target)
    let signature = model.model.signature
    return try await server.spool.withBody(
      of: request, context, limit: server.limits.upload
    ) { body in
      try await server.database.loads.run { connection in
        try Self.load(
          body, format, signature, kept: job.keep, arguments: arguments, role: role, on: connection)
      }
    }
  }

  private static func load(
    _ body: SpooledBody, _ format: RecordFormat, _ signature: Signature, kept: [String]?,
    arguments: String, role: String, on connection: Connection
  ) throws -> Int64 {
    var upload: RecordUpload
    do throws(ScoringError) {
      upload = try RecordUpload(
        descriptor: body.descriptor, format: format, signature: signature, kept: kept)
    } catch {
      throw WorkError.scoring(error)
    }
    var failure: WorkError?
    do throws(PostgresError) {
      return try connection.transaction { () throws(PostgresError) in
        let table = try connection.run(
          """
          select rowcast.begin_upload(\(role), \(upload.columns.map(\.name)), \
          \(upload.columns.map(\.type)))
          """
        ).value(0, 0, as: String.self)
        do throws(WorkError) {
          guard try upload.copy(into: table, on: connection) > 0 else {
            throw .scoring(ScoringError(.file, "the body has no rows"))
          }
        } catch {
          failure = error
          throw PostgresError(sqlState: "22P04", message: error.message)
        }
        return try connection.run(
          "select rowcast.submit_upload(\(role), \(table), \(JSON(arguments)))"
        ).value(0, 0)
      }
    } catch {
      throw failure ?? .postgres(error)
    }
  }

  // MARK: Looking

  /// As JSON.
  private func job(_ number: Int64, _ caller: Caller) async throws -> String {
    let role = try caller.requireRole()
    let (model, text) = try await server.database.looks.run { connection in
      let row = try connection.run(
        "select model, job::text from rowcast.jobs_for(\(role), job_id => \(number))")
      guard row.count > 0 else { throw Self.missing(number) }
      return (
        try row.value(0, 0, as: String?.self) ?? "", try row.value(0, 1, as: String.self)
      )
    }
    // Without telling that there is one of another model.
    guard caller.models?.contains(model) ?? true else { throw Self.missing(number) }
    return text
  }

  private static func missing(_ number: Int64) -> Problem { .notFound("there is no job \(number)") }

  private func list(_ request: Request, _ caller: Caller) async throws -> Response {
    let role = try caller.requireRole()
    let query = try RequestQuery(request, known: ["limit", "before"])
    let most = try query.integer("limit", in: 1...1000) ?? 100
    let before = try query.integer("before", in: 1...Int.max).map { Int64($0) }
    let isForAll = caller.models == nil
    let models = Array(caller.models ?? [])
    let text = try await server.database.looks.run { connection in
      try connection.run(
        Query(
          text: """
            select jsonb_build_object('jobs', coalesce(jsonb_agg(j.job), '[]'))::text
            from rowcast.jobs_for($1, before => $2, most => $3) as j
            where $4 or j.model = any ($5)
            """, values: [role, before, Int32(most), isForAll, models])
      ).value(0, 0, as: String.self)
    }
    return JSONAnswer.response(text: text)
  }

  private func cancel(_ number: Int64, _ caller: Caller) async throws -> Response {
    let role = try caller.requireRole()
    _ = try await job(number, caller)
    try await server.database.looks.run { connection in
      _ = try connection.run("select rowcast.cancel_for(\(role), \(number))")
    }
    return JSONAnswer.response(text: try await job(number, caller))
  }

  // MARK: Results

  private struct Page: Sendable {
    var lines: String
    var next: Int64?
  }

  /// Reads some pages of the table at a time, as fast as the client takes them: memory does not grow with the
  /// results, and no transaction stays open while a client is slow.
  private func results(
    _ request: Request, _ number: Int64, _ caller: Caller
  ) async throws -> Response {
    let role = try caller.requireRole()
    let media = RecordMedia(accept: request.headers[.accept])
    let form = media == .csv ? "csv" : "ndjson"
    _ = try await job(number, caller)
    let page: @Sendable (Int64) async throws -> Page = { [database = server.database] place in
      try await database.looks.run { connection in
        let row = try connection.run(
          """
          select lines, next_page from rowcast.results_for(\(role), \(number), \(form), \
          page => \(place))
          """)
        return Page(lines: try row.value(0, 0), next: try row.value(0, 1, as: Int64?.self))
      }
    }
    let first = try await page(0)
    return Response(
      status: .ok,
      headers: [
        .contentType: (media == .csv ? RecordMedia.csv : .ndjson).rawValue
      ],
      body: ResponseBody { writer in
        var current = first
        while true {
          if !current.lines.isEmpty { try await writer.write(ByteBuffer(string: current.lines)) }
          guard let next = current.next else { break }
          current = try await page(next)
        }
        try await writer.finish(nil)
      })
  }
}

extension ServerContext {
  fileprivate func jobNumber() throws(Problem) -> Int64 {
    guard let number = Int64(try parameter("job")), number > 0 else {
      throw .badRequest("the job is not a number")
    }
    return number
  }
}

extension Caller {
  /// The role whose rights count for what the caller has made.
  ///
  /// - Throws: 403 where there is none.
  func requireRole() throws(Problem) -> String {
    guard let role else {
      throw Problem(
        .forbidden, "forbidden", "the key is for no role of the database",
        hint: "Make one with \"rowcast keys create --role\".")
    }
    return role
  }
}

extension JSONAnswer {
  /// - Parameter text: JSON, as the database made it.
  static func response(text: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
