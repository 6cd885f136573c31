internal import FoundationEssentials
internal import Glibc

/// Whom the server runs as: this process's user, or, since PostgreSQL refuses to run as root, an
/// unprivileged one when that is root.
struct ServerUser {
  /// nil: this process's own.
  private let other: (name: String, uid: uid_t, gid: gid_t)?
  private let setpriv: String?

  init() throws(PostgresError) {
    setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].first { access($0, X_OK) == 0 }
    guard geteuid() == 0 else {
      other = nil
      return
    }
    let name = ProcessInfo.processInfo.environment["ROWCAST_PG_USER"] ?? "postgres"
    guard let entry = getpwnam(name), entry.pointee.pw_uid != 0 else {
      throw PostgresError(
        sqlState: "58P01", message: "there is no unprivileged user \"\(name)\"",
        detail: "PostgreSQL refuses to run as root.",
        hint: "Run \"apt-get install postgresql\", set ROWCAST_PG_USER, or be no root.")
    }
    guard setpriv != nil else {
      throw PostgresError(
        sqlState: "58P01", message: "setpriv, which changes the user, was not found",
        hint: "Run \"apt-get install util-linux\", or be no root.")
    }
    other = (name, entry.pointee.pw_uid, entry.pointee.pw_gid)
  }

  /// The command line that runs a program as the user and, where it can be had, sends it the
  /// signal when this process dies.
  func command(_ arguments: [String], deathSignal: String) -> [String] {
    guard let setpriv else { return arguments }
    var command = [setpriv, "--pdeathsig", deathSignal]
    if let other {
      command += ["--reuid", "\(other.uid)", "--regid", "\(other.gid)", "--init-groups"]
    }
    return command + ["--"] + arguments
  }

  /// Gives the user a file or directory that this process made.
  func own(_ path: String) throws(PostgresError) {
    guard let other, chown(path, other.uid, other.gid) != 0 else { return }
    throw PostgresError(
      sqlState: "58000", message: "\(path) cannot be given to user \"\(other.name)\"",
      detail: String(cString: strerror(errno)))
  }

  /// Makes the log file, so that the server's user may write to it.
  func prepare(log path: String) throws(PostgresError) {
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else {
      throw PostgresError(
        sqlState: "58000", message: "\(path) cannot be written",
        detail: String(cString: strerror(errno)))
    }
    close(file)
    try own(path)
  }

  func checkOwner(_ path: String) throws(PostgresError) {
    var info = stat()
    guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR,
      info.st_uid == other?.uid ?? geteuid(), info.st_mode & 0o077 == 0
    else {
      throw PostgresError(
        sqlState: "42501", message: "\(path) is not a private directory of the server's user",
        hint: "Remove it.")
    }
  }

  /// Checks that the user may go down to the directory and, where it exists, owns it.
  func checkReach(_ directory: String) throws(PostgresError) {
    let name = other?.name ?? "this user"
    var info = stat()
    if stat(directory, &info) == 0, info.st_uid != (other?.uid ?? geteuid()) {
      throw PostgresError(
        sqlState: "42501", message: "\(directory) belongs to another user than \(name)",
        hint: "Run as its owner, or give it to \(name) with chown -R.")
    }
    guard let other else { return }
    var path = ""
    for part in directory.split(separator: "/").dropLast() {
      path += "/" + part
      guard stat(path, &info) == 0 else { return }
      let needed: mode_t =
        info.st_uid == other.uid ? S_IXUSR : info.st_gid == other.gid ? S_IXGRP : S_IXOTH
      if info.st_mode & needed == 0 {
        throw PostgresError(
          sqlState: "42501", message: "user \"\(other.name)\" cannot enter \(path)",
          detail: "The server runs as that user, since this process is root's.",
          hint: "Choose a data directory elsewhere, as under /var/lib, or open the way with chmod.")
      }
    }
  }
}
