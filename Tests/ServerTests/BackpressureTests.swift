import Foundation
import Server
import Synchronization
import TestSupport
import Testing

/// Whoever takes his answers slowly, or not at all, costs nobody else anything.
@Suite(.database) struct BackpressureTests {
  /// A request that the connection itself reads and answers, by a quarter of a megabyte.
  private static let long: String = {
    let rows = 6000
    let data = repeatElement("1", count: rows * 5).joined(separator: ",")
    let body =
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[\#(rows),5],"data":[\#(data)]}],"#
      + #""outputs":[{"name":"probability","parameters":{"classification":3}}]}"#
    precondition(body.utf8.count < 64 << 10)
    return
      "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
      + body
  }()
  /// As many of these as have more answers than sockets hold.
  private static let times = 40

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
    try await OverloadTests.serve(waiting: .zero, { $0.patience = .seconds(2) }) { scene in
      let one = try RawClient(scene)
      one.say(Self.long)
      let length = await one.readAnswer().utf8.count
      let client = try RawClient(scene, room: 16 << 10)
      async let said = offThePool {
        client.say(String(repeating: Self.long, count: Self.times))
      }
      let count = await offThePool {
        let start = ContinuousClock.now
        var count = client.read(8 << 10)
        while start.duration(to: .now) < .seconds(5) {
          count += client.read(8 << 10)
          usleep(50_000)
        }
        return count + client.readToEndBlocking().utf8.count
      }
      #expect(await said)
      #expect(count == Self.times * length)
    }
  }

  @Test func whoTakesNothingIsLeft() async throws {
    try await OverloadTests.serve(waiting: .zero, { $0.patience = .seconds(2) }) { scene in
      let client = try RawClient(scene, room: 16 << 10)
      async let said = offThePool {
        client.say(String(repeating: Self.long, count: Self.times))
      }
      try await ServerScene.eventually { client.hasAnswer }
      try await OverloadTests.wait(for: "rowcast_http_connections", toBe: 1, scene)
      _ = await said
      let text = await client.readToEnd()
      #expect(text.hasPrefix("HTTP/1.1 200") && !text.hasSuffix("]}]}"))
    }
  }

  /// A long answer is composed on none of the loops.
  @Test func aLongAnswerKeepsNoLoopWaiting() async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
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
            asked?.say(Self.long)
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
