import Foundation
import Logging
import Postgres
import Scoring
import Server
import TestSupport
import Testing

/// More requests than can be scored: what is taken is answered, the rest is refused at once, and the server still
/// says how it is.
@Suite(.database) struct OverloadTests {
  /// Serves with requests that wait for company as long as is said: so they wait, whatever the machine does.
  static func serve(
    waiting: Duration, _ change: (inout HTTPConfiguration) -> Void = { _ in },
    _ body: (ServerScene) async throws -> Void
  ) async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run(
      {
        $0.needsKeys = false
        $0.longestWait = waiting
        $0.deadline = .seconds(60)
        change(&$0)
      }
    ) { scene in
      // Loaded, so that nothing else than scoring is waited for.
      #expect(try await scene.get("/v2/models/bank").status == 200)
      try await body(scene)
    }
  }

  static let body =
    #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":[1,2,3,4,5]}]}"#

  static func request(_ path: String = "/v2/models/bank/infer", _ fields: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\(fields)"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// A figure of the server.
  static func figure(_ name: String, _ scene: ServerScene) async throws -> Int {
    let line = try await scene.get("/metrics").text.split(separator: "\n").first {
      $0.hasPrefix(name + " ")
    }
    return try #require(line.flatMap { Int($0.dropFirst(name.count + 1)) })
  }

  /// Waits until a figure is as wanted, for a minute at most.
  static func wait(
    for name: String, toBe wanted: Int, _ scene: ServerScene,
    _ location: SourceLocation = #_sourceLocation
  ) async throws {
    let end = ContinuousClock.now + .seconds(60)
    var found = -1
    while found != wanted {
      try #require(
        ContinuousClock.now < end, "\(name) is \(found), not \(wanted)", sourceLocation: location)
      found = try await figure(name, scene)
    }
  }

  @Test func whatIsTooMuchIsRefusedAtOnceAndTheRestAnswered() async throws {
    let (taken, all) = (64, 250)
    try await Self.serve(waiting: .seconds(8), { $0.waitingRequests = taken }) { scene in
      var clients: [RawClient] = []
      for _ in 0..<all {
        let client = try RawClient(scene)
        client.say(Self.request())
        clients.append(client)
      }
      try await Self.wait(for: "rowcast_http_refused_requests_total", toBe: all - taken, scene)
      #expect(try await Self.figure("rowcast_http_waiting_requests", scene) == taken)
      // Over a new connection, and over one that was refused.
      let start = ContinuousClock.now
      let probe = try RawClient(scene)
      probe.say("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(await probe.readAnswer().hasPrefix("HTTP/1.1 200"))
      #expect(ContinuousClock.now - start < .seconds(1))
      // Whoever is refused hears it before anybody is scored.
      let end = start + .seconds(60)
      while clients.count(where: \.hasAnswer) < all - taken { try #require(.now < end) }
      let refused = clients.filter(\.hasAnswer)
      #expect(refused.count == all - taken)
      #expect(try await Self.figure("rowcast_http_waiting_requests", scene) == taken)
      for client in refused {
        let answer = await client.readAnswer()
        #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer.prefix(80))")
        #expect(answer.contains("Retry-After: 1\r\n") && answer.contains("overloaded"))
      }
      refused[0].say("GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(await refused[0].readAnswer().hasPrefix("HTTP/1.1 200"))
      for client in clients where !refused.contains(where: { $0 === client }) {
        let answer = await client.readAnswer()
        #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(80))")
      }
      #expect(try await Self.figure("rowcast_http_scored_rows_total", scene) == taken)
      #expect(try await Self.figure("rowcast_http_waiting_requests", scene) == 0)
    }
  }

  /// Connections that ask without pause over and over: all are served, and others too.
  @Test func manyWhoAskWithoutPauseAreAllServed() async throws {
    try await Self.serve(waiting: .zero) { scene in
      let port = try #require(scene.url.split(separator: ":").last.flatMap { UInt16($0) })
      let clients = try (0..<250).map { _ in try RawClient(port: port) }
      // Some at once each: answers are read once all is sent.
      let requests = Array(String(repeating: Self.request(), count: 5).utf8)
      for client in clients { client.say(requests) }
      #expect(try await scene.get("/v2/health/live").status == 200)
      let counts = await offThePool {
        clients.map { client in
          (0..<5).count { _ in client.readAnswerBlocking().hasPrefix("HTTP/1.1 200") }
        }
      }
      #expect(counts.allSatisfy { $0 == 5 }, "\(counts.filter { $0 != 5 }.count) were not")
      #expect(try await Self.figure("rowcast_http_scored_rows_total", scene) == 1250)
    }
  }

  @Test func whoLeavesIsNotScored() async throws {
    try await Self.serve(waiting: .seconds(2)) { scene in
      var clients: [RawClient] = []
      for _ in 0..<5 {
        let client = try RawClient(scene)
        client.say(Self.request())
        clients.append(client)
      }
      try await Self.wait(for: "rowcast_http_waiting_requests", toBe: 5, scene)
      let stays = clients.removeLast()
      clients = []
      #expect(await stays.readAnswer().hasPrefix("HTTP/1.1 200"))
      #expect(try await Self.figure("rowcast_http_abandoned_requests_total", scene) == 4)
      #expect(try await Self.figure("rowcast_http_scored_rows_total", scene) == 1)
    }
  }

  /// Requests that came before the server was told to stop are answered, those of which half came too.
  @Test func whatCameIsAnsweredBeforeTheServerStops() async throws {
    var clients: [RawClient] = []
    var half: Task<Bool, any Error>?
    try await Self.serve(waiting: .seconds(1)) { scene in
      let port = try #require(scene.url.split(separator: ":").last.flatMap { UInt16($0) })
      let begun = try RawClient(port: port)
      begun.say(String(Self.request().dropLast(20)))
      clients = try (0..<3).map { _ in try RawClient(port: port) }
      for client in clients { client.say(Self.request()) }
      try await Self.wait(for: "rowcast_http_waiting_requests", toBe: 3, scene)
      clients.append(begun)
      half = Task {
        // Once nobody is let in any more the server is stopping.
        let end = ContinuousClock.now + .seconds(60)
        while RawClient.isHeard(port: port) {
          try #require(ContinuousClock.now < end)
          await Task.yield()
        }
        return begun.say(String(Self.request().suffix(20)))
      }
    }
    #expect(try await half?.value == true)
    for client in clients {
      let answer = await client.readToEnd()
      #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(80))")
    }
  }

  /// Lanes of a worker beside a server, and only these, come after others where all want a core.
  @Test func lanesGiveWayToRequests() async throws {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    var configuration = WorkerConfiguration(settings: Database.current.settings)
    configuration.laneCount = 1
    let worker = Worker(
      configuration, logger: logger, models: ModelCache(byteCount: 1 << 20, logger: logger)
    ) { _ in }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.run() }
      defer { worker.stop() }
      try await Self.serve(waiting: .zero) { _ in
        let end = ContinuousClock.now + .seconds(60)
        while !Self.threads.contains(where: { $0.name == "rowcast lane 0" && $0.value == 10 }) {
          try #require(ContinuousClock.now < end)
        }
        let others = Self.threads.filter { $0.name.hasPrefix("rowcast http") }
        #expect(!others.isEmpty && others.allSatisfy { $0.value == 0 })
      }
      worker.stop()
      try await group.waitForAll()
    }
  }

  /// Threads of this process, with what they yield to others.
  private static var threads: [Niceness] {
    let folder = "/proc/self/task"
    let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return numbers.compactMap { Niceness(of: "\(folder)/\($0)") }
  }
}
