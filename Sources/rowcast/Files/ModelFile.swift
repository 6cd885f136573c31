import CDispatch  // Where C's structures are found, since NIO brings it.
import Foundation
import Inference

/// A file that is read whole.
enum ModelFile {
  /// A model's bytes, with those that an ONNX file keeps in files beside it.
  static func model(path: String) throws -> [UInt8] {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    return try Model.embedding(bytes(path: path), directory: folder)
  }

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
