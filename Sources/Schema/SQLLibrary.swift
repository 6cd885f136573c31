/// The SQL that a release consists of, in the order in which it is applied.
package struct SQLLibrary: Sendable {
  /// A step that runs once in a database and never changes after its release.
  package struct Migration: Sendable, Equatable {
    /// Counts from 1 without gaps.
    package let version: Int
    package let file: SQLFile
  }

  package let migrations: [Migration]
  /// The current text of functions, views, triggers and grants.
  package let objects: [SQLFile]
  private let bootstrap: [SQLFile]

  /// The files that were embedded when this release was built.
  package static let embedded = SQLLibrary(EmbeddedSQL.files)

  /// Folders of `sql/`: what depends on the others comes later; folders not named here come last.
  private static let order = ["registry", "pipeline", "schedules"]

  /// - Precondition: Migrations are named `NNNN_what.sql` and numbered 1, 2, 3, ….
  package init(_ files: [SQLFile]) {
    migrations = files.filter { $0.path.hasPrefix("migrations/") }
      .map { Migration(version: Int($0.name.prefix(4)) ?? 0, file: $0) }
      .sorted { $0.version < $1.version }
    precondition(
      migrations.map(\.version) == Array(1..<(migrations.count + 1)),
      "migrations are numbered \(migrations.map(\.version))")
    bootstrap = files.filter { $0.path.hasPrefix("sql/bootstrap/") }
    objects = files.filter { $0.path.hasPrefix("sql/") && !$0.path.hasPrefix("sql/bootstrap/") }
      .map { file in (Self.place(of: file), file) }
      .sorted { ($0.0, $0.1.path) < ($1.0, $1.1.path) }
      .map(\.1)
  }

  /// The schema that this release brings a database to.
  package var version: Int { migrations.count }

  /// A file of `sql/bootstrap/`, which is run by name.
  package func bootstrap(_ name: String) -> SQLFile {
    guard let file = bootstrap.first(where: { $0.name == name }) else {
      preconditionFailure("sql/bootstrap/\(name).sql is not embedded")
    }
    return file
  }

  private static func place(of file: SQLFile) -> Int {
    let folder = file.path.split(separator: "/").dropFirst().first.map(String.init) ?? ""
    return order.firstIndex(of: folder) ?? order.count
  }
}
