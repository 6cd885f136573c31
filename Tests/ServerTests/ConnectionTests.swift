import Foundation
import Postgres
import Server
import TestRandom
import TestSupport
import Testing

/// What a connection says is answered alike and in its order, whether a loop answers or the router.
@Suite(.database) struct ConnectionTests {
  private static let body = OverloadTests.body

  private static func serve(
    _ change: (inout HTTPConfiguration) -> Void = { _ in },
    _ body: (ServerScene) async throws -> Void
  ) async throws {
    try await OverloadTests.serve(waiting: .zero, change, body)
  }

  /// The status line, the fields without those of one answer alone, and the body.
  private static func parts(
    _ answer: String
  ) -> (status: String, fields: [String: String], body: String) {
    let halves = answer.split(separator: "\r\n\r\n", maxSplits: 1).map(String.init)
    let lines = (halves.first ?? "").split(separator: "\r\n").map(String.init)
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      let name = line.prefix { $0 != ":" }
      fields[name.lowercased()] = line.dropFirst(name.count + 1).trimmingCharacters(
        in: .whitespaces)
    }
    return (lines.first ?? "", fields, halves.count > 1 ? halves[1] : "")
  }

  private static var date: DateFormatter {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
    return formatter
  }

  private static func chunked(_ path: String, _ fields: String = "") -> String {
    let half = body.utf8.count / 2
    return "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\(fields)"
      + "Transfer-Encoding: chunked\r\n\r\n"
      + "\(String(half, radix: 16))\r\n\(body.prefix(half))\r\n"
      + "\(String(body.utf8.count - half, radix: 16))\r\n\(body.dropFirst(half))\r\n0\r\n\r\n"
  }

  /// What came before a request that cannot be parsed is answered, whatever follows it.
  @Test(arguments: [0, 5000, 100_000]) func whatCameBeforeNonsenseIsAnswered(size: Int) async throws
  {
    try await OverloadTests.serve(waiting: .zero) { scene in
      for before in 1...5 {
        let client = try RawClient(scene)
        let wrong = Self.chunked("/v2/models/bank/infer").dropLast(2) + "Content-Length: 5\r\n\r\n"
        let text =
          String(repeating: Self.chunked("/v2/models/bank/infer"), count: before) + wrong
          + String(repeating: "y", count: size)
        _ = await offThePool { client.say(text) }
        let answers = await client.readToEnd().components(separatedBy: "HTTP/1.1 200 OK\r\n")
        #expect(answers.count == before + 1, "\(before): \(answers)")
      }
    }
  }

  /// The same request with a length, and in chunks, which only the router reads.
  @Test func bothWaysAnswerAlike() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try ServerScene.push("lightgbm_binary", as: "other")
    try await ServerScene.run { scene in
      let right = try ServerScene.key()
      let elsewhere = try ServerScene.key("elsewhere", models: ["other"])
      let headers = ["Authorization": "Bearer \(right.key)"]
      let end = ContinuousClock.now + .seconds(60)
      while try await scene.get("/v2/models/bank", headers: headers).status != 200 {
        try #require(ContinuousClock.now < end)
      }
      func bearer(_ key: String) -> String { "Authorization: Bearer \(key)\r\n" }
      let cases = [
        ("/v2/models/bank/infer", bearer(right.key), "200"),
        ("/v2/models/bank/infer", "Authorization: Bearer \(right.key) \t\r\n", "200"),
        ("/v2/models/bank/versions/1/infer", "X-API-Key: \(right.key)\r\n", "200"),
        ("/v2/models/bank/versions/champion/infer?a=b", bearer(right.key), "200"),
        ("/v2/models/b%61nk/infer", bearer(right.key), "200"),
        ("/v1/models/bank/predict", bearer(right.key), "400"),
        ("/v2/models/bank/infer", "", "401"), ("/v2/models/bank/infer", bearer("rck_a_b"), "401"),
        ("/v2/models/bank/infer", bearer(elsewhere.key), "403"),
        ("/v2/models/none/infer", bearer(right.key), "404"),
        ("/v2/models/none/infer", "", "401"), ("/v2/models/bank/versions/9/infer", "", "401"),
        ("/api/v1/service/bank/score", bearer(right.key), "400"),
      ]
      // The first time models are loaded, and nobody knows yet how quick they are.
      for round in 0..<3 {
        for (path, fields, status) in cases {
          let fields = fields + "X-Request-ID: r\(round)\r\n"
          let client = try RawClient(scene)
          client.say(OverloadTests.request(path, fields))
          var prompt = Self.parts(await client.readAnswer())
          client.say(Self.chunked(path, fields))
          var routed = Self.parts(await client.readAnswer())
          let date = try #require(Self.date.date(from: prompt.fields["date"] ?? ""), "\(prompt)")
          #expect(abs(date.timeIntervalSinceNow) < 100)
          for name in ["date", "content-length"] {
            #expect(prompt.fields.removeValue(forKey: name) != nil, "\(path) \(name)")
            #expect(routed.fields.removeValue(forKey: name) != nil, "\(path) \(name)")
          }
          // The length is not known before a body in chunks has ended: then the connection may be closed.
          routed.fields["connection"] = nil
          #expect(prompt.status.hasPrefix("HTTP/1.1 \(status) "), "\(path) \(prompt)")
          #expect(prompt == routed, "\(path)")
        }
      }
    }
  }

  @Test func requestsOfBothWaysAreAnsweredInTheirOrder() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      var requests = ""
      let kinds = 7
      for number in 0..<210 {
        let id = "X-Request-ID: r\(number)\r\n"
        switch number % kinds {
        case 0, 1: requests += OverloadTests.request("/v2/models/bank/infer", id)
        case 2: requests += Self.chunked("/v2/models/bank/infer", id)
        case 3: requests += "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\(id)\r\n"
        case 4: requests += "GET /v2/models/bank HTTP/1.1\r\nHost: a\r\n\(id)\r\n"
        case 5:
          requests +=
            "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\n\(id)Content-Length: 2\r\n\r\n{}"
        default: requests += "GET /nowhere HTTP/1.1\r\nHost: a\r\n\(id)\r\n"
        }
      }
      // In pieces of a size that has nothing to do with requests.
      let bytes = Array(requests.utf8)
      for start in stride(from: 0, to: bytes.count, by: 97) {
        client.say(Array(bytes[start..<min(start + 97, bytes.count)]))
      }
      for number in 0..<210 {
        let answer = Self.parts(await client.readAnswer())
        let wanted = ["200", "200", "200", "200", "200", "400", "404"][number % kinds]
        #expect(answer.status.contains(wanted), "\(number): \(answer)")
        #expect(answer.fields["x-request-id"] == "r\(number)")
      }
    }
  }

  /// Heads that differ in the length alone, one by one and many at once, and now and then another between them.
  @Test func aLongSeriesIsAnsweredInItsOrder() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      let fields =
        "X-Request-ID: order-17\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
      var random = SplitMix64(seed: 3)
      var number = 0
      while number < 600 {
        let numbers = number..<number + Int.random(in: 1...(number < 100 ? 1 : 20), using: &random)
        number = numbers.upperBound
        var text = ""
        for number in numbers where number % 17 != 16 {
          let spaces = String(repeating: " ", count: Int.random(in: 0...2000, using: &random))
          let body = "{\"id\":\"n\(number)\",\(spaces)\(Self.body.dropFirst())"
          text +=
            "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n"
            + body
        }
        for number in numbers where number % 17 == 16 {
          text += "GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-ID: n\(number)\r\n\r\n"
        }
        client.say(text)
        for number in numbers where number % 17 != 16 {
          let answer = Self.parts(await client.readAnswer())
          #expect(answer.status == "HTTP/1.1 200 OK", "\(number): \(answer)")
          #expect(answer.body.contains("\"id\":\"n\(number)\""), "\(number): \(answer)")
          #expect(answer.fields["x-request-id"] == "order-17")
        }
        for number in numbers where number % 17 == 16 {
          let answer = Self.parts(await client.readAnswer())
          #expect(answer.status.contains("404"), "\(number): \(answer)")
          #expect(answer.fields["x-request-id"] == "n\(number)")
        }
      }
    }
  }

  /// What one client says is read to its end before the next piece: another's request is between them.
  @Test func aRequestMayComeInPieces() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      let bytes = Array(OverloadTests.request().utf8)
      for _ in 0..<3 {
        let cuts = [0, 9, bytes.count - Self.body.utf8.count + 5, bytes.count - 3, bytes.count]
        for (start, end) in zip(cuts, cuts.dropFirst()) {
          client.say(Array(bytes[start..<end]))
          #expect(try await scene.get("/v2/health/live").status == 200)
        }
        #expect(await client.readAnswer().hasPrefix("HTTP/1.1 200"))
      }
    }
  }

  /// Bodies that are gathered count together, as long as their clients are there.
  @Test func halfARequestIsForgottenWithItsClient() async throws {
    try await Self.serve({
      $0.bodyByteCount = 60_000
      $0.bodiesByteCount = 60_000
    }) { scene in
      let head =
        "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n"
      var half: RawClient? = try RawClient(scene)
      half?.say(head + "{")
      let large = String(repeating: " ", count: 40_000)
      let end = ContinuousClock.now + .seconds(60)
      while try await scene.post("/v2/models/bank/infer", large).status != 503 {
        try #require(ContinuousClock.now < end)
      }
      half = nil
      while try await scene.post("/v2/models/bank/infer", large).status == 503 {
        try #require(ContinuousClock.now < end)
      }
      #expect(try await scene.post("/v2/models/bank/infer", large).status == 400)
    }
  }

  @Test func connectionsEndWhereTheirClientsWantIt() async throws {
    try await Self.serve { scene in
      for request in [
        OverloadTests.request("/v2/models/bank/infer", "Connection: close\r\n"),
        OverloadTests.request("/v2/models/bank/infer", "Connection: Close\r\n"),
        "GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Self.chunked("/v2/models/bank/infer", "Connection: close\r\n"),
      ] {
        let client = try RawClient(scene)
        // What follows the last request is nobody's.
        client.say(OverloadTests.request() + request + OverloadTests.request())
        let answers = await client.readToEnd()
        #expect(answers.ranges(of: "HTTP/1.1 200 OK\r\n").count == 2, "\(answers)")
      }
      // One of HTTP/1.0 is one.
      let old = try RawClient(scene)
      old.say(
        OverloadTests.request("/v2/models/bank/infer", "Connection: close\r\n")
          .replacing("HTTP/1.1", with: "HTTP/1.0"))
      #expect(await old.readToEnd().contains(" 200 OK\r\n"))
    }
  }

  /// Requests came before their client closed its side; it may still read.
  @Test func whoSaysNothingMoreIsStillAnswered() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      for path in ["/v2/health/live", "/v2/models/bank", "/v2/health/live"] {
        client.say("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
      }
      client.finish()
      let answers = await client.readToEnd()
      #expect(answers.ranges(of: "HTTP/1.1 200 OK\r\n").count == 3, "\(answers)")
    }
  }

  @Test func aHeadIsAnsweredWithoutABody() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      client.say("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      let whole = Self.parts(await client.readAnswer())
      client.say(
        "HEAD /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
          + "GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      let rest = await client.readToEnd().components(separatedBy: "\r\n\r\n")
      try #require(rest.count == 3)
      #expect(Self.parts(rest[0]).fields["content-length"] == whole.fields["content-length"])
      #expect(rest[1].hasPrefix("HTTP/1.1 200") && rest[2] == whole.body)
    }
  }

  @Test func whatIsExpectedIsAnswered() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      // On the loop, by the router, and by the router as its body has no length.
      let spaces = String(repeating: " ", count: 100_000)
      for (length, body) in [
        ("Content-Length: \(Self.body.utf8.count)", Self.body),
        ("Content-Length: \(Self.body.utf8.count + spaces.utf8.count)", Self.body + spaces),
        (
          "Transfer-Encoding: chunked",
          "\(String(Self.body.utf8.count, radix: 16))\r\n\(Self.body)\r\n0\r\n\r\n"
        ),
      ] {
        client.say(
          "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\(length)\r\n\r\n"
        )
        #expect(await client.readAnswer() == "HTTP/1.1 100 Continue\r\n\r\n", "\(length)")
        client.say(body)
        #expect(await client.readAnswer().hasPrefix("HTTP/1.1 200"), "\(length)")
      }
      client.say(OverloadTests.request())
      #expect(await client.readAnswer().hasPrefix("HTTP/1.1 200"))
    }
  }

  /// The body is not read, and as nobody knows whether it comes, nothing else is.
  @Test func whatIsExpectedInVainIsRefusedAtOnce() async throws {
    try await Self.serve({ $0.bodyByteCount = 100_000 }) { scene in
      for (path, fields, status) in [
        ("/v2/models/none/infer", "Content-Length: 100\r\n", 404),
        ("/v2/models/none/infer", "Transfer-Encoding: chunked\r\n", 404),
        ("/v2/models/bank/infer", "Content-Length: 100001\r\n", 413),
      ] {
        let client = try RawClient(scene)
        client.say(
          "POST \(path) HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\(fields)\r\n")
        let answer = await client.readAnswer()
        #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer)")
        #expect(Self.parts(answer).fields["connection"] == "close", "\(answer)")
        client.say("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(await client.readToEnd().isEmpty)
      }
    }
  }

  /// What was said to be the last answer is the last.
  @Test func nothingIsAnsweredBehindTheLastAnswer() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      let long = String(repeating: " ", count: 2 << 20)
      async let answers = client.readToEnd()
      await offThePool {
        client.say(
          "POST /v1/models/none/predict HTTP/1.1\r\nHost: a\r\nContent-Length: \(long.utf8.count)\r\n\r\n"
            + long)
        client.say("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      }
      let text = await answers
      #expect(text.ranges(of: "HTTP/1.1 ").count == 1, "\(text)")
      #expect(Self.parts(text).fields["connection"] == "close")
    }
  }

  /// As Java's client asks with each request, unless told otherwise.
  @Test func whoWouldSpeakAnotherProtocolIsAnsweredInThisOne() async throws {
    try await Self.serve { scene in
      let fields =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
      let client = try RawClient(scene)
      let requests = [
        OverloadTests.request("/v2/models/bank/infer", fields),
        Self.chunked("/v2/models/bank/infer", fields),
        "GET /v2/models/bank HTTP/1.1\r\nHost: a\r\n\(fields)\r\n", OverloadTests.request(),
        "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\(fields)\r\n",
      ]
      for _ in 0..<3 {
        client.say(requests.joined())
        for request in requests {
          let answer = Self.parts(await client.readAnswer())
          #expect(answer.status == "HTTP/1.1 200 OK", "\(request): \(answer)")
          #expect(answer.fields["connection"] == nil)
        }
      }
      // In pieces.
      for byte in requests.joined().utf8 { client.say([byte]) }
      for _ in requests { #expect(await client.readAnswer().hasPrefix("HTTP/1.1 200 OK")) }
    }
  }

  /// However the wish is written, the next request is answered or the connection's end announced.
  @Test func aWishForAnotherProtocolStopsNoConnection() async throws {
    try await Self.serve { scene in
      for fields in [
        "Upgrade: h2c\r\n", "Upgrade: h2c\r\nConnection: keep-alive\r\n",
        "Upgrade: h2c\r\nConnection: keep-alive, UPGRADE \r\n",
        "Upgrade: h2c\r\nConnection: upgrade\r\nConnection: x\r\n",
        "Upgrade: h2c\r\nConnection: upgrade\t\r\n", "Upgrade: h2c\r\nConnection: \tupgrade\r\n",
        "Upgrade: h2c\r\nConnection: upgrade x\r\n", "Upgrade: h2c\r\nConnection: upgradex, \r\n",
        "Upgrade: h2c\r\nConnection: ,,upgrade,\r\n", "Upgrade:\r\nConnection: upgrade\r\n",
        "Connection: upgrade\r\n", "Upgrade: h2c\r\nProxy-Connection: upgrade\r\n",
      ] {
        let client = try RawClient(scene)
        client.say(
          "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\(fields)\r\nGET /v2/health/live HTTP/1.1\r\nHost: a\r\n"
            + "Connection: close\r\n\r\n")
        let text = await client.readToEnd()
        let count = text.ranges(of: "HTTP/1.1 200 OK").count
        #expect(
          count == 2 || count == 1 && text.contains("Connection: close"), "\(fields): \(text)")
      }
      let client = try RawClient(scene)
      client.say(
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      let text = await client.readToEnd()
      #expect(text.hasPrefix("HTTP/1.1 400") && text.contains("Connection: close"), "\(text)")
      #expect(text.ranges(of: "HTTP/1.1 ").count == 1)
    }
  }

  @Test func aRequestNamesOneHost() async throws {
    try await Self.serve { scene in
      for (line, hosts, status) in [
        ("GET /v2/health/live HTTP/1.1", "", 400), ("GET /v2/models/bank HTTP/1.1", "", 400),
        ("GET /v2/health/live HTTP/1.1", "Host: a\r\nhost: a\r\n", 400),
        ("GET /v2/models/bank HTTP/1.0", "Host: a\r\nHost: b\r\n", 400),
        ("GET /v2/models/bank HTTP/1.0", "", 200),
        ("GET /v2/health/live HTTP/1.1", "Host:\r\n", 200),
      ] {
        let client = try RawClient(scene)
        client.say("\(line)\r\n\(hosts)Connection: close\r\n\r\n")
        let text = await client.readToEnd()
        #expect(text.contains(" \(status) "), "\(line) \(hosts): \(text)")
      }
    }
  }

  @Test func aLengthBeyondAllBoundsIsRefused() async throws {
    try await Self.serve { scene in
      for (length, status) in [
        ("9223372036854775807", 413), ("9223372036854775808", 413), ("18446744073709551615", 413),
        ("18446744073709551616", 400), ("1e3", 400), ("-1", 400),
      ] {
        for path in ["/v2/models/bank/infer", "/v1/jobs"] {
          let client = try RawClient(scene)
          client.say("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n{")
          let text = await client.readToEnd()
          if path != "/v1/jobs" || status == 400 || length != "9223372036854775807" {
            #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(length): \(text)")
          }
          #expect(text.contains("Connection: close"), "\(length): \(text)")
        }
      }
    }
  }

  /// A connection lives as long as it is used, and not much longer.
  @Test func silentConnectionsAreClosedAndBusyOnesAreNot() async throws {
    try await Self.serve({ $0.patience = .seconds(1) }) { scene in
      let busy = try RawClient(scene)
      let silent = try RawClient(scene)
      silent.say(OverloadTests.request())
      #expect(await silent.readAnswer().hasPrefix("HTTP/1.1 200"))
      async let end = silent.readToEnd()
      let start = ContinuousClock.now
      while start.duration(to: .now) < .seconds(3) {
        busy.say(OverloadTests.request())
        try #require(await busy.readAnswer().hasPrefix("HTTP/1.1 200"))
      }
      #expect(await end.isEmpty)
    }
  }

  /// Nonsense behind a good request is found after that was answered.
  @Test func whatIsNotHTTPIsRefusedInItsTurn() async throws {
    try await Self.serve { scene in
      let client = try RawClient(scene)
      client.say(OverloadTests.request() + "NONSENSE\r\n\r\n")
      let answers = await client.readToEnd()
      #expect(answers.hasPrefix("HTTP/1.1 200"))
      #expect(answers.contains("HTTP/1.1 400"))
    }
  }
}
