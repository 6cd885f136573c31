import Foundation
import FoundationNetworking
import Inference
import Logging
import ModelFixtures
import Postgres
import Scoring
import Server
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

/// A server over the test's database, with real connections to it.
struct ServerScene: Sendable {
  let url: String
  let connection: ConnectionSettings
  let server: HTTPServer

  /// Serves while the body runs, then stops in order.
  ///
  /// - Parameters:
  ///   - log: Hears what is logged; nobody where nil.
  ///   - waits: Whether the body begins only when the server is ready; over TLS it never waits.
  static func run(
    _ change: (inout HTTPConfiguration) -> Void = { _ in }, log: RecordedLog? = nil,
    waits: Bool = true, _ body: (ServerScene) async throws -> Void
  ) async throws {
    let settings = Database.current.settings
    var configuration = HTTPConfiguration(
      settings: settings, laneCount: 2, modelByteCount: 256 << 20)
    configuration.port = 0
    change(&configuration)
    let (ports, continuation) = AsyncStream<Int>.makeStream()
    var logger = log?.logger ?? Logger(label: "test")
    if log == nil { logger.logLevel = .critical }
    let server = try HTTPServer(configuration, release: "test", logger: logger) { port in
      continuation.yield(port)
    }
    let group = ServiceGroup(
      configuration: .init(services: [server], gracefulShutdownSignals: [], logger: logger))
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        defer { continuation.finish() }
        try await group.run()
      }
      var iterator = ports.makeAsyncIterator()
      if let port = await iterator.next() {
        let scheme = configuration.tls == nil ? "http" : "https"
        let scene = ServerScene(
          url: "\(scheme)://127.0.0.1:\(port)", connection: settings, server: server)
        do {
          if waits, configuration.tls == nil { try await scene.waitUntilReady() }
          try await body(scene)
        } catch {
          await group.triggerGracefulShutdown()
          throw error
        }
      }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
    }
  }

  func waitUntilReady(_ status: Int = 200) async throws {
    try await Self.eventually { try await get("/v2/health/ready").status == status }
  }

  /// Waits until it holds; for what no event tells of.
  static func eventually(
    _ location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
  ) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try await !condition() {
      try #require(ContinuousClock.now < end, sourceLocation: location)
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// The samples of `/metrics`, by name and labels.
  func figures() async throws -> [String: Double] {
    try Figures.samples(of: try await get("/metrics").text)
  }

  // MARK: Database

  func connect() throws -> Connection { try Connection(connection) }

  /// A worker that scores what is in tables while the body runs.
  static func withWorker(
    _ name: String = "test", lanes: Int = 1, _ body: () async throws -> Void
  ) async throws {
    var configuration = WorkerConfiguration(settings: Database.current.settings)
    configuration.laneCount = lanes
    configuration.name = name
    let worker = Worker(
      configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.run() }
      do {
        try await body()
      } catch {
        worker.stop()
        throw error
      }
      worker.stop()
      try await group.waitForAll()
    }
  }

  /// Registers a fixture of the engine's tests.
  @discardableResult
  static func push(
    _ fixture: String, as name: String, alias: String? = "champion", labels: [String]? = nil
  ) throws -> Int {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../InferenceTests/Fixtures/\(fixture)/model.txt").standardized
    return try push([UInt8](Data(contentsOf: path)), as: name, alias: alias, labels: labels)
  }

  @discardableResult
  static func push(
    _ bytes: [UInt8], as name: String, alias: String? = "champion", labels: [String]? = nil,
    setup: ModelSetup = ModelSetup()
  ) throws -> Int {
    let connection = try Database.current.connect()
    defer { connection.close() }
    return try Registry(connection).push(
      .init(name: name, bytes: bytes, alias: alias, labels: labels, setup: setup)
    ).version
  }

  /// Registers the classifier of pictures as `colours`.
  static func pushColours() throws {
    try push(
      ColourModel.bytes, as: "colours", labels: ColourModel.labels,
      setup: ModelSetup.read(json: ColourModel.setup))
  }

  /// The rows of a fixture, and what its trainer says of them.
  static func lines(of fixture: String, _ file: String) throws -> [String] {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../InferenceTests/Fixtures/\(fixture)/\(file)").standardized
    return try String(contentsOf: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  static func key(
    _ client: String = "test", models: [String]? = nil, actions: [String] = ["read", "score"],
    expires: String? = nil, role: String? = nil
  ) throws -> (id: String, key: String) {
    let connection = try Database.current.connect()
    defer { connection.close() }
    let made = try connection.run(
      Query(
        text:
          "select key_id, key from rowcast.create_key($1, nullif($2, '{}'), $3, $4::text::interval, $5)",
        values: [client, models ?? [], actions, expires, role]))
    return (try made.value(0, "key_id"), try made.value(0, "key"))
  }

  // MARK: Requests

  struct Answer: Sendable {
    var status: Int
    var headers: [String: String]
    var data: Data

    var text: String { String(decoding: data, as: UTF8.self) }

    var json: [String: Any] {
      get throws {
        try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
      }
    }
  }

  func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send("GET", path, headers: headers)
  }

  func post(
    _ path: String, _ body: String, headers: [String: String] = ["Content-Type": "application/json"]
  ) async throws -> Answer {
    try await send("POST", path, headers: headers, body: Data(body.utf8))
  }

  func send(
    _ method: String, _ path: String, headers: [String: String] = [:], body: Data? = nil
  ) async throws -> Answer {
    var request = URLRequest(url: try #require(URL(string: url + path)))
    request.httpMethod = method
    request.timeoutInterval = 60
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    request.httpBody = body
    let (data, response) = try await URLSession.shared.data(for: request)
    let http = try #require(response as? HTTPURLResponse)
    var fields: [String: String] = [:]
    for (name, value) in http.allHeaderFields {
      fields["\(name)".lowercased()] = "\(value)"
    }
    return Answer(status: http.statusCode, headers: fields, data: data)
  }
}
