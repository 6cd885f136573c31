internal import Glibc

extension FileFolder {
  /// Writes a file that appears under its name whole, or not at all.
  ///
  /// It grows under a name of its own, is on the disk before it gets its name, and loses the other
  /// one when `commit` has succeeded. So where the writer dies in between, whoever writes it again
  /// finds out whether the name is already its own.
  ///
  /// - Parameters:
  ///   - mark: What distinguishes this writing from others: the same when it is tried again.
  ///   - replaces: Whether a file of that name may be there.
  func write(
    _ file: String, mark: String, replaces: Bool,
    body: (_ append: ([UInt8]) throws(WorkError) -> Void) throws(WorkError) -> Void,
    commit: () throws(WorkError) -> Void
  ) throws(WorkError) {
    let parts: [String]
    let parent: Int32
    do throws(ScoringError) {
      parts = try Self.parts(of: file)
      parent = try openParent(of: parts)
    } catch {
      throw .scoring(error)
    }
    defer { close(parent) }
    let name = parts[parts.count - 1]
    let own = ".\(name).\(mark)"
    if !isSame(own, name, in: parent) {
      if !replaces, exists(name, in: parent) { throw .scoring(Self.isThere(file)) }
      unlinkat(parent, own, 0)
      try fill(own, in: parent, body)
      if replaces {
        // A second name of the file, which then takes the place of the old one at once.
        let other = own + ".new"
        unlinkat(parent, other, 0)
        guard linkat(parent, own, parent, other, 0) == 0,
          renameat(parent, other, parent, name) == 0
        else { throw .scoring(Self.failure("file \"\(file)\" cannot be replaced")) }
      } else if linkat(parent, own, parent, name, 0) != 0 {
        throw .scoring(
          errno == EEXIST ? Self.isThere(file) : Self.failure("file \"\(file)\" cannot be made"))
      }
      fsync(parent)
    }
    try commit()
    unlinkat(parent, own, 0)
  }

  private func fill(
    _ name: String, in parent: Int32,
    _ body: (_ append: ([UInt8]) throws(WorkError) -> Void) throws(WorkError) -> Void
  ) throws(WorkError) {
    let descriptor = openat(
      parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .scoring(Self.failure("a file cannot be made")) }
    defer { close(descriptor) }
    try body { (bytes: [UInt8]) throws(WorkError) in
      var written = 0
      while written < bytes.count {
        let count = bytes.withUnsafeBytes {
          Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
        }
        if count >= 0 {
          written += count
        } else if errno != EINTR {
          throw .scoring(Self.failure("the file cannot be written"))
        }
      }
    }
    guard fsync(descriptor) == 0 else {
      throw .scoring(Self.failure("the file cannot be written"))
    }
  }

  private func isSame(_ own: String, _ name: String, in parent: Int32) -> Bool {
    guard let mine = status(of: own, in: parent), let its = status(of: name, in: parent) else {
      return false
    }
    return mine.st_ino == its.st_ino && mine.st_dev == its.st_dev
  }

  private func exists(_ name: String, in parent: Int32) -> Bool {
    status(of: name, in: parent) != nil
  }

  private func status(of name: String, in parent: Int32) -> stat? {
    var status = stat()
    return fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status : nil
  }

  private static func isThere(_ file: String) -> ScoringError {
    ScoringError(
      .file, "file \"\(file)\" exists", hint: "Replace it with mode => 'replace'.")
  }
}
