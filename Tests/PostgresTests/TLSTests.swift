import Foundation
import Postgres
import TestSupport
import Testing

private let openssl = "/usr/bin/openssl"

@Suite struct TLSTests {
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
  func nothingIsHeldBackUnderTLS() throws {
    let directory = "/tmp/rowcast-test-\(getpid())-tls"
    try makeCertificate(in: directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let port = Int(try SilentListener().port)  // Free again at once.
    let server = try TestServer.start(
      settings: [
        "ssl": "on", "ssl_cert_file": directory + "/server.crt",
        "ssl_key_file": directory + "/server.key",
      ], port: port)
    defer { TestServer.remove(server) }
    try Connection(server.settings).run("create role app superuser login password 'right'")
    let settings = try ConnectionSettings(
      "host=localhost port=\(port) user=app password=right dbname=postgres sslmode=require")
    let connection = try Connection(settings)
    let tls = try connection.run("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    #expect(try tls.value(0, 0, as: Bool.self))
    // Lengths around the 8 kB of a read and the 16 kB of a record.
    for length in [1, 8_000, 8_192, 12_000, 16_384, 16_385, 24_576, 1_000_000] {
      let text = String(repeating: "x", count: length)
      let rows = try connection.pipeline(["select \(text) as a", "select \(text) as a"])
      #expect(try rows[1].value(0, "a", as: String.self) == text)
    }
    let count = try connection.copyOut(
      "copy (select repeat('y', 100) from generate_series(1, 20000)) to stdout (format binary)",
      types: [.text]
    ) { _ in }
    #expect(count == 20_000)
    try connection.listen("a")
    let payload = String(repeating: "n", count: 7_900)
    for _ in 0..<3 {
      let writer = try Connection(server.settings)
      try writer.transaction { () throws(PostgresError) in
        for number in 0..<4 { try writer.run("select pg_notify('a', \("\(number)\(payload)"))") }
      }
      var received = 0
      while received < 4 {
        let came = try connection.waitForNotifications(timeout: .seconds(10))
        try #require(!came.isEmpty)
        received += came.count
      }
    }
    // The root certificate is not one that anybody trusts.
    let untrusted = settings.setting("sslmode", to: "verify-full")
      .setting("sslrootcert", to: "/dev/null")
    #expect(throws: PostgresError.self) { try Connection(untrusted) }
  }

  private func makeCertificate(in directory: String) throws {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: openssl)
    process.arguments = [
      "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
      "-keyout", directory + "/server.key", "-out", directory + "/server.crt",
    ]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    chmod(directory, 0o755)
    for file in ["/server.key", "/server.crt"] {
      chmod(directory + file, 0o600)
      if geteuid() == 0, let user = getpwnam("postgres") {
        chown(directory + file, user.pointee.pw_uid, user.pointee.pw_gid)
      }
    }
  }
}
