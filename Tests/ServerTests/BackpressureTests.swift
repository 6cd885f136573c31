import Foundation
import Server
import TestSupport
import Testing

/// Whoever asks for more than he takes, or in another protocol, costs nobody else anything.
@Suite(.database) struct BackpressureTests {
  /// Sockets of both sides hold a few megabytes; what is beyond would be the server's memory.
  @Test func answersThatNobodyTakesAreNotMade() async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let client = try RawClient(scene)
      let request = Array("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
      let most = 64 << 20
      let (times, rest) = await offThePool { client.sayUntilStuck(request, most: most) }
      #expect(times * request.count < most / 2, "\(times) requests were taken")
      #expect(try await scene.get("/v2/health/live").status == 200)
      // All that was asked is answered to who reads on.
      async let text = client.readToEnd()
      _ = await offThePool { client.say(rest) }
      client.finish()
      let answers = await text.components(separatedBy: "HTTP/1.1 200").count - 1
      #expect(answers == times + (rest.isEmpty ? 0 : 1))
    }
  }

  /// As Java's client asks, unless told otherwise.
  @Test(arguments: ["/v2/models/bank/infer", "/v2/models/none/infer"])
  func whoWouldSpeakAnotherProtocolIsToldToComeAgain(path: String) async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let client = try RawClient(scene)
      client.say(
        OverloadTests.request(
          path,
          "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"))
      let answer = await client.readToEnd().lowercased()
      #expect(answer.hasPrefix("http/1.1 \(path.contains("none") ? 404 : 200)"))
      #expect(answer.contains("connection: close"))
    }
  }

  @Test func anOutputIsGivenOnce() async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let body = OverloadTests.body.dropLast() + #","outputs":[{"name":"label"},{"name":"label"}]}"#
      let answer = try await scene.send(
        "POST", "/v2/models/bank/infer", headers: ["Content-Type": "application/json"],
        body: Data(body.utf8))
      #expect(answer.status == 400 && answer.text.contains("wanted twice"))
      let records = try await scene.send(
        "POST", "/v1/models/bank/predict?keep=a,b,a",
        headers: ["Content-Type": "application/json"], body: Data("[{}]".utf8))
      #expect(records.status == 400 && records.text.contains("twice"))
    }
  }
}
