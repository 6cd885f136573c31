import Foundation
import Glibc
import ModelFixtures
import Postgres
import Server
import TestRandom
import TestSupport
import Testing

/// Clients that mean harm: what they send is refused, or they are left; others are served, and memory stays.
@Suite(.database) struct HostileTests {
  private static func serve(
    keys: Bool = false, _ body: (ServerScene) async throws -> Void
  ) async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run(
      {
        $0.needsKeys = keys
        $0.bodyByteCount = 100_000
        $0.bodiesByteCount = 200_000
        $0.headerByteCount = 8192
        $0.patience = .seconds(1)
      }, body)
  }

  private static func isRefusal(_ answer: String) -> Bool {
    answer.isEmpty || answer.hasPrefix("HTTP/1.1 4")
  }

  // MARK: Requests that two readers would read differently

  private static let shapes = [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 60\r\n\r\n", "Content-Length: 0, 60\r\n\r\n",
    "Content-Length: +0\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: 0x0\r\n\r\n",
    "Content-Length: 99999999999999999999\r\n\r\n", "Content-Length: 0 0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
    "X-A: a\r\n b\r\n\r\n", "X-A: a\u{0}b\r\n\r\n", "X-A: a\rContent-Length: 60\r\n\r\n",
    ": a\r\n\r\n", "X A: a\r\n\r\n",
  ]

  /// Whatever a proxy before the server takes for the end of each of these, no second request is found in it.
  @Test func noRequestHidesInAnother() async throws {
    try await Self.serve { scene in
      let clients = try Self.shapes.map { shape in
        let client = try RawClient(scene)
        client.say(
          "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\n\(shape)"
            + "GET /hidden HTTP/1.1\r\nHost: a\r\nX-Request-ID: hidden\r\n\r\n")
        return client
      }
      for (shape, client) in zip(Self.shapes, clients) {
        let answer = await client.readToEnd()
        #expect(Self.isRefusal(answer), "\(shape): \(answer.prefix(80))")
        #expect(!answer.contains("hidden"), "\(shape): \(answer)")
      }
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }

  @Test func requestsInARowAreAnsweredInTheirOrder() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      let rows = try ServerScene.lines(of: "lightgbm_multiclass", "rows.csv").prefix(2)
        .joined(separator: "\n")
      var requests = ""
      for number in 0..<60 {
        let last = number == 59 ? "Connection: close\r\n" : ""
        switch number % 3 {
        case 0:
          requests +=
            "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nX-Request-ID: r\(number)\r\n"
            + "Content-Type: text/csv\r\nContent-Length: \(rows.utf8.count)\r\n\r\n\(rows)"
        case 1:
          requests += "GET /v2/models/none HTTP/1.1\r\nHost: a\r\nX-Request-ID: r\(number)\r\n\r\n"
        default:
          requests +=
            "GET /v2/health/live HTTP/1.1\r\nHost: a\r\nX-Request-ID: r\(number)\r\n\(last)\r\n"
        }
      }
      client.say(requests)
      var answers: [(status: String, id: String)] = []
      for _ in 0..<60 {
        let answer = await client.readAnswer()
        let id = answer.split(separator: "\r\n").first {
          $0.lowercased().hasPrefix("x-request-id:")
        }
        answers.append(
          (
            String(answer.prefix(12)),
            id.map { String($0.dropFirst(13)).filter { $0 != " " } } ?? ""
          ))
      }
      #expect(answers.map(\.id) == (0..<60).map { "r\($0)" })
      #expect(
        answers.map(\.status)
          == (0..<60).map { ["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"][$0 % 3] })
    }
  }

  // MARK: Too much

  @Test func chunksAreBounded() async throws {
    try await Self.serve { scene in
      let head =
        "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      let long = String(repeating: "a", count: 1 << 20)
      let fields = (0..<2000).map { "X-\($0): a\r\n" }.joined()
      for rest in [
        // An extension of a chunk, trailers, many chunks, and a chunk that is announced and does not come.
        "1;\(long)\r\n{\r\n0\r\n\r\n", "1\r\n{\r\n0\r\n\(fields)\r\n",
        "1\r\n{\r\n0\r\nX: \(long)\r\n\r\n",
        String(repeating: "1\r\n \r\n", count: 100_001) + "0\r\n\r\n", "7FFFFFFFFFFFFFFF\r\n{",
      ] {
        let client = try RawClient(scene)
        client.say(head + rest)
        let answer = await client.readToEnd()
        #expect(Self.isRefusal(answer), "\(answer.prefix(80))")
      }
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }

  /// What a client that left had begun to send counts no more.
  @Test func bodiesThatWereCutOffAreForgotten() async throws {
    try await Self.serve { scene in
      for _ in 0..<40 {
        try RawClient(scene).say(
          "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n[{")
      }
      let end = ContinuousClock.now + .seconds(60)
      let large = String(repeating: " ", count: 90_000)
      while try await scene.post("/v1/models/bank/predict", large).status == 503 {
        try #require(ContinuousClock.now < end)
      }
      #expect(try await scene.post("/v1/models/bank/predict", large).status == 400)
    }
  }

  // MARK: Too slow

  /// A body that comes a byte at a time ends, whether somebody reads it or it was refused before.
  @Test(arguments: [false, true]) func bodiesThatDripAreLeft(isRefused: Bool) async throws {
    try await Self.serve(keys: isRefused) { scene in
      let client = try RawClient(scene)
      client.say(
        "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n")
      let end = ContinuousClock.now + .seconds(60)
      while client.say(" ") {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(Self.isRefusal(await client.readToEnd()))
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }

  /// Many who say nothing, or half of their headers, keep nobody else out.
  @Test func manySlowClientsKeepNobodyOut() async throws {
    try await Self.serve { scene in
      var clients: [RawClient] = []
      for number in 0..<400 {
        let client = try RawClient(scene)
        if number % 2 == 0 { client.say("GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: ") }
        clients.append(client)
      }
      for _ in 0..<20 { #expect(try await scene.get("/v2/health/live").status == 200) }
      for client in clients.prefix(20) { #expect(Self.isRefusal(await client.readToEnd())) }
    }
  }

  // MARK: Bodies of nonsense

  private struct Target {
    var path: String
    var headers: String
    var body: [UInt8]
  }

  /// Good requests of every kind, to be damaged.
  private static func targets() throws -> [Target] {
    let row = try ServerScene.lines(of: "lightgbm_multiclass", "rows.csv").prefix(3)
    let names = row[0].split(separator: ",")
    let record = "{" + names.map { "\"\($0)\":1.5" }.joined(separator: ",") + "}"
    let binary = (0..<5).flatMap { _ in [UInt8]([0, 0, 0, 0, 0, 0, 0xF0, 0x3F]) }
    let head = Array(
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"parameters":{"binary_data_size":40}}]}"#
        .utf8)
    let picture = ColourModel.picture((250, 10, 20))
    let coded = Data(picture).base64EncodedString()
    let deep = String(repeating: "[", count: 20_000)
    func target(_ path: String, _ type: String, _ body: some Sequence<UInt8>) -> Target {
      Target(path: path, headers: "Content-Type: \(type)\r\n", body: Array(body))
    }
    return [
      target(
        "/v2/models/bank/infer", "application/json",
        #"{"id":"a","inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":[1,2,3,4,5]}],"outputs":[{"name":"probability","parameters":{"classification":2}}]}"#
          .utf8),
      Target(
        path: "/v2/models/bank/infer",
        headers:
          "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: \(head.count)\r\n",
        body: head + binary),
      target("/v1/models/bank/predict", "application/json", "[\(record),\(record)]".utf8),
      target("/v1/models/bank/predict", "application/x-ndjson", "\(record)\n\(record)\n".utf8),
      target("/v1/models/bank/predict", "text/csv", row.joined(separator: "\n").utf8),
      target("/api/v1/service/colours/score", "image/jpeg", picture),
      target(
        "/api/v1/service/colours/score", "application/json",
        "{\"input\":{\"image\":\"\(coded)\"},\"top_k\":2}".utf8),
      target(
        "/v2/models/bank/infer", "application/json",
        "{\"inputs\":[{\"name\":\"input\",\"datatype\":\"FP64\",\"shape\":[1,5],\"data\":\(deep)"
          .utf8),
      target("/v1/models/bank/predict", "application/json", deep.utf8),
      target("/api/v1/service/colours/score", "application/json", "{\"input\":\(deep)".utf8),
    ]
  }

  /// The same body, damaged: bytes changed, taken out, put in, or the end cut off.
  private static func damaged(_ body: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var body = body
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      guard !body.isEmpty else { break }
      let place = Int.random(in: 0..<body.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: body[place] = UInt8.random(in: 0...255, using: &random)
      case 1: body.remove(at: place)
      case 2: body.insert(UInt8.random(in: 0...255, using: &random), at: place)
      case 3: body.removeLast(Int.random(in: 0..<body.count, using: &random))
      case 4:
        let words = ["1e999", "-0", "null", "9223372036854775808", "\"", "]", "{", "\\u0000", ","]
        body.insert(contentsOf: Array(words.randomElement(using: &random)!.utf8), at: place)
      default:
        let end = min(body.count, place + Int.random(in: 1...64, using: &random))
        body.insert(contentsOf: body[place..<end], at: place)
      }
    }
    return body
  }

  /// Pages of memory that the process holds.
  private static var residentPages: Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  }

  /// `ROWCAST_HOSTILE_BODIES=10000` makes it a longer run, after which memory is looked at, too.
  @Test func bodiesOfNonsenseAreRefused() async throws {
    let wanted = ProcessInfo.processInfo.environment["ROWCAST_HOSTILE_BODIES"].flatMap { Int($0) }
    try ServerScene.pushColours()
    try await Self.serve { scene in
      let targets = try Self.targets()
      let port = try #require(scene.url.split(separator: ":").last.flatMap { UInt16($0) })
      func send(_ count: Int, seed: UInt64) async throws -> [Int: Int] {
        let (statuses, worst) = try await offThePool {
          Result { try Self.send(count, of: targets, to: port, seed: seed) }
        }.get()
        #expect(worst == nil, "seed \(seed): \(worst ?? "")")
        return statuses
      }
      var statuses = try await send(600, seed: 1)
      #expect(statuses.keys.allSatisfy { $0 == 200 || (400..<500).contains($0) }, "\(statuses)")
      #expect((statuses[400] ?? 0) > 100, "\(statuses)")
      if let wanted {
        // What is allocated once is there after the first of them.
        _ = try await send(wanted / 5, seed: 2)
        let before = Self.residentPages
        statuses = try await send(wanted, seed: 3)
        let grown = (Self.residentPages - before) * Int(sysconf(Int32(_SC_PAGESIZE)))
        print(
          "\(wanted) bodies: \(statuses), memory grew by \(grown >> 10) kB to",
          "\(Self.residentPages * 4 / 1024) MB")
        #expect(grown < 16 << 20, "\(grown) bytes")
      }
      #expect(try await scene.get("/v2/health/ready").status == 200)
    }
  }

  /// Sends damaged bodies over few connections; says how they were answered, and the first that was not, or
  /// by the server's fault.
  private static func send(
    _ count: Int, of targets: [Target], to port: UInt16, seed: UInt64
  ) throws -> (statuses: [Int: Int], worst: String?) {
    var random = SplitMix64(seed: seed)
    var statuses: [Int: Int] = [:]
    var worst: String?
    var client = try RawClient(port: port)
    for number in 0..<count {
      let target = targets[number % targets.count]
      let body = damaged(target.body, &random)
      client.say(
        Array(
          "POST \(target.path) HTTP/1.1\r\nHost: a\r\n\(target.headers)Content-Length: \(body.count)\r\n\r\n"
            .utf8) + body)
      let answer = client.readAnswerBlocking()
      let status = Int(answer.dropFirst(9).prefix(3)) ?? 0
      statuses[status, default: 0] += 1
      if status == 0 || status >= 500, worst == nil {
        worst = "\(target.path), \(status): \(answer.suffix(200)) to \(body.prefix(400))"
      }
      if answer.lowercased().contains("connection: close") || answer.isEmpty {
        client = try RawClient(port: port)
      }
    }
    return (statuses, worst)
  }
}
