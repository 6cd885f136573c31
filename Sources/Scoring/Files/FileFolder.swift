internal import Glibc

/// The directory that the operator lets jobs read and write files in, and nothing outside of it.
///
/// Paths are relative to it, and walked part by part from its own descriptor: `..` is refused, and no
/// symbolic link is followed, so what is opened lies inside whatever others rename meanwhile.
struct FileFolder: Sendable {
  let path: String

  /// Files that a job's source names: one, or with `*` in the last part all that fit, by name.
  func files(_ pattern: String) throws(ScoringError) -> [String] {
    let parts = try Self.parts(of: pattern)
    guard let last = parts.last, last.contains("*") else { return [pattern] }
    let parent = try openParent(of: parts)
    guard let directory = fdopendir(parent) else {
      close(parent)
      throw Self.failure("directory of \"\(pattern)\" cannot be read")
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix("."), Self.fits(Array(name.utf8), Array(last.utf8)) {
        names.append((parts.dropLast() + [name]).joined(separator: "/"))
      }
    }
    guard !names.isEmpty else { throw ScoringError(.file, "no file is named like \"\(pattern)\"") }
    return names.sorted()
  }

  /// A descriptor of a regular file, to read.
  func open(_ file: String) throws(ScoringError) -> Int32 {
    let parts = try Self.parts(of: file)
    let parent = try openParent(of: parts)
    defer { close(parent) }
    let descriptor = openat(
      parent, parts[parts.count - 1], O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ELOOP ? Self.isLink(file) : Self.failure("file \"\(file)\" cannot be opened")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw ScoringError(.file, "\"\(file)\" is no file")
    }
    return descriptor
  }

  /// Bytes of a file.
  ///
  /// - Throws: `.file` where it is shorter by now.
  func read(_ file: String, from first: Int, to end: Int) throws(ScoringError) -> [UInt8] {
    let descriptor = try open(file)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: end - first)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + filled, $0.count - filled, first + filled)
      }
      if count > 0 {
        filled += count
      } else if count == 0 {
        throw ScoringError(.file, "file \"\(file)\" was cut short while the job ran")
      } else if errno != EINTR {
        throw Self.failure("file \"\(file)\" cannot be read")
      }
    }
    return bytes
  }

  // MARK: Walking

  /// - Throws: `.file` for a path that is absolute, empty, or leads up.
  static func parts(of path: String) throws(ScoringError) -> [String] {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard !path.isEmpty, !path.utf8.contains(0), path.utf8.count < 4096,
      parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
    else {
      throw ScoringError(
        .file, "path \"\(path)\" does not lie in the directory of files",
        hint: "Write it relative to that directory, without \"..\".")
    }
    return parts
  }

  /// A descriptor of the directory that the last part lies in.
  func openParent(of parts: [String]) throws(ScoringError) -> Int32 {
    var directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw Self.failure("the directory of files cannot be opened") }
    for part in parts.dropLast() {
      let next = openat(directory, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      let code = errno
      close(directory)
      guard next >= 0 else {
        errno = code
        throw code == ELOOP || code == ENOTDIR
          ? Self.isLink(part) : Self.failure("directory \"\(part)\" cannot be opened")
      }
      directory = next
    }
    return directory
  }

  static func failure(_ what: String) -> ScoringError {
    ScoringError(.file, "\(what): \(String(cString: strerror(errno)))")
  }

  private static func isLink(_ name: String) -> ScoringError {
    ScoringError(.file, "\"\(name)\" is a symbolic link or no directory; links are not followed")
  }

  /// Whether a name is as a pattern, in which `*` stands for any bytes. Only the last star is tried
  /// again, so the time is at most the product of the lengths, whatever the pattern.
  private static func fits(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
    var (next, place) = (0, 0)
    var star: (place: Int, next: Int)?
    while next < name.count {
      if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
        star = (place, next)
        place += 1
      } else if place < pattern.count, pattern[place] == name[next] {
        next += 1
        place += 1
      } else if let last = star {
        star = (last.place, last.next + 1)
        (next, place) = (last.next + 1, last.place + 1)
      } else {
        return false
      }
    }
    return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
