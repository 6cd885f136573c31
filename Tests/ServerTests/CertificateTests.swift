import Foundation
import Postgres
import Server
import TestSupport
import Testing

let openssl = "/usr/bin/openssl"

/// Writes `name.key` and `name.crt`, signed by itself.
func makeTestCertificate(_ name: String, in directory: String) async throws {
  let made = await runOpenSSL([
    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
    "-keyout", directory + "/\(name).key", "-out", directory + "/\(name).crt",
  ])
  try #require(made.status == 0)
}

@discardableResult
func runOpenSSL(_ arguments: [String]) async -> (status: Int32, output: String) {
  await offThePool { (try? runOpenSSLBlocking(arguments)) ?? (-1, "") }
}

private func runOpenSSLBlocking(_ arguments: [String]) throws -> (status: Int32, output: String) {
  let process = Process()
  process.executableURL = URL(filePath: openssl)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = FileHandle.nullDevice
  process.standardInput = FileHandle.nullDevice
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

/// TLS as another's client sees it.
@Suite(.database, .enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
struct CertificateTests {
  @Test func newCertificatesAreShownAndOldProtocolsRefused() async throws {
    let directory = "/tmp/rowcast-test-\(getpid())-certificates"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await makeTestCertificate("first", in: directory)
    try await makeTestCertificate("second", in: directory)
    let (certificate, key) = (directory + "/server.crt", directory + "/server.key")
    func install(_ name: String) throws {
      for (from, to) in [("\(name).crt", certificate), ("\(name).key", key)] {
        try Data(contentsOf: URL(filePath: directory + "/" + from))
          .write(to: URL(filePath: to), options: .atomic)
      }
    }
    try install("first")
    try await ServerScene.run({
      $0.needsKeys = false
      $0.tls = .init(certificatePath: certificate, keyPath: key)
    }) { scene in
      let address = String(scene.url.dropFirst("https://".count))
      func shown(_ options: String...) async throws -> String {
        await runOpenSSL(["s_client", "-connect", address] + options).output
      }
      #expect(try await shown("-tls1_2").contains("CN = first"))
      #expect(try await shown("-tls1_3").contains("CN = first"))
      for version in ["-tls1_1", "-tls1"] {
        let old = try await shown(version, "-cipher", "DEFAULT:@SECLEVEL=0")
        #expect(!old.contains("CN = first"), "\(version)")
      }
      // A key that is not the certificate's changes nothing.
      try Data(contentsOf: URL(filePath: directory + "/second.key"))
        .write(to: URL(filePath: key), options: .atomic)
      #expect(try await shown().contains("CN = first"))
      try install("second")
      let end = ContinuousClock.now + .seconds(60)
      while try await !shown().contains("CN = second") {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(100))
      }
    }
  }

  @Test func whenItExpiresIsTold() async throws {
    let directory = "/tmp/rowcast-test-\(getpid())-expiry"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    for name in ["server", "other"] { try await makeTestCertificate(name, in: directory) }
    try await ServerScene.run({
      $0.needsKeys = false
      $0.tls = .init(
        certificatePath: directory + "/server.crt", keyPath: directory + "/server.key")
    }) { scene in
      func figure(_ name: String) async throws -> Double? {
        let client = try SecureClient(scene)
        client.say("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let answer = await client.hearToEnd()
        let body = try #require(answer.range(of: "\r\n\r\n"))
        return try Figures.samples(of: String(answer[body.upperBound...]))["rowcast_tls_\(name)"]
      }
      let expiry = try await figure("certificate_expiry_timestamp_seconds")
      let days = ((expiry ?? 0) - Date.now.timeIntervalSince1970) / 86_400
      #expect((1.9...2).contains(days), "\(days)")
      #expect(try await figure("certificate_refusals_total") == 0)
      // A key that is another certificate's stays unused, and is counted.
      try Data(contentsOf: URL(filePath: directory + "/other.key"))
        .write(to: URL(filePath: directory + "/server.key"), options: .atomic)
      try await ServerScene.eventually {
        (try await figure("certificate_refusals_total") ?? 0) > 0
      }
      #expect(try await figure("certificate_expiry_timestamp_seconds") == expiry)
    }
  }

  @Test func aKeyOfAnotherCertificateIsRefused() async throws {
    let directory = "/tmp/rowcast-test-\(getpid())-keys"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await makeTestCertificate("first", in: directory)
    try await makeTestCertificate("second", in: directory)
    await #expect(throws: (any Error).self) {
      try await ServerScene.run({
        $0.tls = .init(
          certificatePath: directory + "/first.crt", keyPath: directory + "/second.key")
      }) { _ in }
    }
  }
}
