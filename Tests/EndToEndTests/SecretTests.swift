import Foundation
import FoundationNetworking
import Postgres
import TestSupport
import Testing

/// Secrets are planted wherever a client or an operator can, all kinds of errors are made of them, the server
/// crashes in the end: none is in anything that it leaves behind.
@Suite("Secrets", .database)
struct SecretTests {
  /// What must be nowhere.
  private struct Needles {
    var all: [String] = [
      "hush", "4111111111111111", "5500 0000 0000 0004", "AKIAIOSFODNN7EXAMPLE", "aHVzaDpodXNo",
      "eyJpc3MiOiJodHRwczovL2lkLnRlc3QifQ",
    ]

    func found(in text: String) -> [String] { all.filter { text.contains($0) } }
  }

  /// What must be wherever a secret is looked for, or nothing was looked at.
  private static let marker = "harmless-marker-77"
  private static let token =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLnRlc3QifQ.c2lnbmF0dXJl"
  private static let wrongKey = "rck_0123456789ab_hushK8sYx-0aZhushK8sYx0aZhush"
  /// Short, for where long text is cut.
  private static let secrets = [
    "4111111111111111", "5500 0000 0000 0004", "password=hush1", "Bearer hush2hush2", token,
    wrongKey, "AKIAIOSFODNN7EXAMPLE", "postgresql://me:hush3@db/app", "Basic aHVzaDpodXNo",
    "-----BEGIN PRIVATE KEY----- MIIhush4 -----END PRIVATE KEY-----",
  ]
  private static let text = secrets.joined(separator: ", ") + ", " + marker

  private static func quoted(_ text: String) -> String {
    String(decoding: (try? JSONEncoder().encode(text)) ?? Data(), as: UTF8.self)
  }

  private static func escaped(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
  }

  // MARK: The scene

  /// A database with a model of two texts whose requests are recorded, a role that lends its rights, and a login
  /// for the server, whose password is a secret.
  private final class Scene {
    let connection: Connection
    let key: String
    let database: String
    private let login = "serve_\(Database.current.name)"
    private let lender = "lends_\(Database.current.name)"

    init() throws {
      connection = try Database.current.connect()
      try connection.runScript(
        """
        create role \(login) login password 'hush-login'; grant rowcast_worker to \(login);
        create role \(lender) login; grant rowcast_analyst to \(lender);
        set role \(lender); select rowcast.lend_rights(); reset role
        """)
      database =
        Database.current.settings.setting("user", to: login).description + " password='hush-login'"
      let push = try Program.run(
        "push", Program.root + "/sql/examples/models/faq/model.onnx", "--name", "faq", "--alias",
        "champion", "--database", Database.current.settings.description)
      try #require(push.status == 0, "\(push.errors)")
      try connection.run("select rowcast.record_requests('faq', with_inputs => true)")
      key = try connection.run(
        """
        select key from rowcast.create_key('shop', null, '{read,score,metrics,jobs,push}', null, \(lender))
        """
      ).value(0, 0)
    }

    deinit {
      _ = try? connection.runScript(
        "drop owned by \(login), \(lender) cascade; drop role \(login), \(lender)")
    }

    /// Rows of all tables that hold the text, by table.
    func tables(with text: String) throws -> [String] {
      let tables = try connection.run(
        """
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace, 'rowcast_run'::regnamespace)
          and c.relkind = 'r'
        """)
      #expect(tables.count > 30)
      return try (0..<tables.count).compactMap { row in
        let table = try tables.value(row, 0, as: String.self)
        let query = Query(
          text: "select exists (select from \(table) as t where strpos(t::text, $1) > 0)",
          values: [text])
        return try connection.run(query).value(0, 0, as: Bool.self) ? table : nil
      }
    }
  }

  private struct Answer {
    var status: Int
    var text: String
  }

  private struct Client {
    let url: String

    func send(
      _ method: String, _ path: String, _ headers: [String: String] = [:], _ body: Data? = nil
    ) async throws -> Answer {
      var request = URLRequest(url: try #require(URL(string: url + path)))
      request.httpMethod = method
      request.timeoutInterval = 60
      for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
      request.httpBody = body
      let (data, response) = try await URLSession.shared.data(for: request)
      let status = try #require(response as? HTTPURLResponse).statusCode
      return Answer(status: status, text: String(decoding: data, as: UTF8.self))
    }
  }

