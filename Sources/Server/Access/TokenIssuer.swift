internal import Crypto
internal import FoundationEssentials
internal import HTTPTypes
internal import Logging
internal import ServiceLifecycle
internal import Synchronization

/// Believes the tokens of one issuer: its keys, read again when their file changes, and what it must say.
///
/// A token that was found right is remembered by its hash until it expires or the keys change, so that
/// a caller who shows it again costs no signature.
final class TokenIssuer: Sendable, Service {
  private struct State {
    var keys: TokenKeys?
    var stamp: Stamp?
    /// Grows with each change of keys.
    var generation = 0
    var known: [Data: AccessToken.Claims] = [:]
  }

  private struct Stamp: Equatable {
    var modifiedAt: Date
    var byteCount: UInt64
    var file: UInt64
  }

  private let configuration: HTTPConfiguration.Tokens
  private let state = Mutex(State())
  private let logger: Logger

  /// How far the issuer's clock may be from this one: seconds.
  static let leeway = 60.0
  private static let most = 4096

  init(_ configuration: HTTPConfiguration.Tokens, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  // MARK: Tokens

  /// Who the token speaks for: a name for the caller, and the role of the database.
  ///
  /// - Throws: 401 that does not say what is wrong with it.
  func admit(_ text: String) throws(Problem) -> AccessToken.Claims {
    let now = Date().timeIntervalSince1970
    guard let claims = claims(of: text), now < claims.expiresAt + Self.leeway,
      claims.notBefore.map({ $0 - Self.leeway <= now }) ?? true
    else { throw Problem(.unauthorized, "unauthorized", "the token is not valid") }
    return claims
  }

  private func claims(of text: String) -> AccessToken.Claims? {
    let hash = Data(SHA256.hash(data: Data(text.utf8)))
    let (known, keys, generation) = state.withLock { ($0.known[hash], $0.keys, $0.generation) }
    if let known { return known }
    guard let keys, let token = AccessToken(text), keys.signed(token),
      let claims = token.claims(role: configuration.roleClaim),
      claims.issuer == configuration.issuer, claims.audiences.contains(configuration.audience)
    else { return nil }
    state.withLock { state in
      guard state.generation == generation else { return }
      if state.known.count >= Self.most {
        let now = Date().timeIntervalSince1970
        state.known = state.known.filter { now < $0.value.expiresAt + Self.leeway }
        if state.known.count >= Self.most { state.known = [:] }
      }
      state.known[hash] = claims
    }
    return claims
  }

  // MARK: Keys

  /// - Throws: `HTTPConfigurationError` where the file cannot be used.
  func load() async throws {
    let stamp = stamp
    do {
      take(try await read(), stamp)
    } catch let error as TokenKeys.Unfit {
      throw HTTPConfigurationError(
        message: "\"\(configuration.jwksPath)\" cannot be used: \(error.message)",
        hint: "Give the JSON Web Key Set that the issuer publishes.")
    }
  }

  /// Looks for another file each second, until the server stops.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      var refused: Stamp?
      while true {
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
        guard let stamp = self.stamp, stamp != self.state.withLock(\.stamp) else { continue }
        do {
          self.take(try await self.read(), stamp)
          refused = nil
          self.logger.notice("the keys of tokens were renewed")
        } catch {
          // Perhaps half of it is written; a look at the rest tries again.
          guard stamp != refused else { continue }
          refused = stamp
          self.logger.warning(
            "the keys of tokens cannot be used, those before stay",
            metadata: ["reason": "\((error as? TokenKeys.Unfit)?.message ?? "")"])
        }
      }
    }
  }

  private func take(_ keys: TokenKeys, _ stamp: Stamp?) {
    state.withLock { state in
      state.keys = keys
      state.stamp = stamp
      state.generation += 1
      state.known = [:]
    }
  }

  private func read() async throws -> TokenKeys {
    guard let bytes = try? Data(contentsOf: URL(filePath: configuration.jwksPath)) else {
      throw TokenKeys.Unfit(message: "it cannot be read")
    }
    return try await TokenKeys(jwks: bytes)
  }

  private var stamp: Stamp? {
    let facts = try? FileManager.default.attributesOfItem(atPath: configuration.jwksPath)
    guard let modifiedAt = facts?[.modificationDate] as? Date else { return nil }
    func number(_ key: FileAttributeKey) -> UInt64 {
      (facts?[key] as? UInt64) ?? (facts?[key] as? Int).map { UInt64($0) } ?? 0
    }
    return Stamp(
      modifiedAt: modifiedAt, byteCount: number(.size), file: number(.systemFileNumber))
  }
}
