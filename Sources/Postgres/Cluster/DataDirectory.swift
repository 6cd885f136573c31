internal import FoundationEssentials
internal import Glibc

/// What a server keeps in its data directory, as far as starting one needs it.
struct DataDirectory: Sendable {
  let path: String
  var logFile: String { path + "/server.log" }
  private var pidFile: String { path + "/postmaster.pid" }

  init(_ path: String) {
    var full = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    while full.count > 1, full.hasSuffix("/") { full.removeLast() }
    // A path through `..` or a link would not be what the server writes down.
    if let real = realpath(full, nil) {
      full = String(cString: real)
      free(real)
    }
    self.path = full
  }

  private func text(_ file: String) -> String? {
    try? String(contentsOfFile: file, encoding: .utf8)
  }

  /// Of the data in it; nil when it is missing or empty.
  ///
  /// - Throws: 58000 when it holds something else.
  func majorVersion() throws(PostgresError) -> Int? {
    if let text = text(path + "/PG_VERSION"), let major = Int(text.trimmed) { return major }
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    guard entries.isEmpty else {
      throw PostgresError(
        sqlState: "58000", message: "\(path) holds other things than a PostgreSQL's data",
        hint: "Choose a directory that is empty or not there yet.")
    }
    return nil
  }

  /// Runs the body while no other process prepares the same directory.
  func withLock(_ body: () throws(PostgresError) -> Void) throws(PostgresError) {
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "/"
    do {
      try FileManager.default.createDirectory(
        atPath: parent, withIntermediateDirectories: true)
    } catch {
      throw PostgresError(
        sqlState: "58000", message: "\(parent) cannot be made", detail: "\(error)")
    }
    let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else {
      throw PostgresError(
        sqlState: "42501", message: "\(parent) cannot be written to",
        detail: String(cString: strerror(errno)))
    }
    defer { close(lock) }
    while flock(lock, LOCK_EX) != 0, errno == EINTR {}
    try body()
  }

  /// Runs `initdb` beside the place and renames the outcome, so that a directory that was made
  /// only half is never taken for a whole one.
  func initialize(by binaries: ServerBinaries, as user: ServerUser) throws(PostgresError) {
    let fresh = path + ".new"
    try? FileManager.default.removeItem(atPath: fresh)
    guard mkdir(fresh, 0o700) == 0 else {
      throw PostgresError(
        sqlState: "58000", message: "\(fresh) cannot be made",
        detail: String(cString: strerror(errno)))
    }
    try user.own(fresh)
    _ = try ChildProcess.output(
      of: user.command(
        [
          binaries.path("initdb"), "--pgdata", fresh, "--username", "postgres",
          "--encoding", "UTF8", "--locale", "C.UTF-8", "--auth-local", "trust",
          "--auth-host", "scram-sha-256", "--no-sync", "--no-instructions",
        ], deathSignal: "KILL"))
    rmdir(path)
    guard rename(fresh, path) == 0 else {
      throw PostgresError(
        sqlState: "58000", message: "\(fresh) cannot be renamed to \(path)",
        detail: String(cString: strerror(errno)))
    }
  }

  /// Removes the lock files of a server that no longer runs. The server does so itself, unless
  /// another process got the same number meanwhile.
  ///
  /// - Throws: 55006 when it runs.
  func releaseStaleLocks() throws(PostgresError) {
    guard let first = text(pidFile)?.split(separator: "\n").first,
      let pid = pid_t(String(first).trimmed)
    else { return }
    let name = text("/proc/\(pid)/comm")?.trimmed
    let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
    let isServer = name.map { $0 == "postgres" || $0 == "postmaster" } ?? false
    guard !isServer || (place != nil && place != path) else {
      throw PostgresError(
        sqlState: "55006", message: "another server, process \(pid), holds \(path)",
        hint: "Stop it, as with \"rowcast down\", or choose another data directory.")
    }
    unlink(pidFile)
    for entry in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where entry.hasPrefix(".s.PGSQL.") {
      unlink(path + "/" + entry)
    }
  }

  /// The server writes its state into the eighth line.
  func isReady(postmaster: pid_t?) -> Bool {
    guard let postmaster,
      let lines = text(pidFile)?.split(separator: "\n", omittingEmptySubsequences: false),
      lines.count >= 8
    else { return false }
    return Int32(String(lines[0]).trimmed) == postmaster && lines[7].hasPrefix("ready")
  }

  /// The data directory itself, or, where its path is too long for a socket's address (107
  /// bytes), one under /tmp that only the server's user may enter.
  func socketDirectory(for user: ServerUser) throws(PostgresError) -> String {
    if path.utf8.count + "/.s.PGSQL.65535".utf8.count <= 107 { return path }
    // FNV-1a: the same directory at each start.
    let hash = path.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    let short = "/tmp/rowcast-" + String(hash, radix: 36)
    if mkdir(short, 0o700) == 0 {
      try user.own(short)
    } else {
      try user.checkOwner(short)
    }
    return short
  }

  func endOfLog(lines: Int = 12) -> String? {
    text(logFile)?.split(separator: "\n").suffix(lines).joined(separator: "\n")
  }
}
