internal import HTTPTypes
internal import Postgres
internal import Scoring

/// Which models there are, which of their versions can score, and where aliases point.
struct Catalog: Sendable {
  struct Version: Sendable {
    /// `registered`, `ready` or `refused`.
    var state: String
    /// `onnx`, `lightgbm`, …; nil until somebody looked at the bytes.
    var format: String?
  }

  struct Entry: Sendable {
    var id: Int32
    var versions: [Int32: Version] = [:]
    var aliases: [String: Int32] = [:]

    /// Those that can score, ascending.
    var readyVersions: [Int32] { versions.filter { $0.value.state == "ready" }.keys.sorted() }
  }

  /// A version that a request means.
  struct Target: Sendable, Equatable {
    var id: ModelVersionID
    var name: String
    var format: String
  }

  /// What a service asks, and of which candidates.
  struct Service: Sendable {
    var name: String
    var model: String
    var alias: String
    /// The feature that the input is; nil where one feature alone can be.
    var input: String?
    /// Features of candidates, an object a line, and their ids, an array a line; nil where there are none.
    var candidates: String?
    var places: String?
    /// The catalog's, by which an older one is told.
    var revision: Int64
  }

  var entries: [String: Entry] = [:]
  var services: [String: Service] = [:]
  /// By model.
  var recordings: [Int32: Recording] = [:]
  /// Grows with each change.
  var revision: Int64 = 0

  /// What scorers follow unless told otherwise, and requests too.
  static let defaultAlias = "champion"

  func entry(_ name: String) throws(Problem) -> Entry {
    guard let entry = entries[name] else { throw .notFound("there is no model \"\(name)\"") }
    return entry
  }

  /// The service of the name, or the model of the name as one.
  func service(_ name: String) throws(Problem) -> Service {
    if let service = services[name] { return service }
    guard entries[name] != nil else { throw .notFound("there is no service \"\(name)\"") }
    return Service(
      name: name, model: name, alias: Self.defaultAlias, revision: revision)
  }

  /// The one that is asked where none is named.
  func onlyService() throws(Problem) -> Service {
    if let service = services["default"] ?? (services.count == 1 ? services.first?.value : nil) {
      return service
    }
    if services.isEmpty, entries.count == 1, let name = entries.first?.key {
      return try service(name)
    }
    throw .notFound(
      "no service is called \"default\"", hint: "Name one: /api/v1/service/NAME/score.")
  }

  /// - Parameter version: A number or an alias; the champion where nil.
  func target(_ name: String, _ version: String?) throws(Problem) -> Target {
    let entry = try entry(name)
    let wanted = version ?? Self.defaultAlias
    guard let number = Int32(wanted) ?? entry.aliases[wanted] else {
      throw .notFound(
        "model \"\(name)\" has no alias \"\(wanted)\"",
        hint: "Name a version: /versions/\(entry.readyVersions.last ?? 1).")
    }
    guard let found = entry.versions[number] else {
      throw .notFound("model \"\(name)\" has no version \(number)")
    }
    guard found.state == "ready" else {
      throw Problem(
        .serviceUnavailable, "not_ready",
        "version \(number) of model \"\(name)\" is \(found.state)",
        retryAfter: found.state == "registered" ? 1 : nil)
    }
    return Target(
      id: ModelVersionID(model: entry.id, version: number), name: name,
      format: found.format ?? "unknown")
  }
}

extension Catalog {
  /// - Parameter revision: As it was before.
  static func read(on connection: Connection, revision: Int64) throws(PostgresError) -> Catalog {
    let rows = try connection.run("select * from rowcast.model_catalog()")
    var catalog = Catalog()
    catalog.revision = revision
    for row in 0..<rows.count {
      let name = try rows.value(row, "model", as: String.self)
      let number = try rows.value(row, "version", as: Int32.self)
      let id = try rows.value(row, "model_id", as: Int32.self)
      var entry = catalog.entries[name] ?? Entry(id: id)
      entry.versions[number] = Version(
        state: try rows.value(row, "state"), format: try rows.value(row, "format"))
      for alias in try rows.value(row, "aliases", as: [String].self) {
        entry.aliases[alias] = number
      }
      catalog.entries[name] = entry
    }
    let services = try connection.run("select * from rowcast.service_catalog()")
    for row in 0..<services.count {
      let name = try services.value(row, "name", as: String.self)
      let candidates = try services.value(row, "candidates", as: String.self)
      let places = try services.value(row, "places", as: String.self)
      let isMatching = try services.value(row, "ids", as: Int32.self) > 0
      catalog.services[name] = Service(
        name: name, model: try services.value(row, "model"),
        alias: try services.value(row, "alias"), input: try services.value(row, "input"),
        candidates: isMatching ? candidates : nil, places: isMatching ? places : nil,
        revision: revision)
    }
    let recordings = try connection.run("select * from rowcast.recording_catalog()")
    for row in 0..<recordings.count {
      catalog.recordings[try recordings.value(row, "model_id")] = Recording(
        share: try recordings.value(row, "share"),
        hasInputs: try recordings.value(row, "with_inputs"))
    }
    return catalog
  }

  /// Grows with each change of models and aliases.
  static func revision(on connection: Connection) throws(PostgresError) -> Int64 {
    try connection.run("select rowcast.catalog_revision()").value(0, 0)
  }
}
