import Foundation
import Glibc

/// Commands of the machine that a scenario needs.
enum Shell {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// Runs a program and returns what it printed.
  @discardableResult
  static func run(_ arguments: String...) throws -> String { try run(arguments) }

  @discardableResult
  static func run(_ arguments: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(
        description: "\(arguments.joined(separator: " ")): \(process.terminationStatus): \(text)")
    }
    return text
  }

  /// Runs a program of the server's as the owner of the server's data.
  static func runAsOwner(of path: String, _ arguments: [String]) throws {
    var info = stat()
    guard stat(path, &info) == 0 else { throw Failure(description: "\(path) is not there") }
    let prefix =
      info.st_uid == geteuid()
      ? []
      : [
        "setpriv", "--reuid", "\(info.st_uid)", "--regid", "\(info.st_gid)", "--clear-groups", "--",
      ]
    try run(prefix + arguments)
  }
}
