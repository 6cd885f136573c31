internal import Crypto
internal import FoundationEssentials
internal import HTTPTypes
internal import Postgres
internal import Synchronization

/// What a key may be used for.
enum Action: String, Sendable, CaseIterable {
  /// Looking at models and at the server.
  case read
  /// Having rows scored.
  case score
  /// Reading the server's own figures.
  case metrics
  /// Having jobs made, with the rights of a role.
  case jobs
  /// Registering models, with the rights of a role.
  case push
}

/// Who asks: a key or a token that is valid, or anybody where the server wants none.
struct Caller: Sendable, Equatable {
  /// As the view `rowcast.keys` has it; nil without a key.
  var keyID: String?
  /// The role of the database whose rights count for what the caller has made: the key's, nil where it makes
  /// nothing, or the one that the token speaks for.
  var role: String?
  /// Whom a token was given to.
  var subject: String?
  /// Names of models; nil for all.
  var models: Set<String>?
  /// What the key allows; nil for everything.
  var actions: Set<String>?

  func may(_ action: Action) -> Bool { actions?.contains(action.rawValue) ?? true }

  /// What this caller has in common with itself alone, as far as is known.
  var name: String? { keyID ?? role.map { "\($0)/\(subject ?? "")" } }

  /// - Throws: A refusal that does not tell whether there is such a model.
  func requireModel(_ name: String) throws(Problem) {
    if let models, !models.contains(name) {
      throw Problem(.forbidden, "forbidden", "the key is not for model \"\(name)\"")
    }
  }
}

/// The keys that are live, as the database had them when it was last asked.
///
/// A key is `rck_<id>_<secret>`. The database keeps the SHA-256 of the secret and nothing else: 32 random
/// bytes cannot be guessed from their hash however fast it is computed, which is what slow hashes are for
/// where people choose the secret. Comparing takes the same time wherever the digests differ.
final class KeyRing: Sendable {
  struct Key: Sendable {
    var id: String
    var digest: [UInt8]
    var models: Set<String>?
    var actions: Set<String>
    var expiresAt: Date?
    var role: String?
  }

  private struct State {
    var keys: [String: Key] = [:]
    var confirmedAt: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  /// Without word from the database for this long, keys may have been revoked: none is valid any more.
  private let trust: Duration

  /// What every key begins with, and no token.
  static let prefix = "rck_"

  /// What an unknown key is compared with, so that it takes as long as a known one.
  private static let nobody = Key(
    id: "", digest: Array(repeating: 0, count: 32), models: [], actions: [], expiresAt: nil)

  init(trust: Duration) { self.trust = trust }

  func replace(with keys: [Key]) {
    let named = Dictionary(keys.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    state.withLock { $0 = State(keys: named, confirmedAt: .now) }
  }

  /// - Throws: 401 without a valid key, 403 where it is not for the action, 503 where keys cannot be
  ///   told valid.
  func admit(_ presented: String, to action: Action) throws(Problem) -> Caller {
    let parts = presented.utf8.split(
      separator: UInt8(ascii: "_"), maxSplits: 2, omittingEmptySubsequences: false)
    let isKey = parts.count == 3 && parts[0].elementsEqual("rck".utf8)
    let id = isKey ? String(decoding: parts[1], as: UTF8.self) : ""
    let secret = isKey ? Array(parts[2]) : []
    let (known, isTrusted) = find(id)
    let key = known ?? Self.nobody
    let isRight = SHA256.hash(data: secret) == key.digest
    return try admit(isRight ? known : nil, isTrusted, to: action)
  }

  /// A key that was shown before and may have been revoked since.
  func admit(keyID: String, to action: Action) throws(Problem) -> Caller {
    let (known, isTrusted) = find(keyID)
    return try admit(known, isTrusted, to: action)
  }

  private func find(_ id: String) -> (key: Key?, isTrusted: Bool) {
    state.withLock { state in
      (state.keys[id], state.confirmedAt.map { .now - $0 < trust } ?? false)
    }
  }

  private func admit(
    _ key: Key?, _ isTrusted: Bool, to action: Action
  ) throws(Problem) -> Caller {
    guard isTrusted else {
      throw Problem(
        .serviceUnavailable, "unavailable", "keys cannot be checked now", retryAfter: 1)
    }
    guard let key, key.expiresAt.map({ $0 > Date() }) ?? true else {
      throw Problem(.unauthorized, "unauthorized", "the key is not valid")
    }
    guard key.actions.contains(action.rawValue) else {
      throw Problem(
        .forbidden, "forbidden", "the key does not allow to \(action.rawValue)")
    }
    return Caller(keyID: key.id, role: key.role, models: key.models, actions: key.actions)
  }
}

extension KeyRing.Key {
  /// The keys that are neither revoked nor expired.
  static func live(on connection: Connection) throws(PostgresError) -> [KeyRing.Key] {
    let rows = try connection.run("select * from rowcast.live_keys()")
    var keys: [KeyRing.Key] = []
    for row in 0..<rows.count {
      keys.append(
        KeyRing.Key(
          id: try rows.value(row, "key_id"), digest: try rows.value(row, "digest"),
          models: try rows.value(row, "models", as: [String]?.self).map(Set.init),
          actions: Set(try rows.value(row, "actions", as: [String].self)),
          expiresAt: try rows.value(row, "expires_at"),
          role: try rows.value(row, "role", as: String?.self)))
    }
    return keys
  }
}
