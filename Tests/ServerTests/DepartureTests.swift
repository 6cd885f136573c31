import Foundation
import Logging
import Server
import TestSupport
import Testing

/// Clients that are cut off over TLS.
@Suite(.database, .enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
struct DepartureTests {
  @Test func aClientThatIsCutOffIsNoError() async throws {
    let directory = "/tmp/rowcast-test-\(getpid())-departures"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await makeTestCertificate("server", in: directory)
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    let log = RecordedLog()
    try await ServerScene.run(
      {
        $0.needsKeys = false
        $0.tls = .init(
          certificatePath: directory + "/server.crt", keyPath: directory + "/server.key")
      }, log: log
    ) { scene in
      let client = try SecureClient(scene)
      // One record: what the first request is answered after, the second came with.
      client.say(
        "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
          + "POST /v1/models/bank/predict HTTP/1.1\r\nHost: a\r\nX-Request-ID: cut\r\nContent-Length: 100000\r\n"
          + "Content-Type: application/json\r\n\r\n{")
      #expect(await client.hear().hasPrefix("HTTP/1.1 200"))
      await client.die()
      try await ServerScene.eventually {
        log.lines.contains { $0.metadata["request.id"] == "cut" && $0.message == "request" }
      }
      let lines = log.lines.filter { $0.metadata["request.id"] == "cut" }
      let request = try #require(lines.first { $0.message == "request" })
      #expect(request.metadata["status"] == "499")
      #expect(
        lines.contains {
          $0.level == .debug && $0.message == "a client left in the middle of its request"
        })
      #expect(
        !log.lines.contains { $0.level >= .warning }, "\(log.lines.filter { $0.level >= .warning })"
      )
    }
  }
}
