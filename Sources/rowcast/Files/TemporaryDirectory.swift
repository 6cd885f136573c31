import Foundation

/// A directory under /tmp for a throw-away server; its user may pass through it.
enum TemporaryDirectory {
  static func make(_ purpose: String) throws -> String {
    var name = Array("/tmp/rowcast-\(purpose)-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else {
      throw CommandError(
        .failed, "cannot make a temporary directory in /tmp: \(CommandError.reason(errno))")
    }
    let path = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    chmod(path, 0o711)
    return path
  }

  static func remove(_ path: String) {
    try? FileManager.default.removeItem(atPath: path)
  }
}
