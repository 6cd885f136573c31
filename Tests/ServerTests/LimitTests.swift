import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// What is too much, too slow or not HTTP is refused or ended, and others are served meanwhile.
@Suite(.database) struct LimitTests {
  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try await ServerScene.run(
      {
        $0.needsKeys = false
        $0.bodyByteCount = 100_000
        $0.headerByteCount = 8192
        $0.patience = .seconds(1)
      }, body)
  }

  @Test func bodiesAreBounded() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await Self.serve { scene in
      let large = String(repeating: " ", count: 100_001)
      #expect(try await scene.post("/v1/models/bank/predict", large).status == 413)
      #expect(
        try await scene.post("/v1/models/bank/predict", String(large.dropLast())).status == 400)
      // Without a length.
      let client = try RawClient(scene)
      client.say(
        "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
          + "Transfer-Encoding: chunked\r\n\r\n")
      for _ in 0..<3 { client.say("8000\r\n\(String(repeating: " ", count: 0x8000))\r\n") }
      client.say("8000\r\n\(String(repeating: " ", count: 0x8000))\r\n0\r\n\r\n")
      #expect(await client.readToEnd().hasPrefix("HTTP/1.1 413"))
      let coded = try await scene.post(
        "/v1/models/bank/predict", "x", headers: ["Content-Encoding": "gzip"])
      #expect(coded.status == 415)
    }
  }

  @Test func headersAreBounded() async throws {
    try await Self.serve { scene in
      for head in [
        "GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: \(String(repeating: "a", count: 9000))\r\n\r\n",
        "GET /v2 HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X-A: a\r\n", count: 200))\r\n",
        "GET /\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\nHost: a\r\n\r\n",
        "NONSENSE\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/9.9\r\n\r\n",
      ] {
        let client = try RawClient(scene)
        client.say(head)
        let answer = await client.readToEnd()
        #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(40))")
      }
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }

  @Test func whoIsSlowIsLeft() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await Self.serve { scene in
      // Headers that never end, a body that stops, and nothing at all.
      let clients = try (0..<3).map { _ in try RawClient(scene) }
      clients[0].say("GET /v2 HTTP/1.1\r\nHost: a\r\n")
      clients[1].say(
        "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
      for client in clients {
        let answer = await client.readToEnd()
        #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(40))")
      }
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }

  @Test func whoLeavesTakesNobodyAlong() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await Self.serve { scene in
      for _ in 0..<50 {
        try RawClient(scene).say(
          "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n[{")
      }
      #expect(try await scene.get("/v2/health/ready").status == 200)
    }
  }
}
