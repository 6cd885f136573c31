import Foundation
import Server
import Synchronization
import TestSupport
import Testing

/// A server that stops answers what it was asked, and leaves nobody without a word.
@Suite(.database) struct StoppingTests {
  private static let health = "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
  private static let routed = "GET /v2/models/bank HTTP/1.1\r\nHost: a\r\n\r\n"

  /// Requests that lie in sockets when the server is told to stop.
  @Test func whatWasAskedIsAnswered() async throws {
    let clients = Mutex<[(request: String, client: RawClient)]>([])
    try await OverloadTests.serve(waiting: .zero) { scene in
      var made: [(request: String, client: RawClient)] = []
      for number in 0..<90 {
        let client = try RawClient(scene)
        // Every other connection is new to the server.
        if number % 2 == 0 {
          client.say(Self.health)
          #expect(await client.readAnswer().hasPrefix("HTTP/1.1 200"))
        }
        made.append(([Self.health, Self.routed, OverloadTests.request()][number % 3], client))
      }
      // Who came before this one was let in.
      let last = try RawClient(scene)
      last.say(Self.health)
      #expect(await last.readAnswer().hasPrefix("HTTP/1.1 200"))
      for (request, client) in made { client.say(request) }
      clients.withLock { $0 = made }
    }
    for (request, client) in clients.withLock({ $0 }) {
      let text = await client.readToEnd()
      let isRefused = text.hasPrefix("HTTP/1.1 503") && text.contains("Connection: close")
      #expect(text.hasPrefix("HTTP/1.1 200") || isRefused, "\(request): \(text)")
    }
  }

  /// Several in a row: the last of them hears that it is the last, whoever answers it.
  @Test func whatWasAskedInARowIsAnswered() async throws {
    let clients = Mutex<[RawClient]>([])
    let scores = OverloadTests.request()
    let body = OverloadTests.body
    let chunked =
      "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
    let rows = [
      [scores], [chunked], [scores, Self.health, scores],
      [chunked, Self.routed, Self.health, chunked],
      [scores, Self.health], [chunked, Self.routed],
    ]
    // The first of each row is not answered before the server stops.
    try await OverloadTests.serve(waiting: .seconds(4)) { scene in
      for row in rows {
        let client = try RawClient(scene)
        client.say(row.joined())
        clients.withLock { $0.append(client) }
      }
      try await OverloadTests.wait(for: "rowcast_http_waiting_requests", toBe: rows.count, scene)
    }
    for (row, client) in zip(rows, clients.withLock { $0 }) {
      let answers = await client.readToEnd().components(separatedBy: "HTTP/1.1 200 OK\r\n")
      try #require(answers.count == row.count + 1, "\(row): \(answers)")
      for answer in answers.dropLast() { #expect(!answer.contains("Connection: close")) }
      #expect(answers[row.count].contains("Connection: close"), "\(row): \(answers)")
    }
  }

  /// Whoever takes nothing of his answers does not keep the server: ten seconds are his.
  @Test func whoTakesNothingIsLeft() async throws {
    let client = Mutex<RawClient?>(nil)
    let stop = Mutex(ContinuousClock.now)
    try await OverloadTests.serve(waiting: .zero) { scene in
      let made = try RawClient(scene)
      let request = Array(OverloadTests.request().utf8)
      _ = await offThePool { made.sayUntilStuck(request, most: 64 << 20) }
      client.withLock { $0 = made }
      stop.withLock { $0 = .now }
    }
    let taken = stop.withLock { $0 }.duration(to: .now)
    #expect(taken < .seconds(25), "\(taken)")
    withExtendedLifetime(client.withLock { $0 }) {}
  }

  /// An answer that is still on the way is sent to its end.
  @Test func whatIsBeingTakenIsSent() async throws {
    let rows = 60_000
    let data = repeatElement("1,2,3,4,5", count: rows).joined(separator: ",")
    let body =
      #"{"inputs":[{"name":"input","datatype":"FP64","shape":[\#(rows),5],"data":[\#(data)]}]}"#
    let client = Mutex<RawClient?>(nil)
    async let rest = offThePool {
      while client.withLock({ $0 }) == nil { usleep(10_000) }
      let made = client.withLock { $0! }
      // The server has been told to stop by then.
      usleep(500_000)
      return made.readToEndBlocking()
    }
    try await OverloadTests.serve(waiting: .zero) { scene in
      let made = try RawClient(scene, room: 16 << 10)
      _ = await offThePool {
        made.say(
          "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            + body)
      }
      try await ServerScene.eventually { made.hasAnswer }
      client.withLock { $0 = made }
    }
    let text = await rest
    #expect(text.hasPrefix("HTTP/1.1 200") && text.hasSuffix("]}]}"), "\(text.utf8.count)")
  }

  /// Nobody speaks, or half of a request came: the server does not wait for them long.
  @Test func silentClientsKeepNoServerFromStopping() async throws {
    let clients = Mutex<[RawClient]>([])
    let start = Mutex(ContinuousClock.now)
    try await OverloadTests.serve(waiting: .zero) { scene in
      for number in 0..<20 {
        let client = try RawClient(scene)
        if number % 2 == 0 { client.say("GET /v2/health/live HTTP/1.1\r\nHo") }
        clients.withLock { $0.append(client) }
      }
      #expect(try await scene.get("/v2/health/live").status == 200)
      start.withLock { $0 = .now }
    }
    let time = start.withLock { $0 }.duration(to: .now)
    #expect(time < .seconds(15), "\(time)")
  }

  private final class Round: Sendable {
    let isOver = Mutex(false)
    let answered = Mutex(0)
  }

  /// Those who come while the server stops are refused or answered; it does not end by them.
  @Test func connectionsMayComeWhileItStops() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    for _ in 0..<4 {
      let round = Round()
      try await withThrowingTaskGroup(of: Void.self) { group in
        let ports = AsyncStream<UInt16>.makeStream()
        group.addTask {
          try await ServerScene.run({ $0.needsKeys = false }) { scene in
            let port = try #require(scene.url.split(separator: ":").last.flatMap { UInt16($0) })
            ports.continuation.yield(port)
            try await ServerScene.eventually { round.answered.withLock { $0 } > 20 }
          }
          round.isOver.withLock { $0 = true }
        }
        var iterator = ports.stream.makeAsyncIterator()
        let port = try #require(await iterator.next())
        for number in 0..<6 {
          group.addTask {
            await offThePool {
              while !round.isOver.withLock({ $0 }) {
                usleep(500)
                guard let client = try? RawClient(port: port) else { continue }
                client.say([Self.health, Self.routed][number % 2])
                // Whoever is quick comes in the middle of another's welcome.
                if number < 2 { continue }
                if !client.readAnswerBlocking().isEmpty {
                  round.answered.withLock { $0 += 1 }
                }
              }
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