  private static func start(
    _ scene: Scene, _ arguments: [String], in folder: Folder
  ) throws -> (program: RunningProgram, client: Client) {
    let program = try Program.start(
      ["serve", "--database", scene.database, "--port", "0"] + arguments, in: folder.path,
      // Without names of functions, which take long to find.
      environment: ["SWIFT_BACKTRACE": "enable=yes,symbolicate=off\(reporter)"], files: folder)
    try program.waitForOutput("serving on ")
    let line = try #require(
      program.output.split(separator: "\n").first { $0.contains("serving on ") })
    return (program, Client(url: String(try #require(line.split(separator: " ").last))))
  }

  /// What reports crashes of a program that carries its runtime, as the compiler's toolchain has it.
  private static let reporter: String = {
    let paths = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
      URL(filePath: "\($0)/swift").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "../libexec/swift/linux/swift-backtrace-static").standardized.path
    }
    let found = paths.first { FileManager.default.isExecutableFile(atPath: $0) }
    return found.map { ",swift-backtrace=\($0)" } ?? ""
  }()

  /// Where the runtime reports a crash it does so at the first signal, and a second one ends the process.
  private static func crash(_ program: RunningProgram) throws {
    program.send(SIGABRT)
    let end = ContinuousClock.now + .seconds(60)
    while program.exitStatus == nil, !program.errors.contains("Backtrace took ") {
      try #require(ContinuousClock.now < end)
      usleep(20_000)
    }
    if program.exitStatus == nil { program.send(SIGABRT) }
    #expect(try program.waitForExit() == SIGABRT)
  }

  // MARK: What is sent

  private struct Sent {
    var method = "POST"
    var path: String
    var headers: [String: String] = [:]
    var body: Data?
  }

