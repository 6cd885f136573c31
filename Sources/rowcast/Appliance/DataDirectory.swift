import Foundation

/// Where an appliance keeps its database, and how others find out that it runs.
///
/// `lock` is held by the appliance as long as its process lives, however it ends, so a file that a
/// crash left behind deceives nobody. `appliance.json` says who holds it and how to connect;
/// `postgres/` is the database cluster.
struct DataDirectory {
  let path: String

  /// What the appliance tells others about itself.
  struct Running: Codable {
    var pid: Int32
    /// Keywords for libpq.
    var connection: String
    var startedAt: Date
    var release: String
  }

  /// The path without relative parts, as a server with another working directory needs it.
  var absolutePath: String { URL(filePath: path).standardizedFileURL.path(percentEncoded: false) }

  var clusterPath: String { joined("postgres") }
  var passwordPath: String { joined("password") }
  private var lockPath: String { joined("lock") }
  private var statePath: String { joined("appliance.json") }

  private func joined(_ name: String) -> String {
    let base = absolutePath
    return base.hasSuffix("/") ? base + name : base + "/" + name
  }

  /// The appliance that runs here, or nil. One that is still starting counts, with no connection
  /// to offer yet.
  func running() throws -> Running? {
    guard try isLocked() else { return nil }
    return readState()
  }

  /// Whether a process holds the lock.
  func isLocked() throws -> Bool {
    let descriptor = open(lockPath, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == ENOENT || errno == ENOTDIR { return false }
      throw CommandError(
        .failed, "cannot look at \"\(lockPath)\": \(CommandError.reason(errno))")
    }
    defer { close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return false }
    return errno == EWOULDBLOCK
  }

  private func readState() -> Running? {
    guard let data = try? Data(contentsOf: URL(filePath: statePath)) else { return nil }
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    return try? decoder.decode(Running.self, from: data)
  }

  /// Takes the directory for this process; it is created where it is not there.
  ///
  /// - Throws: `CommandError` where another appliance holds it.
  func acquire() throws -> DataDirectoryLock {
    // Others may pass through (the server runs as another user when this is root), not look.
    if mkdir(absolutePath, 0o711) != 0, errno != EEXIST {
      throw CommandError(
        .badConfiguration, "cannot create \"\(path)\": \(CommandError.reason(errno))")
    }
    let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandError(
        .badConfiguration, "cannot write to \"\(path)\": \(CommandError.reason(errno))")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      let owner = readState().map { " (process \($0.pid))" } ?? ""
      throw CommandError(
        .failed, "an appliance runs on \"\(path)\" already\(owner)",
        hint: "Stop it with \"rowcast down --data-dir \(path)\", or give another --data-dir.")
    }
    unlink(statePath)
    return DataDirectoryLock(descriptor: descriptor, statePath: statePath)
  }
}

/// The right to run on a data directory; given up when the value goes away.
struct DataDirectoryLock: ~Copyable {
  private let descriptor: Int32
  private let statePath: String

  fileprivate init(descriptor: Int32, statePath: String) {
    self.descriptor = descriptor
    self.statePath = statePath
  }

  deinit {
    unlink(statePath)
    close(descriptor)
  }

  /// Tells others how to connect; replaces the file at once, so that nobody reads half of it.
  func publish(_ running: DataDirectory.Running) throws {
    try Data(JSONText.of(running).utf8).write(
      to: URL(filePath: statePath), options: .atomic)
  }
}
