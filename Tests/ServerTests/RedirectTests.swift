import Foundation
import Server
import TestSupport
import Testing

/// What a server can be called.
struct PublicHostTests {
  @Test(arguments: [
    ("rowcast.example", "rowcast.example"), ("ROWCAST.example", "rowcast.example"),
    ("rowcast.example:8443", "rowcast.example:8443"), ("rowcast.example:443", "rowcast.example"),
    ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:8080", "[::1]:8080"),
    ("[2001:DB8::1]", "[2001:db8::1]"),
    ("a_b-c.example", "a_b-c.example"),
  ])
  func hostsAreRead(_ text: String, _ written: String) {
    #expect(PublicHost(text)?.description == written)
  }

  @Test(arguments: [
    "", ".", "a..b", "-a.example", "a-.example", "a b", "a/b", "a\\b", "a@b", "user@a.example",
    "a.example:", "a.example:x", "a.example:0", "a.example:65536", "a.example:80:80",
    "a.example:+80",
    "[::1", "[::1]x", "[nonsense]", "[127.0.0.1]", "[fe80::1%25eth0]", "a?b", "a#b", "ä.example",
    "a\r\nX-A: b", "a\u{0}b", String(repeating: "a", count: 64),
    String(repeating: "a.", count: 127) + "a",
  ])
  func whatIsNoHostIsRefused(_ text: String) { #expect(PublicHost(text) == nil) }
}

/// Plain HTTP beside TLS is answered by where to find TLS, and by nothing else.
@Suite(.database) struct RedirectTests {
  /// Serves with TLS, and says where plain HTTP is redirected.
  private func serve(
    _ host: String?, _ body: (ServerScene, _ plain: UInt16, _ secure: String) async throws -> Void
  ) async throws {
    let directory = "/tmp/rowcast-test-\(getpid())-\(UUID())"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await makeTestCertificate("server", in: directory)
    try await ServerScene.run({
      $0.tls = .init(
        certificatePath: directory + "/server.crt", keyPath: directory + "/server.key")
      $0.redirectPort = 0
      $0.publicHost = host.flatMap { PublicHost($0) }
    }) { scene in
      let end = ContinuousClock.now + .seconds(60)
      while scene.server.redirectPort == 0 {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(5))
      }
      let secure = try #require(scene.url.split(separator: ":").last)
      try await body(scene, UInt16(scene.server.redirectPort), String(secure))
    }
  }

  private func answer(_ port: UInt16, _ request: String) async throws -> (String, location: String?)
  {
    let client = try RawClient(port: port)
    client.say(request)
    let answer = await client.readAnswer()
    let location = answer.split(separator: "\r\n").first { $0.lowercased().hasPrefix("location:") }
    return (answer, location.map { $0.dropFirst(9).trimmingCharacters(in: .whitespaces) })
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
  func plainRequestsAreLedToTLS() async throws {
    try await serve(nil) { _, port, secure in
      for (request, location) in [
        (
          "GET /v2?a=b%20c HTTP/1.1\r\nHost: rowcast.example\r\n\r\n",
          "rowcast.example:\(secure)/v2?a=b%20c"
        ),
        (
          "POST /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 2\r\n\r\n{}",
          "127.0.0.1:\(secure)/v2/models/m/infer"
        ),
        ("GET //evil.test/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example:\(secure)//evil.test/"),
        ("GET /v2/health/live HTTP/1.1\r\nHost: [::1]\r\n\r\n", "[::1]:\(secure)/v2/health/live"),
        ("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example:\(secure)/"),
        ("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example:\(secure)/"),
      ] {
        let (answer, found) = try await answer(port, request)
        #expect(answer.hasPrefix("HTTP/1.1 308 "), "\(request) \(answer)")
        #expect(found == "https://" + location, "\(request)")
        // It would be believed over TLS alone.
        #expect(!answer.lowercased().contains("strict-transport-security"))
      }
      for host in ["evil.test@a.example", "a/b", "a b", "", "a.example:x", "evil.test?"] {
        let (answer, found) = try await answer(port, "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(host) \(answer)")
        #expect(found == nil)
      }
    }
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
  func aServerThatKnowsItsNameSaysNoOther() async throws {
    try await serve("rowcast.example") { _, port, _ in
      for host in ["evil.test", "evil.test:80", "a/b"] {
        let (answer, found) = try await answer(port, "GET /a HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 308 "), "\(answer)")
        #expect(found == "https://rowcast.example/a")
      }
    }
  }

  @Test func aRedirectionWithoutTLSIsRefused() async throws {
    await #expect(throws: HTTPConfigurationError.self) {
      try await ServerScene.run({ $0.redirectPort = 0 }) { _ in }
    }
  }
}