  /// With a right key; scored or refused, with secrets in every place.
  private static func requests(_ text: String) -> [Sent] {
    let json = ["Content-Type": "application/json"]
    let csv = ["Content-Type": "text/csv"]
    let record = Data("{\"question\": \(quoted(text)), \"entry\": \"b\"}".utf8)
    func data(_ text: String) -> Data { Data(text.utf8) }
    let predict = "/v1/models/faq/predict"
    let infer = "/v2/models/faq/infer"
    let name = escaped(text)
    var sent = [
      // Texts that are scored, recorded and logged.
      Sent(path: predict, headers: json, body: record),
      Sent(
        path: predict, headers: csv, body: data("question,entry\n\"\(text)\",b\n")),
      Sent(
        path: infer, headers: json,
        body: data(
          """
          {"inputs": [{"name": "question", "datatype": "BYTES", "shape": [1], "data": [\(quoted(text))]},
                      {"name": "entry", "datatype": "BYTES", "shape": [1], "data": ["b"]}]}
          """)),
      // Paths and queries.
      Sent(method: "GET", path: "/\(name)"), Sent(method: "GET", path: "/v2/models/\(name)"),
      Sent(method: "GET", path: "/v2/models/faq/versions/\(name)"),
      Sent(method: "DELETE", path: "/v2/models/\(name)"),
      Sent(path: "/v1/models/\(name)/predict", headers: json, body: record),
      Sent(path: "/api/v1/service/\(name)/score", headers: json, body: data("{\"input\": \"a\"}")),
      Sent(path: predict + "?keep=\(name)", headers: json, body: record),
      Sent(path: "/score?top_k=\(name)", headers: json, body: data("{\"input\": \"a\"}")),
      Sent(method: "GET", path: "/v1/jobs?\(name)=1"),
      Sent(method: "GET", path: "/v1/jobs/\(name)"),
      // Bodies that are wrong in the place of the text.
      Sent(path: predict, headers: json, body: data("{\(quoted(text)): 1}")),
      Sent(path: predict, headers: json, body: data("{\"question\": \(quoted(text))")),
      Sent(path: predict, headers: json, body: data(text)),
      Sent(path: predict, headers: csv, body: data("\"\(text)\",b\n1,2\n")),
      Sent(path: predict, headers: csv, body: data("question,entry\n\"\(text)\"\n")),
      Sent(path: predict, headers: ["Content-Type": "\(marker)/\(name)"], body: record),
      Sent(
        path: infer, headers: json,
        body: data(
          "{\"inputs\": [{\"name\": \(quoted(text)), \"datatype\": \"BYTES\", \"shape\": [1], \"data\": [\"a\"]}]}"
        )),
      Sent(
        path: infer, headers: json,
        body: data(
          "{\"inputs\": [{\"name\": \"question\", \"datatype\": \(quoted(text)), \"shape\": [1], \"data\": [1]}]}"
        )),
      Sent(
        path: infer, headers: json,
        body: data(
          "{\"id\": \(quoted(text)), \"inputs\": [], \"outputs\": [{\"name\": \(quoted(text))}]}")),
      Sent(
        path: "/score", headers: json, body: data("{\"input\": {\(quoted(text)): \(quoted(text))}}")
      ),
      Sent(path: "/score", headers: ["Content-Type": "image/jpeg"], body: data("\u{FF}\(text)")),
      Sent(
        path: "/v1/jobs", headers: json,
        body: data(
          "{\"model\": \"faq\", \"query\": \(quoted("select '\(text)' as \"\(text)\" from absent"))}"
        )),
      Sent(
        path: "/v1/jobs", headers: json,
        body: data("{\"model\": \(quoted(text)), \"query\": \"select 1\"}")),
      Sent(
        path: "/v1/models/faq/versions", headers: ["Content-Type": "application/octet-stream"],
        body: data(text)),
    ]
    // Header fields that nobody asked for.
    for field in [
      "User-Agent", "Referer", "Cookie", "Origin", "Accept", "X-Forwarded-For", "traceparent",
    ] {
      sent.append(Sent(path: predict, headers: json.merging([field: text]) { $1 }, body: record))
    }
    for id in ["4111111111111111", wrongKey] {
      sent.append(
        Sent(path: predict, headers: json.merging(["X-Request-ID": id]) { $1 }, body: record))
    }
    return sent
  }

  /// Without a right key.
  private static let strangers: [Sent] =
    [
      ["Authorization": "Bearer \(wrongKey)"], ["Authorization": "Bearer \(token)"],
      ["Authorization": "Basic aHVzaDpodXNo"], ["Authorization": "hush"], ["X-API-Key": wrongKey],
      ["X-API-Key": text], ["Cookie": "session=hush"],
    ].map { Sent(method: "GET", path: "/v2/models/faq", headers: $0) } + [
      Sent(
        path: "/console/sign-in", headers: ["Content-Type": "application/x-www-form-urlencoded"],
        body: Data("key=\(escaped(wrongKey))".utf8))
    ]

  // MARK: Tests

  @Test(
    "planted everywhere are found in no log, table, error, figure or crash",
    arguments: ["text", "json"])
  func planted(format: String) async throws {
    let scene = try Scene()
    var needles = Needles()
    needles.all.append(String(try #require(scene.key.split(separator: "_", maxSplits: 2).last)))
    let folder = try Folder()
    let jwks = try folder.write(
      "jwks.json",
      """
      {"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig",
                 "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                 "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}
      """)
    let (program, client) = try Self.start(
      scene,
      [
        "--log-level", "debug", "--log-format", format, "--log-payloads", "1", "--jwks", jwks,
        "--jwt-issuer", "https://id.test", "--jwt-audience", "rowcast",
      ], in: folder)
    let right = ["Authorization": "Bearer \(scene.key)"]
    let end = ContinuousClock.now + .seconds(60)
    while try await client.send("GET", "/v2/models/faq", right).status != 200 {
      try #require(ContinuousClock.now < end)
      try await Task.sleep(for: .milliseconds(20))
    }

    var refusals = ""
    var statuses: Set<Int> = []
    func send(_ sent: Sent, _ headers: [String: String]) async throws {
      let answer = try await client.send(
        sent.method, sent.path, sent.headers.merging(headers) { own, _ in own }, sent.body)
      statuses.insert(answer.status)
      guard answer.status >= 400 else { return }
      refusals += answer.text + "\n"
      let found = needles.found(in: answer.text)
      #expect(found == [], "\(sent.method) \(sent.path): \(answer.text)")
    }
    for text in [Self.text] + Self.secrets.map({ "\($0) \(Self.marker)" }) {
      for sent in Self.requests(text) { try await send(sent, right) }
    }
    for sent in Self.strangers { try await send(sent, [:]) }
    // Sessions that are lost are complained of, too.
    try scene.connection.run(
      """
      select count(pg_terminate_backend(pid)) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()
      """)
    for sent in Self.requests(Self.text).prefix(3) { try await send(sent, right) }
    #expect(Set([200, 400, 401, 404, 405, 415, 422]).isSubset(of: statuses), "\(statuses)")
    #expect(!statuses.contains(500))

    let recorded: Query =
      """
      select count(*) from rowcast.recorded_predictions where route = '/v2/models/{model}/infer'
      """
    while try scene.connection.run(recorded).value(0, 0, as: Int64.self) < 10 {
      try #require(ContinuousClock.now < end)
      try await Task.sleep(for: .milliseconds(20))
    }
    let metrics = try await client.send("GET", "/metrics", right)
    let document = try await client.send("GET", "/openapi.json", right)
    #expect(metrics.status == 200 && metrics.text.contains("rowcast_http_requests_total"))
    #expect(document.status == 200 && document.text.contains("/v2/models/{model}"))

    while !program.errors.contains("the server's session was lost") {
      try #require(ContinuousClock.now < end)
      try await Task.sleep(for: .milliseconds(20))
    }
    try Self.crash(program)
    let log = program.errors + program.output

    for (sink, text) in [
      ("the log", log), ("errors", refusals), ("figures", metrics.text),
      ("the document", document.text),
    ] {
      let found = text.split(separator: "\n").filter { !needles.found(in: String($0)).isEmpty }
      #expect(found == [], "\(sink)")
    }
    for needle in needles.all { #expect(try scene.tables(with: needle) == [], "\(needle)") }
    // All of them were looked at.
    #expect(log.contains(Self.marker) && log.contains("[redacted]"))
    #expect(refusals.contains(Self.marker) && refusals.contains("[redacted]"))
    #expect(try scene.tables(with: Self.marker) == ["rowcast.request_record"])
    #expect(try scene.tables(with: "[redacted]") == ["rowcast.request_record"])
  }

  @Test(
    "of the server's own are in no error and no crash",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")))
  func own() async throws {
    let scene = try Scene()
    let folder = try Folder()
    func certificate(_ name: String) throws -> (certificate: String, key: String, lines: [String]) {
      let (certificate, key) = (folder.path + "/\(name).crt", folder.path + "/\(name).key")
      let process = Process()
      process.executableURL = URL(filePath: "/usr/bin/openssl")
      process.arguments = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
        "-keyout", key, "-out", certificate,
      ]
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0)
      let lines = try String(contentsOfFile: key, encoding: .utf8).split(separator: "\n")
      return (certificate, key, lines.filter { !$0.hasPrefix("-") }.map(String.init))
    }
    let (one, other) = (try certificate("one"), try certificate("other"))
    let needles = ["hush"] + one.lines + other.lines
    func expectNone(_ text: String, _ location: SourceLocation = #_sourceLocation) {
      #expect(
        text != "" && needles.allSatisfy { !text.contains($0) }, "\(text)", sourceLocation: location
      )
    }
    let damaged = try folder.write("damaged.key", "-----BEGIN PRIVATE KEY-----\n" + one.lines[1])
    for key in [other.key, damaged, one.certificate] {
      let run = try Program.run(
        "serve", "--database", scene.database, "--tls-certificate", one.certificate, "--tls-key",
        key)
      #expect(run.status != 0)
      expectNone(run.errors + run.output)
    }
    for database in [
      "host=/nonexistent user=me password=hush", "host=db password=my hush",
      "postgresql://me:hush@/nonexistent:port/app", "postgresql://me:hush@[::1", "password='hush",
    ] {
      for command in ["serve", "worker"] {
        let run = try Program.run(command, "--database", database)
        #expect(run.status != 0)
        expectNone(run.errors + run.output)
      }
    }
    let (program, _) = try Self.start(
      scene,
      ["--tls-certificate", one.certificate, "--tls-key", one.key, "--log-level", "trace"],
      in: folder)
    try Self.crash(program)
    expectNone(program.errors + program.output)
  }
}
