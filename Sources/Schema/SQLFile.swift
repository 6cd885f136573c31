/// One file of `migrations/` or `sql/`, as it was when this release was built.
package struct SQLFile: Sendable, Equatable {
  /// Relative to the root of the repository: `migrations/0001_registry.sql`.
  package let path: String
  package let text: String

  package init(path: String, text: String) {
    self.path = path
    self.text = text
  }

  /// The last part of the path, without `.sql`.
  package var name: String {
    let file = path.split(separator: "/").last ?? ""
    return String(file.dropLast(".sql".count))
  }
}
