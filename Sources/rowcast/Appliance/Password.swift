import Foundation
import Postgres

/// The password of the appliance's superuser over TCP: drawn once, kept in a file that only the
/// owner of the data directory reads.
struct Password {
  private let path: String

  init(_ directory: DataDirectory) { path = directory.passwordPath }

  /// Sets the password in the server, and says how to connect with it.
  func uri(port: Int, on appliance: Appliance) throws -> String {
    let password = try stored() ?? draw()
    let connection = try Connection(appliance.database)
    // A utility statement takes no parameters, so the server itself quotes the value. What it
    // keeps, and what a log would show, is the SCRAM verifier at best: logging is off for it.
    let statement = try connection.run(
      "select format('alter role postgres password %L', \(password)::text)"
    ).value(0, 0, as: String.self)
    try connection.runScript("set log_statement = none; set log_min_error_statement = panic")
    try connection.runScript(statement)
    return "postgresql://postgres:\(password)@localhost:\(port)/\(Appliance.databaseName)"
  }

  private func stored() throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let text = String(decoding: try ModelFile.bytes(path: path), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    return text.isEmpty ? nil : text
  }

  /// 128 bits as hexadecimal digits, which need no quoting in a URI.
  private func draw() throws -> String {
    var random = SystemRandomNumberGenerator()
    let password = (0..<2).map { _ in
      let digits = String(random.next() as UInt64, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandError(
        .badConfiguration, "cannot write \"\(path)\": \(CommandError.reason(errno))")
    }
    defer { close(descriptor) }
    let line = Array((password + "\n").utf8)
    guard write(descriptor, line, line.count) == line.count else {
      throw CommandError(
        .badConfiguration, "cannot write \"\(path)\": \(CommandError.reason(errno))")
    }
    return password
  }
}
