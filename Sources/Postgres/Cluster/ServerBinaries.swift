internal import FoundationEssentials
internal import Glibc

/// The directory that holds `postgres` and `initdb`, and their major version.
struct ServerBinaries {
  let directory: String
  let major: Int

  func path(_ program: String) -> String { directory + "/" + program }

  /// Finds the newest ones, or those of a given major version.
  ///
  /// `ROWCAST_PG_BIN` names the directory outright; else Debian's and Red Hat's places are
  /// looked at, then `PATH`.
  static func find(major: Int? = nil) throws(PostgresError) -> ServerBinaries {
    let environment = ProcessInfo.processInfo.environment
    if let given = environment["ROWCAST_PG_BIN"] {
      guard let binaries = ServerBinaries(in: given) else {
        throw PostgresError(
          sqlState: "58P01", message: "ROWCAST_PG_BIN holds no postgres and initdb",
          detail: "It is \(given).", hint: "Name the directory that holds them.")
      }
      return try binaries.checked(major)
    }
    let found = candidates(environment).compactMap { ServerBinaries(in: $0) }
    if let major {
      if let match = found.first(where: { $0.major == major }) { return match }
    }
    guard let newest = found.max(by: { $0.major < $1.major }) else {
      throw PostgresError(
        sqlState: "58P01", message: "the programs of a PostgreSQL server were not found",
        detail: "Looked in /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin and PATH.",
        hint: "Run \"apt-get install postgresql\", or set ROWCAST_PG_BIN to their directory.")
    }
    return try newest.checked(major)
  }

  private static func candidates(_ environment: [String: String]) -> [String] {
    func entries(_ directory: String) -> [String] {
      (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }
    var places = entries("/usr/lib/postgresql").map { "/usr/lib/postgresql/\($0)/bin" }
    places += entries("/usr").filter { $0.hasPrefix("pgsql-") }.map { "/usr/\($0)/bin" }
    places += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return places
  }

  private init?(in directory: String) {
    guard access(directory + "/postgres", X_OK) == 0, access(directory + "/initdb", X_OK) == 0,
      let version = Self.major(of: directory + "/postgres")
    else { return nil }
    self.directory = directory
    major = version
  }

  /// `postgres (PostgreSQL) 15.4 (Debian ...)` → 15. Asking is allowed to root, too.
  private static func major(of program: String) -> Int? {
    guard let output = try? ChildProcess.output(of: [program, "--version"]) else { return nil }
    let word = output.split(separator: " ").first { $0.first?.isNumber == true }
    return word.flatMap { Int($0.prefix { $0.isNumber }) }
  }

  private func checked(_ wanted: Int?) throws(PostgresError) -> ServerBinaries {
    guard let wanted, wanted != major else { return self }
    throw PostgresError(
      sqlState: "0A000",
      message: "the data directory is of PostgreSQL \(wanted), the programs are of \(major)",
      detail: "The programs are in \(directory).",
      hint: "Install postgresql-\(wanted), or move the data with pg_upgrade or pg_dump.")
  }
}
