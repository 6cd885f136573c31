internal import HTTPTypes
internal import Postgres
internal import Synchronization

/// What the roles of the database may do over HTTP, as the database had it when it was last asked.
///
/// A role that has no right here is not in the book, and may do nothing.
final class RoleBook: Sendable {
  /// Whose rights a role has; each level has those below it.
  enum Level: String, Sendable {
    case reader, analyst, admin
  }

  struct Rights: Sendable {
    var level: Level?
    /// Those that were granted to the role one by one, with `rowcast.grant_model`.
    var models: Set<String>

    /// The models for which the role may do this: nil for all of them.
    ///
    /// - Returns: nil where the role may not do it at all.
    func scope(of action: Action) -> Scope? {
      if let level, action.levels.contains(level) { return .all }
      return action.isOfModel && !models.isEmpty ? .only(models) : nil
    }
  }

  enum Scope: Sendable {
    case all
    case only(Set<String>)
  }

  private struct State {
    var rights: [String: Rights] = [:]
    var confirmedAt: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  /// As with keys: without word from the database for this long, no role is believed.
  private let trust: Duration

  init(trust: Duration) { self.trust = trust }

  func replace(with rights: [String: Rights]) {
    state.withLock { $0 = State(rights: rights, confirmedAt: .now) }
  }

  /// - Throws: 403 where the role may not, or is none; 503 where roles are not known.
  func scope(of action: Action, for role: String) throws(Problem) -> Scope {
    let (rights, isTrusted) = state.withLock { state in
      (state.rights[role], state.confirmedAt.map { .now - $0 < trust } ?? false)
    }
    guard isTrusted else {
      throw Problem(
        .serviceUnavailable, "unavailable", "roles cannot be checked now", retryAfter: 1)
    }
    guard let scope = rights?.scope(of: action) else {
      throw Problem(
        .forbidden, "forbidden", "the token's role does not allow to \(action.rawValue)")
    }
    return scope
  }
}

extension Action {
  /// Whose right it is, over all models.
  fileprivate var levels: Set<RoleBook.Level> {
    switch self {
    case .read, .metrics: [.reader, .analyst, .admin]
    case .score, .jobs, .push: [.analyst, .admin]
    }
  }

  /// Whether it is done to a model, so that a grant on the model allows it.
  fileprivate var isOfModel: Bool {
    switch self {
    case .read, .score: true
    case .metrics, .jobs, .push: false
    }
  }
}

extension RoleBook.Rights {
  /// The rights of all roles that have some, by name.
  static func all(on connection: Connection) throws(PostgresError) -> [String: RoleBook.Rights] {
    let rows = try connection.run("select * from rowcast.role_rights()")
    var rights: [String: RoleBook.Rights] = [:]
    for row in 0..<rows.count {
      let level = try rows.value(row, "level", as: String?.self)
      rights[try rows.value(row, "role_name", as: String.self)] = RoleBook.Rights(
        level: level.flatMap { RoleBook.Level(rawValue: $0) },
        models: Set(try rows.value(row, "models", as: [String].self)))
    }
    return rights
  }
}
