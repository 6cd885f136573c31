import Foundation
import Logging
import Server
import TestSupport
import Testing

/// Clients that are cut off over TLS.
@Suite(.database, .enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
struct DepartureTests {
  /// A client of TLS that can be killed, so that it ends without saying so.
  private final class SecureClient: Sendable {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ address: String) throws {
      process.executableURL = URL(filePath: openssl)
      process.arguments = ["s_client", "-quiet", "-connect", address]
      process.standardInput = input
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      try process.run()
    }

    func say(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

    /// What has come when something has.
    func hear() async -> String {
      await offThePool {
        String(decoding: self.output.fileHandleForReading.availableData, as: UTF8.self)
      }
    }

    func die() async {
      kill(process.processIdentifier, SIGKILL)
      await offThePool { self.process.waitUntilExit() }
    }
  }

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
      let address = String(scene.url.dropFirst("https://".count))
      let client = try SecureClient(address)
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
