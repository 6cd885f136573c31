import Foundation
import Inference

/// A model on disk.
enum ModelFile {
  /// The file's bytes.
  static func bytes(path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError.unreadable(path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw CommandError.unreadable(path, errno) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(status.st_size))
    var block = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = block.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw CommandError.unreadable(path, errno) }
      guard count > 0 else { return bytes }
      bytes += block[..<count]
    }
  }

  /// Class names, one a line, in the order of the model's outputs; a last empty line is none.
  static func labels(path: String) throws -> [String] {
    let bytes = try bytes(path: path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandError(.badData, "labels \"\(path)\" are not UTF-8")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      String(line.hasSuffix("\r") ? line.dropLast() : line)
    }
    if lines.last == "" { lines.removeLast() }
    if let empty = lines.firstIndex(of: "") {
      throw CommandError(.badData, "labels \"\(path)\": line \(empty + 1) is empty")
    }
    return lines
  }
}

extension CommandError {
  static func unreadable(_ path: String, _ number: Int32) -> CommandError {
    CommandError(.badData, "cannot read \"\(path)\": \(reason(number))")
  }

  /// The operating system's words for an error number, as they read within a sentence.
  static func reason(_ number: Int32) -> String {
    let text = String(cString: strerror(number))
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
