import Foundation
import Server
import Synchronization
import TestSupport
import Testing

/// Whoever takes his answers slowly, or not at all, costs nobody else anything.
@Suite(.database) struct BackpressureTests {
  /// As many rows, with an answer of some eighty bytes each.
  private static func request(rows: Int) -> String {
    let data = repeatElement("1,2,3,4,5", count: rows).joined(separator: ",")
    let body =
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[\#(rows),5],"data":[\#(data)]}]}"#
    return "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// Sockets of both sides hold a few megabytes; what is beyond would be the server's memory.
  @Test(arguments: ["GET /v2/health/live", "GET /v2/models/bank"])
  func answersThatNobodyTakesAreNotMade(line: String) async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let client = try RawClient(scene, room: 64 << 10)
      let request = Array("\(line) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
      let most = 32 << 20
      let (times, rest) = await offThePool { client.sayUntilStuck(request, most: most) }
      #expect(times * request.count < most / 2, "\(times) requests were taken")
      #expect(try await scene.get("/v2/health/live").status == 200)
      // All that was asked is answered to who reads on; the router takes its time for it.
      guard line.contains("health") else { return }
      async let text = client.readToEnd()
      await offThePool {
        client.say(rest)
        client.finish()
      }
      let answers = await text.ranges(of: "HTTP/1.1 200").count
      #expect(answers == times + (rest.isEmpty ? 0 : 1))
    }
  }

  /// What the system keeps for a slow client is taken later than what the server keeps: it counts that, too.
  @Test func whoTakesSlowlyGetsAll() async throws {
    try await OverloadTests.serve(waiting: .zero, { $0.patience = .seconds(1) }) { scene in
      let client = try RawClient(scene, room: 16 << 10)
      async let said = offThePool { client.say(Self.request(rows: 150_000)) }
      let start = ContinuousClock.now
      var count = 0
      while start.duration(to: .now) < .seconds(6) {
        count += await offThePool { client.read(8 << 10) }
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(await said)
      let rest = await client.readToEnd()
      #expect(rest.hasSuffix("]}]}"), "\(count) bytes, then \(rest.utf8.count)")
    }
  }

  @Test func whoTakesNothingIsLeft() async throws {
    try await OverloadTests.serve(waiting: .zero, { $0.patience = .seconds(1) }) { scene in
      let client = try RawClient(scene, room: 16 << 10)
      async let said = offThePool { client.say(Self.request(rows: 150_000)) }
      #expect(await said)
      try await ServerScene.eventually { client.hasAnswer }
      try await OverloadTests.wait(for: "rowcast_http_connections", toBe: 1, scene)
      let text = await client.readToEnd()
      #expect(!text.isEmpty && !text.hasSuffix("]}]}"))
    }
  }

  /// A long answer is composed on none of the loops.
  @Test func aLongAnswerKeepsNoLoopWaiting() async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let rows = 6000
      let data = repeatElement("1", count: rows * 5).joined(separator: ",")
      let body =
        #"{"inputs":[{"name":"input","datatype":"FP64","shape":[\#(rows),5],"data":[\#(data)]}],"#
        + #""outputs":[{"name":"probability","parameters":{"classification":3}}]}"#
      // So that it is read and answered by the connection itself.
      #expect(body.utf8.count < 64 << 10)
      let request =
        "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        + body
      let pauses = Pauses()
      let others = try (0..<12).map { _ in try RawClient(scene) }
      await withTaskGroup(of: Void.self) { group in
        for other in others { group.addTask { await offThePool { pauses.measure(other) } } }
        let asked = try? RawClient(scene)
        var (shortest, longest) = (Duration.seconds(60), Duration.seconds(60))
        for _ in 0..<10 {
          pauses.clear()
          let start = ContinuousClock.now
          let answer = await offThePool {
            asked?.say(request)
            return asked?.readAnswerBlocking() ?? ""
          }
          longest = min(longest, start.duration(to: .now))
          #expect(answer.hasPrefix("HTTP/1.1 200"))
          shortest = min(shortest, pauses.longest)
        }
        pauses.stop()
        #expect(shortest < longest / 4, "others waited \(shortest) of \(longest)")
      }
    }
  }
}

/// How long others wait for an answer.
private final class Pauses: Sendable {
  private let state = Mutex((longest: Duration.zero, isOver: false))

  var longest: Duration { state.withLock(\.longest) }
  func clear() { state.withLock { $0.longest = .zero } }
  func stop() { state.withLock { $0.isOver = true } }

  func measure(_ client: RawClient) {
    while !state.withLock(\.isOver) {
      let start = ContinuousClock.now
      client.say("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      _ = client.readAnswerBlocking()
      let pause = start.duration(to: .now)
      state.withLock { $0.longest = max($0.longest, pause) }
    }
  }
}
