import Foundation
import Glibc

/// A client of TLS that believes any certificate, and that can be killed, so that it ends without saying so.
final class SecureClient: Sendable {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()

  init(_ scene: ServerScene) throws {
    process.executableURL = URL(filePath: openssl)
    process.arguments = [
      "s_client", "-quiet", "-connect", String(scene.url.dropFirst("https://".count)),
    ]
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

  /// What comes until the server closes.
  func hearToEnd() async -> String {
    await offThePool {
      let data = self.output.fileHandleForReading.readDataToEndOfFile()
      self.process.waitUntilExit()
      return String(decoding: data, as: UTF8.self)
    }
  }

  func die() async {
    kill(process.processIdentifier, SIGKILL)
    await offThePool { self.process.waitUntilExit() }
  }
}
